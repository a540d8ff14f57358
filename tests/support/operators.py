"""Argo's workflow controller and the KubeRay operator, as pods that run as host processes."""

from __future__ import annotations

from typing import Any

import yaml

from jarkkit.sandbox.kubernetes.api import Object
from jarkkit.sandbox.kubernetes.toolchain import Toolchain, user_cache
from tests.support.clusters import RehearsalCluster
from tests.support.poll import wait_for

_RBAC = "rbac.authorization.k8s.io"
OPERATORS: dict[str, dict[str, Any]] = {
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


def install(cluster: RehearsalCluster, name: str) -> None:
    """Install the operator and its CRDs in a namespace of its name; return when it is Ready."""
    crds = Toolchain(user_cache()).files(f"{name}-crds")
    for file in sorted(crds.glob("*_*.yaml")):
        cluster.api.apply(yaml.safe_load(file.read_text()))
    for manifest in _manifests(name):
        cluster.api.apply(manifest)
    deployment = f"/apis/apps/v1/namespaces/{name}/deployments/controller"
    wait_for(lambda: cluster.api.get(deployment)["status"].get("readyReplicas") == 1, 120)


def _manifests(name: str) -> list[Object]:
    labels = {"app": name}
    container: dict[str, Any] = {"name": "controller", **OPERATORS[name]}
    subject = {"kind": "ServiceAccount", "name": "controller", "namespace": name}
    role = {"apiGroup": _RBAC, "kind": "ClusterRole", "name": "cluster-admin"}
    metadata = {"name": "controller", "namespace": name}
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}},
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata},
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
            "metadata": metadata,
            "spec": {
                "selector": {"matchLabels": labels},
                "template": {
                    "metadata": {"labels": labels},
                    "spec": {"serviceAccountName": "controller", "containers": [container]},
                },
            },
        },
    ]


FAILS = {"sandbox.jarkkit.io/exit-code": "3"}


def workflow(namespace: str, fails: str = "") -> dict[str, Any]:
    """Return a workflow of three steps, one after the other."""
    step = {"image": "busybox", "command": ["true"]}
    names = ("first", "second", "third")
    templates: list[dict[str, Any]] = [
        {
            "name": name,
            "container": step,
            **({"metadata": {"annotations": FAILS}} if name == fails else {}),
        }
        for name in names
    ]
    steps = [[{"name": name, "template": name}] for name in names]
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "metadata": {"name": "three", "namespace": namespace},
        "spec": {"entrypoint": "all", "templates": [{"name": "all", "steps": steps}, *templates]},
    }


def ray_job(namespace: str, annotations: dict[str, str]) -> dict[str, Any]:
    """Return a RayJob that runs on a cluster of its own, with one worker."""
    container = {"name": "ray", "image": "rayproject/ray:2.52.0"}
    template = {"spec": {"containers": [container]}}
    worker = {
        "groupName": "workers",
        "replicas": 1,
        "minReplicas": 1,
        "maxReplicas": 1,
        "rayStartParams": {},
        "template": template,
    }
    return {
        "apiVersion": "ray.io/v1",
        "kind": "RayJob",
        "metadata": {"name": "job", "namespace": namespace, "annotations": annotations},
        "spec": {
            "entrypoint": "python train.py",
            "rayClusterSpec": {
                "headGroupSpec": {"rayStartParams": {}, "template": template},
                "workerGroupSpecs": [worker],
            },
        },
    }
