"""One Region: what it answered, in; what that means for the deployment, out."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from jarkkit import zones
from jarkkit.costs.bill import Bill
from jarkkit.costs.lines import SpotPrices, bill
from jarkkit.costs.table import PriceTable, vcpus
from jarkkit.errors import JarkkitError
from jarkkit.quotas.judge import Values
from jarkkit.quotas.values import Running
from jarkkit.records import ClusterVersion, InstanceType, Zone
from jarkkit.settings import Settings
from jarkkit.survey.signs import headroom
from jarkkit.survey.values import Headroom, Signal, Supply, Surveyed, Version

T = TypeVar("T")
Types = Mapping[str, frozenset[str]]


@dataclass(frozen=True)
class Facts:
    """What was found out about one Region: answers, or the errors in their place; None for what was
    not asked.

    Attributes:
        latency: seconds; None where it cannot be measured.
        types: the zones of each instance type that the deployment could launch.
        spot: USD per hour by type, then by zone.
        quotas: values in force by code; None for one that the Region does not list.
        running: the account's instances there.
    """

    region: str
    eks: bool = True
    enabled: bool = True
    latency: float | JarkkitError | None = None
    versions: Sequence[ClusterVersion] | JarkkitError | None = None
    zones: Sequence[Zone] | JarkkitError | None = None
    types: Types | JarkkitError | None = None
    spot: SpotPrices | JarkkitError | None = None
    quotas: Values = field(default_factory=dict)
    running: Sequence[Running] | JarkkitError | None = None
    signals: tuple[Signal, ...] = ()

    def unanswered(self) -> tuple[str, ...]:
        """What was not answered, with the call, and the reasons; one reason is said once."""
        asked = [(words, getattr(self, name)) for name, words in _WORDS.items()]
        asked += [("quotas", value) for value in self.quotas.values()]
        reasons: dict[str, list[str]] = {}
        for words, error in asked:
            if isinstance(error, JarkkitError):
                call, _, reason = error.message.rstrip(".").rpartition(": ")
                about = reasons.setdefault(f"{reason} ({error.code})", [])
                about.append(f"{words} ({call})" if call else words)
        return tuple(
            f"{', '.join(dict.fromkeys(about))}: {reason}" for reason, about in reasons.items()
        )


_WORDS = {
    "latency": "everything",
    "versions": "Kubernetes",
    "zones": "zones",
    "types": "instance types",
    "spot": "Spot prices",
    "running": "what is in use",
}


def surveyed(settings: Settings, facts: Facts, table: PriceTable, *, today: str) -> Surveyed:
    """One Region's line of the survey.

    Args:
        settings: the deployment, as it would be in that Region (`in_region`).
        today: `YYYY-MM-DD`.
    """
    missing = (*_absent(facts),)
    if missing:
        return Surveyed(region=facts.region, eks=facts.eks, missing=missing)
    versions, zones_there, types = known(facts.versions), known(facts.zones), known(facts.types)
    version = None if versions is None else _support(settings, versions)
    usable = None if zones_there is None else {zone.name for zone in zones.usable(zones_there)}
    supplies = None
    if usable is not None and types is not None:
        patterns = zones.instance_patterns(settings)
        supplies = tuple(_supply(pattern, facts, table, usable) for pattern in patterns)
    latency = known(facts.latency)
    costs = _bill(settings, facts, table, version, today)
    return Surveyed(
        region=facts.region,
        eks=True,
        version=version,
        zones=None if usable is None else tuple(sorted(usable)),
        supplies=supplies,
        headroom=_headroom(settings, facts),
        signals=facts.signals,
        usd_per_hour=_hourly(costs),
        estimated=costs.estimated,
        latency_ms=None if latency is None else latency * 1000,
        missing=tuple(_missing(settings, facts, version)),
        not_known=facts.unanswered(),
    )


def price_sources(rows: Iterable[Surveyed], table: PriceTable) -> str:
    """Where the instances' On-Demand prices are from, and of which day."""
    found = (
        table.instance(row.region, supply.instance_type)
        for row in rows
        for supply in row.supplies or ()
        if supply.instance_type
    )
    # What is estimated is derived from prices that have the same source.
    said = sorted({f"{price.source}, {price.date}" for price in found if price})
    return "; ".join(text for text in said if not text.startswith("estimated"))


