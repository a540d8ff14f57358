"""An existing VPC in the account, as preflight sees it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jarkkit.ports.aws import Account
from tests.support.account import network

REGION = "eu-west-1"
EVERYWHERE = "0.0.0.0/0"


def way_out(account: Account, ec2: Any, subnet: str) -> str:
    vpc_id = ec2.describe_subnets(SubnetIds=[subnet])["Subnets"][0]["VpcId"]
    vpc = account.network.vpc(vpc_id, [subnet])
    assert vpc is not None
    return vpc.subnets[0].way_out


def associate(ec2: Any, vpc_id: str, subnet: str, **target: str) -> None:
    """Give the subnet a route table of its own with that default route."""
    table = ec2.create_route_table(VpcId=vpc_id)["RouteTable"]["RouteTableId"]
    ec2.create_route(RouteTableId=table, DestinationCidrBlock=EVERYWHERE, **target)
    ec2.associate_route_table(RouteTableId=table, SubnetId=subnet)


def test_routes_are_followed(account: Account, client: Callable[[str], Any]) -> None:
    ec2 = client("ec2")
    private, public = network(ec2, way_out=False)
    vpc_id = ec2.describe_subnets(SubnetIds=[private])["Subnets"][0]["VpcId"]
    assert way_out(account, ec2, private) == ""
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc_id)
    address = ec2.allocate_address(Domain="vpc")["AllocationId"]
    nat = ec2.create_nat_gateway(SubnetId=public, AllocationId=address)["NatGateway"]
    associate(ec2, vpc_id, private, NatGatewayId=nat["NatGatewayId"])
    assert way_out(account, ec2, private) == ""  # the NAT gateway itself has no way out
    associate(ec2, vpc_id, public, GatewayId=gateway)
    assert way_out(account, ec2, private) == "nat"
    assert way_out(account, ec2, public) == "internet"
    ec2.delete_nat_gateway(NatGatewayId=nat["NatGatewayId"])
    assert way_out(account, ec2, private) == ""


def test_dns_endpoints_and_what_does_not_exist(
    account: Account, client: Callable[[str], Any]
) -> None:
    ec2 = client("ec2")
    first, second = network(ec2)
    vpc_id = ec2.describe_subnets(SubnetIds=[first])["Subnets"][0]["VpcId"]
    ec2.modify_vpc_attribute(VpcId=vpc_id, EnableDnsHostnames={"Value": True})
    ec2.create_vpc_endpoint(
        VpcId=vpc_id, ServiceName=f"com.amazonaws.{REGION}.ecr.api", VpcEndpointType="Interface"
    )
    unknown = "subnet-0123456789abcdef0"
    vpc = account.network.vpc(vpc_id, [second, unknown, first])
    assert vpc is not None
    assert (vpc.dns_support, vpc.dns_hostnames) == (True, True)
    assert vpc.endpoints == {"ecr.api"}
    assert [(s.subnet_id, s.zone) for s in vpc.subnets] == [
        (second, "eu-west-1b"), (first, "eu-west-1a"),
    ]  # fmt: skip
    assert account.network.vpc("vpc-0123456789abcdef0", []) is None


def test_principals_exist_or_not(account: Account, client: Callable[[str], Any]) -> None:
    iam = client("iam")
    role = iam.create_role(RoleName="team", Path="/lab/", AssumeRolePolicyDocument="{}")["Role"]
    user = iam.create_user(UserName="ann")["User"]
    other_path = role["Arn"].replace("/lab/", "/")
    found = account.identity.principals([role["Arn"], user["Arn"], other_path, user["Arn"] + "e"])
    assert list(found.values()) == [True, True, False, False]


def test_processors_and_gpus_of_instance_types(account: Account) -> None:
    types = account.instance_types.matching(["m5.xlarge", "m6g.xlarge", "g5.xlarge"])
    assert types["m6g.xlarge"].architectures == ("arm64",)
    assert "x86_64" in types["m5.xlarge"].architectures
    assert types["g5.xlarge"].nvidia
    assert not types["m5.xlarge"].nvidia
