"""Runs the preflight checks: in parallel, and a failed call does not end the run."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any, cast

from jarkkit.decisions.stack import ResolvedStack
from jarkkit.decisions.target_guard import target_of
from jarkkit.model.account_ids import mask_account_ids
from jarkkit.model.checks import Check, with_group
from jarkkit.model.errors import (
    ApiCallError,
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

# Enough threads to start all checks at once; most of the time is waiting for AWS.
_CONCURRENCY = 32


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


# The SDK's prefix before AWS' own message.
_PREAMBLE = re.compile(r"^An error occurred \(\w+\) when calling the \w+ operation[^:]*: ")

CheckFunction = Callable[[CheckContext], Check | Iterable[Check]]
"""The first line of its docstring is the name that users see; a check function with several results
names each of them."""


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


def run_checks(
    groups: Mapping[str, Iterable[CheckFunction]], context: CheckContext
) -> tuple[Check, ...]:
    """Run all checks in parallel; return the results in the checks' order.

    A check whose call fails is `unknown`, with the reason.
    """
    checks_to_run = [
        (group, function) for group, functions in groups.items() for function in functions
    ]
    with ThreadPoolExecutor(_CONCURRENCY, thread_name_prefix="preflight") as pool:
        answers = list(pool.map(lambda each: _run(each[1], context), checks_to_run))
    return tuple(
        check
        for (group, _), checks in zip(checks_to_run, answers, strict=True)
        for check in with_group(group, checks)
    )


def _run(function: CheckFunction, context: CheckContext) -> list[Check]:
    try:
        answer = function(context)
        checks = [answer] if isinstance(answer, Check) else list(answer)
    except JarkkitError as error:
        checks = [check_of_error(error)]
    except Exception as error:  # a bug in one check must not hide the other results
        checks = [_bug(error)]
    name = check_name(function)
    return [check if check.name else check.model_copy(update={"name": name}) for check in checks]


def check_name(function: CheckFunction) -> str:
    """Return the name that users see."""
    return (function.__doc__ or function.__name__).splitlines()[0].rstrip(".?")


def check_of_error(error: JarkkitError, name: str = "") -> Check:
    """Build the result of a check that raised: `unknown` if a call failed, which reveals nothing
    about the deployment."""
    return Check(
        name=name,
        status="unknown" if isinstance(error, ApiCallError) else "fail",
        found=error.message,
        why=mask_account_ids(_PREAMBLE.sub("", error.evidence)),
        fix=error.fix,
        code=error.code,
    )


def _bug(error: Exception) -> Check:
    return Check(
        name="",
        status="unknown",
        found=f"{type(error).__name__}: {mask_account_ids(str(error))}",
        fix="This is a bug in jarkkit; please report it with this line.",
        code="JK-INTERNAL",
    )


def passed(found: str, needed: str = "", why: str = "") -> Check:
    """Build a passed check."""
    return Check(name="", status="pass", found=found, needed=needed, why=why)


def warned(found: str, *, fix: str, why: str, needed: str = "", code: str = "") -> Check:
    """Build a warning, which does not block."""
    return Check(name="", status="warn", found=found, needed=needed, why=why, fix=fix, code=code)
