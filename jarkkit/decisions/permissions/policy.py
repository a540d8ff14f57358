"""Statements as policy documents, within the size limits of AWS."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from jarkkit.decisions.permissions.statements import Statement, needed_statements
from jarkkit.decisions.stack import ResolvedStack
from jarkkit.settings import Settings

Document = dict[str, Any]

# Characters without whitespace: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
MANAGED_POLICY_MAX_LENGTH = 6144


def policy_document(statements: Iterable[Statement]) -> Document:
    """Return a policy with all statements."""
    return {"Version": "2012-10-17", "Statement": [s.to_policy_statement() for s in statements]}


def policy_length(policy: Document) -> int:
    """Return the length as AWS counts it: characters without whitespace."""
    return len(json.dumps(policy, separators=(",", ":")))


def policy_json(policy: Document) -> str:
    """Return the policy as text for a file."""
    return json.dumps(policy, indent=2) + "\n"


def split_policies(statements: Sequence[Statement]) -> dict[str, Document]:
    """Return the same permissions as documents that each fit into a managed policy.

    `read-only` is enough for preflight; the others are `build-1`, `build-2` and so on.
    """
    reading = _packed([s for s in statements if s.read_only])
    changing = _packed([s for s in statements if not s.read_only])
    named = {
        ("read-only" if i == 1 else f"read-only-{i}"): part for i, part in enumerate(reading, 1)
    }
    return named | {f"build-{i}": part for i, part in enumerate(changing, 1)}


def _packed(statements: Sequence[Statement]) -> list[Document]:
    """Return the smallest number of documents that keeps the order of the statements."""
    packs: list[list[Statement]] = []
    for statement in statements:
        if (
            packs
            and policy_length(policy_document([*packs[-1], statement])) <= MANAGED_POLICY_MAX_LENGTH
        ):
            packs[-1].append(statement)
        else:
            packs.append([statement])
    return [policy_document(pack) for pack in packs]


def named_policies(name: str, statements: Sequence[Statement]) -> dict[str, Document]:
    """Return a deployment's policies by the names of their files.

    `jarkkit permissions` writes them, and a headless rehearsal is limited to them.
    """
    parts = split_policies(statements)
    return {f"jarkkit-{name}-{part}": policy for part, policy in parts.items()}


def published_statements() -> tuple[Statement, ...]:
    """Return the statements of docs/iam-policy.json.

    They are for a deployment with the default name and Region, in any account, with every option
    that needs an additional permission.
    """
    settings = Settings(
        artifact_bucket=True,
        managed_prometheus=True,
        budget_usd_per_month=100,
        budget_emails=("admin@example.org",),
    )
    return needed_statements(ResolvedStack.from_settings(settings))
