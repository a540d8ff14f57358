"""Evaluation of IAM policies: actions, resources and conditions. Pure functions.

moto's own evaluation ignores conditions, and treats a policy with an unknown one as a denial. The
rules are those of
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html for
identity policies alone: an explicit deny, else an explicit allow, else an implicit deny.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal

Decision = Literal["allowed", "implicitDeny", "explicitDeny"]
Document = Mapping[str, Any]
Context = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class RequiredPermission:
    """A permission that a call needs.

    Attributes:
        action: the action's name in policies, such as `ec2:CreateVpc`.
        resource: an ARN; `*` if the action has no resource types.
        context: values of condition keys; a missing key has no value.
    """

    action: str
    resource: str = "*"
    context: Context = field(default_factory=dict)


@dataclass(frozen=True)
class Verdict:
    """The result of an evaluation.

    Attributes:
        statements: the Sids (or the numbers) of the statements that decided.
    """

    decision: Decision
    statements: tuple[str, ...] = ()


def evaluate(documents: Iterable[Document], permission: RequiredPermission) -> Verdict:
    """Evaluate these policies together."""
    matching = [
        (statement["Effect"], name)
        for document in documents
        for name, statement in _statements(document)
        if _matches(statement, permission)
    ]
    denying = tuple(name for effect, name in matching if effect == "Deny")
    if denying:
        return Verdict("explicitDeny", denying)
    allowing = tuple(name for effect, name in matching if effect == "Allow")
    return Verdict("allowed", allowing) if allowing else Verdict("implicitDeny")


def validate(document: Document) -> None:
    """Raise ValueError, with the reason, unless this is a supported identity policy."""
    if not isinstance(document, Mapping) or "Statement" not in document:
        raise ValueError("it has no Statement")
    for name, statement in _statements(document):
        if statement.get("Effect") not in ("Allow", "Deny"):
            raise ValueError(f"statement {name} has no Effect")
        if "Action" not in statement and "NotAction" not in statement:
            raise ValueError(f"statement {name} has no Action")
        if "Resource" not in statement and "NotResource" not in statement:
            raise ValueError(f"statement {name} has no Resource")
        for operator in statement.get("Condition", {}):
            if _plain(operator)[1] not in _OPERATORS:
                raise ValueError(
                    f"statement {name} has the unsupported condition operator {operator}"
                )


def _statements(document: Document) -> list[tuple[str, Mapping[str, Any]]]:
    found = document["Statement"]
    listed = [found] if isinstance(found, Mapping) else found
    return [(str(s.get("Sid") or f"statement {i}"), s) for i, s in enumerate(listed, 1)]


def _matches(statement: Mapping[str, Any], need: RequiredPermission) -> bool:
    return (
        _named(statement, "Action", need.action, need, ignore_case=True)
        and _named(statement, "Resource", need.resource, need)
        and all(
            _holds(operator, key, _listed(wanted), need.context)
            for operator, pairs in statement.get("Condition", {}).items()
            for key, wanted in pairs.items()
        )
    )


def _named(
    statement: Mapping[str, Any],
    element: str,
    value: str,
    need: RequiredPermission,
    *,
    ignore_case: bool = False,
) -> bool:
    """Return True when an element, or its Not form, matches the value."""
    opposite = f"Not{element}" in statement
    patterns = _listed(statement.get(f"Not{element}" if opposite else element, ()))
    hit = any(
        matches_pattern(_filled(p, need.context), value, ignore_case=ignore_case) for p in patterns
    )
    return hit != opposite


def _filled(pattern: str, context: Context) -> str:
    """Replace policy variables (`${aws:username}`) in the pattern."""
    if "${" not in pattern:
        return pattern
    return re.sub(r"\$\{([^}]+)\}", lambda m: "".join(context.get(m[1], ("\0",))[:1]), pattern)


def matches_pattern(pattern: str, value: str, *, ignore_case: bool = False) -> bool:
    """Return True when a value matches a pattern with `*` for any text, `?` for any character."""
    return _compiled(pattern, ignore_case).fullmatch(value) is not None


@lru_cache(maxsize=4096)
def _compiled(pattern: str, ignore_case: bool) -> re.Pattern[str]:
    text = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
    return re.compile(text, (re.IGNORECASE if ignore_case else 0) | re.DOTALL)


def _listed(value: Any) -> tuple[str, ...]:
    if isinstance(value, list | tuple):
        return tuple(map(_text, value))
    return (_text(value),)


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


# -- conditions ------------------------------------------------------------------------------------


def _same(wanted: str, value: str) -> bool:
    return wanted == value


def _same_letters(wanted: str, value: str) -> bool:
    return wanted.lower() == value.lower()


def _number(compare: Callable[[float, float], bool]) -> Callable[[str, str], bool]:
    def judge(wanted: str, value: str) -> bool:
        try:
            return compare(float(value), float(wanted))
        except ValueError:
            return False

    return judge


# (comparison of one value, whether the operator is negated)
_OPERATORS: dict[str, tuple[Callable[[str, str], bool], bool]] = {
    "StringEquals": (_same, False),
    "StringNotEquals": (_same, True),
    "StringEqualsIgnoreCase": (_same_letters, False),
    "StringNotEqualsIgnoreCase": (_same_letters, True),
    "StringLike": (matches_pattern, False),
    "StringNotLike": (matches_pattern, True),
    "ArnEquals": (matches_pattern, False),
    "ArnNotEquals": (matches_pattern, True),
    "ArnLike": (matches_pattern, False),
    "ArnNotLike": (matches_pattern, True),
    "Bool": (_same_letters, False),
    "NumericEquals": (_number(lambda a, b: a == b), False),
    "NumericNotEquals": (_number(lambda a, b: a == b), True),
    "NumericLessThan": (_number(lambda a, b: a < b), False),
    "NumericLessThanEquals": (_number(lambda a, b: a <= b), False),
    "NumericGreaterThan": (_number(lambda a, b: a > b), False),
    "NumericGreaterThanEquals": (_number(lambda a, b: a >= b), False),
    "Null": (_same, False),  # evaluated separately
}


def _plain(operator: str) -> tuple[str, str, bool]:
    """Split into quantifier, base operator and whether a missing key matches (IfExists)."""
    quantifier, _, rest = operator.rpartition(":")
    bare = rest.removesuffix("IfExists")
    return quantifier, bare, bare != rest


def _holds(operator: str, key: str, wanted: tuple[str, ...], context: Context) -> bool:
    quantifier, bare, if_exists = _plain(operator)
    values = next((v for k, v in context.items() if k.lower() == key.lower()), ())
    if bare == "Null":
        return ("true" if not values else "false") in (word.lower() for word in wanted)
    compare, negated = _OPERATORS[bare]
    filled = [_filled(word, context) for word in wanted]

    def fits(value: str) -> bool:
        return any(compare(word, value) for word in filled) != negated

    if quantifier == "ForAllValues":
        return all(map(fits, values))
    if not values:
        return if_exists or (negated and quantifier != "ForAnyValue")
    return any(map(fits, values)) if quantifier == "ForAnyValue" else all(map(fits, values))
