"""Quotas and capacity signals: what the numbers mean for the deployment. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from jarkkit.decisions.quotas.evaluation import AppliedQuotas, compare_quotas, vcpus_in_use
from jarkkit.decisions.quotas.models import QuotaRequirements, RunningInstances
from jarkkit.decisions.quotas.quota_codes import P5_SPOT, QUOTAS, ServiceQuota
from jarkkit.decisions.quotas.requirements import quota_requirements, relevant_quotas
from jarkkit.decisions.regions.models import CapacitySignal, Headroom
from jarkkit.decisions.stack import ResolvedStack
from jarkkit.model.records import CapacityBlock, Ec2CapacityReservation, InstanceType
from jarkkit.model.unknown import Unknown

# Of 10, where 10 is "highly likely". AWS defines no threshold; this one is jarkkit's.
LIKELY_SCORE = 7


def vcpu_quotas(stack: ResolvedStack) -> tuple[ServiceQuota, ...]:
    """Return the vCPU quotas that decide whether the deployment can start."""
    return tuple(quota for quota in relevant_quotas(stack) if quota.family)


def headroom(
    stack: ResolvedStack,
    types: Mapping[str, InstanceType],
    values: AppliedQuotas,
    running: Iterable[RunningInstances] | Unknown,
) -> tuple[Headroom, ...]:
    """Return what the vCPU quotas leave for the core nodes and for one instance of each pool.

    Args:
        types: the instance types that the deployment could launch in the Region.
        values: by code; None if the Region does not list the quota.
        running: the account's instances in the Region.
    """
    has_p5_spot_quota = values.get(P5_SPOT.code) is not None
    needed = _vcpus(quota_requirements(stack, types, has_p5_spot_quota=has_p5_spot_quota))
    uses = {
        need.quota.code: running
        if isinstance(running, Unknown)
        else vcpus_in_use(running, need.quota, has_p5_spot_quota=has_p5_spot_quota)
        for need in needed.requirements
    }
    region = stack.settings.region
    rows = compare_quotas(needed, values, uses, region=region, home=region)
    return tuple(
        Headroom(
            quota=row.code,
            name=_short(row.code),
            need=row.least,
            free=row.free,
            enough=None if row.fits == "unknown" else row.fits != "no",
        )
        for row in rows
    )


def _vcpus(everything: QuotaRequirements) -> QuotaRequirements:
    return QuotaRequirements(
        tuple(need for need in everything.requirements if need.quota.family),
        everything.alternatives,
    )


def _short(code: str) -> str:
    quota = QUOTAS[code]
    return f"{quota.family} {'Spot' if quota.purchase == 'spot' else 'On-Demand'}"


def spot_signal(family: str, score: int | None, why_not: str = "") -> CapacitySignal:
    """Return the signal of a Spot placement score, or the reason why there is none."""
    if score is None:
        return CapacitySignal(wanted=family, kind="spot", evidence=f"{family} Spot: {why_not}")
    evidence = f"{family} Spot {score}/10"
    return CapacitySignal(wanted=family, kind="spot", evidence=evidence, good=score >= LIKELY_SCORE)


def reserved_signal(
    family: str, named: Iterable[Ec2CapacityReservation], blocks: Iterable[CapacityBlock] = ()
) -> CapacitySignal:
    """Return the signal of the pool's reservations, or of a Capacity Block that you can buy."""
    own = [item for item in named if item.instance_type.partition(".")[0] == family]
    free = sum(item.free for item in own if item.state == "active")
    if own:
        zones = ", ".join(sorted({f"{item.instance_type} in {item.zone}" for item in own}))
        scheduled = any(item.state == "scheduled" for item in own)
        evidence = f"{family} reserved: {free} free ({zones})"
        if not free and scheduled:
            evidence = f"{family} reserved: not started ({zones})"
        return CapacitySignal(wanted=family, kind="reserved", evidence=evidence, good=free > 0)
    first = min(blocks, key=lambda block: block.starts, default=None)
    if first is None:
        return CapacitySignal(
            wanted=family, kind="reserved", evidence=f"{family}: no reservation", good=False
        )
    evidence = (
        f"{family}: no reservation; a Capacity Block of {first.instance_type} from "
        f"{first.starts[:10]} for {first.hours} h costs {first.usd:.0f} USD"
    )
    return CapacitySignal(wanted=family, kind="reserved", evidence=evidence, good=False)
