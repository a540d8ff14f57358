"""What does it cost, what did it cost so far, and which resources exist now?"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from jarkkit.decisions.costs.actuals import (
    ActualCosts,
    actual_costs,
    deployed_periods,
    describe_remaining_costs,
    price_resources,
)
from jarkkit.decisions.costs.models import Bill
from jarkkit.decisions.costs.node_runs import hourly_now, ran_lines
from jarkkit.model.clock import now
from jarkkit.model.records import LedgerEntry, NodeHistory, Receipt, Record
from jarkkit.steps.queries.pricing_query import PricingQuery


class Cost(Record):
    """The estimated bill, and what was spent.

    Attributes:
        after_cleanup: what still costs money; empty while it is deployed.
        notes: what AWS did not answer.
    """

    bill: Bill
    spent: ActualCosts
    after_cleanup: str = ""
    notes: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Build the JSON value, with the totals."""
        return {**self.model_dump(mode="json"), "bill": self.bill.as_dict()}


def cost(
    pricing: PricingQuery,
    entries: Iterable[LedgerEntry],
    receipt: Receipt | None,
    *,
    rehearsal: bool,
    endpoint: str = "",
    nodes: NodeHistory | None = None,
) -> Cost:
    """Calculate the estimated and the actual cost.

    It calls AWS only for the resources that exist now, for Spot prices where a pool may use Spot,
    and for list prices when `pricing_query` refreshes them. A call that fails becomes a note.

    Args:
        endpoint: of the deployment's cluster, as recorded; empty if there was none.
        nodes: the nodes of Karpenter that steps have seen.
    """
    entries = tuple(entries)
    table = pricing.price_table()
    support = pricing.support(table)
    bill = pricing.bill(table, support)
    settings, account = pricing.stack.settings, pricing.account
    deployed = deployed_periods(entries, now())
    is_deployed = bool(deployed) and not deployed[-1].ended
    running, inaccessible = None, tuple[str, ...]()
    if is_deployed and account is not None:
        scan = pricing.answer_or_note(
            "Existing resources", lambda: account.scan_resources(settings.name, endpoint=endpoint)
        )
        if scan is not None:
            inaccessible = scan.inaccessible
            running = price_resources(scan.found, table, settings.region)
    runs = nodes.runs if nodes else ()
    so_far = actual_costs(
        entries,
        bill,
        rehearsal=rehearsal,
        now=now(),
        running=running,
        not_looked_at=inaccessible,
        ran=ran_lines(runs, settings, table, now()),
        nodes_now=hourly_now(runs, settings, table),
    )
    left = (
        ""
        if is_deployed or receipt is None
        else describe_remaining_costs(receipt.left, table, settings.region)
    )
    return Cost(bill=bill, spent=so_far, after_cleanup=left, notes=tuple(pricing.notes))
