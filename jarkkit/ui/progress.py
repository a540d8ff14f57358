"""How far a step is: its events, added up. No display, no clock; times are seconds since 1970."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from jarkkit.errors import JarkkitError
from jarkkit.records import Event, Step
from jarkkit.terraform_messages import short_address

State = Literal["running", "done", "failed", "stopped"]
Outcome = Literal["done", "failed", "stopped"]

_LOG_LINES = 400
_DOING = {
    "create": ("creating", "created"),
    "update": ("changing", "changed"),
    "replace": ("replacing", "replaced"),
    "delete": ("destroying", "destroyed"),
    "import": ("taking over", "taken over"),
    "no-op": ("looking at", "unchanged"),
}


@dataclass
class Item:
    """A phase, a Terraform resource or an add-on.

    Attributes:
        began: when it was begun, seconds since 1970.
        seconds: how long it took; None while it is being worked on.
        message: what was said of it last.
    """

    name: str
    action: str
    began: float
    state: State = "running"
    seconds: float | None = None
    message: str = ""

    def lasted(self, now: float) -> float:
        """Seconds until it ended, or until now."""
        return max(now - self.began, 0.0) if self.seconds is None else self.seconds

    @property
    def word(self) -> str:
        """What is, or was, done to it."""
        doing, done = _DOING.get(self.action, ("working", "done"))
        return {"running": doing, "done": done}.get(self.state, self.state)


@dataclass(frozen=True)
class Trouble:
    """What went wrong, or may: it stays in sight until the end."""

    code: str
    message: str
    fix: str = ""
    grave: bool = True


@dataclass
class Progress:
    """Takes a step's events in; everything else only reads.

    Args:
        expected: how many resources (`resource`) and add-ons (`addon`) there will be, as far as it
            is known beforehand; what the events say counts more.
    """

    expected: Mapping[str, int] = field(default_factory=dict)
    step: Step | None = None
    phases: list[Item] = field(default_factory=list)
    items: dict[str, Item] = field(default_factory=dict)
    troubles: list[Trouble] = field(default_factory=list)
    message: str = ""
    log: deque[str] = field(default_factory=lambda: deque(maxlen=_LOG_LINES))
    began: float | None = None
    ended: float | None = None
    outcome: Outcome | None = None
    _counts: dict[str, tuple[int, int]] = field(default_factory=dict)
    _left: tuple[float, float] | None = None

    # -- taking in -----------------------------------------------------------------------------

    def take(self, event: Event) -> None:
        """One more event."""
        at = seconds_of(event.time)
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
            self._trouble(Trouble(event.code, event.message, grave=event.kind == "error"))
        if event.total is not None:
            self._counts[event.kind] = (event.done or 0, event.total)
            left = event.seconds_left
            self._left = None if left is None else (left, at)

    def finish(self, outcome: Outcome, now: float, error: JarkkitError | None = None) -> None:
        """It has ended; what was still being worked on was cut short."""
        self.outcome, self.ended, self._left = outcome, now, None
        self.expected = {} if outcome == "done" else self.expected
        self.began = now if self.began is None else self.began
        end: State = "done" if outcome == "done" else "stopped"
        for item in (*self.phases, *self.items.values()):
            if item.state == "running":
                item.seconds, item.state = item.lasted(now), end
        if error is not None:
            self.troubles = [t for t in self.troubles if t.message != error.message]
            grave = outcome == "failed"
            self.troubles.insert(0, Trouble(error.code, error.message, error.fix, grave))

    def _phase(self, event: Event, at: float) -> None:
        last = self.phases[-1] if self.phases else None
        if last is None or last.name != event.subject or event.status == "started":
            if last is not None and last.state == "running":
                last.seconds, last.state = max(at - last.began, 0.0), "done"
            last = Item(event.subject, "", at)
            self.phases.append(last)
            self._left = None
        last.message = event.message or last.message
        if event.status in ("done", "failed"):
            last.seconds, last.state = max(at - last.began, 0.0), event.status

    def _item(self, event: Event, at: float) -> None:
        if event.action in ("read", None):
            return
        began = at - (event.seconds or 0.0)
        name = short_address(event.subject)
        item = self.items.setdefault(event.subject, Item(name, str(event.action), began))
        if event.status == "started":
            item.began, item.state, item.seconds = began, "running", None
        item.message = event.message if event.status != "done" else ""
        if event.status in ("done", "failed"):
            item.state = event.status
            item.seconds = at - item.began if event.seconds is None else event.seconds
        if event.status == "failed" and event.message:
            self._trouble(Trouble(event.code, f"{item.name}: {event.message}"))

    def _trouble(self, trouble: Trouble) -> None:
        if trouble not in self.troubles:
            self.troubles.append(trouble)

    # -- reading -------------------------------------------------------------------------------

    def count(self) -> tuple[int, int]:
        """How many resources and add-ons are done, and of how many."""
        known = {kind: (0, total) for kind, total in self.expected.items()} | self._counts
        return sum(done for done, _ in known.values()), sum(total for _, total in known.values())

    def to_come(self) -> str:
        """What has not begun yet, in words; empty when everything has."""
        words = {"resource": "resources", "addon": "add-ons"}
        rest = [
            f"{total} {words[kind]}"
            for kind, total in self.expected.items()
            if total and kind not in self._counts
        ]
        return " and ".join(rest) if self._counts else ""

    def seconds_left(self, now: float) -> float | None:
        """How long what is being worked on will take; None when it is not known."""
        if self._left is None:
            return None
        told, at = self._left
        return max(told - (now - at), 0.0)

    def elapsed(self, now: float) -> float:
        """Seconds since the first event."""
        if self.began is None:
            return 0.0
        return max((self.ended or now) - self.began, 0.0)

    def in_order(self, now: float) -> list[Item]:
        """What went wrong, what is being worked on (the longest first), then what is done (the
        latest first)."""
        rank = {"failed": 0, "stopped": 1, "running": 2, "done": 3}

        def place(item: Item) -> tuple[int, float]:
            lasted = item.lasted(now)
            return rank[item.state], -(item.began + lasted) if item.state == "done" else -lasted

        return sorted(self.items.values(), key=place)


def seconds_of(time: str) -> float:
    """A time of ISO 8601 in seconds since 1970."""
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
