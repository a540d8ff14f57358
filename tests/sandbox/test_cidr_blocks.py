"""Which CIDR blocks a VPC can have."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from jarkkit.sandbox.account.ec2.cidr_blocks import why_not_added, why_not_block
from tests.support.account import error_of

REGION = "eu-west-1"


@pytest.mark.parametrize("block", ["10.0.0.0/15", "10.0.0.0/29", "127.0.0.0/16", "224.0.0.0/16"])
def test_a_block_has_an_eligible_range(block: str) -> None:
    refusal = why_not_block(block)
    assert refusal is not None
    assert refusal.code == "InvalidVpc.Range"


@pytest.mark.parametrize(
    ("primary", "block", "is_allowed"),
    [
        ("10.0.0.0/16", "100.64.0.0/16", True),
        ("10.0.0.0/16", "10.2.0.0/16", True),
        ("10.0.0.0/16", "52.1.0.0/16", True),
        ("10.0.0.0/16", "192.168.0.0/16", False),
        ("10.0.0.0/16", "172.20.0.0/16", False),
        ("10.0.0.0/16", "198.19.0.0/16", False),
        ("10.0.0.0/16", "10.0.128.0/20", False),
        ("10.1.0.0/16", "10.0.0.0/16", False),
        ("172.16.0.0/16", "172.31.0.0/16", False),
        ("172.16.0.0/16", "172.17.0.0/16", True),
        ("192.168.0.0/20", "10.0.0.0/16", False),
        ("192.168.0.0/20", "192.168.32.0/20", True),
        ("100.64.0.0/16", "10.0.0.0/16", False),
        ("100.64.0.0/16", "100.65.0.0/16", True),
        ("100.64.0.0/16", "100.64.0.0/15", False),
    ],
)
def test_further_blocks_depend_on_the_primary_one(
    primary: str, block: str, is_allowed: bool
) -> None:
    assert (why_not_added(block, [primary]) is None) is is_allowed


class TestApi:
    def test_a_restricted_block_is_rejected(self, client: Callable[[str], Any]) -> None:
        ec2 = client("ec2")
        vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
        assert error_of(ec2.associate_vpc_cidr_block, VpcId=vpc, CidrBlock="192.168.0.0/16") == (
            "InvalidVpc.Range",
            "The CIDR '192.168.0.0/16' is restricted. Use a CIDR from the same private address "
            "range as the current VPC CIDR, or use a publicly-routable CIDR. For additional "
            "restrictions, see https://docs.aws.amazon.com/vpc/latest/userguide/vpc-cidr-blocks.html",
        )
        for number in range(4):
            ec2.associate_vpc_cidr_block(VpcId=vpc, CidrBlock=f"100.64.{number * 16}.0/20")
        code, message = error_of(
            ec2.associate_vpc_cidr_block, VpcId=vpc, CidrBlock="100.64.128.0/20"
        )
        assert code == "CidrLimitExceeded"
        assert message.endswith("has met its maximum number of allowed CIDRs: 5")

    def test_a_block_with_subnets_stays(self, client: Callable[[str], Any]) -> None:
        ec2 = client("ec2")
        vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
        made = ec2.associate_vpc_cidr_block(VpcId=vpc, CidrBlock="100.64.0.0/16")
        association = made["CidrBlockAssociation"]["AssociationId"]
        subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="100.64.1.0/24")["Subnet"]["SubnetId"]
        assert error_of(ec2.disassociate_vpc_cidr_block, AssociationId=association) == (
            "InvalidCidrBlock.InUse",
            f"The vpc {vpc} currently has a subnet within CIDR block 100.64.0.0/16",
        )
        ec2.delete_subnet(SubnetId=subnet)
        ec2.disassociate_vpc_cidr_block(AssociationId=association)
        ec2.associate_vpc_cidr_block(VpcId=vpc, CidrBlock="100.64.0.0/16")
