"""Things that finish later: a backend notes what is due when, and catches up before each call."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from jarkkit.sandbox.clock import CLOCK


@dataclass
class Later:
    """Work that is under way in a backend. Plain data, so that it is saved with the account."""

    due: list[tuple[float, str, tuple[Any, ...]]] = field(default_factory=list)

    def add(self, backend: Any, what: str, method: str, *arguments: Any) -> None:
        """Call the backend's method when `what` (a key of DURATIONS) has had its time; now, when
        the clock's speed is 0."""
        when = CLOCK.ready_at(what)
        if CLOCK.reached(when):
            getattr(backend, method)(*arguments)
        else:
            self.due.append((when, method, arguments))

    def soon(self, method: str, *arguments: Any) -> None:
        """Call the method at the next catching up: what it waits for is not there yet."""
        self.due.append((CLOCK.now(), method, arguments))

    def catch_up(self, backend: Any) -> bool:
        """Do what has become due, oldest first; True when there was something."""
        ready = sorted((d for d in self.due if CLOCK.reached(d[0])), key=lambda d: d[0])
        for item in ready:
            self.due.remove(item)
            getattr(backend, item[1])(*item[2])
        return bool(ready)
