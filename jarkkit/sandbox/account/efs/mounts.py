"""Whether EFS lets an NFS client mount a file system: pure functions.

https://docs.aws.amazon.com/efs/latest/ug/iam-access-control-nfs-efs.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jarkkit.sandbox.account.iam.policies import (
    Context,
    Decision,
    Document,
    RequiredPermission,
    evaluate,
)

MOUNT, WRITE, ROOT = (
    f"elasticfilesystem:Client{what}" for what in ("Mount", "Write", "RootAccess")
)


@dataclass(frozen=True)
class NfsClient:
    """A client at a mount target, as EFS sees it.

    Attributes:
        principal: ARN of the role whose credentials it presents (mount option `iam`); empty for an
            anonymous client.
        access_point: ARN of the access point that it names; empty for the root directory.
        encrypted: it connects with TLS.
        policies: identity policies of the principal.
    """

    principal: str = ""
    access_point: str = ""
    encrypted: bool = False
    policies: Sequence[Document] = ()


def decide(policy: Document | None, file_system: str, client: NfsClient, action: str) -> Decision:
    """Decide on an action of a client, with the file system's policy; None when it has none.

    Without a policy, EFS gives every client full access.
    """
    if policy is None:
        return "allowed"
    applying = {"Statement": list(_applying(policy, client.principal))}
    needed = RequiredPermission(action, file_system, _context(client))
    return evaluate((applying, *client.policies), needed).decision


def _context(client: NfsClient) -> Context:
    context = {
        "aws:SecureTransport": (str(client.encrypted).lower(),),
        "elasticfilesystem:AccessedViaMountTarget": ("true",),
    }
    if client.access_point:
        context["elasticfilesystem:AccessPointArn"] = (client.access_point,)
    if client.principal:
        context["aws:PrincipalArn"] = (client.principal,)
    return context


def _applying(policy: Document, principal: str) -> Iterator[Mapping[str, Any]]:
    """Yield the statements about this principal."""
    statements = policy["Statement"]
    for statement in [statements] if isinstance(statements, Mapping) else statements:
        if any(_names(pattern, principal) for pattern in _principals(statement)):
            yield statement


def _principals(statement: Mapping[str, Any]) -> tuple[str, ...]:
    named = statement["Principal"]
    found = named.get("AWS", ()) if isinstance(named, Mapping) else named
    return (found,) if isinstance(found, str) else tuple(found)


def _names(pattern: str, principal: str) -> bool:
    """Return True when an element of Principal is everyone, this role, or its whole account."""
    if pattern == "*" or not principal:
        return pattern == "*"
    account = principal.split(":")[4]
    return pattern in (principal, account) or pattern.endswith(f"::{account}:root")
