"""Makes a bill with what the account knows: newer prices, Spot prices, the support of Kubernetes.

Without an account, or where it does not answer, the shipped figures serve, and the bill says so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from jarkkit.aws import Account
from jarkkit.clock import now
from jarkkit.costs.bill import Bill
from jarkkit.costs.lines import (
    SESSION_HOURS,
    SpotPrices,
    Support,
    bill,
    names,
    spot_types,
    support_on,
)
from jarkkit.costs.table import PriceTable
from jarkkit.errors import JarkkitError
from jarkkit.settings import Settings

T = TypeVar("T")


@dataclass
class Costing:
    """Settings and where to ask.

    Args:
        account: None asks nobody.
        refresh: ask for today's list prices first.
        notes: what could not be asked, for people; filled while asking.
    """

    settings: Settings
    account: Account | None
    session_hours: float = SESSION_HOURS
    refresh: bool = False
    notes: list[str] = field(default_factory=list)

    def table(self) -> PriceTable:
        """The shipped prices with newer ones over them."""
        shipped = PriceTable.shipped()
        if self.account is None:
            return shipped
        pricing = self.account.pricing
        if not self.refresh:
            return shipped.with_fresh(pricing.known())
        found = pricing.refresh(names(self.settings, shipped))
        self.notes.append(f"{len(found.prices)} of today's list prices are in use.")
        if found.not_found:
            self.notes.append(f"Not sold here, by the price list: {', '.join(found.not_found)}.")
        self.notes += sorted({f"Prices: {error.message} {error.fix}" for error in found.errors})
        return shipped.with_fresh(found.prices)

    def bill(self, table: PriceTable, support: Support | None = None) -> Bill:
        """What the settings cost by these prices."""
        return bill(
            self.settings,
            table,
            today=now()[:10],
            session_hours=self.session_hours,
            spot=self._spot(table),
            support=support or self.support(table),
        )

    def _spot(self, table: PriceTable) -> SpotPrices | None:
        types = spot_types(self.settings, table)
        account = self.account
        if account is None or not types:
            return None
        return self.asked("Spot prices", lambda: account.offers.spot_prices(types))

    def support(self, table: PriceTable) -> Support:
        """The support of Kubernetes today: what EKS says, else by the shipped dates."""
        by_date = support_on(now()[:10], self.settings, table)
        account = self.account
        if account is None or not self.refresh:
            return by_date
        versions = self.asked("Kubernetes versions", account.cluster_versions) or ()
        known = {version.version: version.extended for version in versions}
        extended = known.get(self.settings.cluster_version)
        if extended is None:
            return by_date
        return "extended" if extended else "standard"

    def asked(self, what: str, question: Callable[[], T]) -> T | None:
        """The answer, or None and a note."""
        try:
            return question()
        except JarkkitError as error:
            self.notes.append(f"{what}: {error.message} {error.fix}")
            return None
