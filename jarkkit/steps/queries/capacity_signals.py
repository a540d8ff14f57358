"""Queries capacity signals, where an accelerator pool uses Spot or reserved capacity.

One Region returns the Spot placement scores of all Regions; each Region lists its own reservations
and Capacity Blocks. A query that fails becomes an unknown signal with the error's code.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from jarkkit.decisions import zones
from jarkkit.decisions.quotas.quota_codes import CAPACITY_BLOCKS
from jarkkit.decisions.regions import CapacitySignal, smallest_type
from jarkkit.decisions.regions.capacity_signals import reserved_signal, spot_signal
from jarkkit.decisions.regions.region_result import ZonesByType
from jarkkit.model.records import CapacityBlock, Ec2CapacityReservation
from jarkkit.model.unknown import Unknown
from jarkkit.ports.aws import Account
from jarkkit.ports.aws.concurrency import gather
from jarkkit.ports.aws.regional_availability import MIN_SCORED_TYPES
from jarkkit.settings import CapacityType, Settings

Scores = dict[str, int] | None
Reserved = tuple[tuple[Ec2CapacityReservation, ...], tuple[CapacityBlock, ...]]


def capacity_signals(
    account: Account,
    places: Mapping[str, Account],
    settings: Settings,
    types: Mapping[str, ZonesByType],
) -> dict[str, tuple[CapacitySignal, ...]]:
    """Return the signals by Region; none where no pool uses Spot or reserved capacity.

    Args:
        account: the account to query for Spot placement scores.
        places: the account in each Region.
        types: the zones of each instance type, by Region.
    """
    spot, reserved = _pools(settings, "spot"), _pools(settings, "reserved")
    scores = gather(
        {family: partial(_scores, account, family, most, types) for family, most in spot.items()}
    )
    reservations = gather(
        {
            (region, family): partial(_reserved, regional, settings, family, types.get(region, {}))
            for region, regional in places.items()
            for family in reserved
        }
    )
    return {
        region: (
            *(_spot(f, scores[f], region) for f in spot if _offered(f, types.get(region, {}))),
            *(_reservation(family, reservations[region, family]) for family in reserved),
        )
        for region in places
    }


def _pools(settings: Settings, capacity: CapacityType) -> dict[str, int]:
    """Return the families of the pools that use it, with their maximum vCPUs."""
    pools = settings.accelerators
    return {pool.family: pool.max_vcpus for pool in pools if capacity in pool.capacity}


def _scores(account: Account, family: str, vcpus: int, types: Mapping[str, ZonesByType]) -> Scores:
    """Return the scores by Region, for the pool's maximum vCPUs.

    None for a family with too few instance types for a score.
    """
    offered = {region: _offered(family, here) for region, here in types.items()}
    regions = [region for region, found in offered.items() if found]
    all_types = {name for found in offered.values() for name in found}
    if not regions:
        return {}
    if len(all_types) < MIN_SCORED_TYPES:
        return None
    return account.availability.spot_scores(sorted(all_types), vcpus, regions)


def _offered(family: str, types: ZonesByType) -> list[str]:
    return [name for name in types if zones.matches_pattern(name, (f"{family}.*",))]


def _spot(family: str, answer: Scores | Unknown, region: str) -> CapacitySignal:
    if answer is None:
        return spot_signal(family, None, f"not scored, fewer than {MIN_SCORED_TYPES} types")
    if isinstance(answer, Unknown):
        return spot_signal(family, None, answer.reason.code)
    return spot_signal(family, answer.get(region), "no score")


def _reserved(account: Account, settings: Settings, family: str, types: ZonesByType) -> Reserved:
    """Return the reservations in the settings; without one, the Capacity Blocks on sale."""
    pattern = f"{family}.*"
    found = account.availability.capacity_reservations([pattern])
    own = tuple(r for r in found if r.reservation_id in settings.capacity_reservations)
    least = smallest_type(pattern, types)
    on_sale = not own and least and family in CAPACITY_BLOCKS
    return own, account.availability.capacity_blocks(least) if on_sale else ()


def _reservation(family: str, answer: Reserved | Unknown) -> CapacitySignal:
    if isinstance(answer, Unknown):
        return CapacitySignal(
            wanted=family, kind="reserved", evidence=f"{family} reserved: {answer.reason.code}"
        )
    return reserved_signal(family, *answer)
