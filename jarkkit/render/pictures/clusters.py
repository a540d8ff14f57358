"""The nodes of a cluster, and the add-ons with pods on them."""

from __future__ import annotations

from matplotlib.axes import Axes

from jarkkit.decisions.cluster.cluster_map import ClusterMap, MapColumn
from jarkkit.render.pictures.base import COLOR, Picture, figure_of, picture_of

_READY, _NOT_READY = COLOR["create"], COLOR["failed"]


def cluster_map(shown: ClusterMap) -> Picture:
    """Draw a column per node (or per group of nodes if there are many) and a row per add-on, with
    the number of its pods there. Color and sign mark pods that are not ready."""
    columns, addons = shown.columns(), shown.addons()
    figure = figure_of(height=1.4 + 0.26 * max(len(addons), 1))
    axes = figure.add_subplot()
    for x, column in enumerate(columns):
        _head(axes, x, column)
        for y, addon in enumerate(addons):
            count, ready = shown.count(column, addon)
            if count:
                color = _READY if ready == count else _NOT_READY
                words = str(count) if ready == count else f"{ready}/{count} !"
                axes.barh(y, 0.8, left=x - 0.4, height=0.76, color=color, alpha=0.45)
                axes.text(x, y, words, ha="center", va="center", fontsize=8)
    axes.set_xlim(-0.5, max(len(columns), 1) - 0.5)
    axes.set_ylim(max(len(addons), 1) - 0.5, -0.5)
    axes.set_xticks([])
    axes.set_yticks(range(len(addons)), list(addons), fontsize=8)
    axes.tick_params(length=0)
    axes.set_frame_on(False)
    return picture_of(figure, shown.summary())


def _head(axes: Axes, x: int, column: MapColumn) -> None:
    color = _READY if column.ready else _NOT_READY
    axes.axvspan(x - 0.46, x + 0.46, color="#999999", alpha=0.12)
    axes.text(
        x,
        1.01,
        "\n".join(column.lines),
        transform=axes.get_xaxis_transform(),
        ha="center",
        va="bottom",
        fontsize=7,
        color="black" if column.ready else color,
    )
