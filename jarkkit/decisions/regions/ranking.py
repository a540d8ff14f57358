"""The ranking of Regions: their order, the recommended one, and the reason."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from jarkkit.decisions.regions.models import RegionComparison, RegionResult
from jarkkit.settings import Settings

# Difference of round-trip times, in milliseconds, that a notebook user notices.
_NOTICEABLE_MS = 20.0


def rank_regions(
    settings: Settings, regions: Iterable[RegionResult], *, made: str, notes: Iterable[str] = ()
) -> RegionComparison:
    """Return the comparison: the Regions in their order, the recommended one and the reason."""
    ordered = tuple(sorted(regions, key=lambda region: _rank(region, settings.region)))
    will_do = [region for region in ordered if region.is_suitable]
    return RegionComparison(
        made=made,
        version=settings.cluster_version,
        az_count=settings.az_count,
        families=tuple(pool.family for pool in settings.accelerators),
        regions=ordered,
        recommended=will_do[0].region if will_do else "",
        reason=_why(will_do[0], will_do[1:], settings) if will_do else _why_none(ordered),
        notes=tuple(notes),
    )


def _rank(region: RegionResult, wanted: str) -> tuple[object, ...]:
    """Return the sort key. The name is the last criterion, so that the order is deterministic.

    Args:
        wanted: the Region in the settings.
    """
    elsewhere = region.region != wanted
    return (_order(region.is_suitable), *_merits(region), elsewhere, region.region)


def _merits(region: RegionResult) -> tuple[int, float, float]:
    """Return quotas, price in cents and latency in noticeable steps.

    A difference that is not visible or not noticeable does not decide.
    """
    return (
        _order(region.has_enough_quota),
        math.inf if region.usd_per_hour is None else round(region.usd_per_hour, 2),
        math.inf if region.latency_ms is None else region.latency_ms // _NOTICEABLE_MS,
    )


def _order(answer: bool | None) -> int:
    """Return the rank of an answer: yes, then unknown, then no."""
    return {True: 0, None: 1, False: 2}[answer]


def _why(best: RegionResult, others: Sequence[RegionResult], settings: Settings) -> str:
    has = [f"EKS with Kubernetes {settings.cluster_version}", f"{len(best.zones or ())} zones"]
    has += [
        f"{supply.wanted} in {len(supply.zones)} of them"
        for supply in best.supplies or ()
        if supply.wanted != settings.core_instance_type
    ]
    return f"{', '.join(has)}. {_quota_text(best)} {_advantage(best, others, settings.region)}"


def _quota_text(best: RegionResult) -> str:
    if best.has_enough_quota:
        return "Its quotas are large enough."
    if best.has_enough_quota is None:
        return "Its quotas are unknown."
    short = [each for each in best.headroom if each.enough is False]
    free = ", ".join(f"{each.name}: {each.free:g} of {each.need:g} vCPUs free" for each in short)
    return f"Its quotas are too small ({free}): request an increase first."


def _advantage(best: RegionResult, others: Sequence[RegionResult], wanted: str) -> str:
    """Return the advantage of the best Region over the next one."""
    if not others:
        return "No other Region meets all requirements."
    best_merits, quota_alike = (
        _merits(best),
        [o for o in others if _merits(o)[0] == _merits(best)[0]],
    )
    if not quota_alike:
        return f"{_others_meet(others)} quotas are too small or unknown."
    price_alike = [o for o in quota_alike if _merits(o)[1] == best_merits[1]]
    among = f"Of {len(quota_alike) + 1} such Regions"
    if not price_alike:
        return f"{among}, it has the lowest cost ({_usd(best)}; next: {_named(quota_alike[0])})."
    cost = f"{among}, {len(price_alike) + 1} have the lowest cost ({_usd(best)})"
    if all(_merits(o)[2] > best_merits[2] for o in price_alike):
        next_one = _near(price_alike[0])
        return f"{cost}. Of these, it has the lowest latency ({_ms(best)}; next: {next_one})."
    which = "the one in your settings" if best.region == wanted else "the first by name"
    return f"{cost} and similar latency. Of these, it is {which}."


def _others_meet(others: Sequence[RegionResult]) -> str:
    if len(others) == 1:
        return "1 other Region meets the requirements, but its"
    return f"{len(others)} other Regions meet the requirements, but their"


def _named(other: RegionResult) -> str:
    return f"{other.region}, {_usd(other)}"


def _near(other: RegionResult) -> str:
    return f"{other.region}, {_ms(other)}"


def _usd(region: RegionResult) -> str:
    return "price unknown" if region.usd_per_hour is None else f"{region.usd_per_hour:.2f} USD/h"


def _ms(region: RegionResult) -> str:
    return "latency unknown" if region.latency_ms is None else f"{region.latency_ms:.0f} ms"


def _why_none(ordered: Sequence[RegionResult]) -> str:
    unknown = [region.region for region in ordered if region.is_suitable is None]
    not_known = f" Unknown: {', '.join(unknown)}." if unknown else ""
    lacks = sorted((r for r in ordered if r.missing), key=lambda r: (len(r.missing), r.region))
    nearest = "".join(
        f" The closest match is {r.region}, which lacks {' and '.join(r.missing)}."
        for r in lacks[:1]
    )
    return f"No Region is known to meet all requirements of this deployment.{nearest}{not_known}"
