"""Parts of the settings form as HTML.

Text and lines inherit the page's colors, so that light and dark themes both work. A mark is a sign
with a color, never a color alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

from jarkkit.catalog.addons import Addon
from jarkkit.decisions.regions.table import Mark
from jarkkit.model.errors import JarkkitError
from jarkkit.render.html import mark
from jarkkit.render.markup import prose
from jarkkit.render.palette import MARK_COLOR

STYLE = """<style>
.jarkkit-form { max-width: 76rem; }
.jarkkit-form .widget-html-content, .jarkkit-form .jp-RenderedHTML { line-height: 1.45; }
.jarkkit-bar { display: flex; flex-wrap: wrap; gap: 8px; margin: 2px 0 6px; }
.jarkkit-tile { flex: 1 1 13rem; border: 1px solid var(--jp-border-color1, #8888);
  border-radius: 4px; padding: 4px 10px; }
.jarkkit-tile b { font-size: 1.1em; }
.jarkkit-message { border-left: 4px solid; padding: 1px 10px; margin: 4px 0; }
.jarkkit-small { font-size: .92em; }
.jarkkit-nav .jupyter-button { width: 100%; height: auto; min-height: 30px; text-align: left;
  line-height: 1.3; padding: 4px 8px; white-space: normal; }
.jarkkit-pane { border-left: 1px solid var(--jp-border-color1, #8888); padding-left: 14px; }
.jarkkit-pane h4 { margin: 0 0 2px; }
.jarkkit-form .jupyter-button:focus-visible, .jarkkit-form input:focus-visible,
.jarkkit-form select:focus-visible { outline: 2px solid var(--jp-brand-color1, currentColor);
  outline-offset: 1px; }
.jarkkit-row { display: flex; flex-wrap: wrap; gap: 0 14px; margin: -6px 0 4px 22px; }
.jarkkit-row > span { white-space: nowrap; }
.jarkkit-form a { color: var(--jp-content-link-color, LinkText); text-decoration: underline; }
.jarkkit-form .widget-checkbox .widget-label-basic { white-space: normal; display: flex;
  align-items: center; }
.jarkkit-several .widget-checkbox { margin-right: 12px; }
.jarkkit-several > .widget-label { text-align: right; justify-content: flex-end;
  padding-right: 6px; }
.jarkkit-pane .widget-box { flex-shrink: 0; overflow: visible; }
.jarkkit-pane .widget-checkbox, .jarkkit-pane .widget-label-basic { overflow: visible; }
</style>"""


Marked = tuple[Mark, str]


@dataclass(frozen=True)
class SummaryLine:
    """A line of the summary.

    Attributes:
        value: the value as a short text.
    """

    title: str
    mark: Mark | None
    value: str
    details: str = ""


def summary_bar(lines: Sequence[SummaryLine]) -> str:
    """Return the summary bar: three tiles, then the problems."""
    tiles = "".join(
        f'<div class="jarkkit-tile"><span class="jarkkit-small">{escape(line.title)}</span><br>'
        f"<b>{_marked(line)}</b>"
        f'<br><span class="jarkkit-small">{escape(line.details)}</span></div>'
        for line in lines[:3]
    )
    rest = "".join(
        message(line.mark or "fair", f"{line.title}: {line.value}. {line.details}")
        for line in lines[3:]
    )
    return (
        f'<div role="status" aria-live="polite"><div class="jarkkit-bar">{tiles}</div>{rest}</div>'
    )


def _marked(line: SummaryLine) -> str:
    return _with_mark((line.mark, line.value)) if line.mark else escape(line.value)


def _with_mark(marked: Marked) -> str:
    sign, text = marked
    return f"{mark(sign)} {escape(text)}"


def message(sign: Mark, text: str) -> str:
    """Return a message with its mark."""
    return (
        f'<div class="jarkkit-message" style="border-color:{MARK_COLOR[sign]}" role="status">'
        f"{mark(sign)} {prose(text)}</div>"
    )


def error_message(error: JarkkitError) -> str:
    """Return the message for invalid settings."""
    return message("poor", f"{error.code}: {error.message} {error.fix}")


def changes(texts: Iterable[str]) -> str:
    """Return the list of unsaved changes."""
    listed = list(texts)
    if not listed:
        return '<span class="jarkkit-small">No unsaved changes.</span>'
    count = f"{len(listed)} unsaved change{'' if len(listed) == 1 else 's'}"
    lines = "; ".join(map(escape, listed))
    return f'{count}: <span class="jarkkit-small">{lines}</span>'


def heading(title: str, what: str) -> str:
    """Return the heading of a section."""
    return f'<h4>{escape(title)}</h4><div class="jarkkit-small">{prose(what)}</div>'


def group(title: str) -> str:
    """Return the heading of a group."""
    return f'<div style="margin:8px 0 0"><strong>{escape(title)}</strong></div>'


def small(text: str, indent: str = "0") -> str:
    """Return small text."""
    return f'<div class="jarkkit-small" style="margin-left:{indent}">{prose(text)}</div>'


def addon(item: Addon, notes: Iterable[str]) -> str:
    """Return an add-on's description with its notes."""
    lines = "".join(f"<br>{mark('fair')} {prose(note)}" for note in notes)
    link = f'<a href="{escape(item.link)}" target="_blank" rel="noopener">more</a>'
    return (
        f'<div class="jarkkit-small" style="margin:-6px 0 4px 22px">{prose(item.what)} '
        f"{link}{lines}</div>"
    )


def family(
    size: str, availability: Marked, price: str, quotas: Iterable[Marked], needed_vcpus: str
) -> str:
    """Return a family's size, availability, price and quotas."""
    need = f" (needs {escape(needed_vcpus)})" if needed_vcpus else ""
    marked = " ".join(map(_with_mark, quotas))
    cells = (
        (escape(size) or "&nbsp;", "12em"),
        (_with_mark(availability), "9em"),
        (escape(price), "11em"),
        (f"quota {marked}{need}" if marked else "", "auto"),
    )
    spans = "".join(f'<span style="min-width:{width}">{cell}</span>' for cell, width in cells)
    return f'<div class="jarkkit-row jarkkit-small">{spans}</div>'
