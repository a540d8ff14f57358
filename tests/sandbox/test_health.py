"""The account queries of diagnose, with the real SDK."""

from __future__ import annotations

import pytest

from jarkkit.model.errors import JarkkitError
from jarkkit.ports.aws import Account
from jarkkit.sandbox import daemon_client
from tests.support.account import ensure_role, make_client

REGION = "us-west-2"
TAG = {"Key": "jarkkit:deployment", "Value": "sick"}


def test_a_cluster_is_described_with_health_and_endpoint_access(
    account: Account, sandbox: daemon_client.RunningSandbox
) -> None:
    eks, iam, ec2 = (make_client(sandbox, s, REGION) for s in ("eks", "iam", "ec2"))
    role = ensure_role(iam)
    # The subnets of the default VPC, one in each zone: other tests create subnets, too.
    default = [{"Name": "default-for-az", "Values": ["true"]}]
    subnets = [s["SubnetId"] for s in ec2.describe_subnets(Filters=default)["Subnets"]][:2]
    network = {"subnetIds": subnets, "publicAccessCidrs": ["54.240.0.0/16"]}
    eks.create_cluster(name="sick", roleArn=role, resourcesVpcConfig=network)
    plane = account.cluster("sick")
    assert plane is not None
    assert plane.status in ("CREATING", "ACTIVE")
    assert plane.public
    assert plane.open_to == ("54.240.0.0/16",)
    assert account.cluster("absent") is None


def test_terminated_instances_are_listed_with_the_reason(
    account: Account, sandbox: daemon_client.RunningSandbox
) -> None:
    ec2 = make_client(sandbox, "ec2", REGION)
    image = ec2.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
    tags = [TAG, {"Key": "karpenter.sh/nodepool", "Value": "cpu"}]
    started = ec2.run_instances(
        ImageId=image,
        InstanceType="m5.large",
        MinCount=2,
        MaxCount=2,
        TagSpecifications=[{"ResourceType": "instance", "Tags": tags}],
    )["Instances"]
    ec2.terminate_instances(InstanceIds=[started[0]["InstanceId"]])
    found = {i.instance_id: i for i in account.health.instances("sick")}
    ended, runs = (found[item["InstanceId"]] for item in started)
    assert (runs.state, runs.group, runs.spot) == ("running", "cpu", False)
    assert ended.state in ("shutting-down", "terminated")
    assert "UserInitiated" in ended.reason
    ec2.terminate_instances(InstanceIds=[started[1]["InstanceId"]])


def test_nat_gateways_and_idle_interfaces_are_listed(
    account: Account, sandbox: daemon_client.RunningSandbox
) -> None:
    ec2 = make_client(sandbox, "ec2", REGION)
    vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.9.1.0/24")["Subnet"]["SubnetId"]
    address = ec2.allocate_address(Domain="vpc")["AllocationId"]
    ec2.create_nat_gateway(
        SubnetId=subnet,
        AllocationId=address,
        TagSpecifications=[{"ResourceType": "natgateway", "Tags": [TAG]}],
    )
    idle = ec2.create_network_interface(SubnetId=subnet, Description="left over")
    (gateway,) = account.health.gateways("sick")
    assert gateway.state in ("pending", "available")
    named = [text.split()[0] for text in account.health.idle_interfaces(vpc)]
    assert idle["NetworkInterface"]["NetworkInterfaceId"] in named


@pytest.mark.parametrize("operation", ["DescribeInstances", "DescribeNatGateways"])
def test_a_denied_call_is_a_jarkkit_error(
    account: Account, sandbox: daemon_client.RunningSandbox, operation: str
) -> None:
    daemon_client.set_faults(sandbox.home, [f"access-denied:ec2.{operation}"])
    asked = {
        "DescribeInstances": account.health.instances,
        "DescribeNatGateways": account.health.gateways,
    }
    try:
        with pytest.raises(JarkkitError) as caught:
            asked[operation]("sick")
    finally:
        daemon_client.set_faults(sandbox.home, [])
    assert caught.value.code == "JK-AWS-DENIED"
