"""The IAM backend."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from moto.iam.exceptions import InvalidInput
from moto.iam.models import IAMBackend, Role

from jarkkit.sandbox.account.iam import service_linked
from jarkkit.sandbox.account.iam.policies import Context, Document, Need, decide


class IamBackend(IAMBackend):
    """AWS IAM of one account."""

    def create_service_linked_role(self, service_name: str, description: str, suffix: str) -> Role:
        """CreateServiceLinkedRole, with the names that AWS gives."""
        name = service_linked.NAMES.get(service_name)
        if name is None or suffix:
            return super().create_service_linked_role(service_name, description, suffix)
        if any(role.name == name for role in self.roles.values()):
            raise InvalidInput(
                f"Service role name {name} has been taken in this account, please try a different "
                "suffix."
            )
        trust = {
            "Effect": "Allow",
            "Action": ["sts:AssumeRole"],
            "Principal": {"Service": [service_name]},
        }
        return self.create_role(
            name,
            json.dumps({"Version": "2012-10-17", "Statement": [trust]}),
            f"/aws-service-role/{service_name}/",
            permissions_boundary=None,
            description=description,
            tags=[],
            max_session_duration="3600",
            linked_service=service_name,
        )

    def documents_of(self, principal: str) -> list[tuple[str, Document]]:
        """The policies of a user or role, each with its name. Raises moto's
        NotFoundException."""
        kind, _, path = principal.split(":", 5)[5].partition("/")
        name = path.rpartition("/")[2]
        if kind == "user":
            found: Any = self.get_user(name)
            owners = [found, *self.get_groups_for_user(name)]
        elif kind == "role":
            owners = [self.get_role(name)]
        else:
            raise InvalidInput(f"Invalid Entity Arn: {principal} does not clearly define entity.")
        return [policy for owner in owners for policy in _policies(owner)]

    def simulate(
        self,
        documents: Iterable[tuple[str, Document]],
        actions: Iterable[str],
        resources: Iterable[str],
        context: Context,
    ) -> list[dict[str, Any]]:
        """SimulatePrincipalPolicy and SimulateCustomPolicy: a result per action and resource."""
        known = list(documents)
        return [
            _result(known, Need(action, resource, context))
            for action in actions
            for resource in resources
        ]


def _policies(owner: Any) -> Iterable[tuple[str, Document]]:
    inline: Mapping[str, Any] = owner.policies
    for name, document in inline.items():
        yield name, json.loads(document) if isinstance(document, str) else document
    for policy in owner.managed_policies.values():
        newest = next(v for v in policy.versions if v.is_default)
        yield policy.name, json.loads(newest.document)


def _result(documents: Iterable[tuple[str, Document]], need: Need) -> dict[str, Any]:
    verdict = decide([document for _, document in documents], need)
    sources = [
        name
        for name, document in documents
        if decide([document], need).decision == verdict.decision != "implicitDeny"
    ]
    return {
        "EvalActionName": need.action,
        "EvalResourceName": need.resource,
        "EvalDecision": verdict.decision,
        "MatchedStatements": [
            {"SourcePolicyId": name, "SourcePolicyType": "IAM Policy"} for name in sources
        ],
        "MissingContextValues": [],
    }
