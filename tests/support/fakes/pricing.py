"""Prices that the test sets."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from jarkkit.decisions.costs.price_table import Price
from jarkkit.model.errors import JarkkitError
from jarkkit.ports.aws.pricing import PriceRefresh


@dataclass
class FakePricing:
    """`today` holds the prices that a refresh finds; `failing` is its error."""

    today: dict[tuple[str, str], Price] = field(default_factory=dict)
    cached: dict[tuple[str, str], Price] = field(default_factory=dict)
    failing: JarkkitError | None = None

    def cached_prices(self) -> dict[tuple[str, str], Price]:
        return self.cached

    def refresh(self, names: Iterable[str]) -> PriceRefresh:
        if self.failing:
            return PriceRefresh(self.cached, (), (self.failing,))
        self.cached = self.cached | self.today
        found = {name for _, name in self.cached}
        return PriceRefresh(self.cached, tuple(name for name in names if name not in found))


@dataclass
class FakeSpot:
    """Spot prices, by type and zone."""

    spot: dict[str, dict[str, float]] = field(default_factory=dict)
    failing: JarkkitError | None = None

    def spot_prices(self, types: Sequence[str]) -> dict[str, dict[str, float]]:
        if self.failing:
            raise self.failing
        return {name: zones for name, zones in self.spot.items() if name in types}
