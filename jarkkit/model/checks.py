"""`Check` and `Report`: the result type of every check.

Preflight, verify, diagnose and the cleanup receipt return a `Report`. `render/` shows it as text
and as HTML: the verdict comes first, then failures, warnings and unknown results, each with its
fix; passed checks come last, in brief.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from pydantic import BaseModel, ConfigDict

from jarkkit.model.errors import JarkkitError

Status = Literal["pass", "warn", "fail", "unknown", "skip"]

SYMBOL: dict[Status, str] = {"pass": "✔", "warn": "!", "fail": "✘", "unknown": "?", "skip": "-"}
STATUS_WORD: dict[Status, str] = {
    "fail": "failed",
    "warn": "warning",
    "unknown": "not checked",
    "pass": "passed",
    "skip": "not needed",
}
# Statuses that need attention, the most severe first.
_FINDINGS: tuple[Status, ...] = ("fail", "warn", "unknown")
# Statuses that are summarized.
_REST: tuple[Status, ...] = ("pass", "skip")


class Check(BaseModel):
    """A check and its result.

    `unknown` means that the check could not run (no permission, throttled). It never counts as a
    pass or as a failure.

    Attributes:
        found: the evidence.
        link: where to read or do more.
        group: its topic; checks of one group are shown together.
        follows: consequences of this finding, a line each.
        about: keys of the objects that it is about, or of those with the problem:
            `node:ip-10-0-0-1`, `addon:jupyterhub`. `diagnose` finds by them what explains it.
        seconds: how long its question took; the results of one question share it. None for a result
            that follows from a record.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    status: Status
    found: str = ""
    needed: str = ""
    why: str = ""
    fix: str = ""
    code: str = ""
    link: str = ""
    group: str = ""
    follows: tuple[str, ...] = ()
    about: tuple[str, ...] = ()
    seconds: float | None = None


class Report(BaseModel):
    """The results of one step's checks, in the order they ran."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str
    checks: tuple[Check, ...]
    notes: tuple[str, ...] = ()

    def count(self, status: Status) -> int:
        """Return the number of checks with this status."""
        return sum(check.status == status for check in self.checks)

    @property
    def ok(self) -> bool:
        """True if nothing failed; warnings and unknown results do not fail a report."""
        return self.count("fail") == 0

    @property
    def verdict(self) -> str:
        """The report in one line."""
        counts = self.count_text("fail", "warn", "unknown", "pass")
        return (
            f"{self.title} {self._answer()}: {counts}."
            if counts
            else (f"{self.title} Nothing was checked.")
        )

    def _answer(self) -> str:
        if not self.ok:
            return "No"
        if not self.count("unknown"):
            return "Yes"
        answered = self.count("pass") or self.count("warn")
        return "Yes, as far as it could be checked" if answered else "Unknown"

    def failures(self) -> tuple[Check, ...]:
        """Return the checks that failed."""
        return self._having("fail")

    def raise_for_failures(self, code: str) -> None:
        """Raise an error with this code, the failed checks and their fixes, if any check failed."""
        if self.ok:
            return
        failed = self.failures()
        fixes = [f"{check.name}: {check.fix}" for check in failed if check.fix]
        raise JarkkitError(
            code,
            f"{self.title} No: {', '.join(check.name for check in failed)}.",
            " ".join(fixes[:3]) or "See the report above.",
        )

    def findings(self) -> tuple[Check, ...]:
        """Return what needs attention, most severe first; equal findings are merged."""
        return tuple(check for status in _FINDINGS for check in self._merged(status))

    def others(self) -> tuple[Check, ...]:
        """Return the checks that passed or were not needed."""
        return tuple(check for status in _REST for check in self._having(status))

    def count_text(self, *statuses: Status) -> str:
        """Return how many checks have each of these statuses, such as `1 failed, 2 warnings`."""
        counts = ((self.count(status), status) for status in statuses)
        return ", ".join(_counted(count, status) for count, status in counts if count)

    def _having(self, status: Status) -> tuple[Check, ...]:
        return tuple(check for check in self.checks if check.status == status)

    def _merged(self, status: Status) -> tuple[Check, ...]:
        """Return the checks with this status; merge those that differ only in their name."""
        merged: dict[tuple[str, ...], Check] = {}
        for check in self._having(status):
            own = {"group", "about", "seconds", *(("name",) if check.fix else ())}
            same = tuple(check.model_dump(exclude=own).values())
            names = [merged[same].name, check.name] if same in merged else [check.name]
            merged[same] = check.model_copy(update={"name": ", ".join(names)})
        return tuple(merged.values())


def with_group(group: str, checks: Iterable[Check]) -> tuple[Check, ...]:
    """Return the checks with this group."""
    return tuple(check.model_copy(update={"group": group}) for check in checks)


def _counted(count: int, status: Status) -> str:
    plural = "s" if status == "warn" and count > 1 else ""
    return f"{count} {STATUS_WORD[status]}{plural}"


def group_by(key: Literal["group", "found"], checks: Iterable[Check]) -> dict[str, list[Check]]:
    found: dict[str, list[Check]] = {}
    for check in checks:
        found.setdefault(getattr(check, key), []).append(check)
    return found
