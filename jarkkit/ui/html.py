"""The few words of HTML that all displays share. They read well without any style, too, because a
code host shows saved notebooks without it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from html import escape, unescape

from IPython.display import HTML

from jarkkit.tables import html_table


class Words(HTML):
    """HTML whose plain output is what it says, for readers of a saved notebook without HTML."""

    def __repr__(self) -> str:
        lines = re.sub(r"</tr>|</p>|<br>", "\n", re.sub(r"</t[dh]>", "  ", self.data))
        said = unescape(re.sub(r"<[^>]+>", "", lines))
        return "\n".join(line.rstrip() for line in said.splitlines() if line.strip())


def span(seconds: float) -> str:
    """A duration for people."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def rows(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """A table of plain words; nothing without lines."""
    found = list(lines)
    return html_table(head, found) if found else ""


def table(head: Sequence[str], lines: Iterable[Sequence[str]], note: str) -> Words:
    """A table with a sentence below it."""
    return Words(f"{rows(head, lines)}<p>{escape(note)}</p>")
