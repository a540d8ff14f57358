"""Instances become Nodes, and Nodes go with their instances."""

from __future__ import annotations

import json
from typing import Any

from jarkkit.sandbox import control, user_data
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


def test_an_instance_whose_role_has_no_entry_stays_outside(world: World) -> None:
    ec2, iam = world.client("ec2"), world.client("iam")
    name = "stranger"
    iam.create_role(RoleName=name, AssumeRolePolicyDocument="{}")
    iam.create_instance_profile(InstanceProfileName=name)
    iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=name)
    (instance,) = ec2.run_instances(
        ImageId=ec2.describe_images(Owners=["amazon"])["Images"][0]["ImageId"],
        InstanceType="m5.large",
        MinCount=1,
        MaxCount=1,
        IamInstanceProfile={"Name": name},
        UserData=user_data.write(user_data.NodeConfig(NAME)),
    )["Instances"]
    wait_for(lambda: f"{instance['InstanceId']} does not join: Unauthorized" in world.log())
    arn = iam.get_role(RoleName=name)["Role"]["Arn"]
    world.client("eks").create_access_entry(clusterName=NAME, principalArn=arn, type="EC2_LINUX")
    wait_for(lambda: world.api.find(f"{NODES}/{instance['PrivateDnsName']}"))
    ec2.terminate_instances(InstanceIds=[instance["InstanceId"]])


def test_a_group_whose_nodes_do_not_join_fails(world: World) -> None:
    control.set_faults(world.running.home, ["node-not-joining"])
    try:
        node_group(world, "lost")
        wait_for(lambda: status(world, "lost") == "CREATE_FAILED", 120)
    finally:
        control.set_faults(world.running.home, [])
    group = world.client("eks").describe_nodegroup(clusterName=NAME, nodegroupName="lost")
    (issue,) = group["nodegroup"]["health"]["issues"]
    assert issue["code"] == "NodeCreationFailure"
    wait_for(lambda: nodes_of(world, "lost"))


def ready(world: World, name: str) -> str:
    """The Node's Ready condition."""
    conditions = world.api.get(f"{NODES}/{name}")["status"]["conditions"]
    return str(next(c["status"] for c in conditions if c["type"] == "Ready"))


def test_an_unhealthy_node_is_not_ready_until_the_fault_ends(world: World) -> None:
    node_group(world, "sick")
    wait_for(lambda: status(world, "sick") == "ACTIVE")
    (node,) = nodes_of(world, "sick")
    name = node["metadata"]["name"]
    control.set_faults(world.running.home, [f"node-unhealthy:{name}"])
    try:
        wait_for(lambda: ready(world, name) == "False")
    finally:
        control.set_faults(world.running.home, [])
    wait_for(lambda: ready(world, name) == "True")


def test_a_spot_node_is_warned_through_the_queue_and_goes(world: World) -> None:
    events, sqs = world.client("events"), world.client("sqs")
    queue = sqs.create_queue(QueueName="interruptions")["QueueUrl"]
    attributes = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])
    pattern = {"detail-type": ["EC2 Spot Instance Interruption Warning"]}
    events.put_rule(Name="spot", EventPattern=json.dumps(pattern))
    target = {"Id": "queue", "Arn": attributes["Attributes"]["QueueArn"]}
    events.put_targets(Rule="spot", Targets=[target])
    node_group(world, "spot", capacityType="SPOT")
    wait_for(lambda: status(world, "spot") == "ACTIVE")
    (node,) = nodes_of(world, "spot")
    assert node["metadata"]["labels"]["eks.amazonaws.com/capacityType"] == "SPOT"
    instance_id = node["spec"]["providerID"].rsplit("/", 1)[-1]
    control.set_faults(world.running.home, [f"spot-interruption:{instance_id}"])
    try:
        wait_for(lambda: not nodes_of(world, "spot"))
    finally:
        control.set_faults(world.running.home, [])
    (message,) = sqs.receive_message(QueueUrl=queue)["Messages"]
    assert json.loads(message["Body"])["detail"]["instance-id"] == instance_id
