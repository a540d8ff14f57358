"""What a deployment costs, by area."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from matplotlib.axes import Axes

from jarkkit.costs.bill import Bill, Range, money
from jarkkit.pictures.base import COLOUR, Picture, figure_of, picture_of, tidy


def cost_split(bill: Bill) -> Picture:
    """What a deployment costs an hour, by area: what is always there, and below it what comes on
    top when Karpenter has launched all that it may. Whiskers are the range."""
    always, limit = bill.by_area(), bill.by_area("limit")
    parts = [("always there", always, COLOUR["create"])]
    parts += [("on top at the limits", limit, COLOUR["update"])] if limit else []
    figure = figure_of(height=1.6 + 0.36 * (len(always) + len(limit)))
    ratios = [len(amounts) for _, amounts, _ in parts]
    rows = figure.subplots(len(parts), 1, height_ratios=ratios, squeeze=False)[:, 0]
    for axes, (title, amounts, colour) in zip(rows, parts, strict=True):
        _amounts(axes, amounts, colour, title)
    rows[-1].set_xlabel("USD per hour")
    said = ", ".join(f"{area} {money(usd.likely)}" for area, usd in always.items())
    return picture_of(
        figure,
        f"{bill.summary} By area, in USD per hour: {said}. At the limits at most "
        f"{money(bill.limit.high)} USD per hour.",
    )


def _amounts(axes: Axes, amounts: Mapping[Any, Range], colour: str, title: str) -> None:
    for row, usd in enumerate(amounts.values()):
        whiskers = [[usd.likely - usd.low], [usd.high - usd.likely]]
        axes.barh(row, usd.likely, color=colour, height=0.7, xerr=whiskers, ecolor="#000000")
        axes.text(usd.high, row, f"  {usd}", va="center", fontsize=8)
    axes.set_yticks(range(len(amounts)), list(amounts), fontsize=8)
    axes.invert_yaxis()
    axes.set_title(title, fontsize=9, loc="left")
    axes.set_xlim(left=0)
    tidy(axes)
