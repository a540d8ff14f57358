"""What EKS checks of IAM principals: pure functions over IAM's roles and users."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

# What the role of a Pod Identity association lets EKS do.
POD_ACTIONS = ("sts:AssumeRole", "sts:TagSession")


def role_of(arn: str, roles: Iterable[Any]) -> Any | None:
    """Return the role with that ARN, or None."""
    return next((role for role in roles if role.arn == arn), None)


def is_trusting(role: Any, service: str, actions: Iterable[str]) -> bool:
    """Return True when the role's trust policy allows the service all these actions.

    Conditions do not count: no request is evaluated here.
    """
    try:
        document = json.loads(role.assume_role_policy_document)
    except (TypeError, ValueError):
        return False
    allowed: set[str] = set()
    for statement in _listed(document.get("Statement")):
        principal = statement.get("Principal")
        services = _listed(principal.get("Service")) if isinstance(principal, dict) else []
        if statement.get("Effect") == "Allow" and service in services:
            allowed.update(_listed(statement.get("Action")))
    return bool(allowed & {"*", "sts:*"}) or set(actions) <= allowed


def _listed(value: Any) -> list[Any]:
    """Return a list, also of a policy's single value or of no value."""
    return value if isinstance(value, list) else [value] if value else []


def why_not_principal(arn: str, account: str, kind: str, arns: Iterable[str]) -> str | None:
    """Check the principal of an access entry; return EKS' message, or None.

    Args:
        account: the cluster's account; principals of others cannot be looked up.
        kind: the entry's type, such as STANDARD.
        arns: of all roles and users of the account.
    """
    parts = arn.split(":", 5)
    if len(parts) != 6 or parts[0] != "arn" or parts[2] != "iam":
        return "The principalArn parameter format is not valid"
    what = parts[5].partition("/")[0]
    if what not in ("role", "user", "root"):
        return "The principalArn parameter format is not valid"
    if what == "root" or (parts[4] == account and arn not in set(arns)):
        return "The specified principalArn is invalid: invalid principal."
    if what == "user" and kind != "STANDARD":
        return f"The principalArn of an access entry of type {kind} must be an IAM role"
    return None


def why_not_groups(groups: Iterable[str], kind: str) -> str | None:
    """Check the Kubernetes groups of an access entry; return EKS' message, or None."""
    names = list(groups)
    if names and kind != "STANDARD":
        return f"kubernetesGroups cannot be set for access entries of type {kind}"
    if reserved := [name for name in names if name.startswith("system:")]:
        return f"The kubernetes group name {reserved[0]} is invalid, it cannot start with system:"
    return None
