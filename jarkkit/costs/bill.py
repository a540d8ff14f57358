"""A bill: what a deployment costs an hour, in lines, with ranges. Plain values that add up."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal, get_args

from jarkkit.costs.amounts import HOURS_PER_MONTH
from jarkkit.costs.table import Price
from jarkkit.records import Record
from jarkkit.tables import Told, html_table

Area = Literal[
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
AREAS: tuple[Area, ...] = get_args(Area)
When = Literal["always", "use", "limit"]
_MARK: dict[When, str] = {"always": " ", "use": "~", "limit": "+"}
_SAID: dict[When, str] = {"always": "", "use": " (in use)", "limit": " (at the limits)"}


class Range(Record):
    """USD: at least, likely, at most."""

    low: float
    likely: float
    high: float

    def __add__(self, other: Range) -> Range:
        return Range(
            low=self.low + other.low,
            likely=self.likely + other.likely,
            high=self.high + other.high,
        )

    def times(self, factor: float) -> Range:
        """The same for so many hours, or pieces."""
        return Range(low=self.low * factor, likely=self.likely * factor, high=self.high * factor)

    def __str__(self) -> str:
        likely = money(self.likely)
        if money(self.low) == likely == money(self.high):
            return likely
        return f"{likely} ({money(self.low)} to {money(self.high)})"


NOTHING = Range(low=0, likely=0, high=0)


class Line(Record):
    """One thing that costs.

    Attributes:
        what: with its amount.
        usd: per hour; None where the price is not known.
        when: `always`, as soon as it is deployed; `use`, what comes on top while everybody works;
            `limit`, what comes on top when Karpenter has launched all that it may.
        why: how it was worked out, and where the range is from.
        prices: the figures that it was made of.
    """

    area: Area
    what: str
    usd: Range | None
    when: When = "always"
    why: str = ""
    prices: tuple[Price, ...] = ()

    @property
    def origin(self) -> str:
        """Where the figures are from and of which day."""
        return "; ".join(dict.fromkeys(f"{p.source}, {p.date}" for p in self.prices))


class Bill(Told, Record):
    """What a deployment costs, before there is one.

    Attributes:
        session_hours: how long a session is.
        lines: in the order of `AREAS`.
    """

    region: str
    session_hours: float
    lines: tuple[Line, ...]

    @property
    def hourly(self) -> Range:
        """USD per hour with nothing running but what is always there."""
        return total(line.usd for line in self.lines if line.when == "always")

    @property
    def limit(self) -> Range:
        """USD per hour when Karpenter has launched all that the settings allow."""
        return total(line.usd for line in self.lines if line.when != "use")

    @property
    def in_use(self) -> Range:
        """USD per hour while everybody has an accelerator."""
        return total(line.usd for line in self.lines if line.when != "limit")

    @property
    def session(self) -> Range:
        """USD for one session in which nobody uses an accelerator."""
        return self.hourly.times(self.session_hours)

    @property
    def busy_session(self) -> Range:
        """USD for one session in which everybody has an accelerator all the time."""
        return self.in_use.times(self.session_hours)

    @property
    def monthly(self) -> Range:
        """USD for a month of 730 hours."""
        return self.hourly.times(HOURS_PER_MONTH)

    @property
    def unknown(self) -> tuple[Line, ...]:
        """The lines without a price; they are in no sum."""
        return tuple(line for line in self.lines if line.usd is None)

    @property
    def estimated(self) -> bool:
        """True when a figure is derived from another Region's."""
        return any(price.estimated for line in self.lines for price in line.prices)

    def by_area(self, when: When = "always") -> dict[Area, Range]:
        """USD per hour by area, areas without a line left out."""
        return {
            area: total(line.usd for line in lines)
            for area in AREAS
            if (lines := [x for x in self.lines if x.area == area and x.when == when])
        }

    @property
    def summary(self) -> str:
        """The bill in one line."""
        if self.unknown and not self.hourly.high:
            return f"What it costs is not known: there are no prices for {self.region} here."
        usd = f"{'At least' if self.unknown else 'About'} {self.hourly} USD per hour"
        session = f"{money(self.session.likely)} for {self.session_hours:g} hours"
        for line in self.lines:
            if line.when == "use" and line.usd is not None:
                session += f" ({money(self.busy_session.likely)} with {line.what})"
        month = f"{money(self.monthly.likely)} for a month"
        return f"{usd}; {session}, {month}; at its limits up to {money(self.limit.high)} per hour."

    @property
    def notes(self) -> tuple[str, ...]:
        """What one should know of the figures."""
        said = ["Taxes, discounts, free tiers and data transfer to the internet are not in it."]
        if self.estimated:
            said.insert(0, "* estimated from another Region's price, up to 30 % off.")
        if self.unknown:
            said.insert(0, "Lines with ? have no known price and are in no sum.")
        dates = sorted(price.date for line in self.lines for price in line.prices)
        if dates:
            span = " to ".join(dict.fromkeys((dates[0], dates[-1])))
            said.append(
                f"Prices of {span}; `jarkkit cost --refresh` asks for today's, `--json` gives the "
                "source of each."
            )
        return tuple(said)

    def as_dict(self) -> dict[str, Any]:
        """For JSON: the lines and what they add up to."""
        sums = ("hourly", "in_use", "session", "busy_session", "monthly", "limit")
        return {
            **self.model_dump(mode="json"),
            **{name: getattr(self, name).model_dump() for name in sums},
            "notes": list(self.notes),
        }

    def text(self) -> str:
        """For a terminal."""
        rows = [
            f"  {_MARK[line.when]} {line.area:18} {amounts_of(line)[0]:>24}  {line.what}"
            for line in self.lines
        ]
        marks = "USD per hour; ~ comes on top while it is used, + at the limits:"
        head = (self.summary, marks)
        return "\n".join([*head, *rows, *self.notes])

    def _repr_html_(self) -> str:
        heads = ("Area", "What", "USD per hour", "USD per month", "How it was worked out", "Source")
        rows = [
            (
                f"{line.area}{_SAID[line.when]}",
                line.what,
                *amounts_of(line),
                line.why,
                line.origin,
            )
            for line in self.lines
        ]
        return html_table(heads, rows, title=self.summary, notes=self.notes)


def total(amounts: Iterable[Range | None]) -> Range:
    """The sum, without what is not known."""
    return sum((amount for amount in amounts if amount is not None), NOTHING)


def amounts_of(line: Line) -> tuple[str, str]:
    """What a line costs an hour and a month, for people."""
    if line.usd is None:
        return "?", "?"
    star = " *" if any(price.estimated for price in line.prices) else ""
    return f"{line.usd}{star}", str(line.usd.times(HOURS_PER_MONTH))


def money(usd: float) -> str:
    """An amount of USD with as many digits as say something."""
    if usd >= 100:
        return f"{usd:,.0f}"
    return f"{usd:.2f}" if usd >= 0.1 or usd < 0.0001 else f"{usd:.4f}".rstrip("0")
