"""Statements as policy documents, within the lengths that AWS takes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from jarkkit.permissions.statements import Statement, needed
from jarkkit.settings import Settings

Document = dict[str, Any]

# Characters without whitespace: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
MANAGED_POLICY = 6144


def document(statements: Iterable[Statement]) -> Document:
    """All statements in one policy."""
    return {"Version": "2012-10-17", "Statement": [s.in_policy() for s in statements]}


def length(policy: Document) -> int:
    """Characters as AWS counts them: without whitespace."""
    return len(json.dumps(policy, separators=(",", ":")))


def text(policy: Document) -> str:
    """The policy as a file has it."""
    return json.dumps(policy, indent=2) + "\n"


def parts(statements: Sequence[Statement]) -> dict[str, Document]:
    """The same permissions in policies that each fit into a managed policy: `look` changes nothing
    and is enough for preflight; the rest is `build-1`, `build-2` and so on."""
    looking = _packed([s for s in statements if s.look])
    building = _packed([s for s in statements if not s.look])
    named = {("look" if i == 1 else f"look-{i}"): part for i, part in enumerate(looking, 1)}
    return named | {f"build-{i}": part for i, part in enumerate(building, 1)}


def _packed(statements: Sequence[Statement]) -> list[Document]:
    """As few documents as keep the order."""
    packs: list[list[Statement]] = []
    for statement in statements:
        if packs and length(document([*packs[-1], statement])) <= MANAGED_POLICY:
            packs[-1].append(statement)
        else:
            packs.append([statement])
    return [document(pack) for pack in packs]


def published() -> tuple[Statement, ...]:
    """What docs/iam-policy.json holds: a deployment with the default name and Region, in any
    account, with every option switched on that costs a permission."""
    settings = Settings(
        artifact_bucket=True,
        managed_prometheus=True,
        budget_usd_per_month=100,
        budget_emails=("somebody@example.org",),
    )
    return needed(settings)
