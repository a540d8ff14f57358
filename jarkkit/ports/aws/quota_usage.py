"""Current usage of the resources that quotas limit.

Each quota has one small function in `_COUNTS`. It counts the deployment's own resources separately,
by their tags or their VPC, so that a check of an existing deployment does not count them twice. IAM
reports only the number of all roles in the account, without owners.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

from jarkkit.decisions.quotas import quota_codes
from jarkkit.decisions.quotas.models import QuotaUsage, RunningInstances
from jarkkit.model.errors import JarkkitError
from jarkkit.model.records import Ec2Subnet
from jarkkit.model.unknown import Unknown, known_or_raise
from jarkkit.ports.aws.concurrency import gather
from jarkkit.ports.aws.instance_types import InstanceTypes
from jarkkit.ports.aws.inventory import DEPLOYMENT_TAG
from jarkkit.ports.aws.response_cache import MINUTE
from jarkkit.ports.aws.session import AwsSession, client_error_code, paginate, translate_errors

_GOOD_FOR = 2 * MINUTE


class AccountUsage:
    """Usage of one account in one Region. The constructor makes no call."""

    def __init__(self, session: AwsSession, types: InstanceTypes) -> None:
        self._session = session
        self._types = types

    def running_instances(
        self, deployment: str, reservation_ids: Iterable[str] = ()
    ) -> tuple[RunningInstances, ...]:
        """Return pending and running instances by type and purchase option, including unused
        Capacity Reservations, which count toward the same quotas.

        Args:
            reservation_ids: ids of the reservations for the deployment's own instances.
        """
        named = sorted(reservation_ids)
        answer = self._session.cached(
            " ".join((f"running instances beside {deployment}", *named)),
            _GOOD_FOR,
            lambda: [item.model_dump() for item in self._running(deployment, named)],
        )
        return tuple(RunningInstances.model_validate(item) for item in answer.value)

    def usage_by_quota(
        self, deployment: str, zones: Iterable[str] = ()
    ) -> dict[str, QuotaUsage | Unknown]:
        """Return the usage of each quota that counts resources, by code.

        Args:
            zones: zones in which NAT gateways count; empty means all zones.
        """
        chosen = sorted(zones)
        return gather({code: partial(self._count, code, deployment, chosen) for code in _COUNTS})

    def subnets(self, ids: Iterable[str]) -> tuple[Ec2Subnet, ...]:
        """Return the subnets with the number of their free addresses, uncached.

        Raises JK-SETTINGS-INVALID for a subnet that does not exist.
        """
        try:
            with translate_errors("ec2 DescribeSubnets"):
                found = self._session.client("ec2").describe_subnets(SubnetIds=list(ids))["Subnets"]
        except JarkkitError as error:
            if not client_error_code(error).startswith("InvalidSubnet"):
                raise
            raise JarkkitError(
                "JK-SETTINGS-INVALID",
                "A subnet of private_subnet_ids does not exist in this account and Region.",
                "Correct private_subnet_ids: aws ec2 describe-subnets lists the existing subnets.",
                evidence=error.evidence,
            ) from error
        return tuple(
            Ec2Subnet(
                subnet_id=item["SubnetId"],
                vpc_id=item["VpcId"],
                zone=item["AvailabilityZone"],
                free=item["AvailableIpAddressCount"],
            )
            for item in found
        )

    def _count(self, code: str, deployment: str, zones: list[str]) -> QuotaUsage:
        operation, count = _COUNTS[code]
        words = f" in {' '.join(zones)}" if zones and code == quota_codes.NAT_GATEWAYS.code else ""
        answer = self._session.cached(
            f"use of {code} beside {deployment}{words}",
            _GOOD_FOR,
            lambda: self._counted(operation, count, deployment, zones).model_dump(),
        )
        return QuotaUsage.model_validate(answer.value)

    def _counted(
        self, operation: str, count: _Count, deployment: str, zones: list[str]
    ) -> QuotaUsage:
        with translate_errors(operation):
            return count(_CountContext(self._session, deployment, tuple(zones)))

    def _running(self, deployment: str, reserved: list[str]) -> Iterator[RunningInstances]:
        context = _CountContext(self._session, deployment)
        parts = gather(
            {
                "instances": lambda: _instances(context),
                "idle": lambda: _idle_reservations(context, reserved),
            }
        )
        counted: Counter[_Kind] = Counter()
        for part in parts.values():
            counted += known_or_raise(part)
        sizes = self._types.matching({kind.instance_type for kind in counted})
        for kind, count in sorted(counted.items()):
            each = sizes[kind.instance_type].vcpus if kind.instance_type in sizes else 0
            yield RunningInstances(
                instance_type=kind.instance_type,
                purchase="spot" if kind.spot else "on-demand",
                count=count,
                vcpus=count * each,
                own=kind.own,
                idle=kind.idle,
            )


class _Kind(NamedTuple):
    """Group of running instances that are counted together."""

    instance_type: str
    spot: bool
    own: bool
    idle: bool = False


def _instances(context: _CountContext) -> Counter[_Kind]:
    states = [{"Name": "instance-state-name", "Values": ["pending", "running"]}]
    with translate_errors("ec2 DescribeInstances"):
        found = list(context.pages("ec2", "describe_instances", "Reservations", states))
    return Counter(
        _Kind(item["InstanceType"], item.get("InstanceLifecycle") == "spot", context.is_own(item))
        for reservation in found
        for item in filter(_takes_vcpus, reservation["Instances"])
    )


def _idle_reservations(context: _CountContext, named: Iterable[str]) -> Counter[_Kind]:
    """Return the unused capacity in the account's own On-Demand Capacity Reservations. It counts
    like running instances. Capacity Blocks have separate quotas.

    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-capacity-reservations.html
    """
    active = [{"Name": "state", "Values": ["active"]}]
    operation, key = "describe_capacity_reservations", "CapacityReservations"
    with translate_errors("ec2 DescribeCapacityReservations"):
        found = list(context.pages("ec2", operation, key, active))
        own_account = context.session.identity()["Account"] if found else ""
    idle: Counter[_Kind] = Counter()
    for item in found:
        block = item.get("ReservationType") == "capacity-block"
        if not block and item.get("OwnerId", own_account) == own_account:
            own = item["CapacityReservationId"] in named
            kind = _Kind(item["InstanceType"], spot=False, own=own, idle=True)
            idle[kind] += item["AvailableInstanceCount"]
    return +idle


def _takes_vcpus(instance: Mapping[str, Any]) -> bool:
    """Return False for an instance on a Dedicated Host, which has separate quotas per host.

    https://docs.aws.amazon.com/ec2/latest/instancetypes/ec2-instance-quotas.html
    """
    return bool(instance.get("Placement", {}).get("Tenancy") != "host")


@dataclass(frozen=True)
class _CountContext:
    """Context of a count: session and deployment.

    Attributes:
        zones: zones in which NAT gateways count; empty for all.
    """

    session: AwsSession
    name: str
    zones: tuple[str, ...] = ()

    def pages(
        self, service: str, operation: str, key: str, filters: list[dict[str, Any]] | None = None
    ) -> Iterator[Any]:
        """Yield all items of a list operation."""
        arguments = {"Filters": filters} if filters else {}
        return paginate(self.session.client(service), operation, key, **arguments)

    def is_own(self, item: Mapping[str, Any]) -> bool:
        """Return True if the deployment, or a controller in its cluster, created the resource."""
        tags = {tag["Key"]: tag["Value"] for tag in item.get("Tags") or item.get("TagSet") or ()}
        return (
            tags.get(DEPLOYMENT_TAG) == self.name
            or tags.get("eks:cluster-name") == self.name
            or f"kubernetes.io/cluster/{self.name}" in tags
        )

    def own_vpcs(self) -> set[str]:
        """Return the ids of the VPCs that the deployment created."""
        filters = [{"Name": f"tag:{DEPLOYMENT_TAG}", "Values": [self.name]}]
        return {vpc["VpcId"] for vpc in self.pages("ec2", "describe_vpcs", "Vpcs", filters)}


_Count = Callable[[_CountContext], QuotaUsage]


def _tagged(operation: str, key: str, service: str = "ec2") -> _Count:
    """Count resources; the deployment's own ones have its tag."""

    def count(context: _CountContext) -> QuotaUsage:
        items = list(context.pages(service, operation, key))
        return QuotaUsage(total=len(items), own=sum(context.is_own(item) for item in items))

    return count


