"""The contrast of all colors on light and dark pages, as WCAG 2.2 computes it."""

from __future__ import annotations

import re
from itertools import product
from pathlib import Path
from typing import NamedTuple

import pytest

from jarkkit.render import palette

Rgba = tuple[float, float, float, float]
ROOT = Path(__file__).parents[2]
BLACK, WHITE = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)


class Page(NamedTuple):
    """A background and the color of its text, which may be translucent."""

    background: tuple[float, float, float]
    text: Rgba


# JupyterLab 4.6: `--jp-content-font-color1` on `--jp-layout-color0` (outputs) or `-color1`.
PAGES = {
    "static page": Page(WHITE, (*BLACK, 1.0)),
    "JupyterLab": Page(WHITE, (*BLACK, 0.87)),
    "JupyterLab, dark": Page((17 / 255,) * 3, (*WHITE, 1.0)),
    "JupyterLab, dark, in a panel": Page((33 / 255,) * 3, (*WHITE, 1.0)),
    "a browser's dark page": Page((18 / 255,) * 3, (*WHITE, 1.0)),
}


def rgb(text: str) -> Rgba:
    red, green, blue = (int(text[at : at + 2], 16) / 255 for at in (1, 3, 5))
    return red, green, blue, 1.0


def mixed(color: str, text: Rgba) -> Rgba:
    """Compute `color-mix(in srgb, #rrggbb P%, currentColor or transparent)`, premultiplied."""
    found = re.fullmatch(
        r"color-mix\(in srgb, (#[0-9a-f]{6}) (\d+)%, (currentColor|transparent)\)", color
    )
    assert found, color
    hue, other = rgb(found[1]), text if found[3] == "currentColor" else (0.0, 0.0, 0.0, 0.0)
    share = int(found[2]) / 100
    alpha = share * hue[3] + (1 - share) * other[3]
    red, green, blue = (
        (share * a * hue[3] + (1 - share) * b * other[3]) / alpha
        for a, b in zip(hue[:3], other[:3], strict=True)
    )
    return red, green, blue, alpha


def over(color: Rgba, background: tuple[float, float, float]) -> tuple[float, float, float]:
    red, green, blue = (
        color[3] * a + (1 - color[3]) * b for a, b in zip(color[:3], background, strict=True)
    )
    return red, green, blue


def luminance(color: tuple[float, float, float]) -> float:
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in color]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: tuple[float, float, float], other: tuple[float, float, float]) -> float:
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_the_contrast_is_computed_as_wcag_does() -> None:
    assert contrast(BLACK, WHITE) == pytest.approx(21)
    # The hues alone: the reason for the mixtures.
    alone = {name: contrast(rgb(hue.rgb)[:3], WHITE) for name, hue in palette.HUES.items()}
    assert alone["orange"] == pytest.approx(2.25, abs=0.01)
    assert alone["blue"] == pytest.approx(2.31, abs=0.01)
    assert alone["green"] == pytest.approx(3.42, abs=0.01)


CASES = [*product(PAGES, palette.HUES)]


@pytest.mark.parametrize(("page", "hue"), CASES)
def test_text_has_the_contrast_of_level_aa(page: str, hue: palette.HueName) -> None:
    background, text = PAGES[page]
    color = over(mixed(palette.text_color(hue), text), background)
    assert contrast(color, background) >= 4.5


@pytest.mark.parametrize(("page", "hue"), CASES)
def test_shapes_have_the_contrast_of_level_aa(page: str, hue: palette.HueName) -> None:
    background, text = PAGES[page]
    color = over(mixed(palette.shape_color(hue), text), background)
    assert contrast(color, background) >= 3.0


@pytest.mark.parametrize(("page", "hue"), CASES)
def test_text_on_a_tint_has_the_contrast_of_level_aa(page: str, hue: palette.HueName) -> None:
    background, text = PAGES[page]
    tint = over(mixed(palette.tint_color(hue), text), background)
    assert contrast(over(text, tint), tint) >= 4.5


def test_every_color_comes_from_the_palette() -> None:
    """Only these have a computed contrast."""
    package = ROOT / "jarkkit"
    found = {
        str(path.relative_to(package)): hits
        for path in package.rglob("*.py")
        if path.name != "palette.py"
        if (hits := re.findall(r"#[0-9a-fA-F]{6}\b", path.read_text()))
    }
    assert found == {}
