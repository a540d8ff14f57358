"""Requests to the IAM policy simulator about a deployment's permissions, and their results.

The simulator evaluates each action on each resource of a request in one context:
https://docs.aws.amazon.com/IAM/latest/APIReference/API_SimulatePrincipalPolicy.html
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from jarkkit.decisions.permissions.statements import Statement
from jarkkit.model.records import Step

DenialReason = Literal[
    "not allowed", "denied by a policy", "denied by the organization", "boundary"
]

# A request replaces a resource pattern for all types with the types that policies name.
_KINDS_OF_EC2 = (
    "elastic-ip",
    "instance",
    "internet-gateway",
    "launch-template",
    "natgateway",
    "route-table",
    "security-group",
    "subnet",
    "vpc",
    "vpc-flow-log",
)
STEPS: tuple[Step, ...] = ("preflight", "plan", "deploy", "verify", "use", "cleanup")


@dataclass(frozen=True)
class SimulationRequest:
    """One request to the simulator.

    Attributes:
        context: condition keys, with the values of the deployment's calls.
    """

    actions: tuple[str, ...]
    resources: tuple[str, ...]
    context: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class SimulationResult:
    """The simulator's decision about one action on one resource.

    Attributes:
        decision: `allowed`, `implicitDeny` or `explicitDeny`.
        by_organization: whether service control policies allow it; None if the result lacks it.
        by_boundary: whether the permissions boundary allows it; None without a boundary.
    """

    action: str
    resource: str
    decision: str
    by_organization: bool | None = None
    by_boundary: bool | None = None

    @property
    def allowed(self) -> bool:
        """True if AWS would allow a call."""
        return self.decision == "allowed"

    @property
    def reason(self) -> DenialReason:
        """Why AWS would deny a call."""
        if self.by_organization is False:
            return "denied by the organization"
        if self.by_boundary is False:
            return "boundary"
        return "denied by a policy" if self.decision == "explicitDeny" else "not allowed"


@dataclass(frozen=True)
class MissingPermission:
    """An action that AWS would deny, and the steps that need it."""

    action: str
    steps: tuple[Step, ...]
    reason: DenialReason


def simulation_requests(statements: Sequence[Statement]) -> tuple[SimulationRequest, ...]:
    """Return the requests for these statements: one for all with the same resources and conditions.

    The context of a request has only what the calls of its own statements have: with the tags of
    another statement's calls, the simulator would allow what AWS denies.
    """
    actions: dict[tuple[tuple[str, ...], tuple[tuple[str, str], ...]], dict[str, None]] = {}
    for statement in (s for s in statements if s.steps):
        about = _examples(statement.resources), tuple(_context(statement).items())
        actions.setdefault(about, {}).update(dict.fromkeys(statement.actions))
    return tuple(
        SimulationRequest(tuple(named), resources, context)
        for (resources, context), named in actions.items()
    )


def missing_permissions(
    statements: Sequence[Statement], answered: Iterable[Sequence[SimulationResult]]
) -> tuple[MissingPermission, ...]:
    """Return the actions that AWS would deny.

    An action that is allowed on some resources of a request counts as allowed, because the
    simulator does not report which types of resources it applies to.
    """
    refused: dict[str, DenialReason] = {}
    for decisions in answered:
        for action in dict.fromkeys(decision.action for decision in decisions):
            about = [decision for decision in decisions if decision.action == action]
            if not any(decision.allowed for decision in about):
                refused[action] = max((d.reason for d in about), key=_GRAVITY.index)
    return tuple(
        MissingPermission(action, steps_that_need(action, statements), reason)
        for action, reason in refused.items()
    )


_GRAVITY: tuple[DenialReason, ...] = (
    "not allowed",
    "denied by a policy",
    "boundary",
    "denied by the organization",
)


def steps_that_need(action: str, statements: Iterable[Statement]) -> tuple[Step, ...]:
    """Return the steps that call the action, in their order."""
    found = {step for s in statements if action in s.actions for step in s.steps}
    return tuple(step for step in STEPS if step in found)


def _context(statement: Statement) -> dict[str, str]:
    """Return a value for each condition key: the first of several."""
    return {
        key: re.sub(r"\*$", "example", values[0])
        for pairs in statement.conditions.values()
        for key, values in pairs.items()
    }


def _examples(resources: Iterable[str]) -> tuple[str, ...]:
    """Return the resources, with patterns for all types replaced by one per type."""
    return tuple(
        example
        for resource in resources
        for example in (
            [resource.replace("*/*", f"{kind}/*") for kind in _KINDS_OF_EC2]
            if resource.endswith(":*/*") and ":ec2:" in resource
            else [resource]
        )
    )


# -- the caller ------------------------------------------------------------------------------------

CallerKind = Literal["user", "role", "root", "other"]


def caller_kind(arn: str) -> tuple[CallerKind, str]:
    """Return the kind of caller for an ARN of STS GetCallerIdentity, and the user or role name.

    `arn:aws:sts::123456789012:assumed-role/NAME/SESSION` is a session of a role. It does not
    contain the role's path.
    """
    service, rest = arn.split(":")[2], arn.split(":", 5)[5]
    kind, _, name = rest.partition("/")
    if (service, kind) == ("sts", "assumed-role"):
        return "role", name.partition("/")[0]
    if service == "iam" and kind in ("user", "role"):
        return ("user" if kind == "user" else "role"), name
    return ("root" if rest == "root" else "other"), name
