"""Nodes, pods and events that tests of clusters create or wait for."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import Any

from jarkkit.sandbox.controllers.objects import is_ready
from jarkkit.sandbox.kubernetes.api import Object
from tests.support.clusters import NAME, RehearsalCluster
from tests.support.poll import wait_for

SYSTEM_PODS = "/api/v1/namespaces/kube-system/pods"


def ensure_node(cluster: RehearsalCluster, group: str) -> Object:
    """Return a node of a managed node group; create the group if it does not exist."""
    if not nodes_in_group(cluster, group):
        create_node_group(cluster, group)
        wait_for(lambda: node_group_status(cluster, group) == "ACTIVE")
    return wait_for(lambda: nodes_in_group(cluster, group))[0]


def instance_id_of(node: Object) -> str:
    return str(node["spec"]["providerID"]).rsplit("/", 1)[-1]


def zone_of(node: Object) -> str:
    return str(node["metadata"]["labels"]["topology.kubernetes.io/zone"])


def make_pod(name: str, labels: dict[str, str], **spec: Any) -> Object:
    """Return a pod that every node can run."""
    return {
        "metadata": {"name": name, "labels": labels},
        "spec": {
            "containers": [{"name": "it", "image": "none"}],
            "tolerations": [{"operator": "Exists"}],
            **spec,
        },
    }


@contextlib.contextmanager
def running_pod(cluster: RehearsalCluster, path: str, name: str, **more: Any) -> Iterator[Object]:
    """Create a pod, yield it when it is Ready, and delete it afterwards."""
    cluster.api.create(path, make_pod(name, more.pop("labels", {}), **more))
    try:
        wait_for(lambda: is_ready(cluster.api.get(f"{path}/{name}")))
        yield cluster.api.get(f"{path}/{name}")
    finally:
        cluster.api.delete(f"{path}/{name}")
        wait_for(lambda: not cluster.api.find(f"{path}/{name}"))


def event_message(
    cluster: RehearsalCluster, namespace: str, name: str, reason: str, words: str = ""
) -> str:
    """Return the message of an event about an object; wait for one with those words."""

    def messages() -> list[str]:
        events = cluster.api.list(f"/api/v1/namespaces/{namespace}/events")
        about = [e for e in events if e["involvedObject"].get("name") == name]
        return [e["message"] for e in about if e["reason"] == reason and words in e["message"]]

    return wait_for(messages)[-1]


NODES = "/api/v1/nodes"


def create_node_group(cluster: RehearsalCluster, name: str, size: int = 1, **more: Any) -> None:
    """Create a managed node group; do not wait for it."""
    iam, ec2 = cluster.client("iam"), cluster.client("ec2")
    trust = {"Statement": [{"Principal": {"Service": "ec2.amazonaws.com"}}]}
    role = iam.create_role(RoleName=f"{name}-node", AssumeRolePolicyDocument=json.dumps(trust))
    subnets = [subnet["SubnetId"] for subnet in ec2.describe_subnets()["Subnets"]][:2]
    cluster.client("eks").create_nodegroup(
        clusterName=NAME,
        nodegroupName=name,
        nodeRole=role["Role"]["Arn"],
        subnets=subnets,
        instanceTypes=["m5.xlarge"],
        scalingConfig={"minSize": 0, "maxSize": 5, "desiredSize": size},
        **more,
    )


def node_group_status(cluster: RehearsalCluster, name: str) -> str:
    """Return the status that DescribeNodegroup reports."""
    described = cluster.client("eks").describe_nodegroup(clusterName=NAME, nodegroupName=name)
    return str(described["nodegroup"]["status"])


def nodes_in_group(cluster: RehearsalCluster, name: str) -> list[dict[str, Any]]:
    """Return the group's Nodes."""
    return cluster.api.list(NODES, labelSelector=f"eks.amazonaws.com/nodegroup={name}")
