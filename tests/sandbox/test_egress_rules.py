"""Whether the network of a node lets it join its cluster."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from jarkkit.sandbox.account.ec2.egress import NODE_SERVICES, NodeNetwork, why_cut_off
from tests.support.account import ensure_role, network

REGION = "eu-west-1"
PRIVATE = NodeNetwork("subnet-1", "vpc-1", dns_support=True, dns_hostnames=True, way_out="nat")


@pytest.mark.parametrize(
    ("change", "public", "reason"),
    [
        ({}, False, ""),
        ({"way_out": "other"}, False, ""),
        ({"way_out": "internet"}, True, ""),
        ({"way_out": "internet"}, False, "neither a public address nor VPC endpoints of ec2, ecr."),
        ({"way_out": ""}, True, "neither a default route nor VPC endpoints of ec2, ecr.api"),
        ({"way_out": "", "endpoints": frozenset(NODE_SERVICES)}, False, ""),
        ({"way_out": "", "endpoints": frozenset(NODE_SERVICES[:3])}, False, "endpoints of s3"),
        ({"dns_support": False}, False, "vpc-1 has enableDnsSupport off"),
        ({"dns_hostnames": False}, False, "vpc-1 has enableDnsHostnames off"),
    ],
)
def test_a_node_needs_dns_and_a_way_out(change: dict[str, Any], public: bool, reason: str) -> None:
    found = why_cut_off(replace(PRIVATE, **change), public_address=public)
    assert reason in found if reason else found == ""


class TestAccount:
    """Node groups in the subnets of a VPC that is built step by step."""

    def group_status(self, client: Callable[[str], Any], name: str, subnets: list[str]) -> str:
        """Create a node group in the cluster, delete it, and return the status it had."""
        eks, role = client("eks"), ensure_role(client("iam"))
        at = {"clusterName": name, "nodegroupName": "nodes"}
        eks.create_nodegroup(**at, subnets=subnets, nodeRole=role)
        status = eks.describe_nodegroup(**at)["nodegroup"]["status"]
        eks.delete_nodegroup(**at)
        return str(status)

    def nat_gateway(self, ec2: Any, subnet: str) -> str:
        address = ec2.allocate_address(Domain="vpc")["AllocationId"]
        made = ec2.create_nat_gateway(SubnetId=subnet, AllocationId=address)["NatGateway"]
        return str(made["NatGatewayId"])

    def test_the_route_of_each_subnet_counts(self, client: Callable[[str], Any]) -> None:
        ec2, eks = client("ec2"), client("eks")
        public = network(ec2)
        (found,) = ec2.describe_subnets(SubnetIds=public[:1])["Subnets"]
        vpc = found["VpcId"]
        private = [
            ec2.create_subnet(VpcId=vpc, AvailabilityZone=zone, CidrBlock=f"10.0.{n}.0/24")[
                "Subnet"
            ]["SubnetId"]
            for n, zone in ((8, "eu-west-1a"), (9, "eu-west-1b"))
        ]
        role = ensure_role(client("iam"))
        config = {"subnetIds": private}
        eks.create_cluster(name="walked", roleArn=role, resourcesVpcConfig=config)
        table = ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
        for subnet in private:
            ec2.associate_route_table(RouteTableId=table, SubnetId=subnet)
        status = lambda: self.group_status(client, "walked", private)  # noqa: E731
        assert status() == "CREATE_FAILED"
        route = {"RouteTableId": table, "DestinationCidrBlock": "0.0.0.0/0"}
        # Behind a gateway in one of these subnets there is only the gateway itself.
        ec2.create_route(**route, NatGatewayId=self.nat_gateway(ec2, private[0]))
        assert status() == "CREATE_FAILED"
        ec2.replace_route(**route, NatGatewayId=self.nat_gateway(ec2, public[0]))
        assert status() == "ACTIVE"
        ec2.modify_vpc_attribute(VpcId=vpc, EnableDnsHostnames={"Value": False})
        assert status() == "CREATE_FAILED"
        ec2.modify_vpc_attribute(VpcId=vpc, EnableDnsHostnames={"Value": True})
        ec2.delete_route(**route)
        for service in NODE_SERVICES:
            ec2.create_vpc_endpoint(
                VpcId=vpc,
                ServiceName=f"com.amazonaws.{REGION}.{service}",
                VpcEndpointType="Interface",
                SubnetIds=private,
            )
        assert status() == "ACTIVE"
