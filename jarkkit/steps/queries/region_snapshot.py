"""A snapshot of a Region for a deployment whose settings may still change.

A form queries the Region when it opens, and when you choose another Region. It evaluates each later
change with this snapshot alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast, get_args

from jarkkit.decisions import zones
from jarkkit.decisions.costs.bill import SpotPrices, Support, build_bill, spot_instance_types
from jarkkit.decisions.costs.models import Bill
from jarkkit.decisions.costs.price_table import PriceTable
from jarkkit.decisions.durations.estimate import (
    DurationEstimates,
    PastDurations,
    estimate_durations,
)
from jarkkit.decisions.instance_sizes import vcpus
from jarkkit.decisions.quotas.quota_codes import QUOTAS
from jarkkit.decisions.quotas.table import QuotaTable
from jarkkit.decisions.regions.region_result import smallest_type
from jarkkit.decisions.stack import ResolvedStack
from jarkkit.model.records import ClusterVersion, InstanceType, Zone
from jarkkit.model.unknown import Unknown, known_or_none
from jarkkit.ports.aws import Account
from jarkkit.ports.aws.concurrency import gather
from jarkkit.settings import FAMILIES, Accelerator, Family, Settings
from jarkkit.steps.queries.quota_table import QuotaSnapshot, quota_snapshot

_PATTERNS = tuple(f"{family}.*" for family in FAMILIES)


@dataclass(frozen=True)
class FamilyOffering:
    """One family of accelerated instances in one Region.

    Attributes:
        smallest: its smallest instance type there; empty where there is none or it is unknown.
        vcpus: of that type.
        zones: the zones that EKS accepts and that offer it; None where unknown.
        on_demand_usd, spot_usd: of that type, per hour; Spot in the cheapest zone, now.
        estimated: the On-Demand price is derived from another Region's.
    """

    family: str
    smallest: str = ""
    vcpus: int = 0
    zones: tuple[str, ...] | None = None
    on_demand_usd: float | None = None
    spot_usd: float | None = None
    estimated: bool = False

    @property
    def offered(self) -> bool | None:
        """Whether the Region offers it at all; None where unknown."""
        return None if self.zones is None else bool(self.zones)


@dataclass(frozen=True)
class RegionSnapshot:
    """The answers; None for what was not queried.

    Attributes:
        prices: the shipped prices, overridden by newer ones.
        types: the zones of each instance type, for all families.
        spot: USD per hour by type, then by zone.
        history: the durations of earlier deployments; None ignores them.
    """

    region: str
    prices: PriceTable = field(default_factory=PriceTable.shipped)
    quota_snapshot: QuotaSnapshot | None = None
    zones: Sequence[Zone] | Unknown | None = None
    types: Mapping[str, frozenset[str]] | Unknown | None = None
    spot: SpotPrices | Unknown | None = None
    versions: Sequence[ClusterVersion] | Unknown | None = None
    history: PastDurations | None = None

    def bill(self, stack: ResolvedStack, today: str) -> Bill:
        """Calculate what the stack costs. `today` is `YYYY-MM-DD`."""
        support = self.support(stack.settings.cluster_version)
        return build_bill(
            stack, self.prices, today=today, spot=known_or_none(self.spot), support=support
        )

    def times(self, stack: ResolvedStack) -> DurationEstimates:
        """Estimate how long a deploy and a cleanup take. Raises JK-ADDON-INVALID."""
        return estimate_durations(stack, self.history)

    def quotas(self, stack: ResolvedStack) -> QuotaTable | None:
        """Compare the stack's needs with the account's quotas; None without a query."""
        if self.quota_snapshot is None:
            return None
        if isinstance(self.quota_snapshot.types, Unknown):
            return self.quota_snapshot.table(stack)
        # For types that were not queried, the size in the name gives the vCPUs.
        named = (stack.settings.core_instance_type, stack.settings.static_gpu_instance_type)
        sized = {name: InstanceType(name=name, vcpus=vcpus(name)) for name in named if vcpus(name)}
        return replace(self.quota_snapshot, types={**sized, **self.quota_snapshot.types}).table(
            stack
        )

    def version(self, name: str) -> ClusterVersion | None:
        """Return EKS' data about a Kubernetes version; None where not offered or unknown."""
        return next((v for v in known_or_none(self.versions) or () if v.version == name), None)

    def support(self, name: str) -> Support | None:
        """Return the support level of a Kubernetes version; None where unknown."""
        found = self.version(name)
        if found is None or not found.support:
            return None
        return "extended" if found.extended else "standard"

    def offering(self, family: str) -> FamilyOffering:
        """Return the offering of a family of accelerated instances."""
        all_zones, types = known_or_none(self.zones), known_or_none(self.types)
        if all_zones is None or types is None:
            return self._priced(FamilyOffering(family), self.prices.types(family))
        usable = {zone.name for zone in zones.usable_zones(all_zones)}
        own = {n: z & usable for n, z in types.items() if n.startswith(f"{family}.") and z & usable}
        found = tuple(sorted(frozenset[str]().union(*own.values())))
        return self._priced(FamilyOffering(family, zones=found), own)

    def _priced(self, offering: FamilyOffering, types: Iterable[str]) -> FamilyOffering:
        """Add the smallest of these types and its prices."""
        least = smallest_type(f"{offering.family}.*", types)
        if not least:
            return offering
        price = self.prices.instance(self.region, least)
        spot = (known_or_none(self.spot) or {}).get(least, {})
        return replace(
            offering,
            smallest=least,
            vcpus=vcpus(least),
            on_demand_usd=price.usd if price else None,
            estimated=price is not None and price.estimated,
            spot_usd=min(spot.values(), default=None),
        )

    def unanswered(self) -> tuple[str, ...]:
        """List what got no answer, grouped by reason."""
        queried: dict[str, Any] = {
            "zones": self.zones,
            "instance types": self.types,
            "Spot prices": self.spot,
            "Kubernetes versions": self.versions,
        }
        if self.quota_snapshot is not None:
            queried["running instances"] = self.quota_snapshot.running
            values = self.quota_snapshot.values.values()
            queried["quotas"] = next((v for v in values if isinstance(v, Unknown)), None)
        reasons: dict[str, list[str]] = {}
        for name, answer in queried.items():
            if isinstance(answer, Unknown):
                error = answer.reason
                reason = f"{error.message.rstrip('.')} ({error.code})"
                reasons.setdefault(reason, []).append(name)
        return tuple(f"{', '.join(names)}: {reason}" for reason, names in reasons.items())


