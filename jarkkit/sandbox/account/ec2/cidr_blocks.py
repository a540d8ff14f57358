"""Which CIDR blocks a VPC can have.

Rules after "IPv4 VPC CIDR blocks" and "IPv4 CIDR block association restrictions" in the VPC user
guide, read 2026-11; codes and messages after responses that users published.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Network
from typing import Any

from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models import EC2Backend

from jarkkit.sandbox.account.ec2.capacity import Refusal

_LARGEST, _SMALLEST = 16, 28  # prefix lengths
_INELIGIBLE = tuple(map(IPv4Network, ("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4")))
# A VPC has blocks of one of these ranges at most, that of its primary block, besides public blocks
# and blocks of 100.64.0.0/10.
_PRIVATE = tuple(
    map(IPv4Network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "198.19.0.0/16"))
)
_FIRST_TWO, _FIRST = IPv4Network("10.0.0.0/15"), IPv4Network("10.0.0.0/16")
_DEFAULT_VPC = IPv4Network("172.31.0.0/16")
_DOCS = "https://docs.aws.amazon.com/vpc/latest/userguide/vpc-cidr-blocks.html"


def why_not_block(cidr: str) -> Refusal | None:
    """Check a block by itself: its size, and that it is not ineligible."""
    try:
        block = IPv4Network(cidr, strict=False)
    except ValueError:
        return Refusal(
            "InvalidParameterValue",
            f"Value ({cidr}) for parameter cidrBlock is invalid. This is not a valid CIDR block.",
        )
    is_eligible = not any(block.overlaps(other) for other in _INELIGIBLE)
    if _LARGEST <= block.prefixlen <= _SMALLEST and is_eligible:
        return None
    return Refusal("InvalidVpc.Range", f"The CIDR '{cidr}' is invalid.")


def why_not_added(cidr: str, existing: Iterable[str]) -> Refusal | None:
    """Check a further block of a VPC whose first existing block is the primary one."""
    if refusal := why_not_block(cidr):
        return refusal
    block, others = IPv4Network(cidr, strict=False), [IPv4Network(other) for other in existing]
    if overlapping := [other for other in others if block.overlaps(other)]:
        return Refusal(
            "InvalidVpc.Range", f"The CIDR '{cidr}' overlaps with '{overlapping[0]}' of the VPC."
        )
    if _is_restricted(block, others):
        return Refusal(
            "InvalidVpc.Range",
            f"The CIDR '{cidr}' is restricted. Use a CIDR from the same private address range as "
            "the current VPC CIDR, or use a publicly-routable CIDR. For additional restrictions, "
            f"see {_DOCS}",
        )
    return None


def _is_restricted(block: IPv4Network, others: list[IPv4Network]) -> bool:
    if _range_of(block) not in (None, _range_of(others[0])) or block.overlaps(_DEFAULT_VPC):
        return True
    return block.subnet_of(_FIRST) and any(other.overlaps(_FIRST_TWO) for other in others)


def _range_of(block: IPv4Network) -> IPv4Network | None:
    return next((private for private in _PRIVATE if block.subnet_of(private)), None)


class CidrBlockOperations(EC2Backend):
    """CreateVpc, AssociateVpcCidrBlock and DisassociateVpcCidrBlock, with their rules."""

    def create_vpc(self, cidr_block: str, *args: Any, **given: Any) -> Any:
        """Handle CreateVpc. Raises InvalidVpc.Range."""
        _raise(why_not_block(cidr_block))
        return super().create_vpc(cidr_block, *args, **given)

    def associate_vpc_cidr_block(
        self, vpc_id: str, cidr_block: str, amazon_provided_ipv6_cidr_block: bool
    ) -> dict[str, Any]:
        """Handle AssociateVpcCidrBlock. Raises InvalidVpc.Range."""
        if not amazon_provided_ipv6_cidr_block:
            vpc = self.get_vpc(vpc_id)
            blocks = [
                known["cidr_block"]
                for known in vpc.cidr_block_association_set
                if known["cidr_block_state"]["state"] == "associated"
            ]
            _raise(why_not_added(cidr_block, blocks))
        return super().associate_vpc_cidr_block(vpc_id, cidr_block, amazon_provided_ipv6_cidr_block)

    def disassociate_vpc_cidr_block(self, association_id: str) -> dict[str, Any]:
        """Handle DisassociateVpcCidrBlock. Raises InvalidCidrBlock.InUse."""
        for vpc in self.vpcs.values():
            for known in vpc.cidr_block_association_set:
                if known["association_id"] == association_id:
                    self._check_unused(vpc.id, known["cidr_block"])
        return super().disassociate_vpc_cidr_block(association_id)

    def _check_unused(self, vpc_id: str, cidr: str) -> None:
        block = IPv4Network(cidr, strict=False)
        subnets: Any = self.describe_subnets(filters={"vpc-id": [vpc_id]})
        if any(IPv4Network(subnet.cidr_block).subnet_of(block) for subnet in subnets):
            raise EC2ClientError(
                "InvalidCidrBlock.InUse",
                f"The vpc {vpc_id} currently has a subnet within CIDR block {cidr}",
            )


def _raise(refusal: Refusal | None) -> None:
    if refusal:
        raise EC2ClientError(*refusal)
