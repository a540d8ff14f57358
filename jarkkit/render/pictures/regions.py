"""Regions by criteria."""

from __future__ import annotations

from jarkkit.decisions.regions import RegionComparison, table
from jarkkit.render.palette import MARK_HUE
from jarkkit.render.pictures.base import Picture, picture_of
from jarkkit.render.pictures.grid import GridCell, GridRow, grid


def region_map(comparison: RegionComparison) -> Picture:
    """Draw Regions by criteria: a color and a word per cell, the best Region on top."""
    columns = table.column_names(comparison)
    by_region = [(row.region, table.cells(comparison, row)) for row in comparison.regions]
    rows = [
        GridRow(region, tuple(map(_cell, cells)), bold=region == comparison.recommended)
        for region, cells in by_region
    ]
    return picture_of(
        grid([(name,) for name in columns], rows),
        _caption(comparison),
        ("Region", *columns),
        [(region, *(cell.text for cell in cells)) for region, cells in by_region],
    )


def _cell(cell: table.Cell) -> GridCell:
    return GridCell(tuple(cell.lines.splitlines()), MARK_HUE[cell.mark])


def _caption(comparison: RegionComparison) -> str:
    will_do = ", ".join(comparison.suitable_regions()) or "none"
    count = f"{len(comparison.regions)} Region{'' if len(comparison.regions) == 1 else 's'}"
    return (
        f"Heat map of {count}. Regions that have everything the "
        f"deployment needs, the best first: {will_do}. {table.title(comparison)}"
    )
