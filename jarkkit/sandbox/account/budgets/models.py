"""The Budgets backend."""

from __future__ import annotations

from typing import Any

from moto.budgets.exceptions import NotFoundException
from moto.budgets.models import Budget, BudgetsBackend
from moto.utilities.tagging_service import TaggingService


class BudgetsWithTags(BudgetsBackend):
    """AWS Budgets of one account."""

    def __init__(self, region_name: str, account_id: str) -> None:
        super().__init__(region_name, account_id)
        self.tagger = TaggingService(tag_name="ResourceTags", key_name="Key", value_name="Value")

    def update_budget(self, account_id: str, budget: dict[str, Any]) -> None:
        """Update everything except the notifications, like UpdateBudget."""
        name = budget["BudgetName"]
        if name not in self.budgets[account_id]:
            raise NotFoundException(
                f"Unable to update budget: {name} - the budget doesn't exist. Try creating it "
                "first. "
            )
        before = self.budgets[account_id][name]
        after = Budget(budget, [])
        after.notifications = before.notifications
        self.budgets[account_id][name] = after

    def subscribers(
        self, account_id: str, budget_name: str, notification: dict[str, Any]
    ) -> list[dict[str, str]]:
        """Return the subscribers of this notification."""
        budget = self.budgets[account_id][budget_name]
        wanted = _identity(notification)
        found = [n for n in budget.notifications if _identity(n.details) == wanted]
        return [subscriber for n in found for subscriber in _list(n.subscribers)]


def _list(subscribers: Any) -> list[dict[str, str]]:
    return list(subscribers)


def _identity(details: dict[str, Any]) -> tuple[str, str, float]:
    """Return the fields that identify a notification; its state is not one of them."""
    return (
        details["NotificationType"],
        details["ComparisonOperator"],
        float(details["Threshold"]),
    )
