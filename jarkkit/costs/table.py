"""Prices by Region: those of `prices.json`, and newer ones over them. Pure.

The file says of each figure where it is from and of which day. In a Region the price of a general
family grows with the size, so that one figure per vCPU holds for all of it; accelerated types have
one each. AWS changes prices rarely; `jarkkit cost --refresh` asks for today's.

Where the file has no figure for a Region, us-east-1's is scaled by how the Region's level compares
(gp3 volumes for services, m5 for instances) and marked `estimated`. Checked on those that are known
(EFS, load balancers, log ingestion), such estimates are less than 30 % off.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any

from jarkkit.records import Record

_HOME = "us-east-1"
# The size whose price tells those of its whole general family.
REFERENCE_SIZE = "xlarge"
# Partitions with prices of their own.
_ELSEWHERE = ("cn-", "us-gov-", "us-iso", "eusc-")
# How far an estimated price may be off, as a fraction of it.
ESTIMATE_SPREAD = 0.3
# Sizes below xlarge in AWS' normalisation factors, in such units that xlarge is its 4 vCPUs:
# https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/apply_ri.html
_SMALL = {"nano": 0.125, "micro": 0.25, "small": 0.5, "medium": 1.0, "large": 2.0}


class Price(Record):
    """One figure.

    Attributes:
        unit: what it is for: `hour`, `GB`, `GiB-month`, `month`, ….
        source: where it was read.
        date: of the figure: `YYYY-MM-DD`, or less where no more is known.
        estimated: derived from another Region's, not read anywhere.
    """

    usd: float
    unit: str
    source: str
    date: str
    estimated: bool = False


def size_factor(instance_type: str) -> float | None:
    """How large a type is within its family: its vCPUs, for sizes from `large` up. None for `metal`
    and what is no size."""
    size = instance_type.partition(".")[2]
    if size in _SMALL:
        return _SMALL[size]
    found = re.fullmatch(r"(\d*)xlarge", size)
    return 4.0 * int(found[1] or 1) if found else None


def vcpus(instance_type: str) -> int:
    """vCPUs of a type, by its size; 0 where the name does not tell."""
    return int(size_factor(instance_type) or 0)


@dataclass(frozen=True)
class PriceTable:
    """Prices by Region and name.

    Args:
        data: what `prices.json` holds.
        fresh: newer prices by Region and instance type or item.
    """

    data: Mapping[str, Any]
    fresh: Mapping[tuple[str, str], Price] = field(default_factory=dict)

    @classmethod
    def shipped(cls) -> PriceTable:
        """The table that comes with the kit."""
        return cls(_shipped())

    def with_fresh(self, fresh: Mapping[tuple[str, str], Price]) -> PriceTable:
        """This table with newer prices over it, by Region and instance type or item."""
        return PriceTable(self.data, {**self.fresh, **fresh})

    def instance(self, region: str, instance_type: str) -> Price | None:
        """On-Demand price of a Linux instance, USD per hour; None where nothing is known."""
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
        """Price of something else, by its key in `prices.json`; None where nothing is known."""
        if known := self.fresh.get((region, key)):
            return known
        item = self.data["items"][key]
        level = self._level(self.data["items"]["gp3"]["usd"], region)
        return self._price(region, item["usd"], item["unit"], item["source"], level)

    @property
    def accelerated(self) -> tuple[str, ...]:
        """The accelerated types that the table knows, by family and size."""
        return tuple(self.data["instances"])

    def types(self, family: str) -> tuple[str, ...]:
        """Those of one family, smallest first."""
        return tuple(kind for kind in self.accelerated if kind.partition(".")[0] == family)

    @property
    def cpu_families(self) -> tuple[str, ...]:
        """The general families that the table knows."""
        return tuple(self.data["per_vcpu"])

    @property
    def items(self) -> tuple[str, ...]:
        """The keys of `item`."""
        return tuple(self.data["items"])

    def standard_support_ends(self, version: str) -> str:
        """The day on which EKS' standard support of a Kubernetes version ends, `YYYY-MM-DD`; empty
        when it is not known here."""
        return str(self.data["kubernetes"]["standard_support_ends"].get(version, ""))

    def _instance_level(self, region: str) -> float | None:
        return self._level(self.data["per_vcpu"]["m5"], region)

    def _level(self, figures: Mapping[str, float], region: str) -> float | None:
        return figures[region] / figures[_HOME] if region in figures else None

    def _price(
        self, region: str, figures: Mapping[str, float], unit: str, source: str, level: float | None
    ) -> Price | None:
        """The Region's figure, or an estimate by its level of prices."""
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
    text = (resources.files(__package__) / "prices.json").read_text(encoding="utf-8")
    return dict(json.loads(text))
