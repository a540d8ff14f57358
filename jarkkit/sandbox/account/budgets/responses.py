"""Requests in, answers out."""

from __future__ import annotations

import json
from typing import Any, cast

from moto.budgets.models import budgets_backends
from moto.budgets.responses import BudgetsResponse

from jarkkit.sandbox.account.budgets.models import BudgetsWithTags


class BudgetsWithTagsResponse(BudgetsResponse):
    """moto's handlers, and those that it has not."""

    @property
    def budgets(self) -> BudgetsWithTags:
        """The backend of the caller's account."""
        return cast(BudgetsWithTags, budgets_backends[self.current_account][self.partition])

    @property
    def asked(self) -> dict[str, Any]:
        """The request's members."""
        return dict(json.loads(self.body))

    def create_budget(self) -> str:
        """CreateBudget, with its tags."""
        answer = str(super().create_budget())
        name = self.asked["Budget"]["BudgetName"]
        arn = f"arn:{self.partition}:budgets::{self.current_account}:budget/{name}"
        self.budgets.tagger.tag_resource(arn, self.asked.get("ResourceTags") or [])
        return answer

    def update_budget(self) -> str:
        """UpdateBudget."""
        self.budgets.update_budget(self.asked["AccountId"], self.asked["NewBudget"])
        return "{}"

    def describe_subscribers_for_notification(self) -> str:
        """DescribeSubscribersForNotification."""
        asked = self.asked
        found = self.budgets.subscribers(
            asked["AccountId"], asked["BudgetName"], asked["Notification"]
        )
        return json.dumps({"Subscribers": found})

    def list_tags_for_resource(self) -> str:
        """ListTagsForResource."""
        return json.dumps(self.budgets.tagger.list_tags_for_resource(self.asked["ResourceARN"]))

    def tag_resource(self) -> str:
        """TagResource."""
        self.budgets.tagger.tag_resource(self.asked["ResourceARN"], self.asked["ResourceTags"])
        return "{}"

    def untag_resource(self) -> str:
        """UntagResource."""
        asked = self.asked
        self.budgets.tagger.untag_resource_using_names(
            asked["ResourceARN"], asked["ResourceTagKeys"]
        )
        return "{}"
