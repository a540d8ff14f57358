"""Questions about money and time: nothing blocks, everything is said before it is spent."""

from __future__ import annotations

from jarkkit.checks import Check
from jarkkit.durations.whole import times
from jarkkit.inquiries.costing import Costing
from jarkkit.inquiries.past import past_on_aws
from jarkkit.steps.preflight.asking import Look, Question, passed, warned


def cost(look: Look) -> Check:
    """What it costs."""
    costing = Costing(look.settings, look.account)
    bill = costing.bill(costing.table())
    why = " ".join([*bill.notes, *costing.notes])
    fix = f"Each line with its source: jarkkit cost {look.settings.name}"
    if bill.unknown:
        return Check(name="", status="unknown", found=bill.summary, why=why, fix=fix)
    budget = look.settings.budget_usd_per_month
    if budget and bill.monthly.likely > budget:
        return warned(
            bill.summary,
            needed=f"at most {budget} USD a month, your budget",
            why=why,
            fix="Raise budget_usd_per_month, choose a smaller deployment, or clean up after use.",
        )
    return passed(bill.summary, why=why)


def duration(look: Look) -> Check:
    """How long it takes."""
    past = past_on_aws(look.workspace)
    found = times(look.settings, past, clusters=look.charts is not None)
    return passed(
        f"deploy {found.deploy.brief}, cleanup {found.cleanup.brief}",
        why=f"{found.deploy.summary} {found.cleanup.summary}",
    )


QUESTIONS: tuple[Question, ...] = (cost, duration)
