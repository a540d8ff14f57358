"""What is in use of the things that quotas count.

Each thing is one small function in `_COUNTS`; what belongs to the deployment itself is told apart
by its tags, or by lying in the deployment's own VPC, so that a second look at a deployment does not
count it twice. IAM counts roles for the whole account and does not say whose they are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

from jarkkit.aws.answers import MINUTE
from jarkkit.aws.asking import together
from jarkkit.aws.instance_types import InstanceTypes
from jarkkit.aws.inventory import TAG
from jarkkit.aws.session import Session, client_error_code, paged, translated
from jarkkit.errors import JarkkitError
from jarkkit.quotas import codes
from jarkkit.quotas.values import InUse, Running
from jarkkit.records import Subnet

_GOOD_FOR = 2 * MINUTE


class Usage:
    """What one account uses in one Region. Making one calls nobody."""

    def __init__(self, session: Session, types: InstanceTypes) -> None:
        self._session = session
        self._types = types

    def running(self, deployment: str, reserved: Iterable[str] = ()) -> tuple[Running, ...]:
        """Instances that are pending or running, by type and how they were bought; with them what
        Capacity Reservations set aside, which counts towards the same quotas.

        Args:
            reserved: ids of the reservations that are for the deployment's own instances.
        """
        named = sorted(reserved)
        answer = self._session.remembered(
            " ".join((f"running instances beside {deployment}", *named)),
            _GOOD_FOR,
            lambda: [item.model_dump() for item in self._running(deployment, named)],
        )
        return tuple(Running.model_validate(item) for item in answer.value)

    def counts(self, deployment: str, zones: Iterable[str] = ()) -> dict[str, InUse | JarkkitError]:
        """What is in use of each quota that counts things, by code; the error where that could not
        be asked.

        Args:
            zones: where NAT gateways count; in all zones when empty.
        """
        chosen = sorted(zones)
        return together({code: partial(self._count, code, deployment, chosen) for code in _COUNTS})

    def subnets(self, ids: Iterable[str]) -> tuple[Subnet, ...]:
        """Subnets with the number of their free addresses. Not remembered.

        Raises JK-SETTINGS-INVALID for one that is not there.
        """
        try:
            with translated("ec2 DescribeSubnets"):
                found = self._session.client("ec2").describe_subnets(SubnetIds=list(ids))["Subnets"]
        except JarkkitError as error:
            if not client_error_code(error).startswith("InvalidSubnet"):
                raise
            raise JarkkitError(
                "JK-SETTINGS-INVALID",
                "A subnet of private_subnet_ids does not exist in this account and Region.",
                "Correct private_subnet_ids: aws ec2 describe-subnets lists those that are there.",
                evidence=error.evidence,
            ) from error
        return tuple(
            Subnet(
                subnet_id=item["SubnetId"],
                vpc_id=item["VpcId"],
                zone=item["AvailabilityZone"],
                free=item["AvailableIpAddressCount"],
            )
            for item in found
        )

    def _count(self, code: str, deployment: str, zones: list[str]) -> InUse:
        operation, count = _COUNTS[code]
        words = f" in {' '.join(zones)}" if zones and code == codes.NAT_GATEWAYS.code else ""
        answer = self._session.remembered(
            f"use of {code} beside {deployment}{words}",
            _GOOD_FOR,
            lambda: self._counted(operation, count, deployment, zones).model_dump(),
        )
        return InUse.model_validate(answer.value)

    def _counted(self, operation: str, count: _Count, deployment: str, zones: list[str]) -> InUse:
        with translated(operation):
            return count(_Look(self._session, deployment, tuple(zones)))

    def _running(self, deployment: str, reserved: list[str]) -> Iterator[Running]:
        look = _Look(self._session, deployment)
        parts = together(
            {"instances": lambda: _instances(look), "idle": lambda: _set_aside(look, reserved)}
        )
        counted: Counter[_Kind] = Counter()
        for part in parts.values():
            if isinstance(part, JarkkitError):
                raise part
            counted += part
        sizes = self._types.matching({kind.instance_type for kind in counted})
        for kind, count in sorted(counted.items()):
            each = sizes[kind.instance_type].vcpus if kind.instance_type in sizes else 0
            yield Running(
                instance_type=kind.instance_type,
                purchase="spot" if kind.spot else "on-demand",
                count=count,
                vcpus=count * each,
                own=kind.own,
                idle=kind.idle,
            )


class _Kind(NamedTuple):
    """What is told apart in what runs."""

    instance_type: str
    spot: bool
    own: bool
    idle: bool = False


def _instances(look: _Look) -> Counter[_Kind]:
    states = [{"Name": "instance-state-name", "Values": ["pending", "running"]}]
    with translated("ec2 DescribeInstances"):
        found = list(look.pages("ec2", "describe_instances", "Reservations", states))
    return Counter(
        _Kind(item["InstanceType"], item.get("InstanceLifecycle") == "spot", look.is_own(item))
        for reservation in found
        for item in filter(_takes_vcpus, reservation["Instances"])
    )


def _set_aside(look: _Look, named: Iterable[str]) -> Counter[_Kind]:
    """Unused places in the account's own On-Demand Capacity Reservations: they count as if their
    instances ran. Capacity Blocks have quotas of their own.

    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-capacity-reservations.html
    """
    active = [{"Name": "state", "Values": ["active"]}]
    operation, key = "describe_capacity_reservations", "CapacityReservations"
    with translated("ec2 DescribeCapacityReservations"):
        found = list(look.pages("ec2", operation, key, active))
        own_account = look.session.identity()["Account"] if found else ""
    idle: Counter[_Kind] = Counter()
    for item in found:
        block = item.get("ReservationType") == "capacity-block"
        if not block and item.get("OwnerId", own_account) == own_account:
            own = item["CapacityReservationId"] in named
            kind = _Kind(item["InstanceType"], spot=False, own=own, idle=True)
            idle[kind] += item["AvailableInstanceCount"]
    return +idle


def _takes_vcpus(instance: Mapping[str, Any]) -> bool:
    """False on a Dedicated Host: those have quotas of their own, counted by the host.

    https://docs.aws.amazon.com/ec2/latest/instancetypes/ec2-instance-quotas.html
    """
    return bool(instance.get("Placement", {}).get("Tenancy") != "host")


@dataclass(frozen=True)
class _Look:
    """Where and for whom one thing is counted.

    Attributes:
        zones: where NAT gateways count; empty for all.
    """

    session: Session
    name: str
    zones: tuple[str, ...] = ()

    def pages(
        self, service: str, operation: str, key: str, filters: list[dict[str, Any]] | None = None
    ) -> Iterator[Any]:
        """All things of a kind."""
        arguments = {"Filters": filters} if filters else {}
        return paged(self.session.client(service), operation, key, **arguments)

    def is_own(self, item: Mapping[str, Any]) -> bool:
        """True for what the deployment, or a controller in its cluster, made."""
        tags = {tag["Key"]: tag["Value"] for tag in item.get("Tags") or item.get("TagSet") or ()}
        return (
            tags.get(TAG) == self.name
            or tags.get("eks:cluster-name") == self.name
            or f"kubernetes.io/cluster/{self.name}" in tags
        )

    def own_vpcs(self) -> set[str]:
        """Ids of the VPCs that the deployment made."""
        filters = [{"Name": f"tag:{TAG}", "Values": [self.name]}]
        return {vpc["VpcId"] for vpc in self.pages("ec2", "describe_vpcs", "Vpcs", filters)}


_Count = Callable[[_Look], InUse]


def _tagged(operation: str, key: str, service: str = "ec2") -> _Count:
    """Things that carry the deployment's tag where they are its own."""

    def count(look: _Look) -> InUse:
        items = list(look.pages(service, operation, key))
        return InUse(total=len(items), own=sum(look.is_own(item) for item in items))

    return count


