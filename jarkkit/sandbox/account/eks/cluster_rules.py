"""What EKS rejects of a cluster's settings: pure functions that return the message, or None.

The messages are EKS' own where public reports quote them; `aws_rules/eks.yaml` has the sources.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from ipaddress import IPv4Network

# Blocks that cannot reach the public endpoint. EKS' user guide refers to
# https://en.wikipedia.org/wiki/Reserved_IP_addresses
_RESERVED = tuple(
    IPv4Network(block)
    for block in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
    )
)
_ALL = IPv4Network("0.0.0.0/0")
# https://docs.aws.amazon.com/eks/latest/userguide/service-quotas.html
_MAX_PUBLIC_CIDRS = 40
ROLLBACK_WINDOW_SECONDS = timedelta(days=7).total_seconds()
# A cluster's update needs up to so many free addresses in its subnets, and a new cluster one more
# per subnet: https://docs.aws.amazon.com/eks/latest/userguide/network-reqs.html
UPDATE_ADDRESSES = 5
CREATE_ADDRESSES = 6


def why_not_zones(created: Collection[str], given: Collection[str]) -> str | None:
    """Compare the zones of new subnets with those of the cluster's creation."""
    if set(created) == set(given):
        return None
    return (
        f"Provided subnets belong to the AZs '{_listed(given)}'. But they should belong to the "
        f"exact set of AZs '{_listed(created)}' in which subnets were provided during cluster "
        "creation."
    )


def _listed(zones: Iterable[str]) -> str:
    return ",".join(sorted(set(zones)))


def why_not_endpoint(public: bool, private: bool, cidrs: Sequence[str]) -> str | None:
    """Check which networks reach the API server."""
    if not public and not private:
        return "Private and public endpoint access cannot be false"
    if invalid := [cidr for cidr in cidrs if _network(cidr) is None]:
        return f"The following CIDRs are invalid in publicAccessCidrs: [{', '.join(invalid)}]"
    if reserved := [cidr for cidr in cidrs if _is_reserved(cidr)]:
        return f"The following CIDRs are not allowed in publicAccessCidrs: [{', '.join(reserved)}]"
    if len(cidrs) > _MAX_PUBLIC_CIDRS:
        return f"publicAccessCidrs has {len(cidrs)} CIDRs; the limit is {_MAX_PUBLIC_CIDRS}"
    return None


def _network(cidr: str) -> IPv4Network | None:
    try:
        return IPv4Network(cidr, strict=False)
    except ValueError:
        return None


def _is_reserved(cidr: str) -> bool:
    network = _network(cidr)
    return (
        network is not None
        and network != _ALL
        and any(network.subnet_of(reserved) for reserved in _RESERVED)
    )


def why_not_authentication(before: str, after: str) -> str | None:
    """Check a change of the authentication mode: one step at a time, and never back."""
    steps = ("CONFIG_MAP", "API_AND_CONFIG_MAP", "API")
    if steps.index(after) == steps.index(before) + 1:
        return None
    return f"Unsupported authentication mode update from {before} to {after}"


@dataclass(frozen=True)
class VersionUpgrade:
    """A completed upgrade of a cluster to its next minor version.

    Attributes:
        completed_at: seconds since the epoch.
    """

    from_version: str
    completed_at: float


@dataclass(frozen=True)
class VersionChange:
    """A request to change a cluster's version, with what decides it.

    Attributes:
        offered: all minor versions on offer, oldest first.
        in_extended_support: those of them that are past the end of standard support.
        node_groups: the version of each managed node group, by name.
        last_upgrade: the cluster's last upgrade; None if it still has the version of its creation.
    """

    current: str
    requested: str
    support_type: str
    offered: Sequence[str]
    now: float
    in_extended_support: Collection[str] = ()
    node_groups: dict[str, str] = field(default_factory=dict)
    last_upgrade: VersionUpgrade | None = None

    @property
    def is_rollback(self) -> bool:
        """True for a step back."""
        return minor(self.requested) < minor(self.current)

    @property
    def newer_node_groups(self) -> list[str]:
        """Node groups whose kubelets would be newer than the API server after a rollback."""
        return [
            name
            for name, version in self.node_groups.items()
            if minor(version) > minor(self.requested)
        ]


def minor(version: str) -> int:
    """Return the number of a minor version: 36 for 1.36."""
    return int(version.partition(".")[2])


def why_not_version(change: VersionChange) -> str | None:
    """Check a change of a cluster's version: one minor version ahead, or back for a week."""
    unsupported = (
        f"Unsupported Kubernetes minor version update from {change.current} to {change.requested}"
    )
    if change.requested not in change.offered:
        return unsupported
    if minor(change.requested) == minor(change.current) + 1:
        return _why_not_ahead(change)
    if minor(change.requested) == minor(change.current) - 1:
        reason = _why_not_back(change)
        return f"{unsupported}: {reason}" if reason else None
    return unsupported


def _why_not_ahead(change: VersionChange) -> str | None:
    behind = [name for name, version in change.node_groups.items() if version != change.current]
    if not behind:
        return None
    return (
        f"Nodegroups {', '.join(behind)} must be updated to match cluster version "
        f"{change.current} before updating cluster version"
    )


def _why_not_back(change: VersionChange) -> str | None:
    """https://docs.aws.amazon.com/eks/latest/userguide/rollback-cluster.html"""
    last = change.last_upgrade
    if last is None or last.from_version != change.requested:
        return "the cluster was not upgraded from that version"
    if change.now - last.completed_at > ROLLBACK_WINDOW_SECONDS:
        return "a rollback is possible within 7 days after the upgrade"
    if change.requested in change.in_extended_support and change.support_type != "EXTENDED":
        return "that version is in extended support; set the upgrade policy to EXTENDED first"
    return None


def why_not_support(support_type: str, version: str, *, in_extended: bool) -> str | None:
    """Check an upgrade policy: STANDARD is for versions in standard support.

    https://docs.aws.amazon.com/eks/latest/userguide/view-upgrade-policy.html
    """
    if support_type != "STANDARD" or not in_extended:
        return None
    return (
        f"Kubernetes version {version} is in extended support. Upgrade policy STANDARD is only "
        "supported for versions in standard support"
    )
