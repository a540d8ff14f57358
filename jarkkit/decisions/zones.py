"""The choice of Availability Zones for a deployment. Pure: takes zones, returns names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase

from jarkkit.catalog.facts import zones_without_control_planes
from jarkkit.model.errors import JarkkitError
from jarkkit.model.records import Zone
from jarkkit.settings import Settings


def usable_zones(zones: Sequence[Zone]) -> list[Zone]:
    """Return the zones that EKS accepts: no Local or Wavelength Zones, none that it rejects."""
    rejected = zones_without_control_planes()
    return [
        zone
        for zone in zones
        if zone.zone_type == "availability-zone"
        and zone.state == "available"
        and zone.opt_in_status != "not-opted-in"
        and zone.zone_id not in rejected
    ]


def matches_pattern(instance_type: str, patterns: Iterable[str]) -> bool:
    """Return whether an instance type matches one of EC2's patterns (`g6.*`)."""
    return any(fnmatchcase(instance_type, pattern) for pattern in patterns)


def zones_by_pattern(
    patterns: Iterable[str], types: Mapping[str, frozenset[str]]
) -> dict[str, frozenset[str]]:
    """Return the names of the zones that offer a matching type, by pattern.

    Args:
        types: zones by instance type.
    """
    return {
        pattern: frozenset[str]().union(
            *(zones for name, zones in types.items() if matches_pattern(name, (pattern,)))
        )
        for pattern in patterns
    }


def choose_zones(
    settings: Settings,
    zones: Sequence[Zone],
    offerings: Mapping[str, frozenset[str]],
    keep: Sequence[str] = (),
) -> tuple[str, ...]:
    """Return the names of the zones to use: those to keep in their order, then new ones, sorted.

    Every zone must offer the core node type. Zones that offer more of the selected accelerators
    are preferred. Raises JK-ZONES-TOO-FEW.

    Args:
        keep: zones that already have subnets; a zone's place gives its subnets their addresses.
    """
    accepted = {zone.name: zone for zone in usable_zones(zones)}
    if settings.availability_zones:
        named = _named(settings, accepted, zones)
        return (*keep, *(name for name in named if name not in keep))
    must = offerings.get(settings.core_instance_type, frozenset())
    candidates = [name for name in sorted(accepted) if name in must and name not in keep]

    def missing(name: str) -> int:
        return sum(name not in offered for offered in offerings.values())

    added = sorted(sorted(candidates, key=missing)[: max(0, settings.az_count - len(keep))])
    chosen = (*keep, *added)
    if len(chosen) < settings.az_count:
        raise JarkkitError(
            "JK-ZONES-TOO-FEW",
            f"{settings.region} has {len(keep) + len(candidates)} Availability Zones that EKS "
            "accepts and "
            f"that offer {settings.core_instance_type}, but az_count is {settings.az_count}.",
            "Lower az_count (the minimum is 2), or choose another core_instance_type or Region.",
        )
    return chosen


def _named(
    settings: Settings, accepted: Mapping[str, Zone], zones: Sequence[Zone]
) -> tuple[str, ...]:
    refused = [name for name in settings.availability_zones if name not in accepted]
    if refused:
        known = {zone.name: zone.zone_id for zone in zones}
        described = ", ".join(f"{name} ({known.get(name, 'does not exist')})" for name in refused)
        raise JarkkitError(
            "JK-ZONES-TOO-FEW",
            f"EKS cannot use these zones of availability_zones in your account: {described}.",
            f"Choose from: {', '.join(sorted(accepted))}.",
        )
    return tuple(sorted(settings.availability_zones))
