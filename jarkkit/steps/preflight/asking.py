"""How preflight asks: side by side, and no refusal ends it."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any, cast

from jarkkit.aws import Account
from jarkkit.charts import Charts
from jarkkit.checks import Check, grouped
from jarkkit.errors import JarkkitError
from jarkkit.machine import Machine
from jarkkit.masking import masked
from jarkkit.records import Target
from jarkkit.settings import Settings
from jarkkit.targets import target_of
from jarkkit.terraform import Terraform
from jarkkit.workspace import Workspace

# The account's answers are waited for side by side: all questions begin at once.
_SIDE_BY_SIDE = 32
# With these nothing can be asked of the account.
NOTHING_ANSWERED = frozenset({"JK-AWS-NO-CREDENTIALS", "JK-AWS-EXPIRED", "JK-AWS-UNREACHABLE"})
# What says nothing about the deployment, only that we could not ask.
_NOT_ANSWERED = NOTHING_ANSWERED | {"JK-AWS-DENIED", "JK-AWS-THROTTLED", "JK-AWS-FAILED"}


@dataclass(frozen=True)
class Look:
    """What the questions look at. Making one calls nobody.

    Args:
        charts: None where nothing is installed into a cluster.
        machine: where the kit runs.
    """

    settings: Settings
    account: Account
    terraform: Terraform
    workspace: Workspace
    charts: Charts | None = None
    machine: Machine = field(default_factory=Machine)

    def target(self) -> Target:
        """Where the credentials and settings point."""
        return target_of(
            self.account.caller(),
            self.settings.region,
            self.settings.name,
            rehearsal=self.workspace.rehearsal,
        )


# The SDK's words before AWS' own.
_PREAMBLE = re.compile(r"^An error occurred \(\w+\) when calling the \w+ operation[^:]*: ")

Question = Callable[[Look], Check | Iterable[Check]]
"""The first line of its docstring is the name that users see; a question with several answers names
each itself."""


@dataclass(frozen=True)
class _Closed:
    """In the place of an account that cannot be asked: whatever needs a call raises why."""

    account: Account
    reason: JarkkitError

    def known_regions(self) -> tuple[str, ...]:
        """What the account answers without a call."""
        return self.account.known_regions()

    def endpoints(self) -> dict[str, str]:
        """The same."""
        return self.account.endpoints()

    def enabled_regions(self) -> tuple[str, ...]:
        """Another Region tells, where it is this one that does not know the credentials."""
        if self.reason.code == "JK-AWS-EXPIRED":
            return self.account.enabled_regions()
        raise copy.copy(self.reason)

    def clock_skew(self) -> float | None:
        """A refusal tells the time, too, and a wrong clock is one reason for it."""
        if self.reason.code == "JK-AWS-EXPIRED":
            return self.account.clock_skew()
        raise copy.copy(self.reason)

    def __getattr__(self, name: str) -> Any:
        raise copy.copy(self.reason)


def open_or_closed(look: Look) -> Look:
    """The look, with its account closed where it answers nobody: otherwise each question would
    wait anew for the answer that there is none."""
    try:
        look.account.caller()
    except JarkkitError as error:
        # That the Region is not enabled is said under the Region; the others were not answered.
        if error.code == "JK-REGION-UNKNOWN":
            error = JarkkitError(
                "JK-AWS-EXPIRED", error.message, error.fix, evidence=error.evidence
            )
        if error.code in NOTHING_ANSWERED:
            return replace(look, account=cast("Account", _Closed(look.account, error)))
    return look


def ask(groups: Mapping[str, Iterable[Question]], look: Look) -> tuple[Check, ...]:
    """Ask all, side by side; the answers in the questions' order. A question that cannot be asked
    is answered `unknown`, with the reason."""
    asked = [(group, question) for group, questions in groups.items() for question in questions]
    with ThreadPoolExecutor(_SIDE_BY_SIDE, thread_name_prefix="preflight") as pool:
        answers = list(pool.map(lambda each: _ask(each[1], look), asked))
    return tuple(
        check
        for (group, _), checks in zip(asked, answers, strict=True)
        for check in grouped(group, checks)
    )


def _ask(question: Question, look: Look) -> list[Check]:
    try:
        answer = question(look)
        checks = [answer] if isinstance(answer, Check) else list(answer)
    except JarkkitError as error:
        checks = [failed(error)]
    except Exception as error:  # a defect of one question must not take the other answers away
        checks = [_defect(error)]
    name = question_name(question)
    return [check if check.name else check.model_copy(update={"name": name}) for check in checks]


def question_name(question: Question) -> str:
    """What users see of it."""
    return (question.__doc__ or question.__name__).splitlines()[0].rstrip(".?")


def failed(error: JarkkitError, name: str = "") -> Check:
    """The answer where asking ended in an error: `unknown` where it says nothing about the matter
    itself."""
    return Check(
        name=name,
        status="unknown" if error.code in _NOT_ANSWERED else "fail",
        found=error.message,
        why=masked(_PREAMBLE.sub("", error.evidence)),
        fix=error.fix,
        code=error.code,
    )


def _defect(error: Exception) -> Check:
    return Check(
        name="",
        status="unknown",
        found=f"{type(error).__name__}: {masked(str(error))}",
        fix="This is a defect in jarkkit; please report it with this line.",
        code="JK-INTERNAL",
    )


def passed(found: str, needed: str = "", why: str = "") -> Check:
    """All is well."""
    return Check(name="", status="pass", found=found, needed=needed, why=why)


def warned(found: str, *, fix: str, why: str, needed: str = "", code: str = "") -> Check:
    """Nothing that blocks, but to know."""
    return Check(name="", status="warn", found=found, needed=needed, why=why, fix=fix, code=code)
