"""Who is calling, and what that one may do, as IAM's policy simulator says."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

from jarkkit.aws.answers import MINUTE
from jarkkit.aws.asking import together
from jarkkit.aws.session import Session, client_error_code, translated
from jarkkit.errors import JarkkitError
from jarkkit.permissions.questions import Decision, Question, kind_of
from jarkkit.records import Caller

# How many actions one call asks about.
_AT_ONCE = 100
_REMEMBERED_SECONDS = 5 * MINUTE


class Identity:
    """The caller of one session. Making one calls nobody."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def principal(self, caller: Caller) -> str:
        """The ARN that the simulator takes for a caller: the role's behind a session, with its
        path. Empty for the root user and for federated users, whom it knows not.

        Raises JK-AWS-DENIED and the like where the role of a session cannot be looked up.
        """
        kind, name = kind_of(caller.arn)
        if kind not in ("user", "role"):
            return ""
        if ":sts:" not in caller.arn:
            return caller.arn
        with translated("iam GetRole"):
            return str(self._session.client("iam").get_role(RoleName=name)["Role"]["Arn"])

    def simulate(
        self, principal: str, questions: Sequence[Question]
    ) -> dict[Question, Sequence[Decision] | JarkkitError]:
        """What the simulator answers to each question, side by side; a question that it does not
        answer has its error. Nothing is done. Only a yes to all of a question is remembered."""
        return together({q: partial(self._ask, principal, q) for q in questions})

    def service_linked_roles(self, roles: Mapping[str, str]) -> dict[str, bool | JarkkitError]:
        """For each service whether its service-linked role is there.

        Args:
            roles: the role's name by the service's.
        """
        return together({service: partial(self._has_role, role) for service, role in roles.items()})

    def _has_role(self, role: str) -> bool:
        try:
            with translated("iam GetRole"):
                self._session.client("iam").get_role(RoleName=role)
        except JarkkitError as error:
            if client_error_code(error) == "NoSuchEntity":
                return False
            raise
        return True

    def _ask(self, principal: str, question: Question) -> Sequence[Decision]:
        try:
            known = self._session.remembered(
                f"simulated {_digest(principal, question)}",
                _REMEMBERED_SECONDS,
                partial(_all_allowed, self._decisions(principal, question)),
            )
        except _RefusedError as refused:
            return refused.decisions
        return tuple(Decision(**item) for item in known.value)

    def _decisions(self, principal: str, question: Question) -> Iterator[Decision]:
        """What the simulator says of each action on each resource."""
        context = [
            {"ContextKeyName": key, "ContextKeyValues": [value], "ContextKeyType": _type_of(value)}
            for key, value in question.context
        ]
        pages = self._session.client("iam").get_paginator("simulate_principal_policy")
        for start in range(0, len(question.actions), _AT_ONCE):
            with translated("iam SimulatePrincipalPolicy"):
                asked = pages.paginate(
                    PolicySourceArn=principal,
                    ActionNames=list(question.actions[start : start + _AT_ONCE]),
                    ResourceArns=list(question.resources),
                    ContextEntries=context,
                )
                for page in asked:
                    for result in page["EvaluationResults"]:
                        yield from _read(result)


class _RefusedError(Exception):
    """Not everything is allowed: the answer is not to be remembered."""

    def __init__(self, decisions: tuple[Decision, ...]) -> None:
        super().__init__()
        self.decisions = decisions


def _all_allowed(decisions: Iterable[Decision]) -> list[dict[str, Any]]:
    """The decisions in values that JSON has. Raises _RefusedError."""
    found = tuple(decisions)
    if not all(decision.allowed for decision in found):
        raise _RefusedError(found)
    return [asdict(decision) for decision in found]


def _read(result: Mapping[str, Any]) -> Iterator[Decision]:
    """A result by resource; some have the resources inside."""
    organization = result.get("OrganizationsDecisionDetail", {}).get("AllowedByOrganizations")
    inside = result.get("ResourceSpecificResults") or [
        {
            "EvalResourceName": result.get("EvalResourceName", "*"),
            "EvalResourceDecision": result["EvalDecision"],
            "PermissionsBoundaryDecisionDetail": result.get("PermissionsBoundaryDecisionDetail"),
        }
    ]
    for item in inside:
        boundary = item.get("PermissionsBoundaryDecisionDetail") or {}
        yield Decision(
            action=result["EvalActionName"],
            resource=item["EvalResourceName"],
            decision=item["EvalResourceDecision"],
            by_organization=organization,
            by_boundary=boundary.get("AllowedByPermissionsBoundary"),
        )


def _type_of(value: str) -> str:
    return "boolean" if value in ("true", "false") else "string"


def _digest(principal: str, question: Question) -> str:
    asked = json.dumps([principal, asdict(question)], sort_keys=True)
    return hashlib.sha256(asked.encode()).hexdigest()[:24]
