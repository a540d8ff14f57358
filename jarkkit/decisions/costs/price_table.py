"""Prices by Region: the shipped ones of `prices.json`, and newer ones that replace them. Pure.

The file has source and date of each figure. In a Region, the price of a general family is
proportional to the size, so one figure per vCPU is enough for the family; accelerated types have
one figure each. AWS rarely changes prices; `jarkkit cost --refresh` gets the current ones.

If the file has no figure for a Region, us-east-1's figure is scaled by the ratio of price levels
(gp3 volumes for services, m5 for instances) and marked `estimated`. Compared with known prices
(EFS, load balancers, log ingestion), such estimates are less than 30 % off.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any

from jarkkit.decisions.instance_sizes import size_factor
from jarkkit.model.records import Record

_HOME = "us-east-1"
# The size whose price determines the prices of its general family.
REFERENCE_SIZE = "xlarge"
# Partitions with separate prices.
_ELSEWHERE = ("cn-", "us-gov-", "us-iso", "eusc-")
# Uncertainty of an estimated price, as a fraction of it.
ESTIMATE_SPREAD = 0.3


class Price(Record):
    """One price.

    Attributes:
        unit: `hour`, `GB`, `GiB-month`, `month`, ….
        source: where the price comes from.
        date: of the price: `YYYY-MM-DD`, or its known beginning.
        estimated: whether it was derived from another Region's price.
    """

    usd: float
    unit: str
    source: str
    date: str
    estimated: bool = False


@dataclass(frozen=True)
class PriceTable:
    """Prices by Region and name.

    Args:
        data: content of `prices.json`.
        fresh: newer prices by Region and instance type or item.
    """

    data: Mapping[str, Any]
    fresh: Mapping[tuple[str, str], Price] = field(default_factory=dict)

    @classmethod
    def shipped(cls) -> PriceTable:
        """Return the table that jarkkit ships."""
        return cls(_shipped())

    def with_fresh(self, fresh: Mapping[tuple[str, str], Price]) -> PriceTable:
        """Return this table with newer prices, by Region and instance type or item."""
        return PriceTable(self.data, {**self.fresh, **fresh})

    def instance(self, region: str, instance_type: str) -> Price | None:
        """Return the On-Demand price of a Linux instance, USD per hour; None if it is unknown."""
        if known := self.fresh.get((region, instance_type)):
            return known
        single = self.data["instances"].get(instance_type)
        if single is not None:
            return self._price(region, single, "hour", "accelerators", self._instance_level(region))
        factor = size_factor(instance_type)
        name = instance_type.partition(".")[0]
        family = self.data["per_vcpu"].get(name)
        if factor is None or family is None:
            return None
        if known := self.fresh.get((region, f"{name}.{REFERENCE_SIZE}")):
            return known.model_copy(update={"usd": round(known.usd * factor / 4, 6)})
        price = self._price(region, family, "hour", "cpu", self._instance_level(region))
        return price and price.model_copy(update={"usd": round(price.usd * factor, 6)})

    def item(self, region: str, key: str) -> Price | None:
        """Return the price of another item, by its key in `prices.json`; None if it is unknown."""
        if known := self.fresh.get((region, key)):
            return known
        item = self.data["items"][key]
        level = self._level(self.data["items"]["gp3"]["usd"], region)
        return self._price(region, item["usd"], item["unit"], item["source"], level)

    @property
    def accelerated(self) -> tuple[str, ...]:
        """The accelerated types in the table, by family and size."""
        return tuple(self.data["instances"])

    def types(self, family: str) -> tuple[str, ...]:
        """Return the accelerated types of one family, smallest first."""
        return tuple(kind for kind in self.accelerated if kind.partition(".")[0] == family)

    @property
    def cpu_families(self) -> tuple[str, ...]:
        """The general families in the table."""
        return tuple(self.data["per_vcpu"])

    @property
    def items(self) -> tuple[str, ...]:
        """The keys of `item` that the AWS Price List API has under a known usage type."""
        return tuple(key for key, item in self.data["items"].items() if not item.get("unlisted"))

    def _instance_level(self, region: str) -> float | None:
        return self._level(self.data["per_vcpu"]["m5"], region)

    def _level(self, figures: Mapping[str, float], region: str) -> float | None:
        return figures[region] / figures[_HOME] if region in figures else None

    def _price(
        self, region: str, figures: Mapping[str, float], unit: str, source: str, level: float | None
    ) -> Price | None:
        """Return the figure of the Region, or an estimate from its price level."""
        origin = self.data["sources"][source]
        everywhere = None if region.startswith(_ELSEWHERE) else figures.get("*")
        known = figures.get(region, everywhere)
        if known is not None:
            return Price(usd=known, unit=unit, source=origin["where"], date=origin["date"])
        if level is None or _HOME not in figures:
            return None
        return Price(
            usd=round(figures[_HOME] * level, 6),
            unit=unit,
            source=f"estimated from {_HOME}: {origin['where']}",
            date=origin["date"],
            estimated=True,
        )


@cache
def _shipped() -> Mapping[str, Any]:
    text = (resources.files("jarkkit.catalog") / "prices.json").read_text(encoding="utf-8")
    return dict(json.loads(text))
