"""A picture: SVG, with a caption and the same content in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from jarkkit.render.markup import collapsed, html_table

# JupyterLab removes SVG from an untrusted notebook, but not the words in it. It removes the
# variable, too, and other front ends remove all styles: then the words are hidden as well.
_SHOWN = 'hidden="hidden" style="--jarkkit-shown:block;display:var(--jarkkit-shown, none)"'


@dataclass(frozen=True)
class Picture:
    """A picture with its caption, and its content as a table.

    Attributes:
        svg: follows the theme of the page that contains it: texts have the color of its text.
        heads, rows: the table in words.
    """

    svg: str
    caption: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def html(self) -> str:
        """Return the picture with its caption, and the table in words, collapsed."""
        words = collapsed("In words", html_table(self.heads, self.rows)) if self.rows else ""
        return (
            f'<figure style="margin:0 0 1em"><div {_SHOWN}>{self.svg}</div>'
            f"<figcaption>{escape(self.caption)}</figcaption>{words}</figure>"
        )

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        return {"text/html": self.html(), "text/plain": self.caption}


def picture_of(
    svg: str, caption: str, heads: Sequence[str], rows: Sequence[Sequence[str]]
) -> Picture:
    """Return a picture with its caption and its table in words."""
    return Picture(svg, caption, tuple(heads), tuple(map(tuple, rows)))
