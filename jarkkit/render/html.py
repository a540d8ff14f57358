"""Values as HTML, by their type. It reads well without styles, because code hosts strip them from
saved notebooks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import singledispatch
from html import escape

from jarkkit.decisions.costs.actuals import ActualCosts
from jarkkit.decisions.costs.models import Bill, UsageLevel, format_line_costs
from jarkkit.decisions.durations.estimate import (
    DurationEstimate,
    DurationEstimates,
    format_duration,
)
from jarkkit.decisions.notebook_progress import StepMark, TableOfContents
from jarkkit.decisions.plan_losses import change_name, loss_lines
from jarkkit.decisions.quotas.table import QuotaTable
from jarkkit.decisions.regions import RegionComparison, RegionResult
from jarkkit.decisions.regions import table as region_table
from jarkkit.model.account_ids import mask_account_ids
from jarkkit.model.checks import STATUS_WORD, SYMBOL, Check, Report, group_by
from jarkkit.model.records import (
    ACTION_WORDS,
    AREAS,
    DeploymentStatus,
    DeployResult,
    OwnedResource,
    Plan,
    Receipt,
    ResourceChange,
)
from jarkkit.render.markup import (
    cells,
    collapsed,
    duration,
    html_table,
    optional_table,
    paragraph,
    table_of,
    table_with_note,
)
from jarkkit.render.palette import MARK_COLOR, STATUS_COLOR, HueName, text_color
from jarkkit.render.text import (
    ADDON_ACTION_WORDS,
    ADDONS_UNKNOWN,
    NO_RESOURCE_CHANGES,
    NOTHING_TO_CHANGE,
    QUOTA_HEADS,
    STEP_MARK,
    addon_change_text,
    notebook_title,
    quota_cells,
    usd_or_unknown,
    user_values_text,
)
from jarkkit.steps.cluster.web_uis import WebEndpoint
from jarkkit.steps.cost import Cost
from jarkkit.steps.use import Examples, WebEndpoints, WorkloadResult


@singledispatch
def html(value: object) -> str:
    """Return a value as HTML. Raises TypeError for a type without one."""
    raise TypeError(f"no HTML for {type(value).__name__}")


# -- checks ----------------------------------------------------------------------------------------


@html.register
def _(report: Report) -> str:
    """Return the verdict, the findings, and, collapsed, what passed."""
    color = STATUS_COLOR["pass" if report.ok else "fail"]
    parts = [f'<p><strong style="color:{color}">{escape(report.verdict)}</strong></p>']
    if findings := report.findings():
        parts.append(_check_table(map(_row, findings)))
    if others := report.others():
        counts = report.count_text("pass", "skip")
        parts.append(collapsed(counts, _check_table(_groups(others))))
    return "".join([*parts, *map(paragraph, report.notes)])


def _check_table(rows: Iterable[str]) -> str:
    return table_of(("", "Check", "Found", "Needed", "Why, and how to fix it"), rows)


def _groups(checks: Iterable[Check]) -> Iterator[str]:
    for group, members in group_by("group", checks).items():
        if group:
            yield (f'<th colspan="5" scope="rowgroup" style="text-align:left">{escape(group)}</th>')
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
        f'<td style="color:{STATUS_COLOR[check.status]};font-weight:bold" title="{word}">'
        f'{SYMBOL[check.status]} <span class="jarkkit-status">{word}</span></td>'
    )
    middle = cells("td", (check.name, check.found, check.needed))
    return f'{mark}{middle}<td style="text-align:left">{" · ".join(advice)}</td>'


def _link(link: str) -> str:
    """Return a link. Pages of our own docs have no URL that works from every notebook."""
    if link.startswith("https://"):
        return f'<a href="{escape(link)}">more</a>'
    return f"see <code>{escape(link)}</code>"


# -- the journey -----------------------------------------------------------------------------------


@html.register
def _(plan: Plan) -> str:
    rows = [
        (ACTION_WORDS[action], area, f"{len(chosen)}", _types_or_names(chosen))
        for action, changes in plan.by_action().items()
        for area in AREAS
        if (chosen := [change for change in changes if change.area == area])
    ]
    if rows:
        note = _apply_duration(plan)
    else:
        note = NOTHING_TO_CHANGE if plan.changes_nothing else NO_RESOURCE_CHANGES
    table = table_with_note(("Action", "Area", "Resources", "What"), rows, note)
    return mask_account_ids(table + _addon_changes(plan) + losses_html(plan))


def _addon_changes(plan: Plan) -> str:
    """Return what happens to the add-ons; empty if nothing does."""
    if plan.addons is None:
        return paragraph(ADDONS_UNKNOWN)
    rows = [
        (ADDON_ACTION_WORDS[action], f"{len(changes)}", ", ".join(map(addon_change_text, changes)))
        for action, changes in plan.pending_addons.items()
    ]
    yours = user_values_text(plan)
    return optional_table(("In the cluster", "Number", "Which"), rows) + (
        paragraph(yours) if yours else ""
    )


def losses_html(plan: Plan) -> str:
    """Return what a plan loses; empty if it loses nothing."""
    if not plan.losses:
        return ""
    items = "".join(f"<li>{escape(line)}</li>" for line in loss_lines(plan.losses))
    needs = " Deploying it needs the deployment's name." if plan.needs_confirmation else ""
    return f"<p><strong>What you lose.</strong>{needs}</p><ul>{items}</ul>"


def _types_or_names(changes: list[ResourceChange]) -> str:
    """Return the types of new resources, and the names of existing ones."""
    if changes[0].action in ("create", "import"):
        return ", ".join(sorted({change.type.removeprefix("aws_") for change in changes}))
    return ", ".join(f"{c.type.removeprefix('aws_')} {change_name(c)}" for c in changes)


def _apply_duration(plan: Plan) -> str:
    minutes = max(1, round(plan.seconds / 60))
    after = "" if plan.destroy else ", without the add-ons that Helm installs afterwards"
    return f"On AWS this takes about {minutes} min{after}."


@html.register
def _(deployed: DeployResult) -> str:
    shown = ("cluster_name", "cluster_version", "region", "availability_zones", "vpc_id")
    rows = [(name, _output(deployed.outputs.get(name))) for name in shown]
    return table_with_note(("Output", "Value"), rows, f"Deployed in {duration(deployed.seconds)}.")


def _output(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


@html.register
def _(receipt: Receipt) -> str:
    rows = [(item.terraform_type, item.import_id, _price(item)) for item in receipt.left]
    note = (
        f"{receipt.destroyed} resources destroyed in {duration(receipt.seconds)}; "
        f"{len(receipt.looked_at)} locations checked: {receipt.verdict}."
    )
    return table_with_note(("Left", "Id", "USD per month"), rows, note)


def _price(resource: OwnedResource) -> str:
    return "?" if resource.usd_per_month is None else f"{resource.usd_per_month:.2f}"


@html.register
def _(where: DeploymentStatus) -> str:
    return (
        f"<p><strong>{escape(where.deployment)}</strong>: {escape(where.state)}. "
        f"{escape(where.summary)}<br>Next, on the command line: "
        f"<code>{escape(where.next_command)}</code></p>"
    )


_STEP_HUE: dict[StepMark, HueName] = {"done": "green", "failed": "vermilion", "again": "orange"}


@html.register
def _(contents: TableOfContents) -> str:
    rows = (_notebook_row(name, mark) for name, mark in contents.lines)
    return table_of(("Notebook", contents.deployment), rows)


def _notebook_row(name: str, mark: StepMark) -> str:
    color = text_color(_STEP_HUE[mark]) if mark in _STEP_HUE else "inherit"
    link = f"<a href='{escape(name)}.ipynb'>{escape(notebook_title(name))}</a>"
    return (
        f'<td style="text-align:left">{link}</td>'
        f'<td style="text-align:left;color:{color}">{" ".join(STEP_MARK[mark])}</td>'
    )


# -- durations -------------------------------------------------------------------------------------


@html.register
def _(estimates: DurationEstimates) -> str:
    return html(estimates.deploy) + html(estimates.cleanup)


@html.register
def _(estimate: DurationEstimate) -> str:
    rows = [
        (
            stage.name,
            format_duration(stage.seconds.likely),
            format_duration(stage.seconds.low),
            format_duration(stage.seconds.high),
            f"{stage.runs} own runs" if stage.runs else "published",
        )
        for stage in estimate.path
    ]
    title = estimate.summary[:1].upper() + estimate.summary[1:]
    return html_table(("Stage", "Likely", "Minimum", "Maximum", "Source"), rows, title=title)


# -- costs -----------------------------------------------------------------------------------------

_USAGE: dict[UsageLevel, str] = {"always": "", "use": " (in use)", "limit": " (at the limits)"}


@html.register
def _(bill: Bill) -> str:
    rows = [
        (
            f"{line.area}{_USAGE[line.when]}",
            line.what,
            *format_line_costs(line),
            line.why,
            line.origin,
        )
        for line in bill.lines
    ]
    heads = ("Area", "Item", "USD per hour", "USD per month", "Calculation", "Source")
    return html_table(heads, rows, title=bill.summary, notes=bill.notes)


@html.register
def _(costs: ActualCosts) -> str:
    rows = [(x.area, x.what, usd_or_unknown(x.usd), x.why) for x in costs.now or ()]
    notes = [f"Not checked: {scope}" for scope in costs.not_looked_at]
    heads = ("Area", "Resources now", "USD per hour", "Calculation")
    table = html_table(heads, rows, title=costs.summary, notes=notes)
    if not costs.ran:
        return table
    ran = [(x.area, x.what, usd_or_unknown(x.usd), x.why) for x in costs.ran]
    return table + html_table(("Area", "Nodes of Karpenter so far", "USD", "Calculation"), ran)


@html.register
def _(cost: Cost) -> str:
    parts = [html(cost.bill)]
    parts += [html(cost.spent)] if cost.spent.periods else []
    parts += map(paragraph, filter(None, [*cost.notes, cost.after_cleanup]))
    return "".join(parts)


# -- quotas ----------------------------------------------------------------------------------------


@html.register
def _(table: QuotaTable) -> str:
    rows = map(quota_cells, table.rows)
    return html_table(QUOTA_HEADS, rows, title=table.summary, notes=table.notes())


# -- Regions ---------------------------------------------------------------------------------------


@html.register
def _(comparison: RegionComparison) -> str:
    heads = ("Region", *region_table.column_names(comparison))
    rows = (_region_row(comparison, row) for row in comparison.regions)
    legend = "<br>".join(escape(note.strip()) for note in region_table.notes(comparison))
    title = f"<p><strong>{escape(region_table.title(comparison))}</strong></p>"
    return f"{title}{table_of(heads, rows)}<p><small>{legend}</small></p>"


def _region_row(comparison: RegionComparison, row: RegionResult) -> str:
    weight = "bold" if row.region == comparison.recommended else "normal"
    name = f'<th scope="row" style="text-align:left;font-weight:{weight}">{escape(row.region)}</th>'
    return name + "".join(map(_region_cell, region_table.cells(comparison, row)))


def _region_cell(cell: region_table.Cell) -> str:
    sign = mark(cell.mark)
    words = escape(f"{cell.label} {cell.more}".rstrip())
    return f'<td style="text-align:left" title="{cell.mark}">{sign} {words}</td>'


def mark(sign: region_table.Mark) -> str:
    """Return a mark's sign in its color."""
    return (
        f'<span style="color:{MARK_COLOR[sign]};font-weight:bold">'
        f"{region_table.SYMBOL[sign]}</span>"
    )


# -- workloads and web UIs -------------------------------------------------------------------------


@html.register
def _(result: WorkloadResult) -> str:
    where = f" on <code>{escape(result.node)}</code> ({escape(result.instance_type)})"
    took = f" in {result.seconds:.0f} s{where if result.node else ''}"
    lines = escape("\n".join(result.lines))
    return (
        f"<p><strong>{escape(result.title)}</strong>: {escape(result.message)}"
        f"{took if result.status == 'pass' else ''}.</p>"
        f"{f'<pre>{lines}</pre>' if lines else ''}"
        f"{f'<p><em>{escape(result.note)}</em></p>' if result.note else ''}"
    )


@html.register
def _(examples: Examples) -> str:
    rows = ((x.name, x.title, f"{x.minutes} min", x.why_not_runnable or x.cost) for x in examples)
    return html_table(("Name", "Description", "On AWS", "Cost"), rows)


@html.register
def _(endpoints: WebEndpoints) -> str:
    rows = ((at.title, f"jarkkit use open {at.name}", _login(at)) for at in endpoints)
    return html_table(("Web UI", "Open it from a terminal", "Login"), rows)


def _login(at: WebEndpoint) -> str:
    return f"jarkkit use password {at.name}" if at.secret else "none, or your own"
