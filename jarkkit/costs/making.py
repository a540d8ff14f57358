"""Lines of a bill from amounts and prices. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from jarkkit.costs.amounts import HOURS_PER_MONTH, Use
from jarkkit.costs.bill import NOTHING, Area, Line, Range, total
from jarkkit.costs.table import ESTIMATE_SPREAD, Price


def fixed(area: Area, what: str, parts: Iterable[tuple[float, Price | None]]) -> Line:
    """A line whose amount is known: so many of each price."""
    parts = list(parts)
    prices = tuple(price for _, price in parts if price is not None)
    if len(prices) < len(parts):
        return unknown(area, what)
    whole = total(priced(price, count, count, count) for count, price in parts if price)
    why = " + ".join(f"{_amount(n)} x {p.usd:g} per {p.unit}" for n, p in parts if p)
    return Line(area=area, what=what, usd=whole, why=why, prices=prices)


def used(
    area: Area,
    what: str,
    use: Use,
    price: Price | None,
    count: int = 1,
    *,
    month: bool = False,
) -> Line:
    """A line whose amount depends on use."""
    if price is None:
        return unknown(area, what)
    share = count / (HOURS_PER_MONTH if month else 1)
    usd = priced(price, use.low * share, use.likely * share, use.high * share)
    per = "" if month else " an hour"
    each = f" for each of {count}" if count > 1 else ""
    why = (
        f"Assumed: {use.likely:g} ({use.low:g} to {use.high:g}) {_plural(price.unit)}{per}{each}, "
        f"at {price.usd:g}."
    )
    return Line(area=area, what=what, usd=usd, why=why, prices=(price,))


def nothing(
    area: Area, what: str, why: str, *, when: Literal["always", "limit"] = "always"
) -> Line:
    """A line that costs nothing, and why."""
    return Line(area=area, what=what, usd=NOTHING, when=when, why=why)


def unknown(area: Area, what: str) -> Line:
    """A line without a price."""
    return Line(area=area, what=what, usd=None, why="The price in this Region is not known here.")


def priced(price: Price, low: float, likely: float, high: float) -> Range:
    """So much at that price; an estimated price makes the range wider."""
    spread = ESTIMATE_SPREAD if price.estimated else 0.0
    return Range(
        low=price.usd * low * (1 - spread),
        likely=price.usd * likely,
        high=price.usd * high * (1 + spread),
    )


def _amount(count: float) -> str:
    return f"{count:g}" if count == int(count) else f"{count * HOURS_PER_MONTH:g}/{HOURS_PER_MONTH}"


def _plural(unit: str) -> str:
    return {"GiB-month": "GiB", "GB-month": "GB", "LCU-hour": "capacity units"}.get(unit, unit)
