"""Finds what has no effect in IAM policies: actions, resources and condition keys.

A policy that AWS accepts can still allow nothing: with an action that does not exist, a resource
of a type that the action does not accept, or a condition key that its calls do not have.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

from tools.service_authorization import (
    GLOBAL_KEYS,
    Action,
    ResourceType,
    actions_like,
    find_action,
)

Statement = Mapping[str, Any]

# Keys that the tables list for an action, and that calls made for a deployment do not have.
WITHOUT_VALUE: Mapping[tuple[str, str], str] = {
    (
        "kms:CreateGrant",
        "kms:GrantIsForAWSResource",
    ): "no value in CreateCluster: https://docs.aws.amazon.com/eks/latest/userguide/security-k8s.html",
}

# Resources that the tables do not list for an action, and that AWS evaluates.
_UNLISTED: Mapping[str, str] = {
    "spot-instances-request/": "in the policy of https://karpenter.sh/docs/reference/cloudformation/",
}


def lint_policies(
    documents: Sequence[Mapping[str, Any]],
    without_value: Mapping[tuple[str, str], str] | None = None,
) -> list[str]:
    """Return the findings about the identity policies of one principal.

    Args:
        without_value: condition keys of actions that the principal's calls do not have.
    """
    statements = [s for document in documents for s in _listed(document["Statement"])]
    found = [f for s in statements for f in _lint_statement(s, without_value or {})]
    return [*found, *_uncovered(statements)]


def lint_trust(document: Mapping[str, Any]) -> list[str]:
    """Return the findings about a role's trust policy, whose resource is the role itself."""
    statements = [{**s, "Resource": "*"} for s in _listed(document["Statement"])]
    return [finding for s in statements for finding in _lint_statement(s, {})]


# -- one statement ---------------------------------------------------------------------------------


def _lint_statement(
    statement: Statement, without_value: Mapping[tuple[str, str], str]
) -> Iterator[str]:
    sid, resources = statement.get("Sid", "a statement"), _listed(statement["Resource"])
    applied: set[str] = set()
    for pattern in _listed(statement["Action"]):
        names = list(actions_like(pattern))
        if not names:
            yield f"{sid}: AWS has no action {pattern}"
        uses = [(name, _matched(find_action(name), resources)) for name in names]
        effective = [(n, kinds) for n, kinds in uses if kinds or _needs_all(n, resources)]
        if names and not effective:
            yield f"{sid}: {pattern} does not apply to {', '.join(resources)}"
        for name, kinds in effective:
            applied.update(r for r in resources if _applies(find_action(name), r))
            yield from _lint_keys(sid, find_action(name), kinds, statement, without_value)
    for resource in resources:
        unlisted = any(f":{start}" in resource for start in _UNLISTED)
        if resource != "*" and resource not in applied and not unlisted:
            yield f"{sid}: no action applies to {resource}"


def _lint_keys(
    sid: str,
    action: Action,
    kinds: Sequence[str],
    statement: Statement,
    without_value: Mapping[tuple[str, str], str],
) -> Iterator[str]:
    for key in _keys(statement):
        if not any(_supports(action, kind, key) for kind in kinds or ("",)):
            yield f"{sid}: {action.name} has no condition key {key}"
        if reason := without_value.get((action.name, key)):
            yield f"{sid}: {action.name} with {key}: {reason}"


def _needs_all(name: str, resources: Sequence[str]) -> bool:
    return not find_action(name).types and "*" in resources


def _matched(action: Action, resources: Sequence[str]) -> list[str]:
    """Return the types of the action that one of the resources can be."""
    return [kind for kind, t in action.types.items() if any(_is_of(r, t) for r in resources)]


def _applies(action: Action, resource: str) -> bool:
    return any(_is_of(resource, each) for each in action.types.values())


def _supports(action: Action, kind: str, key: str) -> bool:
    """Return True if calls of the action on this type can have the condition key."""
    known = set(action.keys)
    if kind:
        known |= action.types[kind].keys | action.types[kind].own_keys
    # `aws:RequestTag/${TagKey}` stands for every tag.
    return key in GLOBAL_KEYS or any(
        key.lower().startswith(each.partition("${")[0].lower())
        if "${" in each
        else key.lower() == each.lower()
        for each in known
    )


# -- all statements --------------------------------------------------------------------------------


def _uncovered(statements: Sequence[Statement]) -> Iterator[str]:
    """Yield the types that every call of an allowed action names and no statement allows."""
    allowing = [s for s in statements if s["Effect"] == "Allow"]
    exact = {a for s in allowing for a in _listed(s["Action"]) if "*" not in a}
    for action in (find_action(name) for name in sorted(exact) if list(actions_like(name))):
        covering = [s for s in allowing if action.name in _listed(s["Action"])]
        for kind, each in action.types.items():
            if each.required and not any(_covers(s, action, kind) for s in covering):
                yield f"{action.name} is allowed on no {kind}, which every call needs"


def _covers(statement: Statement, action: Action, kind: str) -> bool:
    resources = _listed(statement["Resource"])
    return any(_is_of(r, action.types[kind]) for r in resources) and all(
        _supports(action, kind, key) for key in _keys(statement)
    )


# -- elements --------------------------------------------------------------------------------------


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]


def _keys(statement: Statement) -> Iterable[str]:
    return [key for pairs in statement.get("Condition", {}).values() for key in pairs]


def _is_of(resource: str, kind: ResourceType) -> bool:
    """Return True if an ARN pattern of a policy can match an ARN of the type."""
    if resource == "*" or not kind.arn:
        return True
    ours, theirs = resource.split(":", 5), kind.arn.split(":", 5)
    is_bucket = kind.arn.endswith(":s3:::${BucketName}")
    if is_bucket and "/" in ours[5]:
        return False
    return len(ours) == len(theirs) == 6 and all(
        overlap(_glob(one), _glob(other)) for one, other in zip(ours, theirs, strict=True)
    )


def _glob(part: str) -> str:
    """Replace the variable parts of an ARN with `*`."""
    words = part.split("${")
    return words[0] + "".join("*" + word.partition("}")[2] for word in words[1:])


@lru_cache(maxsize=100_000)
def overlap(one: str, other: str) -> bool:
    """Return True if a text exists that both patterns match (`*`: any text, `?`: a character)."""
    if not one or not other:
        return not (one + other).strip("*")
    if one[0] == "*":
        return overlap(one[1:], other) or overlap(one, other[1:])
    if other[0] == "*":
        return overlap(other, one)
    same = one[0] == other[0] or "?" in (one[0], other[0])
    return same and overlap(one[1:], other[1:])
