"""Horizontal bars with labels: the form of most pictures."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from jarkkit.render.palette import HueName
from jarkkit.render.pictures import svg

WIDTH = 800.0
_ROW, _BAR, _GAP, _TOP, _AXIS = 24.0, 16.0, 8.0, 6.0, 40.0
_WIDEST_LABEL = 300.0


@dataclass(frozen=True)
class Bar:
    """A part of a row, in units of the axis."""

    start: float
    length: float
    hue: HueName


@dataclass(frozen=True)
class Row:
    """One row.

    Attributes:
        words: behind the bars.
        whisker: minimum and maximum; None without a range.
    """

    label: str
    bars: tuple[Bar, ...]
    words: str = ""
    whisker: tuple[float, float] | None = None

    @property
    def end(self) -> float:
        """Where the row ends, in units of the axis."""
        ends = [bar.start + bar.length for bar in self.bars]
        return max([*ends, *(self.whisker or ())], default=0.0)


@dataclass(frozen=True)
class Axis:
    """The axis below the bars.

    Attributes:
        ticks: position and label; without any, round numbers.
        line: where to draw a line through all rows.
    """

    title: str = ""
    ticks: tuple[tuple[float, str], ...] = ()
    line: float | None = None


class Bars:
    """A block of rows over one axis; several blocks are drawn below each other."""

    def __init__(self, rows: Sequence[Row], axis: Axis, title: str = "") -> None:
        self._rows, self._axis, self._title = rows, axis, title
        widest = max((svg.text_width(row.label) for row in rows), default=0.0)
        self._left = min(widest, _WIDEST_LABEL) + 2 * _GAP
        self._top = _TOP + (_ROW if title else 0.0)
        self._bottom = self._top + _ROW * len(rows)
        self.height = self._bottom + _AXIS
        self._scale = self._pixels_per_unit()

    def parts(self, y: float) -> Iterator[str]:
        """Yield the parts of the SVG, with the block's top at height `y`."""
        if self._title:
            yield svg.label(0, y + _TOP + _ROW / 2, self._title, bold=True)
        yield from self._ticks(y)
        for number, row in enumerate(self._rows):
            yield from self._row(row, y + self._top + _ROW * (number + 0.5))
        if self._axis.line is not None:
            x = self._x(self._axis.line)
            yield svg.line(x, y + self._top, x, y + self._bottom)

    def _pixels_per_unit(self) -> float:
        """Return the scale at which the longest row fits with its words."""
        ends = [(row.end, svg.text_width(row.words)) for row in self._rows]
        ends.append((self._axis.line or 0.0, 0.0))
        room = WIDTH - self._left - 2 * _GAP
        return min(((room - words) / end for end, words in ends if end > 0), default=1.0)

    def _x(self, units: float) -> float:
        return self._left + units * self._scale

    def _ticks(self, y: float) -> Iterator[str]:
        end = max((row.end for row in self._rows), default=0.0)
        for at, words in self._axis.ticks or _round_ticks(end):
            x = self._x(at)
            yield svg.line(x, y + self._top, x, y + self._bottom + 3, opacity=0.25)
            yield svg.label(x, y + self._bottom + 11, words, anchor="middle", size=11)
        yield svg.label(self._left, y + self._bottom + 27, self._axis.title, size=11)

    def _row(self, row: Row, y: float) -> Iterator[str]:
        words = svg.shortened(row.label, self._left - 2 * _GAP)
        yield svg.label(self._left - _GAP, y, words, anchor="end")
        for bar in row.bars:
            width = max(bar.length * self._scale, 1.0)
            yield svg.bar(self._x(bar.start), y - _BAR / 2, width, _BAR, bar.hue)
        if row.whisker is not None:
            low, high = map(self._x, row.whisker)
            yield svg.line(low, y, high, y)
            yield from (svg.line(x, y - 4, x, y + 4) for x in (low, high))
        yield svg.label(self._x(row.end) + _GAP, y, row.words)


def bar_chart(blocks: Sequence[Bars], legend: Sequence[tuple[HueName, str]] = ()) -> str:
    """Return the SVG of one or several blocks, and the meaning of their colors below."""
    parts: list[str] = []
    y = 0.0
    for block in blocks:
        parts += block.parts(y)
        y += block.height
    if legend:
        parts.append(svg.legend(0, y + _TOP, legend))
        y += _ROW
    return svg.drawing(WIDTH, y, parts)


def _round_ticks(end: float) -> tuple[tuple[float, str], ...]:
    """Return three to six round numbers from 0 up to the end."""
    if end <= 0:
        return ((0.0, "0"),)
    power = 10.0 ** math.floor(math.log10(end))
    step = next(step for step in (power / 5, power / 2, power, 2 * power) if end / step <= 5)
    return tuple((n * step, f"{n * step:g}") for n in range(int(end / step + 1e-9) + 1))
