"""Quotas and signs of capacity: what the numbers mean for the deployment. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from jarkkit.errors import JarkkitError
from jarkkit.quotas.codes import P5_SPOT, QUOTAS, Quota
from jarkkit.quotas.demand import demand, relevant
from jarkkit.quotas.judge import Values, judge, vcpus_in_use
from jarkkit.quotas.values import Demand, Running
from jarkkit.records import CapacityBlock, CapacityReservation, InstanceType
from jarkkit.settings import Settings
from jarkkit.survey.values import Headroom, Signal

# Of 10, where 10 is "highly likely"; AWS draws no line, this one is ours.
LIKELY_SCORE = 7


def vcpu_quotas(settings: Settings) -> tuple[Quota, ...]:
    """The vCPU quotas that decide whether these settings can start."""
    return tuple(quota for quota in relevant(settings) if quota.family)


def headroom(
    settings: Settings,
    types: Mapping[str, InstanceType],
    values: Values,
    running: Iterable[Running] | JarkkitError,
) -> tuple[Headroom, ...]:
    """What the vCPU quotas leave for the core nodes and for one instance of each pool.

    Args:
        types: the instance types that the deployment could launch there.
        values: by code; None where the Region lists no such quota.
        running: what runs there.
    """
    p5_apart = values.get(P5_SPOT.code) is not None
    needed = _vcpus(demand(settings, types, p5_apart=p5_apart))
    uses = {
        need.quota.code: running
        if isinstance(running, JarkkitError)
        else vcpus_in_use(running, need.quota, p5_apart=p5_apart)
        for need in needed.needs
    }
    rows = judge(needed, values, uses, region=settings.region, home=settings.region)
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


def _vcpus(everything: Demand) -> Demand:
    return Demand(tuple(need for need in everything.needs if need.quota.family), everything.eithers)


def _short(code: str) -> str:
    quota = QUOTAS[code]
    return f"{quota.family} {'Spot' if quota.purchase == 'spot' else 'On-Demand'}"


def spot_signal(family: str, score: int | None, why_not: str = "") -> Signal:
    """A Spot placement score; None where there is none, for that reason."""
    if score is None:
        return Signal(wanted=family, kind="spot", said=f"{family} Spot: {why_not}")
    said = f"{family} Spot {score}/10"
    return Signal(wanted=family, kind="spot", said=said, good=score >= LIKELY_SCORE)


def reserved_signal(
    family: str, named: Iterable[CapacityReservation], blocks: Iterable[CapacityBlock] = ()
) -> Signal:
    """The reservations that the pool may launch into, else a Capacity Block that can be bought."""
    own = [item for item in named if item.instance_type.partition(".")[0] == family]
    free = sum(item.free for item in own if item.state == "active")
    if own:
        places = ", ".join(sorted({f"{item.instance_type} in {item.zone}" for item in own}))
        scheduled = any(item.state == "scheduled" for item in own)
        said = f"{family} reserved: {free} free ({places})"
        if not free and scheduled:
            said = f"{family} reserved: not begun ({places})"
        return Signal(wanted=family, kind="reserved", said=said, good=free > 0)
    first = min(blocks, key=lambda block: block.starts, default=None)
    if first is None:
        return Signal(wanted=family, kind="reserved", said=f"{family}: no reservation", good=False)
    said = (
        f"{family}: no reservation; a Capacity Block of {first.instance_type} from "
        f"{first.starts[:10]} for {first.hours} h costs {first.usd:.0f} USD"
    )
    return Signal(wanted=family, kind="reserved", said=said, good=False)
