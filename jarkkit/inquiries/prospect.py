"""What a Region holds for a deployment whose settings may still change: asked once, judged often.

A form asks when it appears, and when another Region is chosen. Each change after that is judged by
these answers alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast, get_args

from jarkkit import zones
from jarkkit.aws import Account
from jarkkit.aws.asking import together
from jarkkit.costs.bill import Bill
from jarkkit.costs.lines import SpotPrices, Support, bill, spot_types
from jarkkit.costs.table import PriceTable, vcpus
from jarkkit.durations.whole import Past, Times, times
from jarkkit.errors import JarkkitError
from jarkkit.inquiries.quota_table import Standing, standing
from jarkkit.quotas.codes import QUOTAS
from jarkkit.quotas.table import QuotaTable
from jarkkit.records import ClusterVersion, InstanceType, Zone
from jarkkit.settings import FAMILIES, Accelerator, Family, Settings
from jarkkit.survey.region import known, smallest

_PATTERNS = tuple(f"{family}.*" for family in FAMILIES)


@dataclass(frozen=True)
class Offer:
    """One family of accelerated instances in one Region.

    Attributes:
        smallest: its smallest instance type there; empty where there is none or it is not known.
        vcpus: of that type.
        zones: those that EKS accepts and that offer it; None where it is not known.
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
        """Whether it can be had there at all; None where it is not known."""
        return None if self.zones is None else bool(self.zones)


@dataclass(frozen=True)
class Prospect:
    """Answers, or the errors in their place; None for what was not asked.

    Attributes:
        prices: shipped ones with newer ones over them.
        types: the zones of each instance type of all families.
        spot: USD per hour by type, then by zone.
        past: what earlier deployments took; None counts none.
    """

    region: str
    prices: PriceTable = field(default_factory=PriceTable.shipped)
    standing: Standing | None = None
    zones: Sequence[Zone] | JarkkitError | None = None
    types: Mapping[str, frozenset[str]] | JarkkitError | None = None
    spot: SpotPrices | JarkkitError | None = None
    versions: Sequence[ClusterVersion] | JarkkitError | None = None
    past: Past | None = None

    def bill(self, settings: Settings, today: str) -> Bill:
        """What the settings cost. `today` is `YYYY-MM-DD`."""
        support = self.support(settings.cluster_version)
        return bill(settings, self.prices, today=today, spot=known(self.spot), support=support)

    def times(self, settings: Settings) -> Times:
        """How long a deploy and a cleanup take. Raises JK-ADDON-INVALID."""
        return times(settings, self.past)

    def quotas(self, settings: Settings) -> QuotaTable | None:
        """What the settings need against what the account has; None where nobody was asked."""
        if self.standing is None:
            return None
        if isinstance(self.standing.types, JarkkitError):
            return self.standing.table(settings)
        # Of types that were not asked about the size tells the vCPUs.
        named = (settings.core_instance_type, settings.static_gpu_instance_type)
        sized = {name: InstanceType(name=name, vcpus=vcpus(name)) for name in named if vcpus(name)}
        return replace(self.standing, types={**sized, **self.standing.types}).table(settings)

    def version(self, name: str) -> ClusterVersion | None:
        """What EKS says of a version of Kubernetes there; None where it does not offer it, or that
        is not known."""
        return next((v for v in known(self.versions) or () if v.version == name), None)

    def support(self, name: str) -> Support | None:
        """The support of a version of Kubernetes; None where that is not known."""
        found = self.version(name)
        if found is None or not found.support:
            return None
        return "extended" if found.extended else "standard"

    def offer(self, family: str) -> Offer:
        """What is known of a family of accelerated instances there."""
        there, types = known(self.zones), known(self.types)
        if there is None or types is None:
            return self._priced(Offer(family), self.prices.types(family))
        usable = {zone.name for zone in zones.usable(there)}
        own = {n: z & usable for n, z in types.items() if n.startswith(f"{family}.") and z & usable}
        found = tuple(sorted(frozenset[str]().union(*own.values())))
        return self._priced(Offer(family, zones=found), own)

    def _priced(self, offer: Offer, types: Iterable[str]) -> Offer:
        """With the smallest of these types, and what it costs."""
        least = smallest(f"{offer.family}.*", types)
        if not least:
            return offer
        price = self.prices.instance(self.region, least)
        spot = (known(self.spot) or {}).get(least, {})
        return replace(
            offer,
            smallest=least,
            vcpus=vcpus(least),
            on_demand_usd=price.usd if price else None,
            estimated=price is not None and price.estimated,
            spot_usd=min(spot.values(), default=None),
        )

    def unanswered(self) -> tuple[str, ...]:
        """What was not answered, with the reason; one reason is said once."""
        asked: dict[str, Any] = {
            "zones": self.zones,
            "instance types": self.types,
            "Spot prices": self.spot,
            "Kubernetes versions": self.versions,
        }
        if self.standing is not None:
            asked["what is in use"] = self.standing.running
            values = self.standing.values.values()
            asked["quotas"] = next((v for v in values if isinstance(v, JarkkitError)), None)
        reasons: dict[str, list[str]] = {}
        for words, answer in asked.items():
            if isinstance(answer, JarkkitError):
                reason = f"{answer.message.rstrip('.')} ({answer.code})"
                reasons.setdefault(reason, []).append(words)
        return tuple(f"{', '.join(about)}: {reason}" for reason, about in reasons.items())


def prospect(account: Account, settings: Settings, past: Past | None = None) -> Prospect:
    """Ask a Region, all families of accelerators included. What it does not answer is an error in
    the answer's place."""
    quotas, shipped = tuple(QUOTAS.values()), PriceTable.shipped()
    patterns = (*_PATTERNS, settings.core_instance_type, settings.static_gpu_instance_type)
    questions: dict[str, Callable[[], Any]] = {
        "standing": lambda: standing(account, settings, patterns, quotas),
        "zones": account.offers.zones,
        "types": lambda: account.offers.types(patterns),
        "versions": account.offers.cluster_versions,
        "spot": lambda: account.offers.spot_prices(spot_types(_widest(settings), shipped)),
    }
    found = cast("dict[str, Any]", together(questions))
    prices = shipped.with_fresh(account.pricing.known())
    return Prospect(account.region, prices, past=past, **found)


def _widest(settings: Settings) -> Settings:
    """Everything as Spot: whatever is chosen later, its Spot price is known."""
    pools = tuple(Accelerator(family=family, capacity=("spot",)) for family in get_args(Family))
    changes = {"accelerators": pools, "cpu_capacity": ("spot",), "karpenter": True, "addons": {}}
    return settings.model_copy(update=changes)
