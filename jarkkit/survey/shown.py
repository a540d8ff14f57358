"""The survey as a table: the same cells as text, as HTML and in the picture."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from jarkkit.survey.values import Headroom, Supply, Survey, Surveyed

Mark = Literal["good", "fair", "poor", "unknown", "skip"]

# Colours of the Okabe-Ito palette: told apart with any colour vision; the symbol says it too.
SYMBOL: dict[Mark, str] = {"good": "✔", "fair": "!", "poor": "✘", "unknown": "?", "skip": "-"}
COLOUR: dict[Mark, str] = {
    "good": "#009e73",
    "fair": "#e69f00",
    "poor": "#d55e00",
    "unknown": "#999999",
    "skip": "#eeeeee",
}
# So much dearer than the cheapest is still good, and still fair.
_DEARER = (1.1, 1.3)
# A notebook still feels near, and still usable, at so many milliseconds for a round trip.
_FAR_MS = (100.0, 250.0)


class Cell(NamedTuple):
    """One answer of one Region."""

    mark: Mark
    said: str = ""
    more: str = ""

    @property
    def text(self) -> str:
        """With its symbol, in one line."""
        return " ".join(filter(None, (SYMBOL[self.mark], self.said, self.more)))

    @property
    def lines(self) -> str:
        """The same, for where there is room for two lines."""
        return f"{Cell(self.mark, self.said).text}\n{self.more}".rstrip()


def criteria(survey: Survey) -> tuple[str, ...]:
    """The columns: a word for each cell of a row."""
    wanted = next((row.supplies for row in survey.regions if row.supplies), ())
    names = tuple(supply.wanted for supply in wanted)
    signals = ("capacity",) if any(row.signals for row in survey.regions) else ()
    return ("Kubernetes", "zones", *names, "quota", *signals, "USD/h", "latency")


def cells(survey: Survey, row: Surveyed) -> tuple[Cell, ...]:
    """One Region's answers, in the order of `criteria`."""
    columns = criteria(survey)
    if not row.eks:
        return (Cell("poor", "no EKS"), *[Cell("skip")] * (len(columns) - 1))
    supplies = {supply.wanted: supply for supply in row.supplies or ()}
    by_name = {
        "Kubernetes": _version(survey, row),
        "zones": _zones(survey, row),
        "quota": _quota(row),
        "capacity": _capacity(row),
        "USD/h": _price(survey, row),
        "latency": _latency(row),
    }
    return tuple(
        by_name[name] if name in by_name else _supply(supplies.get(name)) for name in columns
    )


def _version(survey: Survey, row: Surveyed) -> Cell:
    if row.version is None:
        return Cell("unknown")
    if row.version == "no":
        return Cell("poor", f"no {survey.version}")
    extended = row.version == "extended"
    return Cell("fair", f"{survey.version} ext.") if extended else Cell("good", survey.version)


def _zones(survey: Survey, row: Surveyed) -> Cell:
    if row.zones is None:
        return Cell("unknown")
    return Cell("good" if len(row.zones) >= survey.az_count else "poor", str(len(row.zones)))


def _supply(supply: Supply | None) -> Cell:
    if supply is None:
        return Cell("unknown")
    if not supply.zones:
        return Cell("poor", "nowhere")
    prices = "/".join(
        "?" if usd is None else f"{usd:.2f}" for usd in (supply.on_demand_usd, supply.spot_usd)
    )
    count = len(supply.zones)
    return Cell("good", f"{count} zone{'s' if count > 1 else ''}", prices)


def _quota(row: Surveyed) -> Cell:
    short = [room for room in row.headroom if room.enough is False]
    if short:
        least = short[0]
        return Cell("poor", f"{least.free:g} of {least.need:g}", _whose(least))
    free = [f"{room.free:g} {_whose(room)}" for room in row.headroom if room.free is not None]
    if not row.enough_quota:
        return Cell("unknown", *free[:1])
    comma = "," if len(free) > 1 else ""
    return Cell("good", f"{free[0]}{comma}", ", ".join(free[1:]))


