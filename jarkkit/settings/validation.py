"""Rules across several settings. Each rule yields a message for each violation."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from ipaddress import IPv4Network, collapse_addresses
from itertools import combinations
from typing import NamedTuple

from jarkkit.settings.fields import CLUSTER_VERSIONS, SettingsFields


class RuleViolation(NamedTuple):
    """A broken rule: what is wrong, and the settings that it is about."""

    message: str
    settings: tuple[str, ...]


def rule_violations(settings: SettingsFields) -> list[RuleViolation]:
    """Return what the settings violate."""
    return [violation for rule in _RULES for violation in rule(settings)]


def _version_is_known(s: SettingsFields) -> Iterable[RuleViolation]:
    if s.cluster_version not in CLUSTER_VERSIONS:
        yield RuleViolation(
            f"cluster_version {s.cluster_version!r} is not one of the versions this release "
            f"supports: {', '.join(CLUSTER_VERSIONS)}",
            ("cluster_version",),
        )


def _networks_do_not_overlap(s: SettingsFields) -> Iterable[RuleViolation]:
    ranges = {"vpc_cidr": IPv4Network(s.vpc_cidr), "pod_cidr": IPv4Network(s.pod_cidr)}
    for (first, a), (second, b) in combinations(ranges.items(), 2):
        if a.overlaps(b):
            yield RuleViolation(f"{first} {a} overlaps {second} {b}", (first, second))


def _networks_are_large_enough(s: SettingsFields) -> Iterable[RuleViolation]:
    # EC2 allows /16 to /28 for a VPC's blocks; below these sizes the subnets would be too small.
    for name, smallest in (("vpc_cidr", 22), ("pod_cidr", 20)):
        network = IPv4Network(getattr(s, name))
        if not 16 <= network.prefixlen <= smallest:
            yield RuleViolation(f"{name} {network} must be between /16 and /{smallest}", (name,))
    allowed = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10")
    for name in ("vpc_cidr", "pod_cidr"):
        network = IPv4Network(getattr(s, name))
        if not any(network.subnet_of(IPv4Network(block)) for block in allowed):
            yield RuleViolation(
                f"{name} {network} is not a private range ({', '.join(allowed)})", (name,)
            )


# A VPC's further blocks come from the private range of its first one, or from 100.64.0.0/10:
# https://docs.aws.amazon.com/vpc/latest/userguide/vpc-cidr-blocks.html#add-cidr-block-restrictions
_PRIVATE_RANGES = tuple(map(IPv4Network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")))
_DEFAULT_VPC = IPv4Network("172.31.0.0/16")
_FIRST_OF_TEN, _FIRST_TWO_OF_TEN = IPv4Network("10.0.0.0/16"), IPv4Network("10.0.0.0/15")


def _networks_can_be_in_one_vpc(s: SettingsFields) -> Iterable[RuleViolation]:
    vpc, pods = IPv4Network(s.vpc_cidr), IPv4Network(s.pod_cidr)
    private = next((block for block in _PRIVATE_RANGES if pods.subnet_of(block)), None)
    if private is not None and not vpc.subnet_of(private):
        yield RuleViolation(
            f"pod_cidr {pods} cannot be added to a VPC with vpc_cidr {vpc}: use a block of "
            "100.64.0.0/10, or of the same private range",
            ("vpc_cidr", "pod_cidr"),
        )
    if pods.overlaps(_DEFAULT_VPC):
        yield RuleViolation(
            f"pod_cidr {pods} overlaps {_DEFAULT_VPC}, which AWS keeps for default VPCs",
            ("pod_cidr",),
        )
    if pods.subnet_of(_FIRST_OF_TEN) and vpc.overlaps(_FIRST_TWO_OF_TEN):
        yield RuleViolation(
            f"pod_cidr {pods} cannot be added to a VPC in {_FIRST_TWO_OF_TEN}: use another block",
            ("vpc_cidr", "pod_cidr"),
        )


def _zones_match_count(s: SettingsFields) -> Iterable[RuleViolation]:
    zones = s.availability_zones
    if not zones:
        return
    if len(set(zones)) != s.az_count:
        yield RuleViolation(
            f"availability_zones names {len(set(zones))} zones, but az_count is {s.az_count}",
            ("availability_zones", "az_count"),
        )
    foreign = [zone for zone in zones if not re.fullmatch(re.escape(s.region) + "[a-z]", zone)]
    if foreign:
        yield RuleViolation(
            f"availability_zones {', '.join(foreign)} are not zones of {s.region}",
            ("availability_zones", "region"),
        )


def _existing_vpc_is_complete(s: SettingsFields) -> Iterable[RuleViolation]:
    if s.vpc_id and len(set(s.private_subnet_ids)) < 2:
        yield RuleViolation(
            "vpc_id needs private_subnet_ids in at least two zones",
            ("vpc_id", "private_subnet_ids"),
        )
    if both := sorted(set(s.private_subnet_ids) & set(s.public_subnet_ids)):
        yield RuleViolation(
            f"{', '.join(both)} cannot be in private_subnet_ids and in public_subnet_ids",
            ("private_subnet_ids", "public_subnet_ids"),
        )
    if not s.vpc_id and (s.private_subnet_ids or s.public_subnet_ids):
        yield RuleViolation(
            "private_subnet_ids and public_subnet_ids need the vpc_id of an existing VPC",
            ("private_subnet_ids", "public_subnet_ids", "vpc_id"),
        )
    for name in ("private_subnet_ids", "public_subnet_ids"):
        for subnet in getattr(s, name):
            if not re.fullmatch(r"subnet-[0-9a-f]{8,17}", subnet):
                yield RuleViolation(f"{subnet!r} is not a subnet id", (name,))


def _core_nodes_are_within_maximum(s: SettingsFields) -> Iterable[RuleViolation]:
    if s.core_nodes > s.core_nodes_max:
        yield RuleViolation(
            f"core_nodes {s.core_nodes} is greater than core_nodes_max {s.core_nodes_max}",
            ("core_nodes", "core_nodes_max"),
        )


def _pools_are_distinct(s: SettingsFields) -> Iterable[RuleViolation]:
    families = [pool.family for pool in s.accelerators]
    for family in sorted({f for f in families if families.count(f) > 1}):
        yield RuleViolation(f"accelerators names {family} twice", ("accelerators",))
    if s.accelerators and not s.karpenter:
        yield RuleViolation(
            "accelerators need Karpenter: set karpenter to true, or leave accelerators empty",
            ("accelerators", "karpenter"),
        )


def _reserved_names_a_reservation(s: SettingsFields) -> Iterable[RuleViolation]:
    pools = [*(pool.capacity for pool in s.accelerators), s.cpu_capacity]
    if any("reserved" in capacity for capacity in pools) and not s.capacity_reservations:
        yield RuleViolation(
            "the capacity type `reserved` needs reservation IDs in capacity_reservations",
            ("capacity_reservations",),
        )


# EKS installs nothing by itself (`bootstrap_self_managed_addons` is off), so a cluster needs these.
# They are the catalog's core add-ons.
CORE_ADDONS = {
    "vpc-cni": "nodes do not become Ready without it",
    "kube-proxy": "Services do not work without it",
    "coredns": "pods cannot resolve names without it",
    "eks-pod-identity-agent": "pods get no AWS permissions without it",
}


def _core_addons_are_on(s: SettingsFields) -> Iterable[RuleViolation]:
    for name, reason in CORE_ADDONS.items():
        if not s.addons.get(name, True):
            yield RuleViolation(f"addons: {name} cannot be off: {reason}", ("addons",))


def _karpenter_is_a_setting(s: SettingsFields) -> Iterable[RuleViolation]:
    if s.addons.get("karpenter", s.karpenter) is not s.karpenter:
        yield RuleViolation(
            "addons contradicts the setting `karpenter`: remove karpenter from addons",
            ("addons", "karpenter"),
        )


# Addresses that are not on the internet, so that no call to the public endpoint comes from them.
# https://docs.aws.amazon.com/eks/latest/userguide/config-cluster-endpoint.html refers to
# https://en.wikipedia.org/wiki/Reserved_IP_addresses
_RESERVED = tuple(
    map(
        IPv4Network,
        (
            "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16",
            "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16",
            "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
        ),
    )
)  # fmt: skip
_EVERYWHERE = IPv4Network("0.0.0.0/0")


def _endpoint_networks_are_public(s: SettingsFields) -> Iterable[RuleViolation]:
    for cidr in s.endpoint_public_cidrs:
        network = IPv4Network(cidr)
        if network != _EVERYWHERE and any(network.subnet_of(block) for block in _RESERVED):
            yield RuleViolation(
                f"endpoint_public_cidrs {cidr} is a reserved range, from which no call reaches the "
                "public endpoint: name your public address (https://checkip.amazonaws.com shows "
                "it), or leave the list empty for a private endpoint",
                ("endpoint_public_cidrs",),
            )


def _endpoint_networks_are_disjoint(s: SettingsFields) -> Iterable[RuleViolation]:
    networks = [IPv4Network(cidr) for cidr in s.endpoint_public_cidrs]
    if len(networks) != len(list(collapse_addresses(networks))):
        yield RuleViolation(
            "endpoint_public_cidrs has overlapping or adjacent blocks: merge them",
            ("endpoint_public_cidrs",),
        )
    if len(networks) > 40:
        yield RuleViolation(
            f"endpoint_public_cidrs has {len(networks)} blocks; EKS allows 40",
            ("endpoint_public_cidrs",),
        )


def _oidc_is_complete(s: SettingsFields) -> Iterable[RuleViolation]:
    named = ("jupyterhub_oidc_issuer", "jupyterhub_oidc_client_id", "jupyterhub_oidc_client_secret")
    if s.jupyterhub_auth == "password":
        return
    for name in named:
        if not getattr(s, name):
            yield RuleViolation(
                f"jupyterhub_auth {s.jupyterhub_auth!r} needs {name}", ("jupyterhub_auth", name)
            )


def _public_hub_is_complete(s: SettingsFields) -> Iterable[RuleViolation]:
    if s.jupyterhub_domain and not s.jupyterhub_certificate_arn:
        yield RuleViolation(
            "jupyterhub_domain needs jupyterhub_certificate_arn",
            ("jupyterhub_domain", "jupyterhub_certificate_arn"),
        )
    if not s.jupyterhub_certificate_arn:
        return
    if not s.jupyterhub_domain:
        yield RuleViolation(
            "jupyterhub_certificate_arn needs jupyterhub_domain",
            ("jupyterhub_domain", "jupyterhub_certificate_arn"),
        )
    region = s.jupyterhub_certificate_arn.split(":")[3]
    if region != s.region:
        # https://docs.aws.amazon.com/acm/latest/userguide/acm-regions.html
        yield RuleViolation(
            f"jupyterhub_certificate_arn is in {region}, and the load balancer is in {s.region}",
            ("jupyterhub_certificate_arn", "region"),
        )
    if s.jupyterhub_domain and s.vpc_id and len(set(s.public_subnet_ids)) < 2:
        yield RuleViolation(
            "jupyterhub_domain needs public_subnet_ids in at least two zones of the existing VPC",
            ("jupyterhub_domain", "public_subnet_ids"),
        )


def _has_allowed_characters(text: str) -> bool:
    """https://docs.aws.amazon.com/tag-editor/latest/userguide/best-practices-and-strats.html"""
    return all(c.isalnum() or c in " _.:/=+-@" for c in text)


