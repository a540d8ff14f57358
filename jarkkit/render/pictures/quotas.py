"""Quotas: needed, in use, applied."""

from __future__ import annotations

from collections.abc import Iterator

from jarkkit.decisions.quotas.formatting import format_amount
from jarkkit.decisions.quotas.models import QuotaRow
from jarkkit.decisions.quotas.table import QuotaTable
from jarkkit.render.palette import HueName
from jarkkit.render.pictures.bars import Axis, Bar, Bars, Row, bar_chart
from jarkkit.render.pictures.base import Picture, picture_of

_MOST_QUOTAS = 14
# Bars that exceed the quota are cut off here, in multiples of the quota.
_WIDEST = 1.6
_PARTS: tuple[tuple[HueName, str], ...] = (
    ("gray", "in use by others"),
    ("green", "needed at the start"),
    ("orange", "needed at the limits"),
)
_AXIS = Axis(ticks=((0.0, "0"), (0.5, "half"), (1.0, "quota")), line=1.0)


def quota_bars(table: QuotaTable) -> Picture:
    """Draw the fullest quotas, all at the same length: usage by others, and what the deployment
    needs at the start and at its limits. Bars beyond the line exceed the quota."""
    known = [row for row in table.rows if row.quota is not None and row.used is not None]
    rows = sorted(known, key=lambda row: sum(_shares(row)), reverse=True)[:_MOST_QUOTAS]
    short = [f"{row.name} ({row.code})" for row in table.rows if row.fits == "no"]
    return picture_of(
        bar_chart([Bars([_row(row) for row in rows], _AXIS)], _PARTS),
        f"{table.summary} Too small for the start: {', '.join(short) or 'none'}.",
        ("Quota", "In use by others", "Needed at the start", "Needed at the limits", "Quota value"),
        [
            (
                row.name,
                format_amount(_others(row)),
                format_amount(row.least),
                format_amount(row.most),
                format_amount(row.quota),
            )
            for row in rows
        ],
    )


def _row(row: QuotaRow) -> Row:
    return Row(_name(row), tuple(_bars(row)), _words(row))


def _bars(row: QuotaRow) -> Iterator[Bar]:
    # Every need exceeds a quota of 0.
    left = 0.0 if row.quota else 1.0
    for (hue, _), share in zip(_PARTS, _shares(row), strict=True):
        shown = max(0.0, min(share, _WIDEST - left))
        if shown:
            yield Bar(left, shown, hue)
        left += shown


def _others(row: QuotaRow) -> float:
    return (row.used or 0) - (row.own or 0)


def _shares(row: QuotaRow) -> tuple[float, float, float]:
    """Return shares of the quota; for a quota of 0, shares of the need."""
    whole = row.quota or row.most or 1.0
    return _others(row) / whole, row.least / whole, (row.most - row.least) / whole


def _words(row: QuotaRow) -> str:
    needed = format_amount(row.least)
    needed += f" to {format_amount(row.most)}" if row.most > row.least else ""
    return f"{needed} needed, {format_amount(row.free)} free"


def _name(row: QuotaRow) -> str:
    return row.name.replace(" (A, C, D, H, I, M, R, T, Z)", "")