def region_snapshot(
    account: Account, stack: ResolvedStack, history: PastDurations | None = None
) -> RegionSnapshot:
    """Query a Region, including all accelerator families.

    The answer to a query that fails is unknown.
    """
    settings, shipped = stack.settings, PriceTable.shipped()
    patterns = (*_PATTERNS, settings.core_instance_type, settings.static_gpu_instance_type)
    queries: dict[str, Callable[[], Any]] = {
        "quotas": lambda: quota_snapshot(account, stack, patterns, QUOTAS.values()),
        "zones": account.availability.zones,
        "types": lambda: account.availability.zones_by_type(patterns),
        "versions": account.availability.cluster_versions,
        "spot": lambda: account.availability.spot_prices(
            spot_instance_types(_widest(settings), shipped)
        ),
    }
    found = cast("dict[str, Any]", gather(queries))
    return RegionSnapshot(
        account.region,
        prices=shipped.with_fresh(account.pricing.cached_prices()),
        quota_snapshot=found["quotas"],
        zones=found["zones"],
        types=found["types"],
        spot=found["spot"],
        versions=found["versions"],
        history=history,
    )


def _widest(settings: Settings) -> Settings:
    """Return settings with every pool on Spot, so that any later choice has its Spot price."""
    pools = tuple(Accelerator(family=family, capacity=("spot",)) for family in get_args(Family))
    changes = {"accelerators": pools, "cpu_capacity": ("spot",), "karpenter": True, "addons": {}}
    return settings.model_copy(update=changes)
