"""Asks for signs of capacity, where an accelerator pool wants Spot or reserved capacity.

Spot placement scores of all Regions come from one of them; reservations and Capacity Blocks each
Region knows itself. What may not be asked is a sign that cannot be told, with the error's code.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from jarkkit import zones
from jarkkit.aws import Account
from jarkkit.aws.asking import together
from jarkkit.aws.offers import FEWEST_SCORED_TYPES
from jarkkit.errors import JarkkitError
from jarkkit.quotas.codes import CAPACITY_BLOCKS
from jarkkit.records import CapacityBlock, CapacityReservation
from jarkkit.settings import Capacity, Settings
from jarkkit.survey import Signal, smallest
from jarkkit.survey.region import Types
from jarkkit.survey.signs import reserved_signal, spot_signal

Scores = dict[str, int] | None
Reserved = tuple[tuple[CapacityReservation, ...], tuple[CapacityBlock, ...]]


def signals(
    account: Account,
    places: Mapping[str, Account],
    settings: Settings,
    types: Mapping[str, Types],
) -> dict[str, tuple[Signal, ...]]:
    """The signs, by Region; none where no pool wants either.

    Args:
        account: the one that is asked for Spot placement scores.
        places: the account in each Region.
        types: the zones of each instance type, by Region.
    """
    spot, reserved = _pools(settings, "spot"), _pools(settings, "reserved")
    scores = together(
        {family: partial(_scores, account, family, most, types) for family, most in spot.items()}
    )
    set_aside = together(
        {
            (region, family): partial(_reserved, place, settings, family, types.get(region, {}))
            for region, place in places.items()
            for family in reserved
        }
    )
    return {
        region: (
            *(_spot_sign(f, scores[f], region) for f in spot if _offered(f, types.get(region, {}))),
            *(_reserved_sign(family, set_aside[region, family]) for family in reserved),
        )
        for region in places
    }


def _pools(settings: Settings, capacity: Capacity) -> dict[str, int]:
    """Families of the pools that want it, and how many vCPUs they may have."""
    pools = settings.accelerators
    return {pool.family: pool.max_vcpus for pool in pools if capacity in pool.capacity}


def _scores(account: Account, family: str, vcpus: int, types: Mapping[str, Types]) -> Scores:
    """By Region, for as many vCPUs as the pool may have; None for a family that is too small to be
    scored."""
    fitting = {region: _offered(family, here) for region, here in types.items()}
    where = [region for region, found in fitting.items() if found]
    everything = {name for found in fitting.values() for name in found}
    if not where:
        return {}
    if len(everything) < FEWEST_SCORED_TYPES:
        return None
    return account.offers.spot_scores(sorted(everything), vcpus, where)


def _offered(family: str, types: Types) -> list[str]:
    return [name for name in types if zones.matches(name, (f"{family}.*",))]


def _spot_sign(family: str, answer: Scores | JarkkitError, region: str) -> Signal:
    if answer is None:
        return spot_signal(family, None, f"not scored, fewer than {FEWEST_SCORED_TYPES} types")
    if isinstance(answer, JarkkitError):
        return spot_signal(family, None, answer.code)
    return spot_signal(family, answer.get(region), "no score")


def _reserved(place: Account, settings: Settings, family: str, types: Types) -> Reserved:
    """The reservations that the settings name; without one, Capacity Blocks on sale."""
    pattern = f"{family}.*"
    there = place.offers.reservations([pattern])
    own = tuple(r for r in there if r.reservation_id in settings.capacity_reservations)
    least = smallest(pattern, types)
    on_sale = not own and least and family in CAPACITY_BLOCKS
    return own, place.offers.blocks(least) if on_sale else ()


def _reserved_sign(family: str, answer: Reserved | JarkkitError) -> Signal:
    if isinstance(answer, JarkkitError):
        return Signal(wanted=family, kind="reserved", said=f"{family} reserved: {answer.code}")
    return reserved_signal(family, *answer)
