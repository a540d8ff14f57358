"""Checks of cost and time: they block nothing, and report both before you spend them."""

from __future__ import annotations

from jarkkit.decisions.durations.estimate import estimate_durations
from jarkkit.model.checks import Check
from jarkkit.steps.check_engine import CheckGroup, passed, warned
from jarkkit.steps.preflight.context import CheckContext
from jarkkit.steps.queries.past_durations import history_on_aws
from jarkkit.steps.queries.pricing_query import PricingQuery

CHECKS = CheckGroup[CheckContext]("Cost and time")


@CHECKS.check("Cost estimate")
def cost(context: CheckContext) -> Check:
    """Estimate the cost."""
    pricing = PricingQuery(context.stack, context.account)
    bill = pricing.bill(pricing.price_table())
    why = " ".join([*bill.notes, *pricing.notes])
    fix = f"For each line with its source, run: jarkkit cost {context.settings.name}"
    if bill.unknown:
        return Check(name="", status="unknown", found=bill.summary, why=why, fix=fix)
    budget = context.settings.budget_usd_per_month
    if budget and bill.monthly.likely > budget:
        return warned(
            bill.summary,
            needed=f"at most {budget} USD a month, your budget",
            why=why,
            fix="Raise budget_usd_per_month, choose a smaller deployment, or clean up after use.",
        )
    return passed(bill.summary, why=why)


@CHECKS.check("Time estimate")
def duration(context: CheckContext) -> Check:
    """Estimate how long deploy and cleanup take."""
    past = history_on_aws(context.workspace)
    found = estimate_durations(context.stack, past, clusters=context.charts is not None)
    return passed(
        f"deploy {found.deploy.brief}, cleanup {found.cleanup.brief}",
        why=f"{found.deploy.summary} {found.cleanup.summary}",
    )
