"""Drills in a notebook: inject a fault, diagnose it, and always revert it.

The faults are switched through the sandbox's control, as the command line does. The library does
not know them.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from IPython.display import display

from jarkkit.catalog.drills import Drill
from jarkkit.catalog.drills import drill as find_drill
from jarkkit.catalog.drills import drills as all_drills
from jarkkit.decisions.drills import fault_arguments
from jarkkit.deployment import Deployment
from jarkkit.model.checks import Report
from jarkkit.model.errors import JarkkitError, NotAllowed
from jarkkit.model.polling import wait_until
from jarkkit.ports.paths import find_home, sandbox_home
from jarkkit.render.markup import optional_table, sentence
from jarkkit.render.text import text

# Measured on two busy cores; idle cores need a tenth of it.
_TIMEOUT_SECONDS = 90.0
_PAUSE_SECONDS = 0.5
FaultSwitch = Callable[[tuple[str, ...]], tuple[str, ...]]


@dataclass
class DrillSession:
    """One drill. As a context manager it injects the fault on entry and reverts it on exit, also
    when interrupted.

    Args:
        skip_reason: why the drill cannot run here; then no fault is injected, only the checks run.
        set_faults: activates the named faults of the sandbox and no others; returns those that
            were on before.
    """

    deployment: Deployment
    drill: Drill
    skip_reason: str = ""
    set_faults: FaultSwitch = field(default_factory=lambda: _switch)
    sleep: Callable[[float], None] = time.sleep
    _before: tuple[str, ...] = ()

    def __enter__(self) -> Self:
        if self.skip_reason:
            display(sentence(f"Skipped, no fault injected: {self.skip_reason}."))
            return self
        outputs = deployed.outputs if (deployed := self.deployment.last_deploy_result()) else {}
        self._before = self.set_faults(fault_arguments(self.drill, outputs))
        try:
            self.deployment.inject_drill(self.drill.name)
        except BaseException:
            self._revert()
            raise
        display(sentence(f"Fault injected: {self.drill.switched_on}"))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if not self.skip_reason:
            self._revert()
            display(sentence("Fault reverted: it is switched off again."))

    def _revert(self) -> None:
        try:
            self.deployment.revert_drill(self.drill.name)
        finally:
            self.set_faults(self._before)

    def diagnosis(self, seconds: float = _TIMEOUT_SECONDS) -> Report:
        """Diagnose until the fault shows up. Raises JK-DRILL-TIMEOUT."""
        found = ("fail", "warn", "unknown")
        return self._until(
            lambda report: self._shows_in(report, *found), seconds, "does not show up"
        )

    def recovery(self, seconds: float = _TIMEOUT_SECONDS) -> Report:
        """Diagnose after the drill until nothing is wrong. Raises JK-DRILL-TIMEOUT.

        Warnings may stay: a reclaimed Spot instance is reported for an hour.
        """
        return self._until(
            lambda report: report.ok and not self._shows_in(report, "fail", "unknown"),
            seconds,
            "is not resolved",
        )

    def _shows_in(self, report: Report, *statuses: str) -> bool:
        related = (check for check in report.checks if check.code == self.drill.code)
        return any(check.status in statuses for check in related)

    def _until(self, done: Callable[[Report], bool], seconds: float, what: str) -> Report:
        return wait_until(
            self.deployment.diagnose,
            lambda report: self.skip_reason or done(report),
            _PAUSE_SECONDS,
            seconds,
            or_raise=lambda report: JarkkitError(
                "JK-DRILL-TIMEOUT",
                f"{self.drill.title}: the fault {what} after {seconds:.0f} s.",
                "See the current findings: jarkkit diagnose. The fault is switched off.",
                evidence=text(report)[:600],
            ),
            sleep=self.sleep,
        )


def drill(deployment: Deployment, name: str) -> DrillSession:
    """Return a drill by name. Raises JK-DRILL-UNKNOWN; JK-DRILL-REFUSED in a real account."""
    return DrillSession(deployment, find_drill(name), deployment.why_drill_not_runnable(name))


@dataclass(frozen=True)
class DrillList:
    """The available drills; a table in a notebook."""

    deployment: Deployment

    def session(self, name: str) -> DrillSession:
        """Return the drill; if it cannot run here, one that only diagnoses and says why."""
        try:
            return drill(self.deployment, name)
        except NotAllowed as error:
            return DrillSession(self.deployment, find_drill(name), error.message.rstrip("."))

    def _repr_html_(self) -> str:
        head = ("Drill", "Fault", "Code", "Here")
        lines = ((d.title, d.switched_on, d.code, self._here(d)) for d in all_drills().values())
        return optional_table(head, lines)

    def __repr__(self) -> str:
        return "\n".join(f"{d.name:24} {d.title}" for d in all_drills().values())

    def _here(self, item: Drill) -> str:
        return self.session(item.name).skip_reason or "available"


def drills(deployment: Deployment) -> DrillList:
    """Return all drills, and whether they can run in this deployment."""
    return DrillList(deployment)


def _switch(names: tuple[str, ...]) -> tuple[str, ...]:
    from jarkkit.sandbox import daemon_client

    home = sandbox_home(find_home())
    before = tuple(daemon_client.status(home)["faults"])
    daemon_client.set_faults(home, names)
    return before


def check_answer(response: str, expected: str, explanation: str) -> None:
    """Show whether an exercise's answer is right; an empty one stays open. Raises nothing."""
    answer = response.strip().upper()
    if not answer:
        verdict = "Not answered yet. Set it in the parameters cell, then run both cells again."
    elif answer == expected:
        verdict = f"✔ Correct. {explanation}"
    else:
        verdict = (
            f"✘ {response} is not the cause. "
            "Read the findings again: which one explains the others?"
        )
    display(sentence(verdict))
