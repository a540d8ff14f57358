"""Quotas: needed, in use, applied."""

from __future__ import annotations

from matplotlib.patches import Patch

from jarkkit.decisions.quotas.formatting import format_amount
from jarkkit.decisions.quotas.models import QuotaRow
from jarkkit.decisions.quotas.table import QuotaTable
from jarkkit.render.pictures.base import Picture, figure_of, picture_of, tidy

_MOST_QUOTAS = 14
# Bars that exceed the quota are cut off here, in multiples of the quota.
_WIDEST = 1.6
_QUOTA_PARTS = (
    ("#999999", "in use by others"),
    ("#009e73", "needed at the start"),
    ("#e69f00", "needed at the limits"),
)


def quota_bars(table: QuotaTable) -> Picture:
    """Draw the fullest quotas, all at the same length: usage by others, and what the deployment
    needs at the start and at its limits. Bars beyond the line exceed the quota."""
    known = [row for row in table.rows if row.quota is not None and row.used is not None]
    rows = sorted(known, key=lambda row: sum(_quota_parts(row)), reverse=True)[:_MOST_QUOTAS]
    figure = figure_of(height=1.2 + 0.34 * max(len(rows), 1))
    axes = figure.add_subplot()
    for y, row in enumerate(rows):
        # Every need exceeds a quota of 0.
        left = 0.0 if row.quota else 1.0
        for (color, _), width in zip(_QUOTA_PARTS, _quota_parts(row), strict=True):
            shown = max(0.0, min(width, _WIDEST - left))
            axes.barh(y, shown, left=left, color=color, height=0.7)
            left += shown
        axes.text(left + 0.02, y, _quota_words(row), va="center", fontsize=7)
    axes.axvline(1.0, color="black", linewidth=1)
    axes.set_xlim(0, _WIDEST + 0.45)
    axes.set_xticks([0, 0.5, 1.0], ["0", "half", "quota"], fontsize=8)
    axes.set_yticks(range(len(rows)), [_quota_name(row) for row in rows], fontsize=7)
    axes.invert_yaxis()
    tidy(axes)
    handles = [Patch(color=color, label=word) for color, word in _QUOTA_PARTS]
    axes.legend(handles=handles, frameon=False, fontsize=7, loc="lower right")
    short = [f"{row.name} ({row.code})" for row in table.rows if row.fits == "no"]
    return picture_of(
        figure, f"{table.summary} Too small for the start: {', '.join(short) or 'none'}."
    )


def _quota_parts(row: QuotaRow) -> tuple[float, float, float]:
    """Return shares of the quota; for a quota of 0, shares of the need."""
    whole = row.quota or row.most or 1.0
    others = (row.used or 0) - (row.own or 0)
    return others / whole, row.least / whole, (row.most - row.least) / whole


def _quota_words(row: QuotaRow) -> str:
    needed = format_amount(row.least)
    needed += f" to {format_amount(row.most)}" if row.most > row.least else ""
    return f"{needed} needed, {format_amount(row.free)} free"


def _quota_name(row: QuotaRow) -> str:
    name = row.name.replace(" (A, C, D, H, I, M, R, T, Z)", "")
    return name if len(name) <= 46 else f"{name[:45]}…"
