"""How preflight asks: side by side, and no refusal ends it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from jarkkit.aws import Account
from jarkkit.charts import Charts
from jarkkit.checks import Check
from jarkkit.errors import JarkkitError
from jarkkit.settings import Settings
from jarkkit.terraform import Terraform
from jarkkit.workspace import Workspace

# The account's answers are waited for side by side.
_SIDE_BY_SIDE = 12
# What says nothing about the deployment, only that we could not ask.
_NOT_ANSWERED = frozenset({"JK-AWS-DENIED", "JK-AWS-THROTTLED", "JK-AWS-UNREACHABLE"})


@dataclass(frozen=True)
class Look:
    """What the questions look at. Making one calls nobody.

    Args:
        charts: None where nothing is installed into a cluster.
    """

    settings: Settings
    account: Account
    terraform: Terraform
    workspace: Workspace
    charts: Charts | None = None


Question = Callable[[Look], Check | Iterable[Check]]
"""The first line of its docstring is the name that users see; a question with several answers names
each itself."""


def ask(questions: Iterable[Question], look: Look) -> tuple[Check, ...]:
    """Ask all, side by side; the answers in the questions' order. A question that cannot be asked
    is answered `unknown`, with the reason."""
    with ThreadPoolExecutor(_SIDE_BY_SIDE) as pool:
        answers = list(pool.map(lambda question: _ask(question, look), questions))
    return tuple(check for checks in answers for check in checks)


def _ask(question: Question, look: Look) -> list[Check]:
    name = (question.__doc__ or question.__name__).splitlines()[0].rstrip(".?")
    try:
        answer = question(look)
        checks = [answer] if isinstance(answer, Check) else list(answer)
    except JarkkitError as error:
        checks = [failed(error)]
    return [check if check.name else check.model_copy(update={"name": name}) for check in checks]


def failed(error: JarkkitError, name: str = "") -> Check:
    """The answer where asking ended in an error: `unknown` where it says nothing about the matter
    itself."""
    return Check(
        name=name,
        status="unknown" if error.code in _NOT_ANSWERED else "fail",
        found=error.message,
        fix=error.fix,
        code=error.code,
    )


def passed(found: str, needed: str = "", why: str = "") -> Check:
    """All is well."""
    return Check(name="", status="pass", found=found, needed=needed, why=why)