def _in_vpc(operation: str, key: str) -> _Count:
    """Count resources; those in the deployment's VPC are its own too."""

    def count(context: _CountContext) -> QuotaUsage:
        items, own = list(context.pages("ec2", operation, key)), context.own_vpcs()
        mine = sum(context.is_own(item) or item.get("VpcId") in own for item in items)
        return QuotaUsage(total=len(items), own=mine)

    return count


def _balancers(kind: str) -> _Count:
    def count(context: _CountContext) -> QuotaUsage:
        items = [
            item
            for item in context.pages("elbv2", "describe_load_balancers", "LoadBalancers")
            if item["Type"] == kind
        ]
        own = context.own_vpcs() if items else set()
        return QuotaUsage(total=len(items), own=sum(item.get("VpcId") in own for item in items))

    return count


def _nat_gateways(context: _CountContext) -> QuotaUsage:
    """Count in the zone with the most; gateways that are being deleted still count."""
    by_subnet: Counter[tuple[str, bool]] = Counter()
    alive = [{"Name": "state", "Values": ["pending", "available", "deleting"]}]
    client = context.session.client("ec2")
    for item in paginate(client, "describe_nat_gateways", "NatGateways", Filter=alive):
        by_subnet[item["SubnetId"], context.is_own(item)] += 1
    if not by_subnet:
        return QuotaUsage()
    ids = [{"Name": "subnet-id", "Values": sorted({subnet for subnet, _ in by_subnet})}]
    zone_of = {
        item["SubnetId"]: item["AvailabilityZone"]
        for item in context.pages("ec2", "describe_subnets", "Subnets", ids)
    }
    zones: dict[str, QuotaUsage] = {}
    for (subnet, own), count in by_subnet.items():
        zone = zone_of.get(subnet, "")
        before = zones.get(zone, QuotaUsage())
        if not context.zones or zone in context.zones:
            zones[zone] = QuotaUsage(total=before.total + count, own=before.own + count * own)
    return max(zones.values(), key=lambda use: use.others, default=QuotaUsage())


