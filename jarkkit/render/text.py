"""Values as text for a terminal, by their type. Notebooks show it where they show no HTML."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from functools import singledispatch

from jarkkit.decisions.costs.actuals import ActualCosts
from jarkkit.decisions.costs.models import Bill, UsageLevel, UsdRange, format_line_costs
from jarkkit.decisions.durations.estimate import (
    DurationEstimate,
    DurationEstimates,
    format_duration,
)
from jarkkit.decisions.notebook_progress import StepMark, TableOfContents
from jarkkit.decisions.plan_losses import change_name, loss_lines
from jarkkit.decisions.quotas.formatting import format_amount
from jarkkit.decisions.quotas.models import Fits, QuotaRow
from jarkkit.decisions.quotas.table import QuotaTable
from jarkkit.decisions.regions import RegionComparison
from jarkkit.decisions.regions import table as region_table
from jarkkit.decisions.support_bundle import SupportBundle
from jarkkit.decisions.terraform_messages import short_address
from jarkkit.model.checks import STATUS_WORD, SYMBOL, Check, Report, group_by
from jarkkit.model.records import (
    ACTION_WORDS,
    AREAS,
    AddonAction,
    AddonChange,
    DeploymentStatus,
    Event,
    Plan,
    Receipt,
    ResourceChange,
)
from jarkkit.steps.cost import Cost
from jarkkit.steps.quotas import QuotaIncreaseRequest, QuotaIncreaseResult
from jarkkit.steps.use import Examples, WebEndpoints, WorkloadResult


@singledispatch
def text(value: object) -> str:
    """Return a value as text. Raises TypeError for a type without one."""
    raise TypeError(f"no text for {type(value).__name__}")


# -- checks ----------------------------------------------------------------------------------------


_WIDTH = 100


@text.register
def _(report: Report) -> str:
    lines = [line for check in report.findings() for line in _finding(check)]
    for status in ("pass", "skip"):
        lines += _brief(check for check in report.checks if check.status == status)
    return "\n".join([report.verdict, *lines, *report.notes])


def _finding(check: Check) -> Iterator[str]:
    needed = f" (needed: {check.needed})" if check.needed else ""
    code = f" [{check.code}]" if check.code else ""
    head = f"{check.name}: {check.found or STATUS_WORD[check.status]}{needed}{code}"
    yield from _wrapped(head, f"  {SYMBOL[check.status]} ")
    for label, advice in (("why", check.why), ("fix", check.fix), ("see", check.link)):
        if advice:
            yield f"      {label}: {advice}"
    yield from (f"      therefore: {line}" for line in check.follows)


def _brief(checks: Iterable[Check]) -> Iterator[str]:
    """Yield a paragraph per group; checks with the same evidence share it."""
    for group, members in group_by("group", checks).items():
        words = "; ".join(
            f"{', '.join(check.name for check in same)}{f': {found}' if found else ''}"
            for found, same in group_by("found", members).items()
        )
        mark = f"  {SYMBOL[members[0].status]} "
        yield from _wrapped(f"{group}. {words}" if group else words, mark)


def _wrapped(words: str, mark: str) -> list[str]:
    return textwrap.wrap(
        words,
        _WIDTH,
        initial_indent=mark,
        subsequent_indent=" " * len(mark),
        break_on_hyphens=False,
        break_long_words=False,
    )


@text.register
def _(bundle: SupportBundle) -> str:
    """Return the files of the archive with their sizes, then what could not be read."""
    lines = [f"{member.size:>10,} B  {member.name}" for member in bundle.members]
    if bundle.unread:
        lines += ["Not read:", *(f"  {part.name}: {part.why}" for part in bundle.unread)]
    return "\n".join(lines)


# -- the journey -----------------------------------------------------------------------------------


def status_text(status: DeploymentStatus, *, rehearsal: bool) -> str:
    """Return the state of a deployment, of which kind it is, and the next command."""
    kind = "rehearsal" if rehearsal else "account"
    head = f"{status.deployment} ({kind}): {status.state}. {status.summary}"
    return f"{head}\nnext: {status.next_command}"


NOTHING_TO_CHANGE = "Nothing to change."
NO_RESOURCE_CHANGES = "The AWS resources stay as they are."
ADDONS_UNKNOWN = "Which add-ons change is not known."
ADDON_ACTION_WORDS: dict[AddonAction, str] = {
    "install": "Add-ons to install in the cluster",
    "change": "Add-ons to change",
    "unknown": "Add-ons of which it is not known whether they change",
    "remove": "Add-ons to remove, without their volumes",
}


def addon_change_text(change: AddonChange) -> str:
    """Return an add-on with its version, or with what changes."""
    if change.action == "change":
        same = change.before == change.after
        return f"{change.name} ({'values' if same else f'{change.before} → {change.after}'})"
    return f"{change.name} {change.after or change.before}".strip()


def user_values_text(plan: Plan) -> str:
    """Return which values of add-ons are the user's own; empty without any."""
    names = [f"{c.name} ({', '.join(c.user_values)})" for c in plan.addons or () if c.user_values]
    return f"Your own Helm values: {'; '.join(names)}." if names else ""