def _whose(room: Headroom) -> str:
    return room.name.removesuffix(" On-Demand")


def _capacity(row: Surveyed) -> Cell:
    if not row.signals:
        return Cell("skip")
    answers = {signal.good for signal in row.signals}
    mark: Mark = "fair" if False in answers else "unknown" if None in answers else "good"
    return Cell(mark, "; ".join(signal.said for signal in row.signals))


def _price(survey: Survey, row: Surveyed) -> Cell:
    known = [r.usd_per_hour for r in survey.regions if r.usd_per_hour is not None]
    if row.usd_per_hour is None:
        return Cell("unknown")
    about = "≈" if row.estimated else ""
    said = f"{about}{row.usd_per_hour:.2f}"
    return Cell(_graded(row.usd_per_hour / min(known), _DEARER), said)


def _latency(row: Surveyed) -> Cell:
    if row.latency_ms is None:
        return Cell("unknown")
    return Cell(_graded(row.latency_ms, _FAR_MS), f"{row.latency_ms:.0f} ms")


def _graded(figure: float, limits: tuple[float, float]) -> Mark:
    return "good" if figure <= limits[0] else "fair" if figure <= limits[1] else "poor"


# -- for people ------------------------------------------------------------------------------------


def title(survey: Survey) -> str:
    """The recommendation in one line, with its reason."""
    return f"Recommended: {survey.recommended}. {survey.reason}" if survey.best else survey.reason


def text(survey: Survey) -> str:
    """For a terminal."""
    head = ("", "Region", *criteria(survey))
    body = [
        (_star(survey, row), row.region, *(cell.text for cell in cells(survey, row)))
        for row in survey.regions
    ]
    return "\n".join([title(survey), *_columns([head, *body]), *notes(survey)])


def notes(survey: Survey) -> list[str]:
    """What the table stands for, and what could not be known."""
    said = [
        "zones: those that EKS accepts. Below a type or family: zones that offer it, then USD per",
        "  hour of its smallest type, On-Demand/Spot now. quota: free vCPUs, On-Demand if nothing",
        "  else is said. USD/h: the deployment while nobody uses it (≈: partly estimated).",
        "  latency: one round trip from here to the Region's endpoint.",
    ]
    said += survey.notes
    said += [f"? {line}" for line in _unknowns(survey.regions)]
    return said


def _unknowns(rows: Iterable[Surveyed]) -> list[str]:
    """Each reason once, with the Regions that it is about."""
    regions: dict[str, list[str]] = {}
    for row in rows:
        for reason in row.not_known:
            regions.setdefault(reason, []).append(row.region)
    return [f"{', '.join(names)}: {reason}" for reason, names in regions.items()]


def _star(survey: Survey, row: Surveyed) -> str:
    return "➤" if row.region == survey.recommended else " "


def _columns(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def html(survey: Survey) -> str:
    """For a notebook."""
    words = ("Region", *criteria(survey))
    head = "".join(f'<th scope="col" style="text-align:left">{escape(w)}</th>' for w in words)
    rows = "".join(_html_row(survey, row) for row in survey.regions)
    said = "".join(f"<br>{escape(note.strip())}" for note in notes(survey))
    return (
        f"<p><strong>{escape(title(survey))}</strong></p>"
        f'<table class="jarkkit-survey"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>'
        f"<p><small>{said.removeprefix('<br>')}</small></p>"
    )


def _html_row(survey: Survey, row: Surveyed) -> str:
    weight = "bold" if row.region == survey.recommended else "normal"
    name = f'<th scope="row" style="text-align:left;font-weight:{weight}">{escape(row.region)}</th>'
    answers = "".join(
        f'<td style="text-align:left" title="{cell.mark}">'
        f'<span style="color:{COLOUR[cell.mark]};font-weight:bold">{SYMBOL[cell.mark]}</span> '
        f"{escape(f'{cell.said} {cell.more}'.rstrip())}</td>"
        for cell in cells(survey, row)
    )
    return f"<tr>{name}{answers}</tr>"
