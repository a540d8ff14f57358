"""Summary of the settings in the form: cost, quotas, time. Pure; runs after every change."""

from __future__ import annotations

from collections.abc import Iterator

from jarkkit.decisions.costs.models import Bill, format_usd
from jarkkit.decisions.durations.estimate import DurationEstimates, format_minutes
from jarkkit.decisions.quotas.formatting import format_amount
from jarkkit.decisions.quotas.models import QuotaRow
from jarkkit.decisions.quotas.table import QuotaTable
from jarkkit.decisions.stack import ResolvedStack
from jarkkit.model.errors import JarkkitError
from jarkkit.render.form import SummaryLine
from jarkkit.steps.queries.region_snapshot import RegionSnapshot


def settings_summary(
    stack: ResolvedStack, snapshot: RegionSnapshot, today: str
) -> tuple[SummaryLine, ...]:
    """Return cost, quotas and time, then the problems. `today` is `YYYY-MM-DD`."""
    return (
        _cost(snapshot.bill(stack, today)),
        _quotas(snapshot.quotas(stack)),
        _time(stack, snapshot),
        *_problems(stack, snapshot),
    )


def _cost(bill: Bill) -> SummaryLine:
    if bill.unknown and not bill.hourly.high:
        return SummaryLine("Cost", "unknown", "unknown", f"There are no prices for {bill.region}.")
    least = "at least " if bill.unknown else ""
    more = [
        f"{format_usd(bill.session.likely)} for {bill.session_hours:g} hours"
        + "".join(
            f" ({format_usd(bill.busy_session.likely)} with {line.what})"
            for line in bill.lines
            if line.when == "use" and line.usd is not None
        ),
        f"{format_usd(bill.monthly.likely)} per month",
        f"at the limits up to {format_usd(bill.limit.high)} per hour",
    ]
    about = "≈" if bill.estimated else ""
    text = f"{least}{about}{format_usd(bill.hourly.likely)} USD per hour"
    return SummaryLine("Cost", None, text, ", ".join(more))


def _quotas(table: QuotaTable | None) -> SummaryLine:
    if table is None:
        return SummaryLine("Quotas", "unknown", "not checked yet")
    short = [row for row in table.rows if row.fits == "no"]
    tight = [row for row in table.rows if row.fits == "at the start"]
    unknown = [row for row in table.rows if row.fits == "unknown"]
    if short:
        return SummaryLine("Quotas", "poor", "too small", "; ".join(map(_short, short)))
    if unknown:
        reasons = dict.fromkeys(row.why.rstrip(".") for row in unknown)
        text = f"{len(unknown)} of {len(table.rows)} unknown"
        return SummaryLine("Quotas", "unknown", text, "; ".join(reasons))
    if tight:
        return SummaryLine("Quotas", "fair", "enough to start", "; ".join(map(_tight, tight)))
    return SummaryLine("Quotas", "good", "enough up to the limits")


def _short(row: QuotaRow) -> str:
    requested = f" ({format_amount(row.pending.desired)} requested)" if row.pending else ""
    return (
        f"{row.name}: {format_amount(row.least)} needed, {format_amount(row.free)} free{requested}"
    )


def _tight(row: QuotaRow) -> str:
    return f"{row.name}: {format_amount(row.most)} at the limits, {format_amount(row.free)} free"


def _time(stack: ResolvedStack, snapshot: RegionSnapshot) -> SummaryLine:
    try:
        times: DurationEstimates = snapshot.times(stack)
    except JarkkitError:
        return SummaryLine("Time", "unknown", "unknown")
    up, down = times.deploy.seconds, times.cleanup.seconds
    text = f"{format_minutes(up.likely)} min to deploy"
    spread = f"{format_minutes(up.low)} to {format_minutes(up.high)}"
    spread += f"; {format_minutes(down.likely)} min to clean up"
    return SummaryLine("Time", None, text, f"{spread}, on AWS")


def _problems(stack: ResolvedStack, snapshot: RegionSnapshot) -> Iterator[SummaryLine]:
    try:
        stack.check_addons()
    except JarkkitError as error:
        yield SummaryLine("Add-ons", "poor", error.message, error.fix)
    missing = [
        pool.family
        for pool in stack.settings.accelerators
        if snapshot.offering(pool.family).offered is False
    ]
    if missing:
        yield SummaryLine(
            "Accelerators",
            "poor",
            f"{', '.join(missing)} not offered in {snapshot.region}",
            "Choose another family or another Region.",
        )
    for reason in snapshot.unanswered():
        yield SummaryLine("Not checked", "unknown", reason)
