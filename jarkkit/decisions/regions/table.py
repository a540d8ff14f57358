"""The comparison as a table: the same cells for the text, the HTML and the picture."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple

from jarkkit.decisions.regions.models import (
    Headroom,
    InstanceSupply,
    RegionComparison,
    RegionResult,
)

Mark = Literal["good", "fair", "poor", "unknown", "skip"]

SYMBOL: dict[Mark, str] = {"good": "✔", "fair": "!", "poor": "✘", "unknown": "?", "skip": "-"}
# Ratio to the lowest price, up to which a price is good, and fair.
_PRICE_RATIOS = (1.1, 1.3)
# Round-trip time in milliseconds, up to which a notebook feels responsive, and is usable.
_LATENCIES_MS = (100.0, 250.0)


class Cell(NamedTuple):
    """One cell of the table: one criterion of one Region."""

    mark: Mark
    label: str = ""
    more: str = ""

    @property
    def text(self) -> str:
        """The cell with its symbol, in one line."""
        return " ".join(filter(None, (SYMBOL[self.mark], self.label, self.more)))

    @property
    def lines(self) -> str:
        """The cell with its symbol, in two lines."""
        return f"{Cell(self.mark, self.label).text}\n{self.more}".rstrip()


def column_names(comparison: RegionComparison) -> tuple[str, ...]:
    """Return the names of the columns, one for each cell of a row."""
    wanted = next((row.supplies for row in comparison.regions if row.supplies), ())
    names = tuple(supply.wanted for supply in wanted)
    signals = ("capacity",) if any(row.signals for row in comparison.regions) else ()
    return ("Kubernetes", "zones", *names, "quota", *signals, "USD/h", "latency")


def cells(comparison: RegionComparison, row: RegionResult) -> tuple[Cell, ...]:
    """Return the cells of one Region, in the order of the columns."""
    columns = column_names(comparison)
    if not row.eks:
        return (Cell("poor", "no EKS"), *[Cell("skip")] * (len(columns) - 1))
    supplies = {supply.wanted: supply for supply in row.supplies or ()}
    by_name = {
        "Kubernetes": _version(comparison, row),
        "zones": _zones(comparison, row),
        "quota": _quota(row),
        "capacity": _capacity(row),
        "USD/h": _price(comparison, row),
        "latency": _latency(row),
    }
    return tuple(
        by_name[name] if name in by_name else _supply(supplies.get(name)) for name in columns
    )


def _version(comparison: RegionComparison, row: RegionResult) -> Cell:
    if row.version is None:
        return Cell("unknown")
    if row.version == "no":
        return Cell("poor", f"no {comparison.version}")
    extended = row.version == "extended"
    return (
        Cell("fair", f"{comparison.version} ext.") if extended else Cell("good", comparison.version)
    )


def _zones(comparison: RegionComparison, row: RegionResult) -> Cell:
    if row.zones is None:
        return Cell("unknown")
    return Cell("good" if len(row.zones) >= comparison.az_count else "poor", str(len(row.zones)))


def _supply(supply: InstanceSupply | None) -> Cell:
    if supply is None:
        return Cell("unknown")
    if not supply.zones:
        return Cell("poor", "not offered")
    prices = "/".join(
        "?" if usd is None else f"{usd:.2f}" for usd in (supply.on_demand_usd, supply.spot_usd)
    )
    count = len(supply.zones)
    return Cell("good", f"{count} zone{'s' if count > 1 else ''}", prices)


def _quota(row: RegionResult) -> Cell:
    short = [each for each in row.headroom if each.enough is False]
    if short:
        least = short[0]
        return Cell("poor", f"{least.free:g} of {least.need:g}", _family(least))
    free = [f"{each.free:g} {_family(each)}" for each in row.headroom if each.free is not None]
    if not row.has_enough_quota:
        return Cell("unknown", *free[:1])
    comma = "," if len(free) > 1 else ""
    return Cell("good", f"{free[0]}{comma}", ", ".join(free[1:]))


def _family(headroom: Headroom) -> str:
    return headroom.name.removesuffix(" On-Demand")


def _capacity(row: RegionResult) -> Cell:
    if not row.signals:
        return Cell("skip")
    answers = {signal.good for signal in row.signals}
    mark: Mark = "fair" if False in answers else "unknown" if None in answers else "good"
    return Cell(mark, "; ".join(signal.evidence for signal in row.signals))


def _price(comparison: RegionComparison, row: RegionResult) -> Cell:
    known = [r.usd_per_hour for r in comparison.regions if r.usd_per_hour is not None]
    if row.usd_per_hour is None:
        return Cell("unknown")
    about = "≈" if row.estimated else ""
    price = f"{about}{row.usd_per_hour:.2f}"
    return Cell(_graded(row.usd_per_hour / min(known), _PRICE_RATIOS), price)


def _latency(row: RegionResult) -> Cell:
    if row.latency_ms is None:
        return Cell("unknown")
    return Cell(_graded(row.latency_ms, _LATENCIES_MS), f"{row.latency_ms:.0f} ms")


def _graded(figure: float, limits: tuple[float, float]) -> Mark:
    return "good" if figure <= limits[0] else "fair" if figure <= limits[1] else "poor"


# -- sentences -------------------------------------------------------------------------------------


def title(comparison: RegionComparison) -> str:
    """Return the recommendation in one line, with its reason."""
    return (
        f"Recommended: {comparison.recommended}. {comparison.reason}"
        if comparison.best
        else comparison.reason
    )


def notes(comparison: RegionComparison) -> list[str]:
    """Return the legend of the table, and what is unknown."""
    lines = [
        "zones: zones that EKS accepts. Instance type or family: zones that offer it, then USD per",
        "  hour of its smallest type, On-Demand/Spot now. quota: free vCPUs, On-Demand except as",
        "  noted. USD/h: the idle deployment (≈: partly estimated).",
        "  latency: one round trip from here to the Region's endpoint.",
    ]
    lines += comparison.notes
    lines += [f"? {line}" for line in _unknowns(comparison.regions)]
    return lines


def _unknowns(rows: Iterable[RegionResult]) -> list[str]:
    """Return each reason once, with its Regions."""
    regions: dict[str, list[str]] = {}
    for row in rows:
        for reason in row.not_known:
            regions.setdefault(reason, []).append(row.region)
    return [f"{', '.join(names)}: {reason}" for reason, names in regions.items()]
