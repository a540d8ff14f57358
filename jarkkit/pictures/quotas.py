"""Quotas: needed, in use, in force."""

from __future__ import annotations

from matplotlib.patches import Patch

from jarkkit.pictures.base import Picture, figure_of, picture_of, tidy
from jarkkit.quotas.table import QuotaTable
from jarkkit.quotas.values import Row
from jarkkit.quotas.words import amount

_MOST_QUOTAS = 14
# A bar of what does not fit ends here, in lengths of the quota.
_WIDEST = 1.6
_QUOTA_PARTS = (
    ("#999999", "in use by others"),
    ("#009e73", "needed to begin with"),
    ("#e69f00", "needed at the limits"),
)


def quota_bars(table: QuotaTable) -> Picture:
    """The fullest quotas, each as long as the others: what others use of it, what the deployment
    needs to begin with and at its limits. What does not fit goes beyond the line."""
    known = [row for row in table.rows if row.quota is not None and row.used is not None]
    rows = sorted(known, key=lambda row: sum(_quota_parts(row)), reverse=True)[:_MOST_QUOTAS]
    figure = figure_of(height=1.2 + 0.34 * max(len(rows), 1))
    axes = figure.add_subplot()
    for y, row in enumerate(rows):
        # Of a quota of 0 everything is beyond the line.
        left = 0.0 if row.quota else 1.0
        for (colour, _), width in zip(_QUOTA_PARTS, _quota_parts(row), strict=True):
            shown = max(0.0, min(width, _WIDEST - left))
            axes.barh(y, shown, left=left, color=colour, height=0.7)
            left += shown
        axes.text(left + 0.02, y, _quota_words(row), va="center", fontsize=7)
    axes.axvline(1.0, color="black", linewidth=1)
    axes.set_xlim(0, _WIDEST + 0.45)
    axes.set_xticks([0, 0.5, 1.0], ["0", "half", "quota"], fontsize=8)
    axes.set_yticks(range(len(rows)), [_quota_name(row) for row in rows], fontsize=7)
    axes.invert_yaxis()
    tidy(axes)
    handles = [Patch(color=colour, label=word) for colour, word in _QUOTA_PARTS]
    axes.legend(handles=handles, frameon=False, fontsize=7, loc="lower right")
    short = [f"{row.name} ({row.code})" for row in table.rows if row.fits == "no"]
    return picture_of(
        figure, f"{table.summary} Too small to begin with: {', '.join(short) or 'none'}."
    )


def _quota_parts(row: Row) -> tuple[float, float, float]:
    """Shares of the quota; of a quota of 0, shares of what is needed."""
    whole = row.quota or row.most or 1.0
    others = (row.used or 0) - (row.own or 0)
    return others / whole, row.least / whole, (row.most - row.least) / whole


def _quota_words(row: Row) -> str:
    needed = amount(row.least)
    needed += f" to {amount(row.most)}" if row.most > row.least else ""
    return f"{needed} needed, {amount(row.free)} free"


def _quota_name(row: Row) -> str:
    name = row.name.replace(" (A, C, D, H, I, M, R, T, Z)", "")
    return name if len(name) <= 46 else f"{name[:45]}…"
