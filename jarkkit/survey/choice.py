"""All Regions: their order, the recommended one, and why that one."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from jarkkit.settings import Settings
from jarkkit.survey.values import Survey, Surveyed

# Milliseconds of a round trip that make a difference to somebody at a notebook.
_FELT_MS = 20.0


def compared(
    settings: Settings, regions: Iterable[Surveyed], *, made: str, notes: Iterable[str] = ()
) -> Survey:
    """The survey: Regions in their order, one recommended, and why."""
    ordered = tuple(sorted(regions, key=lambda region: _rank(region, settings.region)))
    will_do = [region for region in ordered if region.will_do]
    return Survey(
        made=made,
        version=settings.cluster_version,
        az_count=settings.az_count,
        families=tuple(pool.family for pool in settings.accelerators),
        regions=ordered,
        recommended=will_do[0].region if will_do else "",
        reason=_why(will_do[0], will_do[1:], settings) if will_do else _why_none(ordered),
        notes=tuple(notes),
    )


def _rank(region: Surveyed, wanted: str) -> tuple[object, ...]:
    """What decides, in this order; the name last, so that the answer is always the same.

    Args:
        wanted: the Region that the settings name.
    """
    elsewhere = region.region != wanted
    return (_order(region.will_do), *_merits(region), elsewhere, region.region)


def _merits(region: Surveyed) -> tuple[int, float, float]:
    """Quotas, price to the cent, and latency in steps that can be felt: what is not shown or not
    felt decides nothing."""
    return (
        _order(region.enough_quota),
        math.inf if region.usd_per_hour is None else round(region.usd_per_hour, 2),
        math.inf if region.latency_ms is None else region.latency_ms // _FELT_MS,
    )


def _order(answer: bool | None) -> int:
    """Yes, not known, no."""
    return {True: 0, None: 1, False: 2}[answer]


def _why(best: Surveyed, others: Sequence[Surveyed], settings: Settings) -> str:
    has = [f"EKS with Kubernetes {settings.cluster_version}", f"{len(best.zones or ())} zones"]
    has += [
        f"{supply.wanted} in {len(supply.zones)} of them"
        for supply in best.supplies or ()
        if supply.wanted != settings.core_instance_type
    ]
    return f"{', '.join(has)}. {_quota_words(best)} {_choice(best, others, settings.region)}"


def _quota_words(best: Surveyed) -> str:
    if best.enough_quota:
        return "Its quotas are enough now."
    if best.enough_quota is None:
        return "Whether its quotas are enough is not known."
    short = [room for room in best.headroom if room.enough is False]
    said = ", ".join(f"{r.name}: {r.free:g} of {r.need:g} vCPUs free" for r in short)
    return f"Its quotas are not enough now ({said}): ask for an increase first."


def _choice(best: Surveyed, others: Sequence[Surveyed], wanted: str) -> str:
    """By what it beats the next one."""
    if not others:
        return "No other Region has all that it takes."
    mine, quota_alike = _merits(best), [o for o in others if _merits(o)[0] == _merits(best)[0]]
    if not quota_alike:
        return f"In {_count(others)} that would do the quotas are not, or not known to be, enough."
    price_alike = [o for o in quota_alike if _merits(o)[1] == mine[1]]
    among = f"Of {len(quota_alike) + 1} such Regions"
    if not price_alike:
        return f"{among} it costs least ({_usd(best)}; then {_named(quota_alike[0])})."
    cost = f"{among} {len(price_alike) + 1} cost least ({_usd(best)})"
    if all(_merits(o)[2] > mine[2] for o in price_alike):
        return f"{cost}; of these it is the nearest ({_ms(best)}; then {_near(price_alike[0])})."
    which = "the one in the settings" if best.region == wanted else "the first by name"
    return f"{cost} and are as near; of these it is {which}."


def _count(others: Sequence[Surveyed]) -> str:
    return "the other Region" if len(others) == 1 else f"the {len(others)} other Regions"


def _named(other: Surveyed) -> str:
    return f"{other.region}, {_usd(other)}"


def _near(other: Surveyed) -> str:
    return f"{other.region}, {_ms(other)}"


def _usd(region: Surveyed) -> str:
    return "price not known" if region.usd_per_hour is None else f"{region.usd_per_hour:.2f} USD/h"


def _ms(region: Surveyed) -> str:
    return "latency not known" if region.latency_ms is None else f"{region.latency_ms:.0f} ms"


def _why_none(ordered: Sequence[Surveyed]) -> str:
    unknown = [region.region for region in ordered if region.will_do is None]
    said = f" Not known of: {', '.join(unknown)}." if unknown else ""
    lacks = sorted((r for r in ordered if r.missing), key=lambda r: (len(r.missing), r.region))
    nearest = "".join(
        f" Nearest to it comes {r.region}, without {' and '.join(r.missing)}." for r in lacks[:1]
    )
    return f"No Region is known to have all that this deployment must have.{nearest}{said}"