def _in_vpc(operation: str, key: str) -> _Count:
    """Things that are the deployment's own where they lie in its VPC."""

    def count(look: _Look) -> InUse:
        items, own = list(look.pages("ec2", operation, key)), look.own_vpcs()
        mine = sum(look.is_own(item) or item.get("VpcId") in own for item in items)
        return InUse(total=len(items), own=mine)

    return count


def _balancers(kind: str) -> _Count:
    def count(look: _Look) -> InUse:
        items = [
            item
            for item in look.pages("elbv2", "describe_load_balancers", "LoadBalancers")
            if item["Type"] == kind
        ]
        own = look.own_vpcs() if items else set()
        return InUse(total=len(items), own=sum(item.get("VpcId") in own for item in items))

    return count


def _nat_gateways(look: _Look) -> InUse:
    """In the zone where there are most; those that are being deleted count until they are gone."""
    by_subnet: Counter[tuple[str, bool]] = Counter()
    alive = [{"Name": "state", "Values": ["pending", "available", "deleting"]}]
    client = look.session.client("ec2")
    for item in paged(client, "describe_nat_gateways", "NatGateways", Filter=alive):
        by_subnet[item["SubnetId"], look.is_own(item)] += 1
    if not by_subnet:
        return InUse()
    ids = [{"Name": "subnet-id", "Values": sorted({subnet for subnet, _ in by_subnet})}]
    zone_of = {
        item["SubnetId"]: item["AvailabilityZone"]
        for item in look.pages("ec2", "describe_subnets", "Subnets", ids)
    }
    zones: dict[str, InUse] = {}
    for (subnet, own), count in by_subnet.items():
        zone = zone_of.get(subnet, "")
        before = zones.get(zone, InUse())
        if not look.zones or zone in look.zones:
            zones[zone] = InUse(total=before.total + count, own=before.own + count * own)
    return max(zones.values(), key=lambda use: use.others, default=InUse())