@text.register
def _(plan: Plan) -> str:
    """Return what exists by name, what is new by area, the add-ons, then the losses."""
    if not plan.pending:
        lines = [NOTHING_TO_CHANGE if plan.changes_nothing else NO_RESOURCE_CHANGES]
    else:
        counts = [f"{len(found)} {ACTION_WORDS[a]}" for a, found in plan.by_action().items()]
        lines = [f"{', '.join(counts)}; on AWS about {plan.seconds / 60:.0f} min:"]
    for action, changes in plan.by_action().items():
        lines += ["", f"{len(changes)} {ACTION_WORDS[action]}:"]
        lines += _by_area(changes) if action in ("create", "import") else _by_name(changes)
    return "\n".join([*lines, *_addon_changes(plan), *_losses(plan)])


def _addon_changes(plan: Plan) -> list[str]:
    if plan.addons is None:
        return ["", ADDONS_UNKNOWN]
    lines = []
    for action, changes in plan.pending_addons.items():
        names = ", ".join(map(addon_change_text, changes))
        lines += ["", f"{ADDON_ACTION_WORDS[action]}, {len(changes)}:"]
        lines += textwrap.wrap(names, 96, initial_indent="  ", subsequent_indent="  ")
    if yours := user_values_text(plan):
        lines += ["", *textwrap.wrap(yours, 96, subsequent_indent="  ")]
    return lines


def _by_area(changes: Sequence[ResourceChange]) -> list[str]:
    found = {area: [c for c in changes if c.area == area] for area in AREAS}
    return [
        f"  {area:14} {len(chosen):4}  {_names([short_address(c.address) for c in chosen])}"
        for area, chosen in found.items()
        if chosen
    ]


def _by_name(changes: Sequence[ResourceChange]) -> list[str]:
    return [
        f"  {change.area:14} {short_address(change.address)}: {change_name(change)}"
        + (f"; forced by {', '.join(change.forced_by)}" if change.forced_by else "")
        for change in changes
    ]


def _names(names: Sequence[str]) -> str:
    shown = ", ".join(names[:8])
    return f"{shown}, and {len(names) - 8} more" if len(names) > 8 else shown


def _losses(plan: Plan) -> list[str]:
    if not plan.losses:
        return []
    lines = ["", "What you lose:", *(f"  {line}" for line in loss_lines(plan.losses))]
    if plan.needs_confirmation:
        name = plan.target.cluster_arn.rpartition("/")[2]
        lines += ["", f"Deploying it needs the name: jarkkit deploy {name} --confirm {name}"]
    return lines


@text.register
def _(receipt: Receipt) -> str:
    unchecked = len(receipt.not_looked_at)
    return (
        f"{receipt.destroyed} resources destroyed in {receipt.seconds:.0f} s. "
        f"{len(receipt.looked_at)} locations checked"
        f"{f', {unchecked} could not be checked' if unchecked else ''}: {receipt.verdict}."
    )


STEP_MARK: dict[StepMark, tuple[str, str]] = {
    "done": ("✔", "done"),
    "failed": ("✘", "failed"),
    "running": ("…", "running"),
    "again": ("↻", "run again"),
    "": ("", ""),
}


