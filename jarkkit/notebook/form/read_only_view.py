"""The form as read-only tables and text, with the same content. Pure.

The output needs no style sheet, because code hosts strip it from saved notebooks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from jarkkit.decisions.regions import RegionComparison
from jarkkit.decisions.regions.table import SYMBOL
from jarkkit.decisions.stack import ResolvedStack
from jarkkit.model.account_ids import mask_account_ids
from jarkkit.model.errors import JarkkitError
from jarkkit.notebook.form import accelerators
from jarkkit.notebook.form.fields import display_text, label
from jarkkit.notebook.form.regions import comparison_text
from jarkkit.notebook.form.sections import SECTIONS, Section, is_relevant, section_summary
from jarkkit.render.form import SummaryLine
from jarkkit.render.markup import collapsed, html_table, paragraph
from jarkkit.settings import Settings
from jarkkit.steps.queries.region_snapshot import RegionSnapshot

_HEADS = ("Family", "Smallest", "Offered in", "Price", "Quota (vCPUs)", "Needs")


def html(
    stack: ResolvedStack,
    snapshot: RegionSnapshot,
    comparison: RegionComparison | None,
    lines: Sequence[SummaryLine],
) -> str:
    """Return the form as HTML, with collapsed sections."""
    settings = stack.settings
    top = html_table(("", "", ""), [_cells(line) for line in lines], title=_title(settings))
    parts = [top, paragraph(comparison_text(settings, comparison))]
    for section in SECTIONS:
        rows = [(label(name), value) for name, value in _values(section, stack)]
        table = html_table(("Setting", "Value"), rows)
        if section.name == "Accelerators":
            table += html_table(_HEADS, _families(settings, snapshot))
        summary = section_summary(section, stack)
        brief = f": {summary}" if summary else ""
        parts.append(collapsed(brief, table, title=section.name))
    return mask_account_ids("".join(parts))


def text(stack: ResolvedStack, lines: Sequence[SummaryLine]) -> str:
    """Return the summary and every setting as text."""
    found = [_title(stack.settings)]
    found += ["  " + ": ".join(filter(None, (line.title, _words(line)))) for line in lines]
    for section in SECTIONS:
        found.append(f"{section.name}: {section.what}")
        found += [f"  {label(name)}: {value}" for name, value in _values(section, stack)]
    return mask_account_ids("\n".join(found))


def _title(settings: Settings) -> str:
    return f"Settings of {settings.name}"


def _cells(line: SummaryLine) -> tuple[str, str, str]:
    sign = f"{SYMBOL[line.mark]} " if line.mark else ""
    return line.title, f"{sign}{line.value}", line.details


def _words(line: SummaryLine) -> str:
    _, value, details = _cells(line)
    return f"{value} ({details})" if details else value


def _values(section: Section, stack: ResolvedStack) -> Iterator[tuple[str, str]]:
    settings = stack.settings
    for name in section.fields:
        if name == "addons":
            yield name, _addons(stack)
        elif is_relevant(name, lambda other: getattr(settings, other)):
            yield name, display_text(name, settings)


def _addons(stack: ResolvedStack) -> str:
    try:
        return ", ".join(addon.name for addon in stack.addons)
    except JarkkitError as error:
        return error.message


def _families(settings: Settings, snapshot: RegionSnapshot) -> Iterator[tuple[str, ...]]:
    for row in accelerators.rows(settings, snapshot):
        mark, zones = row.availability
        quotas = "; ".join(f"{SYMBOL[quota.mark]} {quota.text}" for quota in row.quotas)
        name = f"{'✔ ' if row.pool else ''}{row.family} · {row.title}"
        yield name, row.size, f"{SYMBOL[mark]} {zones}", row.price, quotas, row.needed_vcpus
