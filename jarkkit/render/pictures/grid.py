"""Cells in rows and columns, each with a color and words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from jarkkit.render.palette import HueName
from jarkkit.render.pictures import svg

_LINE, _PADDING, _GAP, _SIZE = 14.0, 6.0, 3.0, 11.0


@dataclass(frozen=True)
class GridCell:
    """A cell; without a hue it has no background."""

    lines: tuple[str, ...] = ()
    hue: HueName | None = None


@dataclass(frozen=True)
class GridRow:
    """A row with its label."""

    label: str
    cells: tuple[GridCell, ...]
    bold: bool = False


def grid(heads: Sequence[Sequence[str]], rows: Sequence[GridRow]) -> str:
    """Return the SVG of cells whose columns are as wide as their words.

    Args:
        heads: the lines above each column.
    """
    left = _width([row.label for row in rows])
    widths = [
        _width([*head, *(words for row in rows for words in row.cells[n].lines)])
        for n, head in enumerate(heads)
    ]
    starts = [left + sum(widths[:n]) for n in range(len(widths))]
    top = _height([len(head) for head in heads])
    parts, y = [*_heads(heads, starts, widths, top)], top
    for row in rows:
        height = _height([len(cell.lines) for cell in row.cells])
        parts.append(svg.label(0, y + height / 2, row.label, bold=row.bold))
        for x, width, cell in zip(starts, widths, row.cells, strict=True):
            parts += _cell(cell, x, y, width, height)
        y += height
    return svg.drawing(left + sum(widths), y + _GAP, parts)


def _width(words: Sequence[str]) -> float:
    widest = max((svg.text_width(line, _SIZE + 1) for line in words), default=0.0)
    return max(widest, 30.0) + 2 * _PADDING + _GAP


def _height(lines: Sequence[int]) -> float:
    return _LINE * max([1, *lines]) + _PADDING + _GAP


def _heads(
    heads: Sequence[Sequence[str]], starts: Sequence[float], widths: Sequence[float], top: float
) -> Iterator[str]:
    for x, width, head in zip(starts, widths, heads, strict=True):
        begin = top - _GAP - _LINE * len(head)
        for n, words in enumerate(head):
            yield svg.label(
                x + width / 2, begin + _LINE * (n + 0.5), words, anchor="middle", size=_SIZE
            )


def _cell(cell: GridCell, x: float, y: float, width: float, height: float) -> Iterator[str]:
    if cell.hue is not None:
        yield svg.tint(x + _GAP / 2, y + _GAP / 2, width - _GAP, height - _GAP, cell.hue)
    begin = y + (height - _LINE * len(cell.lines)) / 2
    for n, words in enumerate(cell.lines):
        yield svg.label(
            x + width / 2, begin + _LINE * (n + 0.5), words, anchor="middle", size=_SIZE
        )
