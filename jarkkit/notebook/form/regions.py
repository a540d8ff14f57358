"""The Regions in the form: one line each, from the last region comparison. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from jarkkit.catalog.facts import standard_support_ends
from jarkkit.decisions.regions import RegionComparison, RegionResult
from jarkkit.decisions.regions.table import SYMBOL, Mark
from jarkkit.settings import CLUSTER_VERSIONS, Settings
from jarkkit.steps.queries.region_snapshot import RegionSnapshot

# Partitions with separate accounts: an account of one cannot use Regions of another.
_PARTITIONS = ("cn-", "us-gov-", "us-iso-", "us-isob-", "us-isof-", "eu-isoe-", "eusc-")
_MARKS: dict[bool | None, Mark] = {True: "good", None: "unknown", False: "poor"}


def options(
    settings: Settings, comparison: RegionComparison | None, names: Iterable[str]
) -> list[tuple[str, str]]:
    """Return text and name of each available Region: those of the comparison in its order, then
    the others."""
    compared = comparison.regions if comparison else ()
    found = [
        (region_text(settings, comparison, row), row.region)
        for row in compared
        if comparison and row.eks
    ]
    known = {name for _, name in found}
    partition = _partition(settings.region)
    rest = {n for n in (*names, settings.region) if n not in known and _partition(n) == partition}
    more = " · not compared" if known else ""
    return found + [(f"{name}{more}", name) for name in sorted(rest)]


def region_text(settings: Settings, comparison: RegionComparison, row: RegionResult) -> str:
    """Return the result of the comparison for one Region."""
    best = "recommended" if row.region == comparison.recommended else ""
    if row.missing:
        return f"{row.region} · {SYMBOL['poor']} without {' and '.join(row.missing)}"
    parts = [row.region, *_supplies(settings, row), _quotas(row), _price(row), _near(row), best]
    return " · ".join(filter(None, parts))


def comparison_text(settings: Settings, comparison: RegionComparison | None) -> str:
    """Return when the Regions were compared, and for which settings."""
    if comparison is None:
        return "The Regions have not been compared yet."
    families = ", ".join(comparison.families) or "no accelerators"
    made = comparison.made[:16].replace("T", " ")
    text = f"Compared {made} UTC for {families} and Kubernetes {comparison.version}."
    now = tuple(pool.family for pool in settings.accelerators)
    other = set(now) != set(comparison.families) or settings.cluster_version != comparison.version
    return f"{text} Your settings have changed since then: compare again." if other else text


def versions(snapshot: RegionSnapshot) -> list[tuple[str, str]]:
    """Return text and name of each available Kubernetes version, the newest first."""
    return [(_version(snapshot, name), name) for name in reversed(CLUSTER_VERSIONS)]


def _version(snapshot: RegionSnapshot, name: str) -> str:
    found = snapshot.version(name)
    ends = found.end_of_standard_support if found else ""
    ends = ends or standard_support_ends(name)
    if snapshot.support(name) == "extended":
        return f"{name} · {SYMBOL['fair']} extended support: EKS upgrades it by itself"
    return f"{name} · standard support until {ends}" if ends else name


def _partition(region: str) -> str:
    return next((prefix for prefix in _PARTITIONS if region.startswith(prefix)), "")


def _supplies(settings: Settings, row: RegionResult) -> Iterator[str]:
    supplies = {supply.wanted: supply for supply in row.supplies or ()}
    by_mark: dict[Mark, list[str]] = {}
    for pool in settings.accelerators:
        supply = supplies.get(pool.family)
        offered = None if supply is None else bool(supply.zones)
        by_mark.setdefault(_MARKS[offered], []).append(pool.family)
    yield from (f"{SYMBOL[mark]} {', '.join(families)}" for mark, families in by_mark.items())


def _quotas(row: RegionResult) -> str:
    mark = SYMBOL[_MARKS[row.has_enough_quota]]
    short = [headroom for headroom in row.headroom if headroom.enough is False]
    if short:
        return f"{mark} quota {short[0].free:g} of {short[0].need:g} vCPUs ({short[0].name})"
    return f"{mark} quota"


def _price(row: RegionResult) -> str:
    if row.usd_per_hour is None:
        return "price unknown"
    return f"{'≈' if row.estimated else ''}{row.usd_per_hour:.2f} USD/h"


def _near(row: RegionResult) -> str:
    return "" if row.latency_ms is None else f"{row.latency_ms:.0f} ms"
