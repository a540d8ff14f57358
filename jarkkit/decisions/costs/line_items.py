"""Builds lines of a bill from amounts and prices. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from jarkkit.decisions.costs.models import ZERO_USD, CostArea, CostLine, UsdRange, total_usd
from jarkkit.decisions.costs.price_table import ESTIMATE_SPREAD, Price
from jarkkit.decisions.costs.usage_assumptions import HOURS_PER_MONTH, UsageRange


def fixed_line(area: CostArea, what: str, parts: Iterable[tuple[float, Price | None]]) -> CostLine:
    """Build a line with a known amount: a count of each price."""
    parts = list(parts)
    prices = tuple(price for _, price in parts if price is not None)
    if len(prices) < len(parts):
        return unknown_line(area, what)
    whole = total_usd(price_range(price, count, count, count) for count, price in parts if price)
    why = " + ".join(f"{_amount(n)} x {p.usd:g} per {p.unit}" for n, p in parts if p)
    return CostLine(area=area, what=what, usd=whole, why=why, prices=prices)


def usage_line(
    area: CostArea,
    what: str,
    use: UsageRange,
    price: Price | None,
    count: int = 1,
    *,
    month: bool = False,
) -> CostLine:
    """Build a line whose amount depends on usage."""
    if price is None:
        return unknown_line(area, what)
    share = count / (HOURS_PER_MONTH if month else 1)
    usd = price_range(price, use.low * share, use.likely * share, use.high * share)
    per = "" if month else " per hour"
    each = f" for each of {count}" if count > 1 else ""
    why = (
        f"Assumed: {use.likely:g} ({use.low:g} to {use.high:g}) {_plural(price.unit)}{per}{each}, "
        f"at {price.usd:g}."
    )
    return CostLine(area=area, what=what, usd=usd, why=why, prices=(price,))


def free_line(
    area: CostArea, what: str, why: str, *, when: Literal["always", "limit"] = "always"
) -> CostLine:
    """Build a line that costs nothing, with the reason."""
    return CostLine(area=area, what=what, usd=ZERO_USD, when=when, why=why)


def unknown_line(area: CostArea, what: str) -> CostLine:
    """Build a line without a price."""
    return CostLine(
        area=area, what=what, usd=None, why="The price table has no price for this Region."
    )


def price_range(price: Price, low: float, likely: float, high: float) -> UsdRange:
    """Return the cost of an amount at a price; an estimated price makes the range wider."""
    spread = ESTIMATE_SPREAD if price.estimated else 0.0
    return UsdRange(
        low=price.usd * low * (1 - spread),
        likely=price.usd * likely,
        high=price.usd * high * (1 + spread),
    )


def _amount(count: float) -> str:
    return f"{count:g}" if count == int(count) else f"{count * HOURS_PER_MONTH:g}/{HOURS_PER_MONTH}"


def _plural(unit: str) -> str:
    return {"GiB-month": "GiB", "GB-month": "GB", "LCU-hour": "capacity units"}.get(unit, unit)