def in_region(settings: Settings, region: str) -> Settings:
    """The same deployment in another Region; what exists in one Region only is left out."""
    if region == settings.region:
        return settings
    return settings.changed(
        {
            "region": region,
            "availability_zones": (),
            "vpc_id": "",
            "private_subnet_ids": (),
            "public_subnet_ids": (),
        }
    )


def smallest(pattern: str, types: Iterable[str]) -> str:
    """The smallest of the instance types that match; empty where none does."""
    matching = (name for name in types if zones.matches(name, (pattern,)))
    return min(matching, key=lambda name: (vcpus(name) or math.inf, name), default="")


def smallest_types(patterns: Iterable[str], types: Types) -> tuple[str, ...]:
    """The smallest types of each kind, in every zone: among them is the one that is the smallest in
    the zones that EKS accepts, whichever these are."""
    every = {zone for offered in types.values() for zone in offered}
    by_zone = ([name for name, offered in types.items() if zone in offered] for zone in every)
    wanted = list(patterns)
    found = {smallest(pattern, here) for here in by_zone for pattern in wanted}
    return tuple(sorted(found - {""}))


def known(answer: T | JarkkitError | None) -> T | None:
    """The answer; None where there is none."""
    return None if isinstance(answer, JarkkitError) else answer


def _absent(facts: Facts) -> Iterable[str]:
    if not facts.eks:
        yield "Amazon EKS"
    if not facts.enabled:
        yield "being enabled in this account"


def _name(pattern: str) -> str:
    return pattern.removesuffix(".*")


def _support(settings: Settings, versions: Sequence[ClusterVersion]) -> Version:
    offered = {version.version: version.extended for version in versions}
    if settings.cluster_version not in offered:
        return "no"
    return "extended" if offered[settings.cluster_version] else "standard"


def _supply(pattern: str, facts: Facts, table: PriceTable, usable: set[str]) -> Supply:
    here = {
        name: offered & usable
        for name, offered in (known(facts.types) or {}).items()
        if zones.matches(name, (pattern,)) and offered & usable
    }
    least = smallest(pattern, here)
    spot = (known(facts.spot) or {}).get(least, {})
    price = table.instance(facts.region, least) if least else None
    return Supply(
        wanted=_name(pattern),
        instance_type=least,
        zones=tuple(sorted(frozenset[str]().union(*here.values()))),
        on_demand_usd=price.usd if price else None,
        spot_usd=min((usd for zone, usd in spot.items() if zone in here[least]), default=None),
    )


def _missing(settings: Settings, facts: Facts, version: Version | None) -> Iterable[str]:
    """What it must have and has not, as far as that is known."""
    if version == "no":
        yield f"Kubernetes {settings.cluster_version}"
    there, types = known(facts.zones), known(facts.types)
    if there is None or types is None:
        return
    patterns = zones.instance_patterns(settings)
    offered = zones.by_pattern(patterns, types)
    try:
        chosen = set(zones.choose(settings, there, offered))
    except JarkkitError:
        yield f"{settings.az_count} zones for EKS with {settings.core_instance_type}"
        chosen = {zone.name for zone in zones.usable(there)}
    yield from (
        _name(pattern)
        for pattern in patterns
        if pattern != settings.core_instance_type and not chosen & offered[pattern]
    )


def _headroom(settings: Settings, facts: Facts) -> tuple[Headroom, ...]:
    """Sizes tell the vCPUs of an instance type: no Region need be asked."""
    types = known(facts.types)
    if types is None or facts.running is None:
        return ()
    sized = {name: InstanceType(name=name, vcpus=vcpus(name)) for name in types if vcpus(name)}
    return headroom(settings, sized, facts.quotas, facts.running)


def _bill(
    settings: Settings, facts: Facts, table: PriceTable, version: Version | None, today: str
) -> Bill:
    support = version if version in ("standard", "extended") else None
    return bill(settings, table, today=today, spot=known(facts.spot), support=support)


def _hourly(costs: Bill) -> float | None:
    """USD per hour of what runs all the time; None where a part of it has no known price."""
    if any(line.when == "always" for line in costs.unknown):
        return None
    return costs.hourly.likely