# Karpenter rejects its own tags and those of clusters; the EBS driver and the load balancer
# controller do not start with theirs, and the VPC CNI drops its own: EC2NodeClassSpec.Tags of
# karpenter-provider-aws, pkg/driver/validation.go of aws-ebs-csi-driver, trackingTagKeys in
# pkg/config/controller_config.go of aws-load-balancer-controller, reservedTagKeyPrefix in
# pkg/awsutils/awsutils.go of amazon-vpc-cni-k8s.
_RESERVED_PREFIXES = ("aws:", "jarkkit:", "eks:", "kubernetes.io", "karpenter.", "csivolume")
_RESERVED_PARTS = ("k8s.aws", "k8s.amazonaws.com", ".csi.aws.com/")


def _is_reserved(key: str) -> bool:
    small = key.lower()
    return small.startswith(_RESERVED_PREFIXES) or any(part in small for part in _RESERVED_PARTS)


def _tags_are_allowed(s: SettingsFields) -> Iterable[RuleViolation]:
    # https://docs.aws.amazon.com/tag-editor/latest/userguide/best-practices-and-strats.html
    if len(s.tags) > 40:
        yield RuleViolation(
            f"tags has {len(s.tags)} entries; use at most 40: jarkkit needs some of AWS's 50",
            ("tags",),
        )
    # IAM's keys do not differ by case: https://docs.aws.amazon.com/IAM/latest/UserGuide/id_tags.html
    same: dict[str, list[str]] = {}
    for key in s.tags:
        same.setdefault(key.lower(), []).append(key)
    for keys in same.values():
        if len(keys) > 1:
            yield RuleViolation(
                f"tags: {' and '.join(map(repr, keys))} differ only by case, which IAM rejects",
                ("tags",),
            )
    for key, value in s.tags.items():
        if _is_reserved(key):
            yield RuleViolation(
                f"tags: {key!r} is reserved for AWS, the cluster's controllers or jarkkit",
                ("tags",),
            )
        if "=" in key:
            yield RuleViolation(
                f"tags: {key!r} contains =, with which the cluster's controllers end a key",
                ("tags",),
            )
        if not 1 <= len(key) <= 128 or len(value) > 256:
            yield RuleViolation(
                f"tags: {key!r} is longer than AWS allows (key 128, value 256 characters)",
                ("tags",),
            )
        if not (_has_allowed_characters(key) and _has_allowed_characters(value)):
            yield RuleViolation(
                f"tags: {key!r} has a character that AWS does not allow (use letters, numbers, "
                "spaces and _ . : / = + - @)",
                ("tags",),
            )


def _budget_has_recipients(s: SettingsFields) -> Iterable[RuleViolation]:
    if s.budget_usd_per_month and not s.budget_emails:
        yield RuleViolation(
            "budget_usd_per_month needs budget_emails, the recipients of the alerts",
            ("budget_usd_per_month", "budget_emails"),
        )


_RULES: tuple[Callable[[SettingsFields], Iterable[RuleViolation]], ...] = (
    _version_is_known,
    _networks_do_not_overlap,
    _networks_are_large_enough,
    _networks_can_be_in_one_vpc,
    _zones_match_count,
    _existing_vpc_is_complete,
    _core_nodes_are_within_maximum,
    _pools_are_distinct,
    _reserved_names_a_reservation,
    _core_addons_are_on,
    _karpenter_is_a_setting,
    _endpoint_networks_are_public,
    _endpoint_networks_are_disjoint,
    _oidc_is_complete,
    _public_hub_is_complete,
    _tags_are_allowed,
    _budget_has_recipients,
)
