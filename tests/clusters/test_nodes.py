"""Instances become Nodes, and Nodes go with their instances."""

from __future__ import annotations

import json
from typing import Any

from tests.clusters.conftest import NAME, World, wait_for

NODES = "/api/v1/nodes"


def node_group(world: World, name: str, size: int = 1, **more: Any) -> None:
    """A managed node group, begun."""
    iam, ec2 = world.client("iam"), world.client("ec2")
    trust = {"Statement": [{"Principal": {"Service": "ec2.amazonaws.com"}}]}
    role = iam.create_role(RoleName=f"{name}-node", AssumeRolePolicyDocument=json.dumps(trust))
    subnets = [subnet["SubnetId"] for subnet in ec2.describe_subnets()["Subnets"]][:2]
    world.client("eks").create_nodegroup(
        clusterName=NAME,
        nodegroupName=name,
        nodeRole=role["Role"]["Arn"],
        subnets=subnets,
        instanceTypes=["m5.xlarge"],
        scalingConfig={"minSize": 0, "maxSize": 5, "desiredSize": size},
        **more,
    )


def status(world: World, name: str) -> str:
    """As DescribeNodegroup says it."""
    described = world.client("eks").describe_nodegroup(clusterName=NAME, nodegroupName=name)
    return str(described["nodegroup"]["status"])


def nodes_of(world: World, name: str) -> list[dict[str, Any]]:
    """The group's Nodes."""
    return world.api.list(NODES, labelSelector=f"eks.amazonaws.com/nodegroup={name}")


def test_a_managed_group_brings_nodes_that_are_its_instances(world: World) -> None:
    taint = {"key": "only", "value": "this", "effect": "NO_SCHEDULE"}
    node_group(world, "core", 2, labels={"role": "core"}, taints=[taint])
    wait_for(lambda: status(world, "core") == "ACTIVE")
    nodes = nodes_of(world, "core")
    assert len(nodes) == 2
    ec2 = world.client("ec2")
    for node in nodes:
        instance_id = node["spec"]["providerID"].rsplit("/", 1)[-1]
        (reservation,) = ec2.describe_instances(InstanceIds=[instance_id])["Reservations"]
        (instance,) = reservation["Instances"]
        assert node["metadata"]["name"] == instance["PrivateDnsName"]
        assert node["metadata"]["labels"]["role"] == "core"
        zone = instance["Placement"]["AvailabilityZone"]
        assert node["metadata"]["labels"]["topology.kubernetes.io/zone"] == zone
        assert {"key": "only", "value": "this", "effect": "NoSchedule"} in node["spec"]["taints"]
        assert node["status"]["capacity"]["cpu"] == "4"
        assert node["status"]["capacity"]["pods"] == "58"
    ec2.terminate_instances(InstanceIds=[instance_id])
    wait_for(lambda: len(nodes_of(world, "core")) == 1)
