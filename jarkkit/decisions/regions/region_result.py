"""The result of one Region, from the responses of its services."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from jarkkit.decisions import zones
from jarkkit.decisions.costs.bill import SpotPrices, build_bill
from jarkkit.decisions.costs.models import Bill
from jarkkit.decisions.costs.price_table import PriceTable
from jarkkit.decisions.instance_sizes import size_factor, vcpus
from jarkkit.decisions.quotas.evaluation import AppliedQuotas
from jarkkit.decisions.quotas.models import RunningInstances
from jarkkit.decisions.regions.capacity_signals import headroom
from jarkkit.decisions.regions.models import (
    CapacitySignal,
    Headroom,
    InstanceSupply,
    KubernetesSupport,
    RegionResult,
)
from jarkkit.decisions.stack import ResolvedStack
from jarkkit.model.errors import JarkkitError
from jarkkit.model.records import ClusterVersion, InstanceType, Zone
from jarkkit.model.unknown import Unknown, known_or_none
from jarkkit.settings import Settings

T = TypeVar("T")
ZonesByType = Mapping[str, frozenset[str]]


@dataclass(frozen=True)
class RegionFacts:
    """The facts about one Region, as far as it answered; None without a request.

    Attributes:
        latency: seconds; None if it cannot be measured.
        types: zones of each instance type that the deployment could launch.
        spot: USD per hour by type, then by zone.
        quotas: applied values by code; None for a quota that the Region does not list.
        running: the account's instances in the Region.
    """

    region: str
    eks: bool = True
    enabled: bool = True
    latency: float | Unknown | None = None
    versions: Sequence[ClusterVersion] | Unknown | None = None
    zones: Sequence[Zone] | Unknown | None = None
    types: ZonesByType | Unknown | None = None
    spot: SpotPrices | Unknown | None = None
    quotas: AppliedQuotas = field(default_factory=dict)
    running: Sequence[RunningInstances] | Unknown | None = None
    signals: tuple[CapacitySignal, ...] = ()

    def unanswered(self) -> tuple[str, ...]:
        """Return the failed requests with their calls, grouped by reason."""
        answers = [(label, getattr(self, name)) for name, label in _LABELS.items()]
        answers += [("quotas", value) for value in self.quotas.values()]
        reasons: dict[str, list[str]] = {}
        for label, answer in answers:
            if isinstance(answer, Unknown):
                error = answer.reason
                call, _, reason = error.message.rstrip(".").rpartition(": ")
                about = reasons.setdefault(f"{reason} ({error.code})", [])
                about.append(f"{label} ({call})" if call else label)
        return tuple(
            f"{', '.join(dict.fromkeys(about))}: {reason}" for reason, about in reasons.items()
        )


_LABELS = {
    "latency": "everything",
    "versions": "Kubernetes",
    "zones": "zones",
    "types": "instance types",
    "spot": "Spot prices",
    "running": "usage",
}


def region_result(
    stack: ResolvedStack, facts: RegionFacts, table: PriceTable, *, today: str
) -> RegionResult:
    """Return the result of one Region.

    Args:
        stack: of the deployment's settings for that Region.
        today: `YYYY-MM-DD`.
    """
    missing = (*_absent(facts),)
    if missing:
        return RegionResult(region=facts.region, eks=facts.eks, missing=missing)
    versions, zones_there, types = (
        known_or_none(facts.versions),
        known_or_none(facts.zones),
        known_or_none(facts.types),
    )
    version = None if versions is None else _support(stack.settings, versions)
    usable = (
        None if zones_there is None else {zone.name for zone in zones.usable_zones(zones_there)}
    )
    supplies = None
    if usable is not None and types is not None:
        supplies = tuple(_supply(p, facts, table, usable) for p in stack.instance_patterns)
    latency = known_or_none(facts.latency)
    costs = _bill(stack, facts, table, version, today)
    return RegionResult(
        region=facts.region,
        eks=True,
        version=version,
        zones=None if usable is None else tuple(sorted(usable)),
        supplies=supplies,
        headroom=_headroom(stack, facts),
        signals=facts.signals,
        usd_per_hour=_hourly(costs),
        estimated=costs.estimated,
        latency_ms=None if latency is None else latency * 1000,
        missing=tuple(_missing(stack, facts, version)),
        not_known=facts.unanswered(),
    )


def price_sources(rows: Iterable[RegionResult], table: PriceTable) -> str:
    """Return source and date of the instances' On-Demand prices."""
    found = (
        table.instance(row.region, supply.instance_type)
        for row in rows
        for supply in row.supplies or ()
        if supply.instance_type
    )
    # Estimated prices are derived from prices with the same source.
    sources = sorted({f"{price.source}, {price.date}" for price in found if price})
    return "; ".join(text for text in sources if not text.startswith("estimated"))


