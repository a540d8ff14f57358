"""The check engine: it asks the checks of preflight, verify, diagnose and the receipt of cleanup.

A check is one function in a `CheckGroup`. The decorator states the question, as users see it, and
how severe a failure is; the function's only parameter is the context, through which it reads:

    CHECKS = CheckGroup[CheckContext]("Add-ons")

    @CHECKS.check("Add-on dependencies")
    def addons(context: CheckContext) -> Check:
        context.stack.check_addons()
        return passed(f"{len(context.stack.addons)} add-ons")

It returns one result or several; one without a name is named after the question. The engine asks
the checks in parallel and times each. A check whose call fails is *not checked*, with the reason,
and never ends the run.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Generic, Literal, TypeVar

from jarkkit.model.account_ids import mask_account_ids
from jarkkit.model.checks import Check
from jarkkit.model.clock import monotonic
from jarkkit.model.errors import ApiCallError, JarkkitError
from jarkkit.model.unknown import Unknown

C = TypeVar("C")

Severity = Literal["fail", "warn"]
Answer = Check | Iterable[Check] | Unknown
A = TypeVar("A", bound=Answer)

# Enough threads to start all checks at once; most of the time is waiting for AWS.
_AT_ONCE = 32
# The SDK's prefix before AWS' own message.
_PREAMBLE = re.compile(r"^An error occurred \(\w+\) when calling the \w+ operation[^:]*: ")

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class CheckFunction(Generic[C]):
    """One check.

    Attributes:
        question: names the results that have no name of their own.
        ask: answers the question; reads through its argument, the context.
        group: the topic in a report.
        severity: the status if `ask` raises an error that is the answer.
        about: `Check.about` of the results that have none of their own.
    """

    question: str
    ask: Callable[[C], Answer]
    group: str = ""
    severity: Severity = "fail"
    about: tuple[str, ...] = ()


@dataclass
class CheckGroup(Generic[C]):
    """Checks in the order of the report.

    Attributes:
        title: their topic; without it, each question is a topic of its own.
    """

    title: str = ""
    checks: list[CheckFunction[C]] = field(default_factory=list)

    def check(
        self, question: str, *, severity: Severity = "fail"
    ) -> Callable[[Callable[[C], A]], Callable[[C], A]]:
        """Return the decorator that adds a function to the group."""

        def add(function: Callable[[C], A]) -> Callable[[C], A]:
            self.checks.append(CheckFunction(question, function, self.title or question, severity))
            return function

        return add

    def __iter__(self) -> Iterator[CheckFunction[C]]:
        return iter(self.checks)


def run_checks(
    checks: Iterable[CheckFunction[C]],
    context: C,
    *,
    unanswered: type[JarkkitError] = ApiCallError,
    at_once: int = _AT_ONCE,
) -> tuple[Check, ...]:
    """Ask all checks in parallel; return the results in the checks' order.

    Args:
        unanswered: an error of this class leaves a check *not checked*; any other is its answer.
        at_once: maximum number of threads.
    """
    asked = list(checks)
    if not asked:
        return ()
    with ThreadPoolExecutor(min(at_once, len(asked)), thread_name_prefix="check") as pool:
        answers = list(pool.map(partial(_answer, context=context, unanswered=unanswered), asked))
    return tuple(check for results in answers for check in results)


def _answer(
    check: CheckFunction[C], *, context: C, unanswered: type[JarkkitError]
) -> tuple[Check, ...]:
    """Ask one check; complete its results with name, group and duration."""
    began = monotonic()
    try:
        results = _results(check.ask(context))
    except JarkkitError as error:
        results = (check_of_error(error, severity=check.severity, unanswered=unanswered),)
    except Exception as error:  # a bug in one check must not hide the other results
        results = (_bug(error),)
    seconds = round(monotonic() - began, 3)
    _logger.debug("%s: %.3f s", check.question, seconds)
    return tuple(
        each.model_copy(
            update={
                "name": each.name or check.question,
                "group": check.group,
                "about": each.about or check.about,
                "seconds": seconds,
            }
        )
        for each in results
    )


def _results(answer: Answer) -> tuple[Check, ...]:
    if isinstance(answer, Unknown):
        return (not_checked(answer.reason),)
    return (answer,) if isinstance(answer, Check) else tuple(answer)


# -- results without a name ------------------------------------------------------------------------


def passed(found: str, needed: str = "", why: str = "") -> Check:
    """Build a passed check."""
    return Check(name="", status="pass", found=found, needed=needed, why=why)


def warned(found: str, *, fix: str, why: str, needed: str = "", code: str = "") -> Check:
    """Build a warning, which does not block."""
    return Check(name="", status="warn", found=found, needed=needed, why=why, fix=fix, code=code)


def not_checked(reason: JarkkitError) -> Check:
    """Build a check that could not run: its call revealed nothing about the deployment."""
    return check_of_error(reason, unanswered=JarkkitError)


def check_of_error(
    error: JarkkitError,
    *,
    severity: Severity = "fail",
    unanswered: type[JarkkitError] = ApiCallError,
) -> Check:
    """Build the result of a check that raised: `unknown` if it is an error of that class."""
    return Check(
        name="",
        status="unknown" if isinstance(error, unanswered) else severity,
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
