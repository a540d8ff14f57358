"""Instances join as Nodes, and Nodes are deleted with their instances."""

from __future__ import annotations

import json

from jarkkit.sandbox import daemon_client, user_data
from tests.support.cluster_objects import (
    NODES,
    create_node_group,
    node_group_status,
    nodes_in_group,
)
from tests.support.clusters import NAME, RehearsalCluster
from tests.support.poll import wait_for


def test_the_instances_of_a_managed_group_become_its_nodes(cluster: RehearsalCluster) -> None:
    taint = {"key": "only", "value": "this", "effect": "NO_SCHEDULE"}
    create_node_group(cluster, "core", 2, labels={"role": "core"}, taints=[taint])
    wait_for(lambda: node_group_status(cluster, "core") == "ACTIVE")
    nodes = nodes_in_group(cluster, "core")
    assert len(nodes) == 2
    ec2 = cluster.client("ec2")
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
    wait_for(lambda: len(nodes_in_group(cluster, "core")) == 1)


def test_an_instance_without_an_access_entry_does_not_join(cluster: RehearsalCluster) -> None:
    ec2, iam = cluster.client("ec2"), cluster.client("iam")
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
        UserData=user_data.render(user_data.NodeConfig(NAME)),
    )["Instances"]
    wait_for(lambda: f"{instance['InstanceId']} does not join: Unauthorized" in cluster.log())
    arn = iam.get_role(RoleName=name)["Role"]["Arn"]
    cluster.client("eks").create_access_entry(clusterName=NAME, principalArn=arn, type="EC2_LINUX")
    wait_for(lambda: cluster.api.find(f"{NODES}/{instance['PrivateDnsName']}"))
    ec2.terminate_instances(InstanceIds=[instance["InstanceId"]])


def test_a_group_whose_nodes_do_not_join_fails(cluster: RehearsalCluster) -> None:
    daemon_client.set_faults(cluster.running.home, ["node-not-joining"])
    try:
        create_node_group(cluster, "lost")
        wait_for(lambda: node_group_status(cluster, "lost") == "CREATE_FAILED", 120)
    finally:
        daemon_client.set_faults(cluster.running.home, [])
    group = cluster.client("eks").describe_nodegroup(clusterName=NAME, nodegroupName="lost")
    (issue,) = group["nodegroup"]["health"]["issues"]
    assert issue["code"] == "NodeCreationFailure"
    wait_for(lambda: nodes_in_group(cluster, "lost"))


def ready_status(cluster: RehearsalCluster, name: str) -> str:
    """Return the status of the Node's Ready condition."""
    conditions = cluster.api.get(f"{NODES}/{name}")["status"]["conditions"]
    return str(next(c["status"] for c in conditions if c["type"] == "Ready"))


def test_an_unhealthy_node_is_not_ready_until_the_fault_ends(cluster: RehearsalCluster) -> None:
    create_node_group(cluster, "sick")
    wait_for(lambda: node_group_status(cluster, "sick") == "ACTIVE")
    (node,) = nodes_in_group(cluster, "sick")
    name = node["metadata"]["name"]
    daemon_client.set_faults(cluster.running.home, [f"node-unhealthy:{name}"])
    try:
        wait_for(lambda: ready_status(cluster, name) == "False")
    finally:
        daemon_client.set_faults(cluster.running.home, [])
    wait_for(lambda: ready_status(cluster, name) == "True")


def test_a_spot_node_gets_an_interruption_warning_and_is_deleted(cluster: RehearsalCluster) -> None:
    events, sqs = cluster.client("events"), cluster.client("sqs")
    queue = sqs.create_queue(QueueName="interruptions")["QueueUrl"]
    attributes = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])
    pattern = {"detail-type": ["EC2 Spot Instance Interruption Warning"]}
    events.put_rule(Name="spot", EventPattern=json.dumps(pattern))
    target = {"Id": "queue", "Arn": attributes["Attributes"]["QueueArn"]}
    events.put_targets(Rule="spot", Targets=[target])
    create_node_group(cluster, "spot", capacityType="SPOT")
    wait_for(lambda: node_group_status(cluster, "spot") == "ACTIVE")
    (node,) = nodes_in_group(cluster, "spot")
    assert node["metadata"]["labels"]["eks.amazonaws.com/capacityType"] == "SPOT"
    instance_id = node["spec"]["providerID"].rsplit("/", 1)[-1]
    daemon_client.set_faults(cluster.running.home, [f"spot-interruption:{instance_id}"])
    try:
        wait_for(lambda: not nodes_in_group(cluster, "spot"))
    finally:
        daemon_client.set_faults(cluster.running.home, [])
    (message,) = sqs.receive_message(QueueUrl=queue)["Messages"]
    assert json.loads(message["Body"])["detail"]["instance-id"] == instance_id
