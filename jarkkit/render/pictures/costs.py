"""The costs of a deployment, by area."""

from __future__ import annotations

from collections.abc import Mapping

from jarkkit.decisions.costs.models import Bill, CostArea, UsdRange, format_usd
from jarkkit.render.palette import HueName
from jarkkit.render.pictures.bars import Axis, Bar, Bars, Row, bar_chart
from jarkkit.render.pictures.base import Picture, picture_of

_ALWAYS, _LIMIT = "always running", "extra at the limits"


def cost_split(bill: Bill) -> Picture:
    """Draw the hourly cost by area: the base cost, and below it the extra cost when Karpenter has
    launched everything that the limits allow. Whiskers show the range."""
    always, limit = bill.by_area(), bill.by_area("limit")
    blocks = [_block(_ALWAYS, always, "green")]
    blocks += [_block(_LIMIT, limit, "orange")] if limit else []
    summary = ", ".join(f"{area} {format_usd(usd.likely)}" for area, usd in always.items())
    return picture_of(
        bar_chart(blocks),
        f"{bill.summary} By area, in USD per hour: {summary}. At the limits at most "
        f"{format_usd(bill.limit.high)} USD per hour.",
        ("Area", "When", "USD per hour"),
        [
            (area, when, str(usd))
            for when, amounts in ((_ALWAYS, always), (_LIMIT, limit))
            for area, usd in amounts.items()
        ],
    )


def _block(title: str, amounts: Mapping[CostArea, UsdRange], hue: HueName) -> Bars:
    rows = [
        Row(area, (Bar(0, usd.likely, hue),), str(usd), whisker=(usd.low, usd.high))
        for area, usd in amounts.items()
    ]
    return Bars(rows, Axis("USD per hour"), title)
