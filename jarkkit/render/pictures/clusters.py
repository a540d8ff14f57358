"""The nodes of a cluster, and the add-ons with pods on them."""

from __future__ import annotations

from jarkkit.decisions.cluster.cluster_map import ClusterMap, MapColumn
from jarkkit.render.pictures.base import Picture, picture_of
from jarkkit.render.pictures.grid import GridCell, GridRow, grid


def cluster_map(shown: ClusterMap) -> Picture:
    """Draw a column per node (or per group of nodes if there are many) and a row per add-on, with
    the number of its pods there. Color and sign mark pods that are not ready."""
    columns, addons = shown.columns(), shown.addons()
    rows = [GridRow(a, tuple(_cell(shown, column, a) for column in columns)) for a in addons]
    return picture_of(
        grid([column.lines for column in columns], rows),
        shown.summary(),
        ("Add-on", *(", ".join(column.lines) for column in columns)),
        [(row.label, *("".join(cell.lines) or "0" for cell in row.cells)) for row in rows],
    )


def _cell(shown: ClusterMap, column: MapColumn, addon: str) -> GridCell:
    count, ready = shown.count(column, addon)
    if not count:
        return GridCell()
    if ready == count:
        return GridCell((str(count),), "green")
    return GridCell((f"{ready}/{count} !",), "vermilion")
