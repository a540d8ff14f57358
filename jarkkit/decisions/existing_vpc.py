"""Whether EKS can use an existing VPC, and nodes in it can join. Pure.

After https://docs.aws.amazon.com/eks/latest/userguide/network-reqs.html and
https://docs.aws.amazon.com/eks/latest/userguide/private-clusters.html (read 2026-11).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from jarkkit.catalog.facts import zones_without_control_planes
from jarkkit.model.checks import Check
from jarkkit.model.records import ExistingVpc, SubnetNetwork
from jarkkit.settings import Settings

# Without a way to the internet, nodes need VPC endpoints of these services to join, to get images
# from ECR, and to get the AWS permissions of their pods.
NODE_SERVICES = ("ec2", "ecr.api", "ecr.dkr", "s3", "sts", "eks", "eks-auth")
_KARPENTER_SERVICES = ("sqs", "ssm")
_CODE = "JK-NETWORK-VPC"


def vpc_checks(settings: Settings, vpc: ExistingVpc | None) -> Iterator[Check]:
    """Check the settings' VPC. Without it, or with subnets of another one, no more is checked.

    Args:
        vpc: None if the account has no such VPC in this Region.
    """
    identity = check_identity(settings, vpc)
    yield identity
    if vpc is None or identity.status == "fail":
        return
    private = [s for s in vpc.subnets if s.subnet_id in settings.private_subnet_ids]
    yield check_zones(private)
    yield check_dns(vpc)
    yield check_ways_out(settings, private, vpc.endpoints)


def check_identity(settings: Settings, vpc: ExistingVpc | None) -> Check:
    """Check that the VPC and the subnets exist, and that the subnets are in the VPC."""
    if vpc is None:
        return _failed(
            "Existing VPC",
            f"{settings.vpc_id} does not exist in {settings.region}",
            "Correct vpc_id: aws ec2 describe-vpcs lists the VPCs.",
            code="JK-SETTINGS-INVALID",
        )
    known = {subnet.subnet_id: subnet for subnet in vpc.subnets}
    for name in ("private_subnet_ids", "public_subnet_ids"):
        ids = getattr(settings, name)
        missing = [each for each in ids if each not in known]
        foreign = [each for each in ids if each in known and known[each].vpc_id != vpc.vpc_id]
        if missing or foreign:
            what = f"{_listed(missing)} does not exist" if missing else _listed(foreign)
            return _failed(
                "Existing VPC",
                what if missing else f"{what} is in another VPC than {vpc.vpc_id}",
                f"Correct {name}: aws ec2 describe-subnets --filters Name=vpc-id,Values="
                f"{vpc.vpc_id} lists the VPC's subnets.",
                code="JK-SETTINGS-INVALID",
            )
    return _passed("Existing VPC", f"{vpc.vpc_id} with {len(known)} subnets")


def check_zones(private: Iterable[SubnetNetwork]) -> Check:
    """Check that the private subnets are in two zones at least, all of which EKS can use."""
    name, subnets = "Zones of the private subnets", list(private)
    rejected = zones_without_control_planes()
    refused = [subnet.subnet_id for subnet in subnets if subnet.zone_id in rejected]
    zones = sorted({subnet.zone for subnet in subnets})
    found = "; ".join(f"{subnet.subnet_id}: {subnet.zone}" for subnet in subnets)
    if refused:
        return _failed(
            name,
            f"{_listed(refused)} is in a zone where EKS places no control plane",
            "Set subnets of other zones in private_subnet_ids.",
        )
    if len(zones) < 2:
        return _failed(
            name,
            f"all in {_listed(zones)}",
            "Add a subnet of another zone to private_subnet_ids: EKS needs two zones.",
        )
    return _passed(name, found)


def check_dns(vpc: ExistingVpc) -> Check:
    """Check DNS support and DNS hostnames, without which nodes do not find the cluster."""
    off = [
        option
        for option, enabled in (
            ("--enable-dns-support", vpc.dns_support),
            ("--enable-dns-hostnames", vpc.dns_hostnames),
        )
        if not enabled
    ]
    if not off:
        return _passed("DNS in the VPC", "support and hostnames are on")
    commands = "; ".join(
        f"aws ec2 modify-vpc-attribute --vpc-id {vpc.vpc_id} {option}" for option in off
    )
    words = [option.removeprefix("--enable-dns-") for option in off]
    return _failed(
        "DNS in the VPC",
        f"DNS {' and '.join(words)} off in {vpc.vpc_id}",
        f"Run: {commands}. Or set another vpc_id.",
        why="Nodes find neither the cluster's endpoint nor the file system by name, and never "
        "join.",
    )


def check_ways_out(
    settings: Settings, private: Iterable[SubnetNetwork], endpoints: frozenset[str]
) -> Check:
    """Check that nodes in each private subnet reach AWS: by a route, or by VPC endpoints."""
    name, subnets = "Way out of the private subnets", list(private)
    closed = [subnet.subnet_id for subnet in subnets if not _has_way_out(subnet)]
    if not closed:
        ways = sorted({_WORDS[subnet.way_out] for subnet in subnets})
        return _passed(name, ", ".join(ways))
    needed = (*NODE_SERVICES, *(_KARPENTER_SERVICES if settings.karpenter else ()))
    missing = [service for service in needed if service not in endpoints]
    fix = (
        f"Give {_listed(closed)} a route for 0.0.0.0/0 to a NAT gateway (and check which route "
        "table they are associated with), or set other subnets in private_subnet_ids."
    )
    if missing:
        return _failed(
            name,
            f"{_listed(closed)} has no route to a NAT gateway or another way out, and the VPC has "
            f"no endpoints of {', '.join(missing)}",
            f"{fix} For a network without the internet, create VPC endpoints of these services.",
            why="Nodes there would start and never join the cluster.",
        )
    return Check(
        name=name,
        status="warn",
        found=f"{_listed(closed)} reaches AWS only through VPC endpoints",
        why="Nodes join, but they pull no image from a registry outside Amazon ECR.",
        fix=fix,
        code=_CODE,
    )


_WORDS = {
    "nat": "a NAT gateway",
    "internet": "an internet gateway, with public addresses",
    "other": "a transit gateway, an appliance or another network",
}


def _has_way_out(subnet: SubnetNetwork) -> bool:
    """Return True if nodes reach the internet; a gateway for it serves only public addresses."""
    return subnet.way_out in ("nat", "other") or (
        subnet.way_out == "internet" and subnet.public_addresses
    )


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)


def _passed(name: str, found: str) -> Check:
    return Check(name=name, status="pass", found=found)


def _failed(name: str, found: str, fix: str, *, why: str = "", code: str = _CODE) -> Check:
    return Check(name=name, status="fail", found=found, why=why, fix=fix, code=code)
