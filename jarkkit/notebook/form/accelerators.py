"""A row per accelerator family: size, price, availability and quotas. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, get_args

from jarkkit.decisions.costs.models import format_usd
from jarkkit.decisions.node_demand import Purchase
from jarkkit.decisions.quotas.evaluation import vcpus_in_use
from jarkkit.decisions.quotas.families import quota_family, spot_quota_family
from jarkkit.decisions.quotas.formatting import format_amount
from jarkkit.decisions.quotas.models import AppliedQuota
from jarkkit.decisions.quotas.quota_codes import vcpu_quota
from jarkkit.decisions.regions.table import Mark
from jarkkit.model.errors import JarkkitError
from jarkkit.model.unknown import Unknown
from jarkkit.settings import FAMILIES, Accelerator, CapacityType, Settings
from jarkkit.steps.queries.region_snapshot import FamilyOffering, RegionSnapshot

CAPACITIES: tuple[CapacityType, ...] = get_args(CapacityType)
_PURCHASES: dict[Purchase, str] = {"on-demand": "On-Demand", "spot": "Spot"}


@dataclass(frozen=True)
class QuotaHeadroom:
    """A vCPU quota of a family, its usage, and what a pool needs of it.

    Attributes:
        quota, used: the quota and its usage by others; None if unknown.
        needed: vCPUs to start the smallest instance.
        needed_at_limit: vCPUs at the pool's limit.
    """

    purchase: str
    quota: float | None
    used: float | None
    needed: int
    needed_at_limit: int

    @property
    def mark(self) -> Mark:
        """Whether the quota is enough: up to the limit, for the start only, or not at all."""
        if self.quota is None or self.used is None or not self.needed:
            return "unknown"
        free = self.quota - self.used
        if self.needed > free:
            return "poor"
        return "fair" if self.needed_at_limit > free else "good"

    @property
    def text(self) -> str:
        """The quota and its usage as a short text."""
        if self.quota is None:
            return f"{self.purchase} unknown"
        used = "" if not self.used else f", {format_amount(self.used)} in use"
        return f"{self.purchase} {format_amount(self.quota)}{used}"


@dataclass(frozen=True)
class AcceleratorRow:
    """One family.

    Attributes:
        pool: its pool in the settings; None if it is not selected.
        quotas: the quotas of its purchase options, selected or possible.
    """

    family: str
    title: str
    offer: FamilyOffering
    pool: Accelerator | None
    quotas: tuple[QuotaHeadroom, ...]

    @property
    def availability(self) -> tuple[Mark, str]:
        """The zones that offer it."""
        if self.offer.zones is None:
            return "unknown", "unknown"
        if not self.offer.zones:
            return "poor", "not offered"
        letters = ", ".join(zone[-1] for zone in self.offer.zones)
        return "good", f"zone{'s' if len(self.offer.zones) > 1 else ''} {letters}"

    @property
    def price(self) -> str:
        """On-Demand and Spot price of the smallest instance, USD per hour."""
        usd = (self.offer.on_demand_usd, self.offer.spot_usd)
        if usd == (None, None):
            return "price unknown"
        about = "≈" if self.offer.estimated else ""
        demand, spot = ("?" if amount is None else format_usd(amount) for amount in usd)
        return f"{about}{demand} USD/h, Spot {spot}"

    @property
    def size(self) -> str:
        """Its smallest instance."""
        if not self.offer.smallest:
            return ""
        return f"{self.offer.smallest}, {self.offer.vcpus} vCPUs"

    @property
    def needed_vcpus(self) -> str:
        """The vCPUs that it needs of a quota."""
        if not self.offer.vcpus:
            return ""
        most = f" to {self.pool.max_vcpus}" if self.pool else ""
        return f"{self.offer.vcpus}{most}"


def rows(settings: Settings, snapshot: RegionSnapshot) -> tuple[AcceleratorRow, ...]:
    """Return a row for every family."""
    selected: dict[str, Accelerator] = {pool.family: pool for pool in settings.accelerators}
    return tuple(
        _row(snapshot, family, title, selected.get(family)) for family, title in FAMILIES.items()
    )


def pools_by_family(given: Iterable[Any]) -> dict[str, dict[str, Any]]:
    """Return the pools in the form by family, valid or not, each with `family`, `capacity` and
    `max_vcpus`."""
    made = (pool if isinstance(pool, dict) else pool.model_dump() for pool in given)
    return {pool["family"]: pool for pool in made}


def selection_change(
    given: Iterable[Any], settings: Settings, snapshot: RegionSnapshot, family: str, on: bool
) -> Mapping[str, Any]:
    """Return the change that adds or removes a family's pool.

    Args:
        given: the pools in the form.

    Raises JK-SETTINGS-INVALID if the Region does not offer the family, or if Karpenter, which would
    launch it, is off.
    """
    rest = {name: pool for name, pool in pools_by_family(given).items() if name != family}
    if not on:
        return {"accelerators": tuple(rest.values())}
    if snapshot.offering(family).offered is False:
        raise JarkkitError(
            "JK-SETTINGS-INVALID",
            f"{family} is not offered in {snapshot.region} in any zone that EKS can use.",
            "Choose another family, or open Region to see which Regions offer it.",
        )
    if not settings.karpenter:
        raise JarkkitError(
            "JK-SETTINGS-INVALID",
            f"{family} needs Karpenter to launch it, and Karpenter is off.",
            "Turn on Karpenter in Add-ons first.",
        )
    new = Accelerator.model_validate({"family": family}).model_dump()
    return {"accelerators": (*rest.values(), new)}


def pool_change(given: Iterable[Any], family: str, **update: Any) -> Mapping[str, Any]:
    """Return the change that updates a selected family's pool; the values are not checked yet."""
    current = pools_by_family(given).items()
    return {
        "accelerators": tuple(
            {**pool, **update} if name == family else pool for name, pool in current
        )
    }


def _row(
    snapshot: RegionSnapshot, family: str, title: str, pool: Accelerator | None
) -> AcceleratorRow:
    offering = snapshot.offering(family)
    return AcceleratorRow(family, title, offering, pool, tuple(_headroom(snapshot, offering, pool)))


def _headroom(
    snapshot: RegionSnapshot, offering: FamilyOffering, pool: Accelerator | None
) -> Iterator[QuotaHeadroom]:
    if offering.offered is False:
        return
    purchases = [purchase for purchase in _PURCHASES if pool is None or purchase in pool.capacity]
    most = pool.max_vcpus if pool else offering.vcpus
    for purchase in purchases:
        quota, used = _quota_and_usage(snapshot, offering.family, purchase)
        yield QuotaHeadroom(_PURCHASES[purchase], quota, used, offering.vcpus, most)


def _quota_and_usage(
    snapshot: RegionSnapshot, family: str, purchase: Purchase
) -> tuple[float | None, float | None]:
    quotas = snapshot.quota_snapshot
    if quotas is None:
        return None, None
    has_p5_spot_quota = quotas.has_p5_spot_quota
    counted = (
        quota_family(family)
        if purchase == "on-demand"
        else spot_quota_family(family, has_p5_spot_quota=has_p5_spot_quota)
    )
    quota = vcpu_quota(counted, purchase) if counted else None
    value = quotas.values.get(quota.code) if quota else None
    if quota is None or not isinstance(value, AppliedQuota):
        return None, None
    if isinstance(quotas.running, Unknown):
        return value.value, None
    return value.value, vcpus_in_use(
        quotas.running, quota, has_p5_spot_quota=has_p5_spot_quota
    ).others
