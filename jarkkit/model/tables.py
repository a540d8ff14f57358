"""Shared by all values that notebooks display: HTML tables, and the plain text repr."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Protocol


def html_table(
    heads: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    title: str = "",
    notes: Iterable[str] = (),
) -> str:
    """Return an HTML table with a title above it and notes below it."""
    head = "".join(f'<th scope="col" style="text-align:left">{escape(h)}</th>' for h in heads)
    body = "".join(
        "<tr>"
        + "".join(f'<td style="text-align:left">{escape(cell)}</td>' for cell in row)
        + "</tr>"
        for row in rows
    )
    above = f"<p><strong>{escape(title)}</strong></p>" if title else ""
    below = "".join(f"<p>{escape(note)}</p>" for note in notes)
    return (
        f'{above}<table class="jarkkit-report"><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table>{below}"
    )


class _Printer(Protocol):
    def text(self, obj: str) -> None: ...


class TextRepr:
    """Mixin: the plain text repr in a notebook is `text()`, not the fields.

    Front ends and saved notebooks without HTML show it.
    """

    __slots__ = ()

    def text(self) -> str:
        """Return the text for a terminal."""
        raise NotImplementedError

    def _repr_pretty_(self, printer: _Printer, cycle: bool) -> None:
        printer.text(self.text())