@text.register
def _(contents: TableOfContents) -> str:
    lines = (f"{' '.join(STEP_MARK[m]):20} {notebook_title(name)}" for name, m in contents.lines)
    return "\n".join([contents.deployment, *lines])


def notebook_title(name: str) -> str:
    """Return the title of a notebook, such as `04 · Deploy` for `04-deploy`."""
    number, _, rest = name.partition("-")
    return f"{number} · {rest.replace('-', ' ').capitalize()}"


# -- events ----------------------------------------------------------------------------------------

_EVENT_MARK = {"done": "✔", "failed": "✘", "started": "…", "running": "…"}


@text.register
def _(event: Event) -> str:
    """Return one line; empty for an event without news, such as an early heartbeat."""
    if event.kind == "resource":
        ended = event.status in ("done", "failed")
        if event.action == "read" or not (ended or _is_long(event)):
            return ""
        mark = _EVENT_MARK[event.status or "running"]
        count = f"[{event.done}/{event.total}]" if event.total else ""
        left = f", {_left(event.seconds_left)}" if _is_long(event) else ""
        seconds = f"{event.seconds or 0:.0f} s{left}"
        return f"  {mark} {count:9} {event.action} {short_address(event.subject)} ({seconds})"
    if event.kind == "addon":
        return _addon_line(event)
    if event.kind == "phase":
        if event.status == "started":
            return f"{event.step}: {event.subject} {event.message}".rstrip()
        if event.status == "running":
            return f"  … {event.message}"
        return ""
    code = f"{event.code} " if event.code else ""
    return f"  {'✘' if event.kind == 'error' else '·'} {code}{event.message[:300]}"


def _addon_line(event: Event) -> str:
    """Return the line for an add-on that finished or takes long; empty for one without change."""
    if event.action == "no-op" or event.status == "started":
        return ""
    if event.status == "running" and not _is_long(event):
        return ""
    mark = _EVENT_MARK[event.status or "running"]
    count = f"[{event.done}/{event.total}]" if event.total else ""
    code = f"{event.code} " if event.code else ""
    message = f": {code}{event.message[:200]}" if event.message else ""
    return (
        f"  {mark} {count:9} {event.action} {event.subject} ({event.seconds or 0:.0f} s){message}"
    )


def _is_long(event: Event) -> bool:
    seconds = event.seconds or 0
    return event.status == "running" and seconds >= 30 and round(seconds) % 30 < 10


def _left(seconds: float | None) -> str:
    return "" if seconds is None else f"about {seconds / 60:.0f} min left in total"


# -- durations -------------------------------------------------------------------------------------


@text.register
def _(estimate: DurationEstimate) -> str:
    lines = [f"  {format_duration(s.seconds.likely):>8}  {s.name}" for s in estimate.path]
    return "\n".join([_capitalized(estimate.summary), *lines])


@text.register
def _(estimates: DurationEstimates) -> str:
    return f"{text(estimates.deploy)}\n{text(estimates.cleanup)}"


def _capitalized(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]


# -- costs -----------------------------------------------------------------------------------------

_USAGE_MARK: dict[UsageLevel, str] = {"always": " ", "use": "~", "limit": "+"}


@text.register
def _(bill: Bill) -> str:
    rows = [
        f"  {_USAGE_MARK[line.when]} {line.area:18} {format_line_costs(line)[0]:>24}  {line.what}"
        for line in bill.lines
    ]
    marks = "USD per hour; ~ is extra while in use, + is extra at the limits:"
    return "\n".join([bill.summary, marks, *rows, *bill.notes])


@text.register
def _(costs: ActualCosts) -> str:
    ran = [_usd_line(line.usd, line.what) for line in costs.ran]
    existing = [_usd_line(line.usd, line.what) for line in costs.now or ()]
    lines = [costs.summary]
    lines += ["Of that, USD for nodes that Karpenter launched:", *ran] if ran else []
    lines += ["USD per hour of what exists now:"] if ran and existing else []
    lines += [*existing, *(f"  ? not checked: {scope}" for scope in costs.not_looked_at)]
    return "\n".join(lines)


def usd_or_unknown(usd: UsdRange | None) -> str:
    """Return an amount; `?` if it is unknown."""
    return "?" if usd is None else str(usd)


