"""What does it cost, what did it cost so far, and what is there now?"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from jarkkit.clock import now
from jarkkit.costs.bill import Bill
from jarkkit.costs.spent import Spent, left_over, periods, priced_things, spent
from jarkkit.inquiries.costing import Costing
from jarkkit.records import Entry, Receipt, Record
from jarkkit.tables import Told, html_table


class Cost(Told, Record):
    """The bill beforehand, and what was spent.

    Attributes:
        after_cleanup: what goes on costing; empty while it is deployed.
        notes: what could not be asked.
    """

    bill: Bill
    spent: Spent
    after_cleanup: str = ""
    notes: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """For JSON: with the sums."""
        return {**self.model_dump(mode="json"), "bill": self.bill.as_dict()}

    def text(self) -> str:
        """For a terminal."""
        parts = [self.bill.text(), *(f"  {note}" for note in self.notes)]
        if self.spent.periods:
            parts += ["", self.spent.text()]
        return "\n".join([*parts, *filter(None, [self.after_cleanup])])

    def _repr_html_(self) -> str:
        parts = [self.bill._repr_html_()]
        if self.spent.periods:
            parts.append(self.spent._repr_html_())
        said = [*self.notes, *filter(None, [self.after_cleanup])]
        return "".join(parts) + (html_table((), (), notes=said) if said else "")


def cost(
    costing: Costing, entries: Iterable[Entry], receipt: Receipt | None, *, rehearsal: bool
) -> Cost:
    """Everything about money.

    The account is asked only for what is there now, for Spot prices where a pool may have Spot, and
    for list prices when they are to be refreshed. What it does not answer becomes a note.
    """
    entries = tuple(entries)
    table = costing.table()
    support = costing.support(table)
    bill = costing.bill(table, support)
    region, account = costing.settings.region, costing.account
    there = periods(entries, now())
    is_there = bool(there) and not there[-1].ended
    running, unseen = None, tuple[str, ...]()
    if is_there and account is not None:
        owned = costing.asked("What is there now", lambda: account.owned(costing.settings.name))
        if owned is not None:
            things, _, unseen = owned
            running = priced_things(things, table, region, support)
    so_far = spent(
        entries,
        bill,
        rehearsal=rehearsal,
        now=now(),
        running=running,
        not_looked_at=unseen,
    )
    left = "" if is_there or receipt is None else left_over(receipt.left, table, region, support)
    return Cost(bill=bill, spent=so_far, after_cleanup=left, notes=tuple(costing.notes))
