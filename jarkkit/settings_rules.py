"""What settings must fulfil together. Each rule yields what is wrong, in words."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from ipaddress import IPv4Network, collapse_addresses
from itertools import combinations
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jarkkit.settings import Settings

# Kubernetes versions that the kit's Terraform and add-ons were checked with. Newest last; the
# default is the newest. Which of them EKS offers today is asked from the API before planning.
CLUSTER_VERSIONS = ("1.34", "1.35", "1.36")


def problems(settings: Settings) -> list[str]:
    """Everything that does not fit together."""
    return [message for rule in _RULES for message in rule(settings)]


def _version_is_known(s: Settings) -> Iterable[str]:
    if s.cluster_version not in CLUSTER_VERSIONS:
        yield (
            f"cluster_version {s.cluster_version!r} is not one of the versions this release "
            f"supports: {', '.join(CLUSTER_VERSIONS)}"
        )


def _networks_do_not_overlap(s: Settings) -> Iterable[str]:
    ranges = {"vpc_cidr": IPv4Network(s.vpc_cidr), "pod_cidr": IPv4Network(s.pod_cidr)}
    for (first, a), (second, b) in combinations(ranges.items(), 2):
        if a.overlaps(b):
            yield f"{first} {a} overlaps {second} {b}"


def _networks_are_large_enough(s: Settings) -> Iterable[str]:
    # EC2 allows /16 to /28 for a VPC's blocks; below these sizes the subnets would be too small.
    for name, smallest in (("vpc_cidr", 22), ("pod_cidr", 20)):
        network = IPv4Network(getattr(s, name))
        if not 16 <= network.prefixlen <= smallest:
            yield f"{name} {network} must be between /16 and /{smallest}"
    allowed = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10")
    for name in ("vpc_cidr", "pod_cidr"):
        network = IPv4Network(getattr(s, name))
        if not any(network.subnet_of(IPv4Network(block)) for block in allowed):
            yield f"{name} {network} is not a private range ({', '.join(allowed)})"


def _zones_match_count(s: Settings) -> Iterable[str]:
    zones = s.availability_zones
    if not zones:
        return
    if len(set(zones)) != s.az_count:
        yield f"availability_zones names {len(set(zones))} zones, az_count asks for {s.az_count}"
    strangers = [zone for zone in zones if not re.fullmatch(re.escape(s.region) + "[a-z]", zone)]
    if strangers:
        yield f"availability_zones {', '.join(strangers)} are not zones of {s.region}"


def _existing_vpc_is_complete(s: Settings) -> Iterable[str]:
    if s.vpc_id and len(set(s.private_subnet_ids)) < 2:
        yield "vpc_id needs private_subnet_ids in at least two zones"
    if not s.vpc_id and (s.private_subnet_ids or s.public_subnet_ids):
        yield "private_subnet_ids and public_subnet_ids belong to an existing VPC: name its vpc_id"
    for subnet in (*s.private_subnet_ids, *s.public_subnet_ids):
        if not re.fullmatch(r"subnet-[0-9a-f]{8,17}", subnet):
            yield f"{subnet!r} is not a subnet id"


def _core_nodes_fit(s: Settings) -> Iterable[str]:
    if s.core_nodes > s.core_nodes_max:
        yield f"core_nodes {s.core_nodes} is more than core_nodes_max {s.core_nodes_max}"


def _pools_are_distinct(s: Settings) -> Iterable[str]:
    families = [pool.family for pool in s.accelerators]
    for family in sorted({f for f in families if families.count(f) > 1}):
        yield f"accelerators names {family} twice"
    if s.accelerators and not s.karpenter:
        yield "accelerators are Karpenter pools: switch karpenter on, or leave accelerators empty"


def _reserved_names_a_reservation(s: Settings) -> Iterable[str]:
    pools = [*(pool.capacity for pool in s.accelerators), s.cpu_capacity]
    if any("reserved" in capacity for capacity in pools) and not s.capacity_reservations:
        yield "the capacity `reserved` needs capacity_reservations: their ids"


def _karpenter_is_a_setting(s: Settings) -> Iterable[str]:
    if s.addons.get("karpenter", s.karpenter) is not s.karpenter:
        yield "addons names karpenter: it has a setting of its own, `karpenter`"


def _open_endpoint_is_said_once(s: Settings) -> Iterable[str]:
    networks = [IPv4Network(cidr) for cidr in s.endpoint_public_cidrs]
    if len(networks) != len(list(collapse_addresses(networks))):
        yield "endpoint_public_cidrs has blocks that contain or adjoin each other: merge them"
    if len(networks) > 40:
        yield f"endpoint_public_cidrs has {len(networks)} blocks; EKS allows 40"


def _oidc_is_complete(s: Settings) -> Iterable[str]:
    named = ("jupyterhub_oidc_issuer", "jupyterhub_oidc_client_id", "jupyterhub_oidc_client_secret")
    if s.jupyterhub_auth == "password":
        return
    for name in named:
        if not getattr(s, name):
            yield f"jupyterhub_auth {s.jupyterhub_auth!r} needs {name}"


def _allowed(text: str) -> bool:
    """https://docs.aws.amazon.com/tag-editor/latest/userguide/best-practices-and-strats.html"""
    return all(c.isalnum() or c in " _.:/=+-@" for c in text)


def _tags_are_allowed(s: Settings) -> Iterable[str]:
    # https://docs.aws.amazon.com/tag-editor/latest/userguide/best-practices-and-strats.html
    if len(s.tags) > 40:
        yield f"tags has {len(s.tags)} entries; AWS allows 50 and the kit needs some of them"
    for key, value in s.tags.items():
        if key.lower().startswith(("aws:", "jarkkit:")):
            yield f"tags: {key!r} begins with a reserved prefix"
        if not 1 <= len(key) <= 128 or len(value) > 256:
            yield f"tags: {key!r} is longer than AWS allows (key 128, value 256 characters)"
        if not (_allowed(key) and _allowed(value)):
            yield (
                f"tags: {key!r} has a character that AWS does not allow (use letters, numbers, "
                "spaces and _ . : / = + - @)"
            )


def _budget_has_readers(s: Settings) -> Iterable[str]:
    if s.budget_usd_per_month and not s.budget_emails:
        yield "budget_usd_per_month needs budget_emails: nobody would get the mail"


_RULES: tuple[Callable[[Settings], Iterable[str]], ...] = (
    _version_is_known,
    _networks_do_not_overlap,
    _networks_are_large_enough,
    _zones_match_count,
    _existing_vpc_is_complete,
    _core_nodes_fit,
    _pools_are_distinct,
    _reserved_names_a_reservation,
    _karpenter_is_a_setting,
    _open_endpoint_is_said_once,
    _oidc_is_complete,
    _tags_are_allowed,
    _budget_has_readers,
)
