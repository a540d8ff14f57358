"""Which Availability Zones a deployment uses. Pure: the zones come in, names go out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase

from jarkkit.errors import JarkkitError
from jarkkit.records import Zone
from jarkkit.settings import Settings

# Zones in which EKS cannot place a control plane:
# https://docs.aws.amazon.com/eks/latest/userguide/network-reqs.html
REFUSED_BY_EKS = frozenset({"use1-az3", "usw1-az2", "cac1-az3"})


def usable(zones: Sequence[Zone]) -> list[Zone]:
    """Zones that EKS accepts: no Local or Wavelength Zones, none that EKS refuses."""
    return [
        zone
        for zone in zones
        if zone.zone_type == "availability-zone"
        and zone.state == "available"
        and zone.opt_in_status != "not-opted-in"
        and zone.zone_id not in REFUSED_BY_EKS
    ]


def instance_patterns(settings: Settings) -> tuple[str, ...]:
    """Instance types, as EC2 filter patterns, that the chosen zones should offer."""
    patterns = [settings.core_instance_type]
    if settings.static_gpu_nodes:
        patterns.append(settings.static_gpu_instance_type)
    # `g6` must not match g6e: the family ends at the dot. p6-b200 is a family of its own.
    patterns += [f"{pool.family}.*" for pool in settings.accelerators]
    return tuple(dict.fromkeys(patterns))


def matches(instance_type: str, patterns: Iterable[str]) -> bool:
    """Whether an instance type matches one of EC2's patterns (`g6.*`)."""
    return any(fnmatchcase(instance_type, pattern) for pattern in patterns)


def by_pattern(
    patterns: Iterable[str], types: Mapping[str, frozenset[str]]
) -> dict[str, frozenset[str]]:
    """For each pattern the names of the zones that offer a type of it.

    Args:
        types: the zones of each instance type.
    """
    return {
        pattern: frozenset[str]().union(
            *(zones for name, zones in types.items() if matches(name, (pattern,)))
        )
        for pattern in patterns
    }


def choose(
    settings: Settings, zones: Sequence[Zone], offerings: Mapping[str, frozenset[str]]
) -> tuple[str, ...]:
    """Names of the zones to use, sorted.

    The core node type must be offered in every zone; zones that offer more of the chosen
    accelerators are preferred. Raises JK-ZONES-TOO-FEW.
    """
    accepted = {zone.name: zone for zone in usable(zones)}
    if settings.availability_zones:
        return _named(settings, accepted, zones)
    must = offerings.get(settings.core_instance_type, frozenset())
    candidates = [name for name in sorted(accepted) if name in must]

    def missing(name: str) -> int:
        return sum(name not in offered for offered in offerings.values())

    chosen = sorted(sorted(candidates, key=missing)[: settings.az_count])
    if len(chosen) < settings.az_count:
        raise JarkkitError(
            "JK-ZONES-TOO-FEW",
            f"{settings.region} has {len(candidates)} Availability Zones that EKS accepts and "
            f"that offer {settings.core_instance_type}; az_count asks for {settings.az_count}.",
            "Lower az_count (2 is the least), choose another core_instance_type or another Region.",
        )
    return tuple(chosen)


def _named(
    settings: Settings, accepted: Mapping[str, Zone], zones: Sequence[Zone]
) -> tuple[str, ...]:
    refused = [name for name in settings.availability_zones if name not in accepted]
    if refused:
        known = {zone.name: zone.zone_id for zone in zones}
        described = ", ".join(f"{name} ({known.get(name, 'not there')})" for name in refused)
        raise JarkkitError(
            "JK-ZONES-TOO-FEW",
            f"availability_zones names zones that EKS cannot use in this account: {described}.",
            f"Choose from: {', '.join(sorted(accepted))}.",
        )
    return tuple(sorted(settings.availability_zones))
