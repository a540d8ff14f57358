"""Drills in a notebook: a fault is switched on, looked at, and switched off again whatever happens.

The sandbox is told by its control, as the command line does it; the library knows nothing of it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from html import escape
from types import TracebackType
from typing import Self

from IPython.display import display

from jarkkit import drills as table
from jarkkit.checks import Report
from jarkkit.drills import Drill
from jarkkit.errors import JarkkitError
from jarkkit.home import find_home, sandbox_home
from jarkkit.kit import Kit
from jarkkit.ui.html import Words, rows

# On two busy cores; on idle ones it takes a tenth of that.
_PATIENCE_SECONDS = 90.0
_PAUSE_SECONDS = 0.5
Switch = Callable[[tuple[str, ...]], tuple[str, ...]]


@dataclass
class Drilling:
    """One drill. As a context it breaks something on the way in and mends it on the way out, also
    when it is interrupted.

    Args:
        skipped: why nothing is broken; then only the questions are asked.
        switch: switches faults of the sandbox on, and those not named off; gives those that were
            on before.
    """

    kit: Kit
    drill: Drill
    skipped: str = ""
    switch: Switch = field(default_factory=lambda: _switch)
    sleep: Callable[[float], None] = time.sleep
    _before: tuple[str, ...] = ()

    def __enter__(self) -> Self:
        if self.skipped:
            display(Words(f"<p>Skipped, only looked at: {escape(self.skipped)}.</p>"))
            return self
        outputs = deployed.outputs if (deployed := self.kit.last_deployed()) else {}
        self._before = self.switch(table.faults(self.drill, outputs))
        try:
            self.kit.provoke(self.drill.name)
        except BaseException:
            self._mend()
            raise
        display(Words(f"<p>Broken: {escape(self.drill.switched_on)}</p>"))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if not self.skipped:
            self._mend()
            display(Words("<p>Mended: the fault is switched off again.</p>"))

    def _mend(self) -> None:
        try:
            self.kit.calm(self.drill.name)
        finally:
            self.switch(self._before)

    def diagnosis(self, seconds: float = _PATIENCE_SECONDS) -> Report:
        """Diagnose until the fault is seen. Raises JK-DRILL-TIMEOUT."""
        seen = ("fail", "warn", "unknown")
        return self._until(lambda report: self._seen_in(report, *seen), seconds, "is not seen")

    def recovery(self, seconds: float = _PATIENCE_SECONDS) -> Report:
        """After the drill: diagnose until nothing is wrong. Raises JK-DRILL-TIMEOUT.

        What is merely to know may stay: that a Spot instance was taken back is told for an hour.
        """
        return self._until(
            lambda report: report.ok and not self._seen_in(report, "fail", "unknown"),
            seconds,
            "has not passed",
        )

    def _seen_in(self, report: Report, *statuses: str) -> bool:
        mine = (check for check in report.checks if check.code == self.drill.code)
        return any(check.status in statuses for check in mine)

    def _until(self, seen: Callable[[Report], bool], seconds: float, what: str) -> Report:
        until = time.monotonic() + seconds
        while True:
            report = self.kit.diagnose()
            if self.skipped or seen(report):
                return report
            if time.monotonic() > until:
                raise JarkkitError(
                    "JK-DRILL-TIMEOUT",
                    f"{self.drill.title}: it {what} after {seconds:.0f} s.",
                    "Look at what there is instead: jarkkit diagnose. The fault is switched off.",
                    evidence=report.text()[:600],
                )
            self.sleep(_PAUSE_SECONDS)


def drill(kit: Kit, name: str) -> Drilling:
    """A drill by its name. Raises JK-DRILL-UNKNOWN; JK-DRILL-REFUSED in a real account."""
    return Drilling(kit, table.drill(name), kit.drill_hindrance(name))


@dataclass(frozen=True)
class Drills:
    """What there is to practise; a table in a notebook."""

    kit: Kit

    def run(self, name: str) -> Drilling:
        """The drill, or, where it cannot be done, one that only looks and says why."""
        try:
            return drill(self.kit, name)
        except JarkkitError as error:
            if error.code != "JK-DRILL-REFUSED":
                raise
            return Drilling(self.kit, table.drill(name), error.message.rstrip("."))

    def _repr_html_(self) -> str:
        head = ("Drill", "What is switched on", "Code", "Here")
        lines = ((d.title, d.switched_on, d.code, self._here(d)) for d in table.drills().values())
        return rows(head, lines)

    def __repr__(self) -> str:
        return "\n".join(f"{d.name:24} {d.title}" for d in table.drills().values())

    def _here(self, thing: Drill) -> str:
        return self.run(thing.name).skipped or "can be done"


def drills(kit: Kit) -> Drills:
    """All drills, and whether they can be done in this deployment."""
    return Drills(kit)


def _switch(words: tuple[str, ...]) -> tuple[str, ...]:
    from jarkkit.sandbox import control

    home = sandbox_home(find_home())
    before = tuple(control.status(home)["faults"])
    control.set_faults(home, words)
    return before


def exercise(given: str, right: str, solved: str) -> None:
    """Check an exercise's answer; an empty one is left open. Raises nothing."""
    answer = given.strip().upper()
    if not answer:
        said = "Not answered yet: fill it into the cell of parameters, and run this cell again."
    elif answer == right:
        said = f"✔ Right. {solved}"
    else:
        said = f"✘ {given} is not it. Look at the findings again: what would explain the others?"
    display(Words(f"<p>{escape(said)}</p>"))
