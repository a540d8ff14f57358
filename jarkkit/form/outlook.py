"""What the settings in the form come to: cost, quotas, time. Pure; done after every change."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from jarkkit.addons.choice import chosen
from jarkkit.addons.order import needs
from jarkkit.costs.bill import Bill, money
from jarkkit.durations.whole import Times, minutes
from jarkkit.errors import JarkkitError
from jarkkit.inquiries.prospect import Prospect
from jarkkit.quotas.table import QuotaTable
from jarkkit.quotas.values import Row
from jarkkit.quotas.words import amount
from jarkkit.settings import Settings
from jarkkit.survey.shown import Mark


@dataclass(frozen=True)
class Line:
    """One answer.

    Attributes:
        said: the answer in a few words.
        more: the rest of it.
    """

    title: str
    mark: Mark | None
    said: str
    more: str = ""


def outlook(settings: Settings, prospect: Prospect, today: str) -> tuple[Line, ...]:
    """Cost, quotas and time; then what would stand in the way. `today` is `YYYY-MM-DD`."""
    return (
        _cost(prospect.bill(settings, today)),
        _quotas(prospect.quotas(settings)),
        _time(settings, prospect),
        *_hindrances(settings, prospect),
    )


def _cost(bill: Bill) -> Line:
    if bill.unknown and not bill.hourly.high:
        return Line("Cost", "unknown", "not known", f"There are no prices for {bill.region} here.")
    least = "at least " if bill.unknown else ""
    more = [
        f"{money(bill.session.likely)} for {bill.session_hours:g} hours"
        + "".join(
            f" ({money(bill.busy_session.likely)} with {line.what})"
            for line in bill.lines
            if line.when == "use" and line.usd is not None
        ),
        f"{money(bill.monthly.likely)} for a month",
        f"at its limits up to {money(bill.limit.high)} an hour",
    ]
    about = "≈" if bill.estimated else ""
    said = f"{least}{about}{money(bill.hourly.likely)} USD per hour"
    return Line("Cost", None, said, ", ".join(more))


def _quotas(table: QuotaTable | None) -> Line:
    if table is None:
        return Line("Quotas", "unknown", "not asked yet")
    short = [row for row in table.rows if row.fits == "no"]
    tight = [row for row in table.rows if row.fits == "at the start"]
    unknown = [row for row in table.rows if row.fits == "unknown"]
    if short:
        return Line("Quotas", "poor", "too small", "; ".join(map(_short, short)))
    if unknown:
        reasons = dict.fromkeys(row.why.rstrip(".") for row in unknown)
        said = f"{len(unknown)} of {len(table.rows)} not known"
        return Line("Quotas", "unknown", said, "; ".join(reasons))
    if tight:
        return Line("Quotas", "fair", "enough to begin with", "; ".join(map(_tight, tight)))
    return Line("Quotas", "good", "enough up to the limits")


def _short(row: Row) -> str:
    asked = f" ({amount(row.pending.desired)} asked for)" if row.pending else ""
    return f"{row.name}: {amount(row.least)} needed, {amount(row.free)} free{asked}"


def _tight(row: Row) -> str:
    return f"{row.name}: {amount(row.most)} at the limits, {amount(row.free)} free"


def _time(settings: Settings, prospect: Prospect) -> Line:
    try:
        times: Times = prospect.times(settings)
    except JarkkitError:
        return Line("Time", "unknown", "not known")
    up, down = times.deploy.seconds, times.cleanup.seconds
    said = f"{minutes(up.likely)} min to build"
    spread = f"{minutes(up.low)} to {minutes(up.high)}; {minutes(down.likely)} min to take away"
    return Line("Time", None, said, f"{spread}, on AWS")


def _hindrances(settings: Settings, prospect: Prospect) -> Iterator[Line]:
    try:
        needs(chosen(settings))
    except JarkkitError as error:
        yield Line("Add-ons", "poor", error.message, error.fix)
    gone = [p.family for p in settings.accelerators if prospect.offer(p.family).offered is False]
    if gone:
        yield Line(
            "Accelerators",
            "poor",
            f"{', '.join(gone)} not offered in {prospect.region}",
            "Choose another family or another Region.",
        )
    for reason in prospect.unanswered():
        yield Line("Not known", "unknown", reason)
