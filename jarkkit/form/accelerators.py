"""A row per family of accelerators: what it is, what it costs, whether it can be had. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, get_args

from jarkkit.costs.bill import money
from jarkkit.errors import JarkkitError
from jarkkit.inquiries.prospect import Offer, Prospect
from jarkkit.quotas.codes import Purchase, vcpu_quota
from jarkkit.quotas.families import family_of, spot_family_of
from jarkkit.quotas.judge import vcpus_in_use
from jarkkit.quotas.values import InForce
from jarkkit.quotas.words import amount
from jarkkit.settings import FAMILIES, Accelerator, Capacity, Settings
from jarkkit.survey.shown import Mark

CAPACITIES: tuple[Capacity, ...] = get_args(Capacity)
_WAYS: dict[Purchase, str] = {"on-demand": "On-Demand", "spot": "Spot"}


@dataclass(frozen=True)
class Room:
    """One vCPU quota of a family.

    Attributes:
        have, used: None where that is not known; `used` without this deployment's own.
        need: to start the smallest instance.
        most: at the pool's limit.
    """

    way: str
    have: float | None
    used: float | None
    need: int
    most: int

    @property
    def mark(self) -> Mark:
        """Whether it is enough: up to the limit, to begin with, or not."""
        if self.have is None or self.used is None or not self.need:
            return "unknown"
        free = self.have - self.used
        if self.need > free:
            return "poor"
        return "fair" if self.most > free else "good"

    @property
    def words(self) -> str:
        """In a few words: what is in force, and what of it is in use."""
        if self.have is None:
            return f"{self.way} not known"
        used = "" if not self.used else f", {amount(self.used)} in use"
        return f"{self.way} {amount(self.have)}{used}"


@dataclass(frozen=True)
class Row:
    """One family.

    Attributes:
        pool: what is chosen of it; None where it is not.
        rooms: the quotas of the ways in which it is, or could be, bought.
    """

    family: str
    title: str
    offer: Offer
    pool: Accelerator | None
    rooms: tuple[Room, ...]

    @property
    def availability(self) -> tuple[Mark, str]:
        """Which zones offer it."""
        if self.offer.zones is None:
            return "unknown", "not known"
        if not self.offer.zones:
            return "poor", "not offered"
        letters = ", ".join(zone[-1] for zone in self.offer.zones)
        return "good", f"zone{'s' if len(self.offer.zones) > 1 else ''} {letters}"

    @property
    def price(self) -> str:
        """On-Demand and Spot, USD per hour of the smallest instance."""
        usd = (self.offer.on_demand_usd, self.offer.spot_usd)
        if usd == (None, None):
            return "price not known"
        about = "≈" if self.offer.estimated else ""
        demand, spot = ("?" if amount is None else money(amount) for amount in usd)
        return f"{about}{demand} USD/h, Spot {spot}"

    @property
    def size(self) -> str:
        """Its smallest instance."""
        if not self.offer.smallest:
            return ""
        return f"{self.offer.smallest}, {self.offer.vcpus} vCPUs"

    @property
    def need(self) -> str:
        """What of a quota it takes."""
        if not self.offer.vcpus:
            return ""
        most = f" to {self.pool.max_vcpus}" if self.pool else ""
        return f"{self.offer.vcpus}{most}"


def rows(settings: Settings, prospect: Prospect) -> tuple[Row, ...]:
    """All families."""
    chosen: dict[str, Accelerator] = {pool.family: pool for pool in settings.accelerators}
    return tuple(
        _row(prospect, family, title, chosen.get(family)) for family, title in FAMILIES.items()
    )


def pools(given: Iterable[Any]) -> dict[str, dict[str, Any]]:
    """The chosen families as they stand in the form, whether they fit or not: by name `family`,
    `capacity` and `max_vcpus`."""
    made = (pool if isinstance(pool, dict) else pool.model_dump() for pool in given)
    return {pool["family"]: pool for pool in made}


def choose(
    given: Iterable[Any], settings: Settings, prospect: Prospect, family: str, on: bool
) -> Mapping[str, Any]:
    """The change that adds or takes away a family's pool.

    Args:
        given: the pools as they stand in the form.

    Raises JK-SETTINGS-INVALID where it cannot be: the Region does not offer it, or there is no
    Karpenter that could launch it.
    """
    rest = {name: pool for name, pool in pools(given).items() if name != family}
    if not on:
        return {"accelerators": tuple(rest.values())}
    if prospect.offer(family).offered is False:
        raise JarkkitError(
            "JK-SETTINGS-INVALID",
            f"{family} is not offered in {prospect.region}, in no zone that EKS can use.",
            "Choose another family, or look in Region which Regions offer it.",
        )
    if not settings.karpenter:
        raise JarkkitError(
            "JK-SETTINGS-INVALID",
            f"{family} needs Karpenter, which launches it, and that is switched off.",
            "Switch Karpenter on in Add-ons first.",
        )
    new = Accelerator.model_validate({"family": family}).model_dump()
    return {"accelerators": (*rest.values(), new)}


def edit(given: Iterable[Any], family: str, **update: Any) -> Mapping[str, Any]:
    """The change that gives a chosen family's pool other values; not yet checked."""
    every = pools(given).items()
    return {
        "accelerators": tuple(
            {**pool, **update} if name == family else pool for name, pool in every
        )
    }


def _row(prospect: Prospect, family: str, title: str, pool: Accelerator | None) -> Row:
    offer = prospect.offer(family)
    return Row(family, title, offer, pool, tuple(_rooms(prospect, offer, pool)))


def _rooms(prospect: Prospect, offer: Offer, pool: Accelerator | None) -> Iterator[Room]:
    if offer.offered is False:
        return
    bought = [way for way in _WAYS if pool is None or way in pool.capacity]
    most = pool.max_vcpus if pool else offer.vcpus
    for way in bought:
        have, used = _standing(prospect, offer.family, way)
        yield Room(_WAYS[way], have, used, offer.vcpus, most)


def _standing(prospect: Prospect, family: str, way: Purchase) -> tuple[float | None, float | None]:
    standing = prospect.standing
    if standing is None:
        return None, None
    apart = standing.p5_apart
    counted = family_of(family) if way == "on-demand" else spot_family_of(family, p5_apart=apart)
    quota = vcpu_quota(counted, way) if counted else None
    value = standing.values.get(quota.code) if quota else None
    if quota is None or not isinstance(value, InForce):
        return None, None
    if isinstance(standing.running, JarkkitError):
        return value.value, None
    return value.value, vcpus_in_use(standing.running, quota, p5_apart=apart).others
