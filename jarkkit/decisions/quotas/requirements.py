"""The quotas that a deployment requires, from its settings. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from jarkkit.decisions.node_demand import InstanceDemand
from jarkkit.decisions.quotas import quota_codes
from jarkkit.decisions.quotas.families import quota_family, spot_quota_family
from jarkkit.decisions.quotas.instance_demand import (
    instance_demands_for_attendees,
    vcpus_per_instance,
)
from jarkkit.decisions.quotas.models import QuotaAlternative, QuotaRequirement
from jarkkit.decisions.quotas.models import QuotaRequirements as QuotaRequirements
from jarkkit.decisions.quotas.quota_codes import ServiceQuota, vcpu_quota
from jarkkit.decisions.quotas.resource_counts import resource_requirements
from jarkkit.decisions.stack import ResolvedStack
from jarkkit.model.records import InstanceType


def quota_requirements(
    stack: ResolvedStack, types: Mapping[str, InstanceType], *, has_p5_spot_quota: bool = False
) -> QuotaRequirements:
    """Return what the stack requires of every quota.

    Args:
        types: the instance types to look up, by name.
        has_p5_spot_quota: whether the Region still lists the older quota for Spot P5 instances.
    """
    demands = instance_demands_for_attendees(stack, types)
    parts = [part for demand in demands for part in _parts(demand, types, has_p5_spot_quota)]
    vcpus = [
        _need([p for p in parts if p.quota == q]) for q in dict.fromkeys(p.quota for p in parts)
    ]
    blocks = [need for demand in demands if demand.reserved for need in _block(demand)]
    counted = resource_requirements(stack, demands, types)
    return QuotaRequirements(
        (*vcpus, *blocks, *(need for need in counted if need.most)),
        tuple(alternative for demand in demands for alternative in _alternatives(demand, parts)),
    )


def relevant_quotas(stack: ResolvedStack) -> tuple[ServiceQuota, ...]:
    """Return the quotas that matter to this stack, for any sizes of the instance types."""
    both = (
        quota_requirements(stack, {}, has_p5_spot_quota=has_p5_spot_quota)
        for has_p5_spot_quota in (False, True)
    )
    found = dict.fromkeys(need.quota for each in both for need in each.requirements)
    # Where Service Quotas still lists the Spot P5 quota, P5 does not count against the P quota.
    older = [quota_codes.P5_SPOT] if vcpu_quota("P", "spot") in found else []
    return tuple(dict.fromkeys([*found, *older]))


@dataclass(frozen=True)
class _Part:
    """What one group of instances requires of one vCPU quota.

    Attributes:
        each: vCPUs of one instance; for a pool, of its smallest.
        only: whether no alternative quota exists.
    """

    demand: InstanceDemand
    quota: ServiceQuota
    each: int
    only: bool

    @property
    def least(self) -> int:
        """VCPUs of the instances that a pool must be able to start."""
        return self.demand.to_start * self.each

    @property
    def most(self) -> int:
        """VCPUs at the limit."""
        return max(self.demand.max_count * self.each, self.demand.max_vcpus)


def _parts(
    demand: InstanceDemand, types: Mapping[str, InstanceType], has_p5_spot_quota: bool
) -> Iterator[_Part]:
    quotas = _quotas(demand, has_p5_spot_quota)
    for quota in quotas:
        yield _Part(demand, quota, vcpus_per_instance(demand, types), only=len(quotas) == 1)


def _quotas(demand: InstanceDemand, has_p5_spot_quota: bool) -> list[ServiceQuota]:
    families = {
        "on-demand": quota_family(demand.family),
        "spot": spot_quota_family(demand.family, has_p5_spot_quota=has_p5_spot_quota),
    }
    found = [(families[purchase], purchase) for purchase in demand.purchases]
    quotas = [vcpu_quota(family, purchase) for family, purchase in found if family]
    return [quota for quota in quotas if quota]


def _need(parts: Sequence[_Part]) -> QuotaRequirement:
    """Return the sum of the parts, which all belong to one quota."""
    now = sum(part.demand.count * part.each for part in parts)
    least = now + max((part.least for part in parts if part.only), default=0)
    most = max(least, sum(part.most for part in parts))
    return QuotaRequirement(
        parts[0].quota, now, least, most, tuple(_describe(part) for part in parts)
    )


def _alternatives(demand: InstanceDemand, parts: Iterable[_Part]) -> Iterator[QuotaAlternative]:
    own = [part for part in parts if part.demand == demand]
    if demand.to_start and len(own) > 1:
        yield QuotaAlternative(demand.label, tuple(part.quota.code for part in own), own[0].least)


def _block(demand: InstanceDemand) -> Iterator[QuotaRequirement]:
    quota = quota_codes.CAPACITY_BLOCKS.get(demand.family)
    if quota:
        yield QuotaRequirement(
            quota, 0, 0, demand.max_vcpus, (f"Capacity Blocks of the {demand.label}",)
        )


def _describe(part: _Part) -> str:
    demand = part.demand
    if demand.count:
        more = f", up to {demand.max_count}" if demand.max_count > demand.count else ""
        return f"{demand.count} {demand.pattern} ({demand.label}{more})"
    least = f"{part.least} to" if part.least else "up to"
    return f"{demand.label}, {least} {demand.max_vcpus} vCPUs"
