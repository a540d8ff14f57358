"""The Regions as they stand in the form: what the last survey said of each, in one line. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from jarkkit.costs.table import PriceTable
from jarkkit.inquiries.prospect import Prospect
from jarkkit.settings import CLUSTER_VERSIONS, Settings
from jarkkit.survey import Survey, Surveyed
from jarkkit.survey.shown import SYMBOL, Mark

# Regions with accounts of their own: from one of them no other can be chosen.
_PARTITIONS = ("cn-", "us-gov-", "us-iso-", "us-isob-", "us-isof-", "eu-isoe-", "eusc-")
_MARKS: dict[bool | None, Mark] = {True: "good", None: "unknown", False: "poor"}


def options(
    settings: Settings, survey: Survey | None, names: Iterable[str]
) -> list[tuple[str, str]]:
    """Line and name of each Region that can be chosen: those of the survey in its order, then the
    others."""
    seen = survey.regions if survey else ()
    found = [(line(settings, survey, row), row.region) for row in seen if survey and row.eks]
    known = {name for _, name in found}
    mine = _partition(settings.region)
    rest = {n for n in (*names, settings.region) if n not in known and _partition(n) == mine}
    more = " · not compared" if known else ""
    return found + [(f"{name}{more}", name) for name in sorted(rest)]


def line(settings: Settings, survey: Survey, row: Surveyed) -> str:
    """What the survey said of one Region."""
    best = "recommended" if row.region == survey.recommended else ""
    if row.missing:
        return f"{row.region} · {SYMBOL['poor']} without {' and '.join(row.missing)}"
    parts = [row.region, *_supplies(settings, row), _quotas(row), _price(row), _near(row), best]
    return " · ".join(filter(None, parts))


def told(settings: Settings, survey: Survey | None) -> str:
    """Of which day the survey is, and for what it was made."""
    if survey is None:
        return "The Regions have not been compared yet."
    families = ", ".join(survey.families) or "no accelerators"
    made = survey.made[:16].replace("T", " ")
    words = f"Compared {made} UTC for {families} and Kubernetes {survey.version}."
    now = tuple(pool.family for pool in settings.accelerators)
    other = set(now) != set(survey.families) or settings.cluster_version != survey.version
    return f"{words} You have changed what is asked for since: compare again." if other else words


def versions(prospect: Prospect) -> list[tuple[str, str]]:
    """Line and name of each version of Kubernetes that can be chosen, the newest first."""
    return [(_version(prospect, name), name) for name in reversed(CLUSTER_VERSIONS)]


def _version(prospect: Prospect, name: str) -> str:
    found = prospect.version(name)
    ends = found.end_of_standard_support if found else ""
    ends = ends or PriceTable.shipped().standard_support_ends(name)
    if prospect.support(name) == "extended":
        return f"{name} · {SYMBOL['fair']} extended support, six times the price"
    return f"{name} · standard support until {ends}" if ends else name


def _partition(region: str) -> str:
    return next((prefix for prefix in _PARTITIONS if region.startswith(prefix)), "")


def _supplies(settings: Settings, row: Surveyed) -> Iterator[str]:
    supplies = {supply.wanted: supply for supply in row.supplies or ()}
    by_mark: dict[Mark, list[str]] = {}
    for pool in settings.accelerators:
        supply = supplies.get(pool.family)
        offered = None if supply is None else bool(supply.zones)
        by_mark.setdefault(_MARKS[offered], []).append(pool.family)
    yield from (f"{SYMBOL[mark]} {', '.join(families)}" for mark, families in by_mark.items())


def _quotas(row: Surveyed) -> str:
    mark = SYMBOL[_MARKS[row.enough_quota]]
    short = [room for room in row.headroom if room.enough is False]
    if short:
        return f"{mark} quota {short[0].free:g} of {short[0].need:g} vCPUs ({short[0].name})"
    return f"{mark} quota"


def _price(row: Surveyed) -> str:
    if row.usd_per_hour is None:
        return "price not known"
    return f"{'≈' if row.estimated else ''}{row.usd_per_hour:.2f} USD/h"


def _near(row: Surveyed) -> str:
    return "" if row.latency_ms is None else f"{row.latency_ms:.0f} ms"
