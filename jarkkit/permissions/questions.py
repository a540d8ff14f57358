"""What the policy simulator is asked about a deployment's permissions, and what its answers mean.

The simulator judges each action on each resource of a question in one context:
https://docs.aws.amazon.com/IAM/latest/APIReference/API_SimulatePrincipalPolicy.html
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from jarkkit.permissions.statements import Statement
from jarkkit.records import Step

Reason = Literal["not allowed", "denied by a policy", "denied by the organization", "boundary"]

# A resource that stands for things of many kinds is asked about by the kinds that policies name.
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
class Question:
    """One call of the simulator.

    Attributes:
        context: condition keys and the value that a call of the deployment would give.
    """

    actions: tuple[str, ...]
    resources: tuple[str, ...]
    context: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Decision:
    """What the simulator says of one action on one resource.

    Attributes:
        decision: `allowed`, `implicitDeny` or `explicitDeny`.
        by_organization: whether service control policies allow it; None where it does not say.
        by_boundary: whether the permissions boundary allows it; None where there is none.
    """

    action: str
    resource: str
    decision: str
    by_organization: bool | None = None
    by_boundary: bool | None = None

    @property
    def allowed(self) -> bool:
        """True when a call would pass."""
        return self.decision == "allowed"

    @property
    def reason(self) -> Reason:
        """Why a call would not pass."""
        if self.by_organization is False:
            return "denied by the organization"
        if self.by_boundary is False:
            return "boundary"
        return "denied by a policy" if self.decision == "explicitDeny" else "not allowed"


@dataclass(frozen=True)
class Missing:
    """An action that would be refused, and the steps that need it."""

    action: str
    steps: tuple[Step, ...]
    reason: Reason


def questions(statements: Sequence[Statement]) -> tuple[Question, ...]:
    """What to ask about these statements: one question for all that are about the same things."""
    actions: dict[tuple[str, ...], dict[str, None]] = {}
    contexts: dict[tuple[str, ...], dict[str, str]] = {}
    for statement in (s for s in statements if s.steps):
        about = _examples(statement.resources)
        actions.setdefault(about, {}).update(dict.fromkeys(statement.actions))
        contexts.setdefault(about, {}).update(_context(statement))
    return tuple(
        Question(tuple(named), about, tuple(contexts[about].items()))
        for about, named in actions.items()
    )


def missing(
    statements: Sequence[Statement], answered: Iterable[Sequence[Decision]]
) -> tuple[Missing, ...]:
    """The actions that would be refused. One that is allowed on some of a question's resources is
    there: which kinds of things it is about the simulator does not say."""
    refused: dict[str, Reason] = {}
    for decisions in answered:
        for action in dict.fromkeys(decision.action for decision in decisions):
            about = [decision for decision in decisions if decision.action == action]
            if not any(decision.allowed for decision in about):
                refused[action] = max((d.reason for d in about), key=_GRAVITY.index)
    return tuple(
        Missing(action, steps_of(action, statements), reason) for action, reason in refused.items()
    )


_GRAVITY: tuple[Reason, ...] = (
    "not allowed",
    "denied by a policy",
    "boundary",
    "denied by the organization",
)


def steps_of(action: str, statements: Iterable[Statement]) -> tuple[Step, ...]:
    """The steps that call it, in their order."""
    found = {step for s in statements if action in s.actions for step in s.steps}
    return tuple(step for step in STEPS if step in found)


def _context(statement: Statement) -> dict[str, str]:
    """A value for each condition key: the first, where there are several."""
    return {
        key: re.sub(r"\*$", "example", values[0])
        for pairs in statement.conditions.values()
        for key, values in pairs.items()
    }


def _examples(resources: Iterable[str]) -> tuple[str, ...]:
    """The resources, where those of any kind become some of each kind."""
    return tuple(
        example
        for resource in resources
        for example in (
            [resource.replace("*/*", f"{kind}/*") for kind in _KINDS_OF_EC2]
            if resource.endswith(":*/*") and ":ec2:" in resource
            else [resource]
        )
    )


# -- who is asked about ----------------------------------------------------------------------------

Kind = Literal["user", "role", "root", "other"]


def kind_of(arn: str) -> tuple[Kind, str]:
    """What kind of caller an ARN of STS GetCallerIdentity is, and the name of the user or role.

    `arn:aws:sts::123456789012:assumed-role/NAME/SESSION` is a session of a role, whose path it does
    not tell.
    """
    service, rest = arn.split(":")[2], arn.split(":", 5)[5]
    kind, _, name = rest.partition("/")
    if (service, kind) == ("sts", "assumed-role"):
        return "role", name.partition("/")[0]
    if service == "iam" and kind in ("user", "role"):
        return ("user" if kind == "user" else "role"), name
    return ("root" if rest == "root" else "other"), name
