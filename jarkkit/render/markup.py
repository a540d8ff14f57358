"""The parts of HTML that all displays share. They read well without styles, because code hosts
strip them from saved notebooks."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from html import escape, unescape

from IPython.display import HTML

from jarkkit.render.palette import STATUS_COLOR


class HtmlText(HTML):
    """HTML with its own text as plain output, for readers of a saved notebook without HTML."""

    def __repr__(self) -> str:
        lines = re.sub(r"</tr>|</p>|<br>", "\n", re.sub(r"</t[dh]>", "  ", self.data))
        text = unescape(re.sub(r"<[^>]+>", "", lines))
        return "\n".join(line.rstrip() for line in text.splitlines() if line.strip())


def html_table(
    heads: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    title: str = "",
    notes: Iterable[str] = (),
) -> str:
    """Return a table of plain text with a title above it and notes below it."""
    body = (cells("td", row) for row in rows)
    above = f"<p><strong>{escape(title)}</strong></p>" if title else ""
    return above + table_of(heads, body) + "".join(map(paragraph, notes))


def optional_table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table of plain text; empty without rows."""
    found = list(rows)
    return html_table(heads, found) if found else ""


def table_with_note(heads: Sequence[str], rows: Iterable[Sequence[str]], note: str) -> str:
    """Return a table with a sentence below it; only the sentence without rows."""
    return optional_table(heads, rows) + paragraph(note)


def table_of(heads: Iterable[str], rows: Iterable[str]) -> str:
    """Return a table of rows whose cells are HTML."""
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    return (
        f'<table class="jarkkit-report"><thead><tr>{cells("th", heads, "col")}</tr></thead>'
        f"<tbody>{body}</tbody></table>"
    )


def cells(tag: str, texts: Iterable[str], scope: str = "") -> str:
    """Return cells of plain text."""
    attributes = (f' scope="{scope}"' if scope else "") + ' style="text-align:left"'
    return "".join(f"<{tag}{attributes}>{escape(text)}</{tag}>" for text in texts)


def paragraph(text: str) -> str:
    """Return a paragraph of plain text."""
    return f"<p>{escape(text)}</p>"


def sentence(text: str) -> HtmlText:
    """Return a paragraph of plain text, with words in backticks as code, to display it."""
    return HtmlText(f"<p>{prose(text)}</p>")


def passed(text: str) -> HtmlText:
    """Return a paragraph that says what is as it should be, to display it."""
    return HtmlText(f'<p style="color:{STATUS_COLOR["pass"]}">✔ {escape(text)}</p>')


def collapsed(summary: str, content: str, *, title: str = "") -> str:
    """Return HTML that is shown when the reader opens its summary, a plain text after a title."""
    strong = f"<strong>{escape(title)}</strong>" if title else ""
    return f"<details><summary>{strong}{escape(summary)}</summary>{content}</details>"


def prose(text: str) -> str:
    """Return plain text as HTML, with words in backticks as code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text, quote=False))


def duration(seconds: float) -> str:
    """Return a duration as text, e.g. `2 min 5 s`."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
