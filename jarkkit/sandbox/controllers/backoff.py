"""Exponential backoff of failed operations, like client-go's rate limiters."""

from __future__ import annotations

import time
from collections.abc import Iterable

_FIRST_SECONDS = 1.0
_LONGEST_SECONDS = 60.0


class Backoff:
    """Backoff state by key. Losing it, as a restart does, only causes an immediate retry."""

    def __init__(self) -> None:
        self._failed: dict[str, tuple[float, float]] = {}

    def is_due(self, key: str) -> bool:
        """Return True when an operation may be tried."""
        return time.monotonic() >= self._failed.get(key, (0.0, 0.0))[0]

    def record_failure(self, key: str) -> None:
        """Record a failure: wait twice as long as the last time."""
        pause = min(2 * self._failed.get(key, (0.0, _FIRST_SECONDS / 2))[1], _LONGEST_SECONDS)
        self._failed[key] = (time.monotonic() + pause, pause)

    def record_success(self, key: str) -> None:
        """Record a success."""
        self._failed.pop(key, None)

    def retain(self, keys: Iterable[str]) -> None:
        """Forget all other keys."""
        wanted = set(keys)
        self._failed = {key: what for key, what in self._failed.items() if key in wanted}

    def seconds_until_retry(self) -> float | None:
        """Return the seconds until the next retry is due, None when nothing failed."""
        now = time.monotonic()
        return min((max(when - now, 0.05) for when, _ in self._failed.values()), default=None)