def _clusters(look: _Look) -> InUse:
    names = list(look.pages("eks", "list_clusters", "clusters"))
    return InUse(total=len(names), own=sum(name == look.name for name in names))


def _gp3(look: _Look) -> InUse:
    filters = [{"Name": "volume-type", "Values": ["gp3"]}]
    total = own = 0
    for volume in look.pages("ec2", "describe_volumes", "Volumes", filters):
        total += volume["Size"]
        own += volume["Size"] * look.is_own(volume)
    return InUse(total=total / 1024, own=own / 1024)


def _roles(look: _Look) -> InUse:
    summary = look.session.client("iam").get_account_summary()["SummaryMap"]
    return InUse(total=summary.get("Roles", 0))


def _event_rules(look: _Look) -> InUse:
    names = [rule["Name"] for rule in look.pages("events", "list_rules", "Rules")]
    own = sum(name.startswith(f"{look.name}-karpenter-") for name in names)
    return InUse(total=len(names), own=own)


# By quota code: the call whose permission is needed, and how it is counted.
_COUNTS: dict[str, tuple[str, _Count]] = {
    codes.VPCS.code: ("ec2 DescribeVpcs", _tagged("describe_vpcs", "Vpcs")),
    codes.ELASTIC_IPS.code: ("ec2 DescribeAddresses", _tagged("describe_addresses", "Addresses")),
    codes.INTERNET_GATEWAYS.code: (
        "ec2 DescribeInternetGateways",
        _tagged("describe_internet_gateways", "InternetGateways"),
    ),
    codes.NAT_GATEWAYS.code: ("ec2 DescribeNatGateways", _nat_gateways),
    codes.SECURITY_GROUPS.code: (
        "ec2 DescribeSecurityGroups",
        _in_vpc("describe_security_groups", "SecurityGroups"),
    ),
    codes.NETWORK_INTERFACES.code: (
        "ec2 DescribeNetworkInterfaces",
        _in_vpc("describe_network_interfaces", "NetworkInterfaces"),
    ),
    codes.CLUSTERS.code: ("eks ListClusters", _clusters),
    codes.NLBS.code: ("elasticloadbalancing DescribeLoadBalancers", _balancers("network")),
    codes.FILE_SYSTEMS.code: (
        "elasticfilesystem DescribeFileSystems",
        _tagged("describe_file_systems", "FileSystems", "efs"),
    ),
    codes.GP3_TIB.code: ("ec2 DescribeVolumes", _gp3),
    codes.ROLES.code: ("iam GetAccountSummary", _roles),
    codes.EVENT_RULES.code: ("events ListRules", _event_rules),
}
