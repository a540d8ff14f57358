"""What a diagnosis asks of the account, with the real SDK."""

from __future__ import annotations

import pytest

from jarkkit.aws import Account
from jarkkit.errors import JarkkitError
from jarkkit.sandbox import control
from tests.sandbox.test_account import make_client

REGION = "us-west-2"
TAG = {"Key": "jarkkit:deployment", "Value": "sick"}


def test_a_cluster_says_how_it_does_and_who_may_reach_it(
    account: Account, sandbox: control.Running
) -> None:
    eks, iam, ec2 = (make_client(sandbox, s, REGION) for s in ("eks", "iam", "ec2"))
    role = iam.create_role(RoleName="sick-cluster", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    # Those of the default VPC, one in each zone: other tests make subnets, too.
    default = [{"Name": "default-for-az", "Values": ["true"]}]
    subnets = [s["SubnetId"] for s in ec2.describe_subnets(Filters=default)["Subnets"]][:2]
    network = {"subnetIds": subnets, "publicAccessCidrs": ["192.0.2.0/24"]}
    eks.create_cluster(name="sick", roleArn=role, resourcesVpcConfig=network)
    plane = account.health.control_plane("sick")
    assert plane is not None
    assert plane.status in ("CREATING", "ACTIVE")
    assert plane.public
    assert plane.open_to == ("192.0.2.0/24",)
    assert account.health.control_plane("absent") is None


def test_instances_are_told_with_those_that_ended_and_why(
    account: Account, sandbox: control.Running
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


def test_gateways_and_idle_interfaces(account: Account, sandbox: control.Running) -> None:
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
def test_a_refusal_is_an_error_of_ours(
    account: Account, sandbox: control.Running, operation: str
) -> None:
    control.set_faults(sandbox.home, [f"access-denied:ec2.{operation}"])
    asked = {
        "DescribeInstances": account.health.instances,
        "DescribeNatGateways": account.health.gateways,
    }
    try:
        with pytest.raises(JarkkitError) as caught:
            asked[operation]("sick")
    finally:
        control.set_faults(sandbox.home, [])
    assert caught.value.code == "JK-AWS-DENIED"
