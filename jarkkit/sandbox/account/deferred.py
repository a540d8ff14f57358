"""Deferred calls: a backend notes which method is due when, and catches up before each call."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from jarkkit.sandbox.clock import CLOCK


@dataclass
class DeferredCalls:
    """The calls that a backend has deferred. Plain data, so that it is saved with the account."""

    due: list[tuple[float, str, tuple[Any, ...]]] = field(default_factory=list)

    def add(self, backend: Any, what: str, method: str, *arguments: Any) -> None:
        """Call the backend's method when the duration of `what`, an operation, is over.

        Call it immediately if the clock's speed is 0.
        """
        when = CLOCK.ready_at(what)
        if CLOCK.has_reached(when):
            getattr(backend, method)(*arguments)
        else:
            self.due.append((when, method, arguments))

    def retry(self, method: str, *arguments: Any) -> None:
        """Call the method again at the next `catch_up`: its condition is not met yet."""
        self.due.append((CLOCK.now(), method, arguments))

    def catch_up(self, backend: Any) -> bool:
        """Make the calls that are due, oldest first. Return True when there were any."""
        ready = sorted((d for d in self.due if CLOCK.has_reached(d[0])), key=lambda d: d[0])
        for item in ready:
            self.due.remove(item)
            getattr(backend, item[1])(*item[2])
        return bool(ready)
