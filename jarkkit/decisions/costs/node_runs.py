"""Which of Karpenter's nodes ran, for how long, and what that cost. Pure.

Nodes come and go between two commands. So each step that can see them adds what it sees to a
history in the deployment's folder: the account's instances (EC2 shows a terminated one for about an
hour, with the time of its end), and in the cluster the NodeClaims and Karpenter's events about them
(kept for an hour, too).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from jarkkit.decisions.addons.node_pools import DISK_GIB
from jarkkit.decisions.costs.bill import instance_usd
from jarkkit.decisions.costs.line_items import price_range
from jarkkit.decisions.costs.models import ZERO_USD, CostArea, UsdRange, total_usd
from jarkkit.decisions.costs.price_table import PriceTable
from jarkkit.decisions.costs.usage_assumptions import HOURS_PER_MONTH
from jarkkit.decisions.instance_sizes import vcpus
from jarkkit.model.records import NodeRun, Record
from jarkkit.settings import Settings

_CPU_POOL = "cpu"
_INSTANCE = re.compile(r"i-[0-9a-f]{8,}$")


class RanLine(Record):
    """What nodes of one type cost from their start to their end.

    Attributes:
        usd: in total; None if the price is unknown.
    """

    area: CostArea
    what: str
    usd: UsdRange | None
    why: str = ""


# -- the history -----------------------------------------------------------------------------------


def runs_in_cluster(
    claims: Iterable[Mapping[str, Any]], events: Iterable[Mapping[str, Any]], now: str
) -> tuple[NodeRun, ...]:
    """Return the nodes that NodeClaims and the events about NodeClaims show."""
    there = {claim["metadata"]["name"]: _run_of_claim(claim, now) for claim in claims}
    gone: dict[str, list[str]] = {}
    for event in events:
        about = event.get("involvedObject", {})
        # Without a name: Karpenter could not create the claim.
        name = about.get("name") if about.get("kind") == "NodeClaim" else None
        if name and name not in there:
            times = (event.get("firstTimestamp"), event.get("lastTimestamp"))
            gone.setdefault(name, []).extend(filter(None, times))
    ended = (
        NodeRun(
            name=name, pool=name.rpartition("-")[0], began=min(times), seen=max(times), gone=now
        )
        for name, times in gone.items()
        if times
    )
    return (*there.values(), *ended)


def _run_of_claim(claim: Mapping[str, Any], now: str) -> NodeRun:
    meta = claim["metadata"]
    labels = meta.get("labels", {})
    instance = _INSTANCE.search(claim.get("status", {}).get("providerID", ""))
    return NodeRun(
        name=meta["name"],
        instance_id=instance.group() if instance else "",
        pool=labels.get("karpenter.sh/nodepool", ""),
        instance_type=labels.get("node.kubernetes.io/instance-type", ""),
        capacity=labels.get("karpenter.sh/capacity-type", ""),
        began=meta["creationTimestamp"],
        seen=now,
    )


def merged(
    known: Iterable[NodeRun], found: Sequence[NodeRun], now: str, *, complete: bool
) -> tuple[NodeRun, ...]:
    """Return the history with what was found now.

    Args:
        complete: everything that runs now was found; what is missing has ended. What another
            observation of this moment shows has not: EC2 lists a new instance some seconds later.
    """
    left = list(found)
    history = []
    for run in known:
        same = [other for other in left if _is_same(run, other)]
        left = [other for other in left if other not in same]
        for other in same:
            run = _with(run, other)
        if not same and complete and not run.gone and run.seen != now:
            run = run.model_copy(update={"gone": now})
        history.append(run)
    for run in left:
        twin = next((i for i, other in enumerate(history) if _is_same(run, other)), None)
        if twin is None:
            history.append(run)
        else:
            history[twin] = _with(history[twin], run)
    return tuple(history)


def _is_same(one: NodeRun, other: NodeRun) -> bool:
    by_id = one.instance_id and one.instance_id == other.instance_id
    return bool(by_id or (one.name and one.name == other.name))


def _with(run: NodeRun, other: NodeRun) -> NodeRun:
    """Return a run with what another observation of it adds."""
    seen, gone = _last_times(run, other)
    return NodeRun(
        name=run.name or other.name,
        instance_id=run.instance_id or other.instance_id,
        pool=other.pool or run.pool,
        instance_type=other.instance_type or run.instance_type,
        capacity=other.capacity or run.capacity,
        began=min(run.began, other.began, key=_moment),
        seen=seen,
        gone=gone,
    )


def _last_times(run: NodeRun, other: NodeRun) -> tuple[str, str]:
    """Return when a run was last seen, and its end.

    EC2 knows some ends exactly, and a NodeClaim can outlast its instance. Every other end is when
    the node was first missed: it is wrong if the node was seen later.
    """
    for one in (run, other):
        if one.gone and one.gone == one.seen:
            return one.seen, one.gone
    seen = max(run.seen, other.seen, key=_moment)
    ends = [end for end in (run.gone, other.gone) if end and _moment(end) >= _moment(seen)]
    return seen, min(ends, key=_moment) if ends else ""


# -- the cost --------------------------------------------------------------------------------------


def ran_lines(
    runs: Iterable[NodeRun], settings: Settings, table: PriceTable, now: str
) -> tuple[RanLine, ...]:
    """Return what these nodes cost, a line for each type and way to buy it."""
    groups: dict[tuple[str, str, str], list[NodeRun]] = {}
    for run in runs:
        groups.setdefault((run.pool, run.instance_type, run.capacity), []).append(run)
    return tuple(
        _line(group, settings, table, now) for _, group in sorted(groups.items(), key=_first)
    )


def hourly_now(runs: Iterable[NodeRun], settings: Settings, table: PriceTable) -> UsdRange:
    """Return USD per hour of the nodes that have not ended."""
    return total_usd(_hourly(run, settings, table) for run in runs if not run.gone)


def _first(group: tuple[tuple[str, str, str], list[NodeRun]]) -> tuple[str, str, str]:
    return group[0]


def _line(group: Sequence[NodeRun], settings: Settings, table: PriceTable, now: str) -> RanLine:
    first = group[0]
    each, hours = _hourly(first, settings, table), [_hours(run, now) for run in group]
    total = sum(hours, ZERO_USD)
    usd = each and UsdRange(
        low=each.low * total.low,
        likely=each.likely * total.likely,
        high=each.high * total.high,
    )
    kind = first.instance_type or f"{first.pool} of unknown size"
    bought = {"spot": " Spot", "reserved": " reserved"}.get(first.capacity, "")
    what = f"{len(group)} x {kind}{bought}, {total.likely:.2f} hours together"
    span = f"{total.low:.2f} to {total.high:.2f} hours"
    why = f"{each} per hour with its disk, {span}." if each else "The price is unknown."
    return RanLine(area=_area(first), what=what, usd=usd, why=why)


def _area(run: NodeRun) -> CostArea:
    return "CPU nodes" if run.pool == _CPU_POOL else "accelerators"


def _hours(run: NodeRun, now: str) -> UsdRange:
    """Return how long it ran: from its start to when it was last seen, or was first missed."""
    began = _moment(run.began)
    least = max(0.0, (_moment(run.seen) - began).total_seconds() / 3600)
    most = max(least, (_moment(run.gone or now) - began).total_seconds() / 3600)
    return UsdRange(low=least, likely=(least + most) / 2, high=most)


def _hourly(run: NodeRun, settings: Settings, table: PriceTable) -> UsdRange | None:
    """Return USD per hour of such a node with its disk; None if the price is unknown."""
    kinds = [run.instance_type] if run.instance_type else _possible_types(run, settings, table)
    found = [price for kind in kinds if (price := table.instance(settings.region, kind))]
    if not found:
        return None
    prices = [instance_usd(price, {}, (run.capacity,)) for price in found]
    usd = UsdRange(
        low=min(price.low for price in prices),
        likely=min(price.likely for price in prices),
        high=max(price.high for price in prices),
    )
    return usd + _disk(run, settings, table)


def _possible_types(run: NodeRun, settings: Settings, table: PriceTable) -> list[str]:
    """Return the types that its pool may launch, where only its name is known."""
    limits: dict[str, int] = {pool.family: pool.max_vcpus for pool in settings.accelerators}
    most = limits.get(run.pool)
    return [kind for kind in table.types(run.pool) if most is None or vcpus(kind) <= most]


def _disk(run: NodeRun, settings: Settings, table: PriceTable) -> UsdRange:
    price = table.item(settings.region, "gp3")
    gib = DISK_GIB["cpu" if run.pool == _CPU_POOL else "accelerator"]
    if price is None:
        return ZERO_USD
    return price_range(price, 1, 1, 1).scaled(gib / HOURS_PER_MONTH)


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)
