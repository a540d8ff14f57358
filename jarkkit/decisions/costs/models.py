"""The bill of a deployment: lines with ranges in USD per hour. Plain values that add up."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal, get_args

from jarkkit.decisions.costs.price_table import Price
from jarkkit.decisions.costs.usage_assumptions import HOURS_PER_MONTH
from jarkkit.model.records import Record

CostArea = Literal[
    "control plane",
    "core nodes",
    "CPU nodes",
    "accelerators",
    "NAT and addresses",
    "load balancers",
    "storage",
    "logs and metrics",
    "keys",
]
COST_AREAS: tuple[CostArea, ...] = get_args(CostArea)
UsageLevel = Literal["always", "use", "limit"]


class UsdRange(Record):
    """An amount in USD: minimum, likely and maximum."""

    low: float
    likely: float
    high: float

    def __add__(self, other: UsdRange) -> UsdRange:
        return UsdRange(
            low=self.low + other.low,
            likely=self.likely + other.likely,
            high=self.high + other.high,
        )

    def scaled(self, factor: float) -> UsdRange:
        """Return the amount multiplied by a number of hours, or units."""
        return UsdRange(low=self.low * factor, likely=self.likely * factor, high=self.high * factor)

    def __str__(self) -> str:
        likely = format_usd(self.likely)
        if format_usd(self.low) == likely == format_usd(self.high):
            return likely
        return f"{likely} ({format_usd(self.low)} to {format_usd(self.high)})"


ZERO_USD = UsdRange(low=0, likely=0, high=0)


class CostLine(Record):
    """One line of the bill.

    Attributes:
        what: the item, with its amount.
        usd: per hour; None if the price is unknown.
        when: `always`, from the deploy on; `use`, the extra cost while all attendees work; `limit`,
            the extra cost when Karpenter has launched everything that the limits allow.
        why: the calculation, and the origin of the range.
        prices: the prices in the calculation.
    """

    area: CostArea
    what: str
    usd: UsdRange | None
    when: UsageLevel = "always"
    why: str = ""
    prices: tuple[Price, ...] = ()

    @property
    def origin(self) -> str:
        """Source and date of the prices."""
        return "; ".join(dict.fromkeys(f"{p.source}, {p.date}" for p in self.prices))


class Bill(Record):
    """The estimated costs of a deployment.

    Attributes:
        session_hours: length of a session.
        lines: in the order of the areas.
    """

    region: str
    session_hours: float
    lines: tuple[CostLine, ...]

    @property
    def hourly(self) -> UsdRange:
        """USD per hour of what always runs."""
        return total_usd(line.usd for line in self.lines if line.when == "always")

    @property
    def limit(self) -> UsdRange:
        """USD per hour when Karpenter has launched everything that the limits allow."""
        return total_usd(line.usd for line in self.lines if line.when != "use")

    @property
    def in_use(self) -> UsdRange:
        """USD per hour while all attendees use an accelerator."""
        return total_usd(line.usd for line in self.lines if line.when != "limit")

    @property
    def session(self) -> UsdRange:
        """USD for one session without any accelerator in use."""
        return self.hourly.scaled(self.session_hours)

    @property
    def busy_session(self) -> UsdRange:
        """USD for one session in which all attendees use an accelerator all the time."""
        return self.in_use.scaled(self.session_hours)

    @property
    def monthly(self) -> UsdRange:
        """USD for a month of 730 hours."""
        return self.hourly.scaled(HOURS_PER_MONTH)

    @property
    def unknown(self) -> tuple[CostLine, ...]:
        """The lines without a price. The sums do not include them."""
        return tuple(line for line in self.lines if line.usd is None)

    @property
    def estimated(self) -> bool:
        """True if a price is estimated from another Region's price."""
        return any(price.estimated for line in self.lines for price in line.prices)

    def by_area(self, when: UsageLevel = "always") -> dict[CostArea, UsdRange]:
        """Return USD per hour by area, without areas that have no line."""
        return {
            area: total_usd(line.usd for line in lines)
            for area in COST_AREAS
            if (lines := [x for x in self.lines if x.area == area and x.when == when])
        }

    @property
    def summary(self) -> str:
        """The bill in one line."""
        if self.unknown and not self.hourly.high:
            return f"The cost is unknown: the price table has no prices for {self.region}."
        usd = f"{'At least' if self.unknown else 'About'} {self.hourly} USD per hour"
        session = f"{format_usd(self.session.likely)} USD for {self.session_hours:g} hours"
        for line in self.lines:
            if line.when == "use" and line.usd is not None:
                session += f" ({format_usd(self.busy_session.likely)} with {line.what})"
        month = f"{format_usd(self.monthly.likely)} USD per month"
        limit = f"{format_usd(self.limit.high)} USD per hour"
        return f"{usd}; {session}, {month}; at its limits up to {limit}."

    @property
    def notes(self) -> tuple[str, ...]:
        """Remarks about the figures."""
        notes = ["Not included: taxes, discounts, free tiers, data transfer to the internet."]
        if self.estimated:
            notes.insert(0, "* estimated from another Region's price, up to 30 % off.")
        if self.unknown:
            notes.insert(0, "Lines with ? have no known price. The sums do not include them.")
        dates = sorted(price.date for line in self.lines for price in line.prices)
        if dates:
            span = " to ".join(dict.fromkeys((dates[0], dates[-1])))
            notes.append(
                f"Prices of {span}; `jarkkit cost --refresh` gets current prices, `--json` shows "
                "the source of each."
            )
        return tuple(notes)

    def as_dict(self) -> dict[str, Any]:
        """Return the lines and their sums for JSON."""
        sums = ("hourly", "in_use", "session", "busy_session", "monthly", "limit")
        return {
            **self.model_dump(mode="json"),
            **{name: getattr(self, name).model_dump() for name in sums},
            "notes": list(self.notes),
        }


def total_usd(amounts: Iterable[UsdRange | None]) -> UsdRange:
    """Return the sum of the known amounts."""
    return sum((amount for amount in amounts if amount is not None), ZERO_USD)


def format_line_costs(line: CostLine) -> tuple[str, str]:
    """Return what a line costs per hour and per month, as text."""
    if line.usd is None:
        return "?", "?"
    star = " *" if any(price.estimated for price in line.prices) else ""
    return f"{line.usd}{star}", str(line.usd.scaled(HOURS_PER_MONTH))


def format_usd(usd: float) -> str:
    """Return an amount of USD as text, with its significant digits."""
    if usd >= 100:
        return f"{usd:,.0f}"
    return f"{usd:.2f}" if usd >= 0.1 or usd < 0.0001 else f"{usd:.4f}".rstrip("0")
