"""Parts of the form as HTML. Pure.

Text and lines take the page's own colours, so that light and dark themes both work; a mark is a
sign with a colour, never a colour alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from jarkkit.addons.catalogue import Addon
from jarkkit.errors import JarkkitError
from jarkkit.form.accelerators import Row
from jarkkit.form.addons import notes
from jarkkit.form.fields import prose
from jarkkit.form.outlook import Line
from jarkkit.settings import Settings
from jarkkit.survey.shown import COLOUR, SYMBOL, Mark

STYLE = """<style>
.jarkkit-form { max-width: 76rem; }
.jarkkit-form .widget-html-content, .jarkkit-form .jp-RenderedHTML { line-height: 1.45; }
.jarkkit-bar { display: flex; flex-wrap: wrap; gap: 8px; margin: 2px 0 6px; }
.jarkkit-tile { flex: 1 1 13rem; border: 1px solid var(--jp-border-color1, #8888);
  border-radius: 4px; padding: 4px 10px; }
.jarkkit-tile b { font-size: 1.1em; }
.jarkkit-said { border-left: 4px solid; padding: 1px 10px; margin: 4px 0; }
.jarkkit-small { font-size: .92em; opacity: .85; }
.jarkkit-nav .jupyter-button { width: 100%; height: auto; min-height: 30px; text-align: left;
  line-height: 1.3; padding: 4px 8px; white-space: normal; }
.jarkkit-pane { border-left: 1px solid var(--jp-border-color1, #8888); padding-left: 14px; }
.jarkkit-pane h4 { margin: 0 0 2px; }
.jarkkit-form .jupyter-button:focus-visible, .jarkkit-form input:focus-visible,
.jarkkit-form select:focus-visible { outline: 2px solid var(--jp-brand-color1, #1976d2);
  outline-offset: 1px; }
.jarkkit-row { display: flex; flex-wrap: wrap; gap: 0 14px; margin: -6px 0 4px 22px; }
.jarkkit-row > span { white-space: nowrap; }
.jarkkit-form a { color: var(--jp-content-link-color, #1976d2); text-decoration: underline; }
.jarkkit-form .widget-checkbox .widget-label-basic { white-space: normal; display: flex;
  align-items: center; }
.jarkkit-several .widget-checkbox { margin-right: 12px; }
.jarkkit-several > .widget-label { text-align: right; justify-content: flex-end;
  padding-right: 6px; }
.jarkkit-pane .widget-box { flex-shrink: 0; overflow: visible; }
.jarkkit-pane .widget-checkbox, .jarkkit-pane .widget-label-basic { overflow: visible; }
</style>"""


def mark(sign: Mark) -> str:
    """A sign."""
    return f'<span style="color:{COLOUR[sign]};font-weight:bold">{SYMBOL[sign]}</span>'


def bar(lines: Sequence[Line]) -> str:
    """What the settings come to: three tiles, then what stands in the way."""
    tiles = "".join(
        f'<div class="jarkkit-tile"><span class="jarkkit-small">{escape(line.title)}</span><br>'
        f"<b>{_marked(line)}</b>"
        f'<br><span class="jarkkit-small">{escape(line.more)}</span></div>'
        for line in lines[:3]
    )
    rest = "".join(
        said(line.mark or "fair", f"{line.title}: {line.said}. {line.more}") for line in lines[3:]
    )
    return (
        f'<div role="status" aria-live="polite"><div class="jarkkit-bar">{tiles}</div>{rest}</div>'
    )


def _marked(line: Line) -> str:
    return f"{mark(line.mark)} {escape(line.said)}" if line.mark else escape(line.said)


def said(sign: Mark, text: str) -> str:
    """An answer, or a warning."""
    return (
        f'<div class="jarkkit-said" style="border-color:{COLOUR[sign]}" role="status">'
        f"{mark(sign)} {prose(text)}</div>"
    )


def refused(error: JarkkitError) -> str:
    """Why the settings do not fit together."""
    return said("poor", f"{error.code}: {error.message} {error.fix}")


def changes(told: Iterable[str]) -> str:
    """What is not saved yet."""
    listed = list(told)
    if not listed:
        return '<span class="jarkkit-small">As saved.</span>'
    count = f"{len(listed)} change{'' if len(listed) == 1 else 's'} to be saved"
    lines = "; ".join(map(escape, listed))
    return f'{count}: <span class="jarkkit-small">{lines}</span>'


def heading(title: str, what: str) -> str:
    """The head of a section."""
    return f'<h4>{escape(title)}</h4><div class="jarkkit-small">{prose(what)}</div>'


def group(title: str) -> str:
    """The head of a group of add-ons."""
    return f'<div style="margin:8px 0 0"><strong>{escape(title)}</strong></div>'


def small(text: str, indent: str = "0") -> str:
    """A remark."""
    return f'<div class="jarkkit-small" style="margin-left:{indent}">{prose(text)}</div>'


def addon(item: Addon, settings: Settings) -> str:
    """What an add-on is and why one wants it."""
    lines = "".join(f"<br>{mark('fair')} {prose(note)}" for note in notes(item, settings))
    link = f'<a href="{escape(item.link)}" target="_blank" rel="noopener">more</a>'
    return (
        f'<div class="jarkkit-small" style="margin:-6px 0 4px 22px">{prose(item.what)} '
        f"{link}{lines}</div>"
    )


def family(row: Row) -> str:
    """What is known of a family."""
    where, zones = row.availability
    rooms = " ".join(f"{mark(room.mark)} {escape(room.words)}" for room in row.rooms)
    need = f" (needs {row.need})" if row.need else ""
    quota = f"quota {rooms}{need}" if rooms else ""
    cells = (
        (escape(row.size) or "&nbsp;", "12em"),
        (f"{mark(where)} {escape(zones)}", "9em"),
        (escape(row.price), "11em"),
        (quota, "auto"),
    )
    spans = "".join(f'<span style="min-width:{width}">{cell}</span>' for cell, width in cells)
    return f'<div class="jarkkit-row jarkkit-small">{spans}</div>'