def settings_in_region(settings: Settings, region: str) -> Settings:
    """Return the settings for another Region, without values that exist in one Region only."""
    if region == settings.region:
        return settings
    return settings.with_changes(
        {
            "region": region,
            "availability_zones": (),
            "vpc_id": "",
            "private_subnet_ids": (),
            "public_subnet_ids": (),
        }
    )


def smallest_type(pattern: str, types: Iterable[str]) -> str:
    """Return the smallest instance type that matches; empty if none does."""
    matching = (name for name in types if zones.matches_pattern(name, (pattern,)))
    return min(matching, key=lambda name: (size_factor(name) or math.inf, name), default="")


def smallest_types(patterns: Iterable[str], types: ZonesByType) -> tuple[str, ...]:
    """Return the smallest matching types of every zone.

    They include the smallest type in the zones that EKS accepts, for any set of such zones.
    """
    every = {zone for offered in types.values() for zone in offered}
    by_zone = ([name for name, offered in types.items() if zone in offered] for zone in every)
    wanted = list(patterns)
    found = {smallest_type(pattern, here) for here in by_zone for pattern in wanted}
    return tuple(sorted(found - {""}))


def _absent(facts: RegionFacts) -> Iterable[str]:
    if not facts.eks:
        yield "Amazon EKS"
    if not facts.enabled:
        yield "an opt-in by your account"


def _name(pattern: str) -> str:
    return pattern.removesuffix(".*")


def _support(settings: Settings, versions: Sequence[ClusterVersion]) -> KubernetesSupport:
    offered = {version.version: version.extended for version in versions}
    if settings.cluster_version not in offered:
        return "no"
    return "extended" if offered[settings.cluster_version] else "standard"


def _supply(
    pattern: str, facts: RegionFacts, table: PriceTable, usable: set[str]
) -> InstanceSupply:
    here = {
        name: offered & usable
        for name, offered in (known_or_none(facts.types) or {}).items()
        if zones.matches_pattern(name, (pattern,)) and offered & usable
    }
    least = smallest_type(pattern, here)
    spot = (known_or_none(facts.spot) or {}).get(least, {})
    price = table.instance(facts.region, least) if least else None
    return InstanceSupply(
        wanted=_name(pattern),
        instance_type=least,
        zones=tuple(sorted(frozenset[str]().union(*here.values()))),
        on_demand_usd=price.usd if price else None,
        spot_usd=min((usd for zone, usd in spot.items() if zone in here[least]), default=None),
    )


def _missing(
    stack: ResolvedStack, facts: RegionFacts, version: KubernetesSupport | None
) -> Iterable[str]:
    """Yield the requirements that the Region does not meet, as far as they are known."""
    settings, patterns = stack.settings, stack.instance_patterns
    if version == "no":
        yield f"Kubernetes {settings.cluster_version}"
    there, types = known_or_none(facts.zones), known_or_none(facts.types)
    if there is None or types is None:
        return
    offered = zones.zones_by_pattern(patterns, types)
    try:
        chosen = set(zones.choose_zones(settings, there, offered))
    except JarkkitError:
        yield f"{settings.az_count} EKS zones with {settings.core_instance_type}"
        chosen = {zone.name for zone in zones.usable_zones(there)}
    yield from (
        _name(pattern)
        for pattern in patterns
        if pattern != settings.core_instance_type and not chosen & offered[pattern]
    )


def _headroom(stack: ResolvedStack, facts: RegionFacts) -> tuple[Headroom, ...]:
    """Return what the quotas leave. The sizes of instance types determine their vCPUs."""
    types = known_or_none(facts.types)
    if types is None or facts.running is None:
        return ()
    sized = {name: InstanceType(name=name, vcpus=vcpus(name)) for name in types if vcpus(name)}
    return headroom(stack, sized, facts.quotas, facts.running)


def _bill(
    stack: ResolvedStack,
    facts: RegionFacts,
    table: PriceTable,
    version: KubernetesSupport | None,
    today: str,
) -> Bill:
    support = version if version in ("standard", "extended") else None
    return build_bill(stack, table, today=today, spot=known_or_none(facts.spot), support=support)


def _hourly(costs: Bill) -> float | None:
    """Return USD per hour of what always runs; None if a part of it has no known price."""
    if any(line.when == "always" for line in costs.unknown):
        return None
    return costs.hourly.likely
