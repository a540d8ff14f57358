"""Regions by criteria."""

from __future__ import annotations

from matplotlib.patches import Rectangle

from jarkkit.decisions.regions import RegionComparison, table
from jarkkit.render.pictures.base import Picture, figure_of, picture_of


def region_map(comparison: RegionComparison) -> Picture:
    """Draw Regions by criteria: a color and a word per cell, the best Region on top."""
    columns = table.column_names(comparison)
    rows = [(row.region, table.cells(comparison, row)) for row in comparison.regions]
    figure = figure_of(height=0.8 + 0.36 * max(len(rows), 1))
    axes = figure.add_subplot()
    for y, (_, cells) in enumerate(rows):
        for x, cell in enumerate(cells):
            color = table.COLOR[cell.mark]
            axes.add_patch(Rectangle((x - 0.48, y - 0.45), 0.96, 0.9, color=color, alpha=0.45))
            axes.text(x, y, cell.lines, ha="center", va="center", fontsize=6.5, clip_on=True)
    axes.set_xlim(-0.5, len(columns) - 0.5)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xticks(range(len(columns)), columns, fontsize=8)
    axes.xaxis.tick_top()
    axes.set_yticks(range(len(rows)), [region for region, _ in rows], fontsize=8)
    for label in axes.get_yticklabels():
        label.set_fontweight("bold" if label.get_text() == comparison.recommended else "normal")
    axes.tick_params(length=0)
    axes.set_frame_on(False)
    return picture_of(figure, _alt_text(comparison))


def _alt_text(comparison: RegionComparison) -> str:
    will_do = ", ".join(comparison.suitable_regions()) or "none"
    count = f"{len(comparison.regions)} Region{'' if len(comparison.regions) == 1 else 's'}"
    return (
        f"Heat map of {count}. Regions that have everything the "
        f"deployment needs, the best first: {will_do}. {table.title(comparison)}"
    )
