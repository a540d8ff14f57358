"""The costs of a deployment, by area."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from matplotlib.axes import Axes

from jarkkit.decisions.costs.models import Bill, UsdRange, format_usd
from jarkkit.render.pictures.base import COLOR, Picture, figure_of, picture_of, tidy


def cost_split(bill: Bill) -> Picture:
    """Draw the hourly cost by area: the base cost, and below it the extra cost when Karpenter has
    launched everything that the limits allow. Whiskers show the range."""
    always, limit = bill.by_area(), bill.by_area("limit")
    parts = [("always running", always, COLOR["create"])]
    parts += [("extra at the limits", limit, COLOR["update"])] if limit else []
    figure = figure_of(height=1.6 + 0.36 * (len(always) + len(limit)))
    ratios = [len(amounts) for _, amounts, _ in parts]
    rows = figure.subplots(len(parts), 1, height_ratios=ratios, squeeze=False)[:, 0]
    for axes, (title, amounts, color) in zip(rows, parts, strict=True):
        _amounts(axes, amounts, color, title)
    rows[-1].set_xlabel("USD per hour")
    summary = ", ".join(f"{area} {format_usd(usd.likely)}" for area, usd in always.items())
    return picture_of(
        figure,
        f"{bill.summary} By area, in USD per hour: {summary}. At the limits at most "
        f"{format_usd(bill.limit.high)} USD per hour.",
    )


def _amounts(axes: Axes, amounts: Mapping[Any, UsdRange], color: str, title: str) -> None:
    for row, usd in enumerate(amounts.values()):
        whiskers = [[usd.likely - usd.low], [usd.high - usd.likely]]
        axes.barh(row, usd.likely, color=color, height=0.7, xerr=whiskers, ecolor="#000000")
        axes.text(usd.high, row, f"  {usd}", va="center", fontsize=8)
    axes.set_yticks(range(len(amounts)), list(amounts), fontsize=8)
    axes.invert_yaxis()
    axes.set_title(title, fontsize=9, loc="left")
    axes.set_xlim(left=0)
    tidy(axes)
