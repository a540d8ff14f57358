"""Registers the displays of all values with IPython, where it runs."""

from __future__ import annotations

from typing import Protocol

from IPython.core.getipython import get_ipython

from jarkkit.render.html import html
from jarkkit.render.text import text


class _Printer(Protocol):
    def text(self, obj: str) -> None: ...


def register_formatters() -> None:
    """Let IPython show values as HTML, and as text where HTML is not shown."""
    shell = get_ipython()
    if shell is None or shell.display_formatter is None:
        return
    formatters = shell.display_formatter.formatters
    for kind in html.registry.keys() - {object}:
        formatters["text/html"].for_type(kind, html)
    for kind in text.registry.keys() - {object}:
        formatters["text/plain"].for_type(kind, _print)


def _print(value: object, printer: _Printer, cycle: bool) -> None:
    printer.text(text(value))
