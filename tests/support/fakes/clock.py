"""A clock that tests set by hand, and a call that AWS denies."""

from __future__ import annotations

from datetime import UTC, datetime

from jarkkit.model.errors import JarkkitError

NOON = datetime(2026, 11, 27, 12, tzinfo=UTC)


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = NOON
        self.seconds = 0.0
        self.slept: list[float] = []

    def __call__(self) -> datetime:
        return self.now

    def monotonic(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


def denied() -> str:
    raise JarkkitError("JK-AWS-DENIED", "no", "ask")
