"""Request handlers of AWS Budgets."""

from __future__ import annotations

import json
from typing import Any, cast

from moto.budgets.models import budgets_backends
from moto.budgets.responses import BudgetsResponse

from jarkkit.sandbox.account.budgets.models import BudgetsWithTags


class BudgetsWithTagsResponse(BudgetsResponse):
    """moto's handlers, and those that moto lacks."""

    @property
    def budgets(self) -> BudgetsWithTags:
        """Backend of the caller's account."""
        return cast(BudgetsWithTags, budgets_backends[self.current_account][self.partition])

    @property
    def members(self) -> dict[str, Any]:
        """Members of the request."""
        return dict(json.loads(self.body))

    def create_budget(self) -> str:
        """Handle CreateBudget, including its tags."""
        answer = str(super().create_budget())
        name = self.members["Budget"]["BudgetName"]
        arn = f"arn:{self.partition}:budgets::{self.current_account}:budget/{name}"
        self.budgets.tagger.tag_resource(arn, self.members.get("ResourceTags") or [])
        return answer

    def update_budget(self) -> str:
        """Handle UpdateBudget."""
        self.budgets.update_budget(self.members["AccountId"], self.members["NewBudget"])
        return "{}"

    def describe_subscribers_for_notification(self) -> str:
        """Handle DescribeSubscribersForNotification."""
        request = self.members
        found = self.budgets.subscribers(
            request["AccountId"], request["BudgetName"], request["Notification"]
        )
        return json.dumps({"Subscribers": found})

    def list_tags_for_resource(self) -> str:
        """Handle ListTagsForResource."""
        return json.dumps(self.budgets.tagger.list_tags_for_resource(self.members["ResourceARN"]))

    def tag_resource(self) -> str:
        """Handle TagResource."""
        self.budgets.tagger.tag_resource(self.members["ResourceARN"], self.members["ResourceTags"])
        return "{}"

    def untag_resource(self) -> str:
        """Handle UntagResource."""
        request = self.members
        self.budgets.tagger.untag_resource_using_names(
            request["ResourceARN"], request["ResourceTagKeys"]
        )
        return "{}"
