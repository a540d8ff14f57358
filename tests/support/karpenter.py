"""Karpenter from its real chart, with a node role, Pod Identity, a queue and two node pools."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

import helm_python
import yaml

from jarkkit.sandbox.kubernetes.api import Object
from jarkkit.sandbox.kubernetes.toolchain import Toolchain, user_cache
from tests.support.clusters import NAME, RehearsalCluster
from tests.support.poll import wait_for

NAMESPACE = "karpenter"
_PODS = {"Service": "pods.eks.amazonaws.com"}


def install(cluster: RehearsalCluster) -> None:
    """Install Karpenter; return when its node pools are Ready."""
    tools = Toolchain(user_cache())
    _create_aws_resources(cluster)
    for file in sorted(tools.files("karpenter-crds").glob("*.yaml")):
        cluster.api.apply(yaml.safe_load(file.read_text()))
    config = helm_python.Config(kubeconfig_path=str(cluster.kubeconfig), namespace=NAMESPACE)
    values = {
        "settings": {"clusterName": NAME, "interruptionQueue": NAME, "batchIdleDuration": "1s"},
        "replicas": 1,
        "controller": {"resources": {"requests": {"cpu": "1", "memory": "1Gi"}}},
    }
    chart = tools.files("karpenter-chart")
    config.install(str(chart), "karpenter", values, create_namespace=True, timeout=60)
    for manifest in _pools():
        wait_for(partial(cluster.api.apply, manifest))
    wait_for(lambda: all(map(_is_ready, cluster.api.list("/apis/karpenter.sh/v1/nodepools"))), 120)


def _create_aws_resources(cluster: RehearsalCluster) -> None:
    iam, eks, ec2, sqs = (cluster.client(s) for s in ("iam", "eks", "ec2", "sqs"))
    iam.create_role(
        RoleName="KarpenterNode", AssumeRolePolicyDocument=_trust({"Service": "ec2.amazonaws.com"})
    )
    arn = iam.get_role(RoleName="KarpenterNode")["Role"]["Arn"]
    eks.create_access_entry(clusterName=NAME, principalArn=arn, type="EC2_LINUX")
    role = iam.create_role(RoleName="Karpenter", AssumeRolePolicyDocument=_trust(_PODS))
    eks.create_pod_identity_association(
        clusterName=NAME,
        namespace=NAMESPACE,
        serviceAccount="karpenter",
        roleArn=role["Role"]["Arn"],
    )
    sqs.create_queue(QueueName=NAME)
    subnets = [subnet["SubnetId"] for subnet in ec2.describe_subnets()["Subnets"]]
    described = eks.describe_cluster(name=NAME)["cluster"]
    group = described["resourcesVpcConfig"]["clusterSecurityGroupId"]
    tags = [{"Key": "karpenter.sh/discovery", "Value": NAME}]
    ec2.create_tags(Resources=[*subnets, group], Tags=tags)


def _trust(principal: dict[str, str]) -> str:
    actions = ["sts:AssumeRole", "sts:TagSession"]
    statement = {"Effect": "Allow", "Principal": principal, "Action": actions}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def _pools() -> list[Object]:
    terms = [{"tags": {"karpenter.sh/discovery": NAME}}]
    node_class = {
        "apiVersion": "karpenter.k8s.aws/v1",
        "kind": "EC2NodeClass",
        "metadata": {"name": "default"},
        "spec": {
            "amiSelectorTerms": [{"alias": "al2023@latest"}],
            "role": "KarpenterNode",
            "subnetSelectorTerms": terms,
            "securityGroupSelectorTerms": terms,
        },
    }
    gpu = {"key": "nvidia.com/gpu", "value": "true", "effect": "NoSchedule"}
    return [
        node_class,
        _pool("cpu", "karpenter.k8s.aws/instance-category", ["c", "m"], []),
        _pool("gpu", "karpenter.k8s.aws/instance-family", ["g5", "g6"], [gpu]),
    ]


def _pool(name: str, key: str, values: list[str], taints: list[dict[str, Any]]) -> Object:
    requirements = [
        {"key": "karpenter.sh/capacity-type", "operator": "In", "values": ["on-demand"]},
        {"key": "kubernetes.io/arch", "operator": "In", "values": ["amd64"]},
        {"key": key, "operator": "In", "values": values},
    ]
    reference = {"group": "karpenter.k8s.aws", "kind": "EC2NodeClass", "name": "default"}
    spec = {"nodeClassRef": reference, "requirements": requirements, "taints": taints}
    return {
        "apiVersion": "karpenter.sh/v1",
        "kind": "NodePool",
        "metadata": {"name": name},
        "spec": {
            "template": {"spec": spec},
            "disruption": {
                "consolidationPolicy": "WhenEmptyOrUnderutilized",
                "consolidateAfter": "2s",
            },
        },
    }


def _is_ready(manifest: Object) -> bool:
    conditions = manifest.get("status", {}).get("conditions", [])
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


PLUGIN = "nvcr.io/nvidia/k8s-device-plugin:v0.18.0"


def device_plugin(cluster: RehearsalCluster) -> None:
    """Create a DaemonSet like NVIDIA's device plugin."""
    labels = {"app": "nvidia-device-plugin"}
    container = {"name": "nvidia-device-plugin-ctr", "image": PLUGIN}
    spec = {
        "containers": [container],
        "tolerations": [{"operator": "Exists"}],
        "nodeSelector": {"karpenter.k8s.aws/instance-gpu-manufacturer": "nvidia"},
    }
    cluster.api.apply(
        {
            "apiVersion": "apps/v1",
            "kind": "DaemonSet",
            "metadata": {"name": "nvidia-device-plugin", "namespace": "kube-system"},
            "spec": {
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": spec},
            },
        }
    )


def gpu_pod(cluster: RehearsalCluster, namespace: str) -> str:
    """Create a pod that requests a GPU; return its path."""
    resources = {"requests": {"cpu": "1"}, "limits": {"nvidia.com/gpu": "1"}}
    container = {"name": "cuda", "image": "cuda", "resources": resources}
    toleration = {"key": "nvidia.com/gpu", "operator": "Exists"}
    spec = {"containers": [container], "tolerations": [toleration]}
    path = f"/api/v1/namespaces/{namespace}/pods"
    cluster.api.create(path, {"metadata": {"name": "gpu"}, "spec": spec})
    return f"{path}/gpu"
