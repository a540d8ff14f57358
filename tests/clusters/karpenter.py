"""Karpenter by its real chart, with a node role, Pod Identity, a queue and two pools."""

from __future__ import annotations

import json
from typing import Any

import helm_python
import yaml

from jarkkit.sandbox.cluster.api import Object
from jarkkit.sandbox.cluster.toolchain import Toolchain, user_cache
from tests.clusters.conftest import NAME, World, wait_for

NAMESPACE = "karpenter"
_PODS = {"Service": "pods.eks.amazonaws.com"}


def install(world: World) -> None:
    """Everything; returns when its pools are Ready."""
    tools = Toolchain(user_cache())
    _account(world)
    for file in sorted(tools.files("karpenter-crds").glob("*.yaml")):
        world.api.apply(yaml.safe_load(file.read_text()))
    config = helm_python.Config(kubeconfig_path=str(world.kubeconfig), namespace=NAMESPACE)
    values = {
        "settings": {"clusterName": NAME, "interruptionQueue": NAME, "batchIdleDuration": "1s"},
        "replicas": 1,
        "controller": {"resources": {"requests": {"cpu": "1", "memory": "1Gi"}}},
    }
    chart = tools.files("karpenter-chart")
    config.install(str(chart), "karpenter", values, create_namespace=True, timeout=60)
    for thing in _pools():
        wait_for(lambda thing=thing: world.api.apply(thing))
    wait_for(lambda: all(map(_ready, world.api.list("/apis/karpenter.sh/v1/nodepools"))), 120)


def _account(world: World) -> None:
    iam, eks, ec2, sqs = (world.client(s) for s in ("iam", "eks", "ec2", "sqs"))
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
    cluster = eks.describe_cluster(name=NAME)["cluster"]
    group = cluster["resourcesVpcConfig"]["clusterSecurityGroupId"]
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


def _ready(thing: Object) -> bool:
    conditions = thing.get("status", {}).get("conditions", [])
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)
