"""The caller's identity, and its permissions according to IAM's policy simulator."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

from jarkkit.decisions.permissions.simulation import (
    SimulationRequest,
    SimulationResult,
    caller_kind,
)
from jarkkit.model.errors import ObjectNotFound
from jarkkit.model.records import Caller
from jarkkit.model.unknown import Unknown
from jarkkit.ports.aws.concurrency import gather
from jarkkit.ports.aws.response_cache import MINUTE
from jarkkit.ports.aws.session import AwsSession, translate_errors

# Maximum number of actions per call.
_AT_ONCE = 100
_REMEMBERED_SECONDS = 5 * MINUTE


class CallerIdentity:
    """The caller of one session. The constructor makes no call."""

    def __init__(self, session: AwsSession) -> None:
        self._session = session

    def principal(self, caller: Caller) -> str:
        """Return the ARN that the simulator accepts for a caller.

        For a session, this is its role's ARN with the path. It is empty for the root user and for
        federated users, which the simulator does not support.

        Raises JK-AWS-DENIED and other errors of GetRole if it cannot find a session's role.
        """
        kind, name = caller_kind(caller.arn)
        if kind not in ("user", "role"):
            return ""
        if ":sts:" not in caller.arn:
            return caller.arn
        with translate_errors("iam GetRole"):
            return str(self._session.client("iam").get_role(RoleName=name)["Role"]["Arn"])

    def simulate(
        self, principal: str, questions: Sequence[SimulationRequest]
    ) -> dict[SimulationRequest, Sequence[SimulationResult] | Unknown]:
        """Return the simulator's decisions for each question.

        The calls run in parallel and change nothing. Only results that allow everything are
        cached.
        """
        return gather({q: partial(self._ask, principal, q) for q in questions})

    def service_linked_roles(self, roles: Mapping[str, str]) -> dict[str, bool | Unknown]:
        """Return, for each service, whether its service-linked role exists.

        Args:
            roles: role names by service.
        """
        return gather({service: partial(self._has_role, role) for service, role in roles.items()})

    def principals(self, arns: Iterable[str]) -> dict[str, bool | Unknown]:
        """Return, for each ARN of a role or user in the caller's account, whether it exists."""
        return gather({arn: partial(self._exists, arn) for arn in arns})

    def _exists(self, arn: str) -> bool:
        kind, name = arn.split(":", 5)[5].split("/", 1)
        operation, key = ("get_role", "Role") if kind == "role" else ("get_user", "User")
        given = {f"{key}Name": name.rpartition("/")[2]}
        try:
            with translate_errors(f"iam Get{key}"):
                found = getattr(self._session.client("iam"), operation)(**given)[key]
        except ObjectNotFound:
            return False
        return str(found["Arn"]) == arn

    def _has_role(self, role: str) -> bool:
        try:
            with translate_errors("iam GetRole"):
                self._session.client("iam").get_role(RoleName=role)
        except ObjectNotFound:
            return False
        return True

    def _ask(self, principal: str, question: SimulationRequest) -> Sequence[SimulationResult]:
        try:
            known = self._session.cached(
                f"simulated {_digest(principal, question)}",
                _REMEMBERED_SECONDS,
                partial(_all_allowed, self._decisions(principal, question)),
            )
        except _RejectedError as refused:
            return refused.decisions
        return tuple(SimulationResult(**item) for item in known.value)

    def _decisions(self, principal: str, question: SimulationRequest) -> Iterator[SimulationResult]:
        """Yield the simulator's decision for each action on each resource."""
        context = [
            {"ContextKeyName": key, "ContextKeyValues": [value], "ContextKeyType": _type_of(value)}
            for key, value in question.context
        ]
        pages = self._session.client("iam").get_paginator("simulate_principal_policy")
        for start in range(0, len(question.actions), _AT_ONCE):
            with translate_errors("iam SimulatePrincipalPolicy"):
                pages_of_answers = pages.paginate(
                    PolicySourceArn=principal,
                    ActionNames=list(question.actions[start : start + _AT_ONCE]),
                    ResourceArns=list(question.resources),
                    ContextEntries=context,
                )
                for page in pages_of_answers:
                    for result in page["EvaluationResults"]:
                        yield from _read(result)


class _RejectedError(Exception):
    """Not everything is allowed, so the result must not be cached."""

    def __init__(self, decisions: tuple[SimulationResult, ...]) -> None:
        super().__init__()
        self.decisions = decisions


def _all_allowed(decisions: Iterable[SimulationResult]) -> list[dict[str, Any]]:
    """Return the decisions as JSON values. Raises _RejectedError."""
    found = tuple(decisions)
    if not all(decision.allowed for decision in found):
        raise _RejectedError(found)
    return [asdict(decision) for decision in found]


def _read(result: Mapping[str, Any]) -> Iterator[SimulationResult]:
    """Yield a result's decisions by resource; some results contain one decision per resource."""
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
        yield SimulationResult(
            action=result["EvalActionName"],
            resource=item["EvalResourceName"],
            decision=item["EvalResourceDecision"],
            by_organization=organization,
            by_boundary=boundary.get("AllowedByPermissionsBoundary"),
        )


def _type_of(value: str) -> str:
    return "boolean" if value in ("true", "false") else "string"


def _digest(principal: str, question: SimulationRequest) -> str:
    text = json.dumps([principal, asdict(question)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:24]