def _clusters(context: _CountContext) -> QuotaUsage:
    names = list(context.pages("eks", "list_clusters", "clusters"))
    return QuotaUsage(total=len(names), own=sum(name == context.name for name in names))


def _gp3(context: _CountContext) -> QuotaUsage:
    filters = [{"Name": "volume-type", "Values": ["gp3"]}]
    total = own = 0
    for volume in context.pages("ec2", "describe_volumes", "Volumes", filters):
        total += volume["Size"]
        own += volume["Size"] * context.is_own(volume)
    return QuotaUsage(total=total / 1024, own=own / 1024)


def _roles(context: _CountContext) -> QuotaUsage:
    summary = context.session.client("iam").get_account_summary()["SummaryMap"]
    return QuotaUsage(total=summary.get("Roles", 0))


def _event_rules(context: _CountContext) -> QuotaUsage:
    names = [rule["Name"] for rule in context.pages("events", "list_rules", "Rules")]
    own = sum(name.startswith(f"{context.name}-karpenter-") for name in names)
    return QuotaUsage(total=len(names), own=own)


# By quota code: the call that needs permission, and the function that counts.
_COUNTS: dict[str, tuple[str, _Count]] = {
    quota_codes.VPCS.code: ("ec2 DescribeVpcs", _tagged("describe_vpcs", "Vpcs")),
    quota_codes.ELASTIC_IPS.code: (
        "ec2 DescribeAddresses",
        _tagged("describe_addresses", "Addresses"),
    ),
    quota_codes.INTERNET_GATEWAYS.code: (
        "ec2 DescribeInternetGateways",
        _tagged("describe_internet_gateways", "InternetGateways"),
    ),
    quota_codes.NAT_GATEWAYS.code: ("ec2 DescribeNatGateways", _nat_gateways),
    quota_codes.SECURITY_GROUPS.code: (
        "ec2 DescribeSecurityGroups",
        _in_vpc("describe_security_groups", "SecurityGroups"),
    ),
    quota_codes.NETWORK_INTERFACES.code: (
        "ec2 DescribeNetworkInterfaces",
        _in_vpc("describe_network_interfaces", "NetworkInterfaces"),
    ),
    quota_codes.CLUSTERS.code: ("eks ListClusters", _clusters),
    quota_codes.NLBS.code: ("elasticloadbalancing DescribeLoadBalancers", _balancers("network")),
    quota_codes.FILE_SYSTEMS.code: (
        "elasticfilesystem DescribeFileSystems",
        _tagged("describe_file_systems", "FileSystems", "efs"),
    ),
    quota_codes.GP3_TIB.code: ("ec2 DescribeVolumes", _gp3),
    quota_codes.ROLES.code: ("iam GetAccountSummary", _roles),
    quota_codes.EVENT_RULES.code: ("events ListRules", _event_rules),
}
