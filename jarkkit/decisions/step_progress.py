"""A step's progress, from its events. No display, no clock; times are seconds since 1970."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from jarkkit.decisions.terraform_messages import short_address
from jarkkit.model.errors import JarkkitError
from jarkkit.model.records import Event, Step

State = Literal["running", "done", "failed", "stopped"]
Outcome = Literal["done", "failed", "stopped"]

_LOG_LINES = 400
_STATE_TEXTS = {
    "create": ("creating", "created"),
    "update": ("changing", "changed"),
    "replace": ("replacing", "replaced"),
    "delete": ("destroying", "destroyed"),
    "import": ("importing", "imported"),
    "no-op": ("checking", "unchanged"),
}


@dataclass
class ProgressItem:
    """A phase, a Terraform resource or an add-on.

    Attributes:
        started_at: start time, seconds since 1970.
        seconds: its duration; None while it is running.
        message: the latest message about it.
    """

    name: str
    action: str
    started_at: float
    state: State = "running"
    seconds: float | None = None
    message: str = ""

    def elapsed(self, now: float) -> float:
        """Return the seconds until it ended, or until now."""
        return max(now - self.started_at, 0.0) if self.seconds is None else self.seconds

    @property
    def status_text(self) -> str:
        """The state in words, e.g. `creating` or `created`."""
        running, done = _STATE_TEXTS.get(self.action, ("working", "done"))
        return {"running": running, "done": done}.get(self.state, self.state)


@dataclass(frozen=True)
class ProgressProblem:
    """An error or a warning. It stays visible until the end."""

    code: str
    message: str
    fix: str = ""
    is_error: bool = True


@dataclass
class StepProgress:
    """Accumulates the events of a step; every other method only reads.

    Args:
        expected: the expected number of resources (`resource`) and add-ons (`addon`), as far as
            known in advance. Totals in the events take precedence.
    """

    expected: Mapping[str, int] = field(default_factory=dict)
    step: Step | None = None
    phases: list[ProgressItem] = field(default_factory=list)
    items: dict[str, ProgressItem] = field(default_factory=dict)
    problems: list[ProgressProblem] = field(default_factory=list)
    message: str = ""
    log: deque[str] = field(default_factory=lambda: deque(maxlen=_LOG_LINES))
    began: float | None = None
    ended: float | None = None
    outcome: Outcome | None = None
    _counts: dict[str, tuple[int, int]] = field(default_factory=dict)
    _left: tuple[float, float] | None = None

    # -- updating ------------------------------------------------------------------------------

    def add(self, event: Event) -> None:
        """Add an event."""
        at = epoch_seconds(event.time)
        self.step = event.step
        self.began = at if self.began is None else self.began
        self.log.append(_line(event))
        if event.kind == "phase":
            self._phase(event, at)
        elif event.kind in ("resource", "addon"):
            self._item(event, at)
        elif event.kind == "message":
            self.message = event.message
        else:
            self._add_problem(
                ProgressProblem(event.code, event.message, is_error=event.kind == "error")
            )
        if event.total is not None:
            self._counts[event.kind] = (event.done or 0, event.total)
            left = event.seconds_left
            self._left = None if left is None else (left, at)

    def finish(self, outcome: Outcome, now: float, error: JarkkitError | None = None) -> None:
        """End the progress. Items that are still running count as stopped, or as done."""
        self.outcome, self.ended, self._left = outcome, now, None
        self.expected = {} if outcome == "done" else self.expected
        self.began = now if self.began is None else self.began
        end: State = "done" if outcome == "done" else "stopped"
        for item in (*self.phases, *self.items.values()):
            if item.state == "running":
                item.seconds, item.state = item.elapsed(now), end
        if error is not None:
            self.problems = [t for t in self.problems if t.message != error.message]
            grave = outcome == "failed"
            self.problems.insert(0, ProgressProblem(error.code, error.message, error.fix, grave))

    def _phase(self, event: Event, at: float) -> None:
        last = self.phases[-1] if self.phases else None
        if last is None or last.name != event.subject or event.status == "started":
            if last is not None and last.state == "running":
                last.seconds, last.state = max(at - last.started_at, 0.0), "done"
            last = ProgressItem(event.subject, "", at)
            self.phases.append(last)
            self._left = None
        last.message = event.message or last.message
        if event.status in ("done", "failed"):
            last.seconds, last.state = max(at - last.started_at, 0.0), event.status

    def _item(self, event: Event, at: float) -> None:
        if event.action in ("read", None):
            return
        began = at - (event.seconds or 0.0)
        name = short_address(event.subject)
        item = self.items.setdefault(event.subject, ProgressItem(name, str(event.action), began))
        if event.status == "started":
            item.started_at, item.state, item.seconds = began, "running", None
        item.message = event.message if event.status != "done" else ""
        if event.status in ("done", "failed"):
            item.state = event.status
            item.seconds = at - item.started_at if event.seconds is None else event.seconds
        if event.status == "failed" and event.message:
            self._add_problem(ProgressProblem(event.code, f"{item.name}: {event.message}"))

    def _add_problem(self, problem: ProgressProblem) -> None:
        if problem not in self.problems:
            self.problems.append(problem)

    # -- reading -------------------------------------------------------------------------------

    def count(self) -> tuple[int, int]:
        """Return how many resources and add-ons are done, and their total number."""
        known = {kind: (0, total) for kind, total in self.expected.items()} | self._counts
        return sum(done for done, _ in known.values()), sum(total for _, total in known.values())

    def pending_text(self) -> str:
        """Return the kinds that have not started yet, as text; empty if all have."""
        words = {"resource": "resources", "addon": "add-ons"}
        rest = [
            f"{total} {words[kind]}"
            for kind, total in self.expected.items()
            if total and kind not in self._counts
        ]
        return " and ".join(rest) if self._counts else ""

    def seconds_left(self, now: float) -> float | None:
        """Return the seconds left of the running phase; None if unknown."""
        if self._left is None:
            return None
        estimate, at = self._left
        return max(estimate - (now - at), 0.0)

    def elapsed(self, now: float) -> float:
        """Return the seconds since the first event."""
        if self.began is None:
            return 0.0
        return max((self.ended or now) - self.began, 0.0)

    def sorted_items(self, now: float) -> list[ProgressItem]:
        """Return the items: failed, then running (the longest first), then done (the latest
        first)."""
        rank = {"failed": 0, "stopped": 1, "running": 2, "done": 3}

        def sort_key(item: ProgressItem) -> tuple[int, float]:
            lasted = item.elapsed(now)
            return rank[item.state], -(
                item.started_at + lasted
            ) if item.state == "done" else -lasted

        return sorted(self.items.values(), key=sort_key)


def epoch_seconds(time: str) -> float:
    """Convert an ISO 8601 time to seconds since 1970."""
    return datetime.fromisoformat(time).timestamp()


def _line(event: Event) -> str:
    words = (
        event.time[11:19],
        event.kind,
        event.action or "",
        short_address(event.subject),
        event.status or "",
        f"{event.seconds:.0f} s" if event.seconds else "",
        event.code,
        event.message,
    )
    return " ".join(word for word in words if word)
