"""Reports as HTML, and the helpers that all displays share. The output reads well without styles,
because code hosts strip them from saved notebooks."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from html import escape, unescape

from IPython.core.getipython import get_ipython
from IPython.display import HTML

from jarkkit.model.checks import COLOR, STATUS_WORD, SYMBOL, Check, Report, group_by
from jarkkit.model.tables import html_table


class HtmlText(HTML):
    """HTML with its own text as plain output, for readers of a saved notebook without HTML."""

    def __repr__(self) -> str:
        lines = re.sub(r"</tr>|</p>|<br>", "\n", re.sub(r"</t[dh]>", "  ", self.data))
        text = unescape(re.sub(r"<[^>]+>", "", lines))
        return "\n".join(line.rstrip() for line in text.splitlines() if line.strip())


def duration(seconds: float) -> str:
    """Return a duration as text, e.g. `2 min 5 s`."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def optional_table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """Return a table of plain text; empty without lines."""
    found = list(lines)
    return html_table(head, found) if found else ""


def table_with_note(head: Sequence[str], lines: Iterable[Sequence[str]], note: str) -> HtmlText:
    """Return a table with a sentence below it."""
    return HtmlText(f"{optional_table(head, lines)}<p>{escape(note)}</p>")


def report_html(report: Report) -> str:
    """Return a report: the verdict, the findings, and, collapsed, what passed."""
    color = COLOR["pass" if report.ok else "fail"]
    parts = [f'<p><strong style="color:{color}">{escape(report.verdict)}</strong></p>']
    if findings := report.findings():
        parts.append(_check_table(map(_row, findings)))
    if others := report.others():
        counts = report.count_text("pass", "skip")
        table = _check_table(_groups(others))
        parts.append(f"<details><summary>{counts}</summary>{table}</details>")
    return "".join([*parts, *(f"<p>{escape(note)}</p>" for note in report.notes)])


def register_formatters() -> None:
    """Let IPython, where it runs, show reports as HTML."""
    if (shell := get_ipython()) is not None and shell.display_formatter is not None:
        shell.display_formatter.formatters["text/html"].for_type(Report, report_html)


def _check_table(rows: Iterable[str]) -> str:
    words = ("", "Check", "Found", "Needed", "Why, and how to fix it")
    head = "".join(f'<th scope="col" style="text-align:left">{word}</th>' for word in words)
    return (
        f'<table class="jarkkit-report"><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table>"
    )


def _groups(checks: Iterable[Check]) -> Iterator[str]:
    for group, members in group_by("group", checks).items():
        if group:
            yield (
                '<tr><th colspan="5" scope="rowgroup" style="text-align:left">'
                f"{escape(group)}</th></tr>"
            )
        yield from map(_row, members)


def _row(check: Check) -> str:
    advice = [escape(check.why)] if check.why else []
    if check.status not in ("pass", "skip") and check.fix:
        advice.append(f"<em>Fix:</em> {escape(check.fix)}")
    if check.code:
        advice.append(f"<code>{escape(check.code)}</code>")
    if check.link:
        advice.append(_link(check.link))
    if check.follows:
        lines = "".join(f"<li>{escape(line)}</li>" for line in check.follows)
        advice.append(f"Therefore:<ul>{lines}</ul>")
    word = STATUS_WORD[check.status]
    mark = (
        f'<td style="color:{COLOR[check.status]};font-weight:bold" title="{word}">'
        f'{SYMBOL[check.status]} <span class="jarkkit-status">{word}</span></td>'
    )
    cells = (check.name, check.found, check.needed)
    middle = "".join(f'<td style="text-align:left">{escape(cell)}</td>' for cell in cells)
    return f'<tr>{mark}{middle}<td style="text-align:left">{" · ".join(advice)}</td></tr>'


def _link(link: str) -> str:
    """Return a link. Pages of our own docs have no URL that works from every notebook."""
    if link.startswith("https://"):
        return f'<a href="{escape(link)}">more</a>'
    return f"see <code>{escape(link)}</code>"
