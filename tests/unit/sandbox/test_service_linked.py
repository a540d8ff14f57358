"""Service-linked roles, which the library and the sandbox each list."""

from __future__ import annotations

from jarkkit.decisions.permissions.statements import SERVICE_LINKED_ROLES
from jarkkit.sandbox.account.iam import service_linked


def test_jarkkit_and_the_sandbox_have_the_same_service_linked_roles() -> None:
    assert service_linked.NAMES == SERVICE_LINKED_ROLES
