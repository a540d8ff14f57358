"""Argo's workflow controller and the KubeRay operator, as pods that real processes play."""

from __future__ import annotations

from typing import Any

import yaml

from jarkkit.sandbox.cluster.api import Object
from jarkkit.sandbox.cluster.toolchain import Toolchain, user_cache
from tests.clusters.conftest import World, wait_for

_RBAC = "rbac.authorization.k8s.io"
OPERATORS = {
    "argo-workflows": {
        "image": "quay.io/argoproj/workflow-controller:v3.7.4",
        "args": ["--configmap", "workflow-controller-configmap", "--executor-image", "argoexec"],
        "env": [
            {
                "name": "LEADER_ELECTION_IDENTITY",
                "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}},
            }
        ],
        "livenessProbe": {"httpGet": {"port": 6060, "path": "/healthz"}},
    },
    "kuberay": {
        "image": "quay.io/kuberay/operator:v1.6.2",
        "args": ["--leader-election-namespace", "kuberay"],
        "readinessProbe": {"httpGet": {"port": 8082, "path": "/readyz"}},
    },
}


def install(world: World, name: str) -> None:
    """The operator in a namespace of its name, with its custom resources; Ready on return."""
    crds = Toolchain(user_cache()).files(f"{name}-crds")
    for file in sorted(crds.glob("*_*.yaml")):
        world.api.apply(yaml.safe_load(file.read_text()))
    for thing in _things(name):
        world.api.apply(thing)
    deployment = f"/apis/apps/v1/namespaces/{name}/deployments/controller"
    wait_for(lambda: world.api.get(deployment)["status"].get("readyReplicas") == 1, 120)


def _things(name: str) -> list[Object]:
    labels = {"app": name}
    container: dict[str, Any] = {"name": "controller", **OPERATORS[name]}
    subject = {"kind": "ServiceAccount", "name": "controller", "namespace": name}
    role = {"apiGroup": _RBAC, "kind": "ClusterRole", "name": "cluster-admin"}
    place = {"name": "controller", "namespace": name}
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}},
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": place},
        {
            "apiVersion": f"{_RBAC}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": name},
            "roleRef": role,
            "subjects": [subject],
        },
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "workflow-controller-configmap", "namespace": name},
        },
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": place,
            "spec": {
                "selector": {"matchLabels": labels},
                "template": {
                    "metadata": {"labels": labels},
                    "spec": {"serviceAccountName": "controller", "containers": [container]},
                },
            },
        },
    ]
