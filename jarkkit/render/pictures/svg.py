"""The parts of SVG that all pictures share. Texts are text, in the color of the page's text."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from jarkkit.render.palette import HUES, HueName, shape_color, tint_color

FONT = 12.0
# Average width of a character of a proportional font, in multiples of its size.
_CHARACTER = 0.56


def text_width(words: str, size: float = FONT) -> float:
    """Estimate the width of a text: the front end chooses the font."""
    return _CHARACTER * size * len(words)


def shortened(words: str, width: float) -> str:
    """Return a text that fits into a width."""
    most = int(width / (_CHARACTER * FONT))
    return words if len(words) <= most else f"{words[: most - 1]}…"


def label(
    x: float, y: float, words: str, *, anchor: str = "start", size: float = FONT, bold: bool = False
) -> str:
    """Return a text whose middle is at height `y`."""
    weight = ' font-weight="bold"' if bold else ""
    return (
        f'<text x="{x:.1f}" y="{y + 0.35 * size:.1f}" font-size="{size:g}" '
        f'text-anchor="{anchor}"{weight}>{escape(words)}</text>'
    )


def bar(x: float, y: float, width: float, height: float, hue: HueName) -> str:
    """Return a rectangle in a hue."""
    return _rectangle(x, y, width, height, hue, shape_color(hue))


def tint(x: float, y: float, width: float, height: float, hue: HueName) -> str:
    """Return a rectangle in a light hue, to write on."""
    return _rectangle(x, y, width, height, hue, tint_color(hue))


def _rectangle(x: float, y: float, width: float, height: float, hue: HueName, color: str) -> str:
    """Return a rectangle; `fill` is for viewers that do not know the style's `color-mix`."""
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" rx="2" '
        f'fill="{HUES[hue].rgb}" style="fill:{color}"/>'
    )


def line(x1: float, y1: float, x2: float, y2: float, *, opacity: float = 1.0) -> str:
    """Return a line in the color of the text."""
    return (
        f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="currentColor" '
        f'stroke-opacity="{opacity:g}"/>'
    )


def legend(x: float, y: float, entries: Sequence[tuple[HueName, str]]) -> str:
    """Return a line of colors with their meanings."""
    parts = []
    for hue, words in entries:
        parts += [bar(x, y - 5, 10, 10, hue), label(x + 15, y, words)]
        x += 30 + text_width(words)
    return "".join(parts)


def drawing(width: float, height: float, parts: Sequence[str]) -> str:
    """Return the SVG. The caption and the table in words stand for it, so readers skip it."""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" '
        f'width="{width:.0f}" height="{height:.0f}" style="max-width:100%;height:auto" '
        'font-family="system-ui, sans-serif" fill="currentColor" aria-hidden="true">'
        f"{''.join(parts)}</svg>"
    )
