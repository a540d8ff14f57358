"""Prices as they are told to be."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from jarkkit.aws.pricing import Refreshed
from jarkkit.costs.table import Price
from jarkkit.errors import JarkkitError


@dataclass
class FakePricing:
    """`today` is what a refresh finds; `failing` what it meets instead."""

    today: dict[tuple[str, str], Price] = field(default_factory=dict)
    kept: dict[tuple[str, str], Price] = field(default_factory=dict)
    failing: JarkkitError | None = None

    def known(self) -> dict[tuple[str, str], Price]:
        return self.kept

    def refresh(self, names: Iterable[str]) -> Refreshed:
        if self.failing:
            return Refreshed(self.kept, (), (self.failing,))
        self.kept = self.kept | self.today
        found = {name for _, name in self.kept}
        return Refreshed(self.kept, tuple(name for name in names if name not in found))


@dataclass
class FakeSpot:
    """What Spot costs, by type and zone."""

    spot: dict[str, dict[str, float]] = field(default_factory=dict)
    failing: JarkkitError | None = None

    def spot_prices(self, types: Sequence[str]) -> dict[str, dict[str, float]]:
        if self.failing:
            raise self.failing
        return {name: zones for name, zones in self.spot.items() if name in types}
