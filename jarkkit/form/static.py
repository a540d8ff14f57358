"""The form where nobody can edit it: the same content as tables and as text. Pure.

Nothing here needs a style sheet, because a code host shows saved notebooks without it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from jarkkit.addons.choice import chosen
from jarkkit.errors import JarkkitError
from jarkkit.form import accelerators
from jarkkit.form.fields import label, plainly
from jarkkit.form.outlook import Line
from jarkkit.form.regions import told
from jarkkit.form.sections import SECTIONS, Section, matters, summary
from jarkkit.inquiries.prospect import Prospect
from jarkkit.masking import masked
from jarkkit.settings import Settings
from jarkkit.survey import Survey
from jarkkit.survey.shown import SYMBOL
from jarkkit.tables import html_table

_HEADS = ("Family", "Smallest", "Offered in", "Price", "Quota (vCPUs)", "Needs")


def html(
    settings: Settings, prospect: Prospect, survey: Survey | None, lines: Sequence[Line]
) -> str:
    """All of it, sections folded."""
    top = html_table(("", "", ""), [_three(line) for line in lines], title=_title(settings))
    parts = [top, f"<p>{escape(told(settings, survey))}</p>"]
    for section in SECTIONS:
        rows = [(label(name), value) for name, value in _values(section, settings)]
        table = html_table(("Setting", "Value"), rows)
        if section.name == "Accelerators":
            table += html_table(_HEADS, _families(settings, prospect))
        brief = f": {summary(section, settings)}" if summary(section, settings) else ""
        parts.append(
            f"<details><summary><strong>{escape(section.name)}</strong>{escape(brief)}"
            f"</summary>{table}</details>"
        )
    return masked("".join(parts))


def text(settings: Settings, lines: Sequence[Line]) -> str:
    """What it comes to, and every setting."""
    said = [_title(settings)]
    said += ["  " + ": ".join(filter(None, (line.title, _words(line)))) for line in lines]
    for section in SECTIONS:
        said.append(f"{section.name}: {section.what}")
        said += [f"  {label(name)}: {value}" for name, value in _values(section, settings)]
    return masked("\n".join(said))


def _title(settings: Settings) -> str:
    return f"Settings of {settings.name}"


def _three(line: Line) -> tuple[str, str, str]:
    sign = f"{SYMBOL[line.mark]} " if line.mark else ""
    return line.title, f"{sign}{line.said}", line.more


def _words(line: Line) -> str:
    _, said, more = _three(line)
    return f"{said} ({more})" if more else said


def _values(section: Section, settings: Settings) -> Iterator[tuple[str, str]]:
    for name in section.fields:
        if name == "addons":
            yield name, _addons(settings)
        elif matters(name, lambda other: getattr(settings, other)):
            yield name, plainly(name, settings)


def _addons(settings: Settings) -> str:
    try:
        return ", ".join(addon.name for addon in chosen(settings))
    except JarkkitError as error:
        return error.message


def _families(settings: Settings, prospect: Prospect) -> Iterator[tuple[str, ...]]:
    for row in accelerators.rows(settings, prospect):
        mark, zones = row.availability
        rooms = "; ".join(f"{SYMBOL[room.mark]} {room.words}" for room in row.rooms)
        name = f"{'✔ ' if row.pool else ''}{row.family} · {row.title}"
        yield name, row.size, f"{SYMBOL[mark]} {zones}", row.price, rooms, row.need