def _usd_line(usd: UsdRange | None, what: str) -> str:
    return f"    {usd_or_unknown(usd):>24}  {what}"


@text.register
def _(cost: Cost) -> str:
    parts = [text(cost.bill), *(f"  {note}" for note in cost.notes)]
    parts += ["", text(cost.spent)] if cost.spent.periods else []
    return "\n".join([*parts, *filter(None, [cost.after_cleanup])])


# -- quotas ----------------------------------------------------------------------------------------

QUOTA_HEADS = (
    "", "quota", "code", "minimum", "at the limits", "applied", "in use", "free", "requested",
)  # fmt: skip
_FIT_MARK: dict[Fits, str] = {"yes": "✔", "at the start": "!", "no": "✘", "unknown": "?"}


@text.register
def _(table: QuotaTable) -> str:
    lines = [QUOTA_HEADS, *map(quota_cells, table.rows)]
    return "\n".join([table.summary, *_aligned(lines, left=3), *table.notes()])


def quota_cells(row: QuotaRow) -> tuple[str, ...]:
    """Return the cells of a quota, under `QUOTA_HEADS`."""
    each = f" (per {row.each})" if row.each and " per " not in row.name else ""
    own = f" ({format_amount(row.own)})" if row.own else ""
    return (
        _FIT_MARK[row.fits],
        f"{row.name}{each}",
        f"{row.service} {row.code}",
        format_amount(row.least),
        format_amount(row.most),
        format_amount(row.quota),
        f"{format_amount(row.used)}{own}",
        format_amount(row.free),
        f"{format_amount(row.pending.desired)} {row.pending.status}" if row.pending else "",
    )


@text.register
def _(request: QuotaIncreaseRequest) -> str:
    return (
        f"service {request.service}, quota {request.code} ({request.name}), "
        f"Region {request.region}, "
        f"desired value {request.desired} (now {format_amount(request.in_force)})"
    )


@text.register
def _(result: QuotaIncreaseResult) -> str:
    code = result.request.code
    if result.error:
        return f"  ✘ {code}: {result.error['message']}\n    fix: {result.error['fix']}"
    if result.increase is None:
        return f"  ? {code}: no response"
    what = "already open" if result.before else "sent"
    return f"  ✔ {code}: {what}, {result.increase.status} (request {result.increase.id})"


# -- Regions ---------------------------------------------------------------------------------------


@text.register
def _(comparison: RegionComparison) -> str:
    head = ("", "Region", *region_table.column_names(comparison))
    body = [
        (
            "➤" if row.region == comparison.recommended else " ",
            row.region,
            *(cell.text for cell in region_table.cells(comparison, row)),
        )
        for row in comparison.regions
    ]
    table = _aligned([head, *body], left=len(head))
    return "\n".join([region_table.title(comparison), *table, *region_table.notes(comparison)])


# -- workloads and web UIs -------------------------------------------------------------------------


@text.register
def _(result: WorkloadResult) -> str:
    mark = "✔" if result.status == "pass" else "-"
    where = f" on {result.node} ({result.instance_type})" if result.node else ""
    took = f" in {result.seconds:.0f} s" if result.status == "pass" else ""
    head = f"{mark} {result.title}: {result.message}{took}{where}"
    lines = (f"    {line}" for line in result.lines)
    return "\n".join([head, *lines, *filter(None, [result.note])])


@text.register
def _(examples: Examples) -> str:
    return "\n".join(
        f"{example.name:16} {example.title}. {example.why_not_runnable or example.cost}"
        for example in examples
    )


@text.register
def _(endpoints: WebEndpoints) -> str:
    return "\n".join(f"{at.title:22} jarkkit use open {at.name}" for at in endpoints)


# -- parts -----------------------------------------------------------------------------------------


def _aligned(rows: Sequence[Sequence[str]], *, left: int) -> Iterator[str]:
    """Yield rows with aligned columns, the first `left` of them to the left."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(_padded(row, widths, left)).rstrip()


def _padded(row: Iterable[str], widths: Sequence[int], left: int) -> Iterator[str]:
    for n, (cell, width) in enumerate(zip(row, widths, strict=True)):
        yield cell.ljust(width) if n < left else cell.rjust(width)
