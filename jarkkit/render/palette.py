"""The colors of all displays, on light and dark pages.

A color is a mixture of a hue and the color of the text around it. So it gets darker on a light page
and lighter on a dark one, in every front end: JupyterLab, VS Code and static pages have no common
way to say which theme they use, but all of them set the color of the text. A front end that does
not know `color-mix` (browsers before 2023) or removes styles shows the color of the text.

The hues are the Okabe-Ito palette, distinguishable with any color vision. A color is never the only
sign. The mixtures have the contrast that WCAG 2.2 demands for text (4.5:1) and for shapes (3:1);
`tests/unit/test_palette.py` computes it.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from jarkkit.decisions.regions.table import Mark
from jarkkit.model.checks import Status
from jarkkit.model.records import Action


class Hue(NamedTuple):
    """A hue, and how much of it text keeps.

    Attributes:
        rgb: `#rrggbb`.
        percent: of the hue in the color of text; the rest is the color of the text around it.
    """

    rgb: str
    percent: int


HueName = Literal["green", "orange", "vermilion", "blue", "purple", "gray"]

HUES: dict[HueName, Hue] = {
    "green": Hue("#009e73", 80),
    "orange": Hue("#e69f00", 60),
    "vermilion": Hue("#d55e00", 85),
    "blue": Hue("#56b4e9", 60),
    "purple": Hue("#cc79a7", 70),
    "gray": Hue("#999999", 70),
}
# Percent of the hue in a shape, and in an area behind text.
SHAPE_PERCENT = 80
TINT_PERCENT = 30

STATUS_HUE: dict[Status, HueName] = {
    "pass": "green",
    "warn": "orange",
    "fail": "vermilion",
    "unknown": "blue",
    "skip": "gray",
}
MARK_HUE: dict[Mark, HueName] = {
    "good": "green",
    "fair": "orange",
    "poor": "vermilion",
    "unknown": "blue",
    "skip": "gray",
}
ACTION_HUE: dict[Action | Literal["failed"], HueName] = {
    "create": "green",
    "import": "blue",
    "update": "orange",
    "replace": "purple",
    "delete": "vermilion",
    "failed": "vermilion",
}


def text_color(hue: HueName) -> str:
    """Return the CSS color of text, and of lines beside it."""
    rgb, percent = HUES[hue]
    return f"color-mix(in srgb, {rgb} {percent}%, currentColor)"


def shape_color(hue: HueName) -> str:
    """Return the CSS color of a shape."""
    return f"color-mix(in srgb, {HUES[hue].rgb} {SHAPE_PERCENT}%, currentColor)"


def tint_color(hue: HueName) -> str:
    """Return the CSS color of an area behind text."""
    return f"color-mix(in srgb, {HUES[hue].rgb} {TINT_PERCENT}%, transparent)"


# For texts with one of these meanings.
STATUS_COLOR: dict[Status, str] = {status: text_color(hue) for status, hue in STATUS_HUE.items()}
MARK_COLOR: dict[Mark, str] = {mark: text_color(hue) for mark, hue in MARK_HUE.items()}
