"""The context of the preflight checks, and what replaces an account that rejects all calls."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field, replace
from typing import Any, cast

from jarkkit.decisions.stack import ResolvedStack
from jarkkit.decisions.target_guard import target_of
from jarkkit.model.errors import (
    CredentialsError,
    CredentialsExpired,
    JarkkitError,
    RegionUnavailable,
    Unreachable,
)
from jarkkit.model.records import Target
from jarkkit.ports.aws import Account
from jarkkit.ports.charts import ChartStore
from jarkkit.ports.machine import LocalMachine
from jarkkit.ports.terraform import Terraform
from jarkkit.ports.workspace import Workspace
from jarkkit.settings import Settings


@dataclass(frozen=True)
class CheckContext:
    """What the checks need. Creating one makes no calls.

    Args:
        charts: None in a sandbox without clusters.
        machine: the machine that jarkkit runs on.
    """

    stack: ResolvedStack
    account: Account
    terraform: Terraform
    workspace: Workspace
    charts: ChartStore | None = None
    machine: LocalMachine = field(default_factory=LocalMachine)

    @property
    def settings(self) -> Settings:
        """The settings of the stack."""
        return self.stack.settings

    def target(self) -> Target:
        """Return the target of the credentials and settings."""
        return target_of(
            self.account.caller(),
            self.settings.region,
            self.settings.name,
            rehearsal=self.workspace.rehearsal,
        )


@dataclass(frozen=True)
class _FailingAccount:
    """Replaces an account that rejects all calls: whatever needs a call raises the reason."""

    account: Account
    reason: JarkkitError

    def known_regions(self) -> tuple[str, ...]:
        """Return what the account knows without a call."""
        return self.account.known_regions()

    def endpoints(self) -> dict[str, str]:
        """Return what the account knows without a call."""
        return self.account.endpoints()

    def enabled_regions(self) -> tuple[str, ...]:
        """Ask another Region, because only this one may reject the credentials."""
        if isinstance(self.reason, CredentialsExpired):
            return self.account.enabled_regions()
        raise copy.copy(self.reason)

    def clock_skew(self) -> float | None:
        """Read the clock skew from the rejection: a wrong clock is one reason for it."""
        if isinstance(self.reason, CredentialsExpired):
            return self.account.clock_skew()
        raise copy.copy(self.reason)

    def __getattr__(self, name: str) -> Any:
        raise copy.copy(self.reason)


def fail_fast_without_access(context: CheckContext) -> CheckContext:
    """Return the context; if the account rejects all calls, replace it with one that fails at once.

    Otherwise each check would wait for its own timeout.
    """
    try:
        context.account.caller()
    except JarkkitError as error:
        if reason := _reason_for_no_access(error):
            return replace(
                context, account=cast("Account", _FailingAccount(context.account, reason))
            )
    return context


def _reason_for_no_access(error: JarkkitError) -> JarkkitError | None:
    """Return the error that all checks get; None if only this call failed."""
    if isinstance(error, RegionUnavailable):
        # The check of the Region reports that it is not enabled; the others get no answer.
        return CredentialsExpired(
            "JK-AWS-EXPIRED", error.message, error.fix, evidence=error.evidence
        )
    return error if isinstance(error, CredentialsError | Unreachable) else None
