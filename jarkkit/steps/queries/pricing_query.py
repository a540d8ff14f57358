"""Builds a bill with AWS' data: newer prices, Spot prices, the support level of Kubernetes.

Without an account, or where AWS does not answer, the bill uses the shipped prices and notes it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from jarkkit.decisions.costs.bill import (
    SESSION_HOURS,
    SpotPrices,
    Support,
    build_bill,
    priced_names,
    spot_instance_types,
    support_on,
)
from jarkkit.decisions.costs.models import Bill
from jarkkit.decisions.costs.price_table import PriceTable
from jarkkit.decisions.stack import ResolvedStack
from jarkkit.model.clock import now
from jarkkit.model.errors import JarkkitError
from jarkkit.ports.aws import Account

T = TypeVar("T")


@dataclass
class PricingQuery:
    """The pricing query for a stack.

    Args:
        account: None makes no calls.
        refresh: first query today's list prices.
        notes: the queries that failed, for people; filled by the queries.
    """

    stack: ResolvedStack
    account: Account | None
    session_hours: float = SESSION_HOURS
    refresh: bool = False
    notes: list[str] = field(default_factory=list)

    def price_table(self) -> PriceTable:
        """Return the shipped prices, overridden by newer ones."""
        shipped = PriceTable.shipped()
        if self.account is None:
            return shipped
        pricing = self.account.pricing
        if not self.refresh:
            return shipped.with_fresh(pricing.cached_prices())
        found = pricing.refresh(priced_names(self.stack.settings, shipped))
        self.notes.append(f"The bill uses {len(found.prices)} of today's list prices.")
        if found.not_found:
            self.notes.append(f"Not in this Region's price list: {', '.join(found.not_found)}.")
        self.notes += sorted({f"Prices: {error.message} {error.fix}" for error in found.errors})
        return shipped.with_fresh(found.prices)

    def bill(self, table: PriceTable, support: Support | None = None) -> Bill:
        """Calculate what the stack costs at these prices."""
        return build_bill(
            self.stack,
            table,
            today=now()[:10],
            session_hours=self.session_hours,
            spot=self._spot(table),
            support=support or self.support(table),
        )

    def _spot(self, table: PriceTable) -> SpotPrices | None:
        types = spot_instance_types(self.stack.settings, table)
        account = self.account
        if account is None or not types:
            return None
        return self.answer_or_note("Spot prices", lambda: account.availability.spot_prices(types))

    def support(self, table: PriceTable) -> Support:
        """Return today's Kubernetes support level: from EKS, else from the shipped dates."""
        by_date = support_on(now()[:10], self.stack.settings)
        account = self.account
        if account is None or not self.refresh:
            return by_date
        versions = self.answer_or_note("Kubernetes versions", account.cluster_versions) or ()
        known = {version.version: version.extended for version in versions}
        extended = known.get(self.stack.settings.cluster_version)
        if extended is None:
            return by_date
        return "extended" if extended else "standard"

    def answer_or_note(self, what: str, question: Callable[[], T]) -> T | None:
        """Return the answer, or None and add a note."""
        try:
            return question()
        except JarkkitError as error:
            self.notes.append(f"{what}: {error.message} {error.fix}")
            return None
