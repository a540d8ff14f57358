"""When to try again what failed: later each time, as client-go's rate limiters have it."""

from __future__ import annotations

import time
from collections.abc import Iterable

_FIRST_SECONDS = 1.0
_LONGEST_SECONDS = 60.0


class Patience:
    """Remembers failures by key. Forgetting them, as a restart does, only means to try at once."""

    def __init__(self) -> None:
        self._failed: dict[str, tuple[float, float]] = {}

    def due(self, key: str) -> bool:
        """True when it may be tried."""
        return time.monotonic() >= self._failed.get(key, (0.0, 0.0))[0]

    def failed(self, key: str) -> None:
        """It failed: wait twice as long as the last time."""
        pause = min(2 * self._failed.get(key, (0.0, _FIRST_SECONDS / 2))[1], _LONGEST_SECONDS)
        self._failed[key] = (time.monotonic() + pause, pause)

    def done(self, key: str) -> None:
        """It went well."""
        self._failed.pop(key, None)

    def keep(self, keys: Iterable[str]) -> None:
        """Forget all others: nobody wants them any more."""
        wanted = set(keys)
        self._failed = {key: what for key, what in self._failed.items() if key in wanted}

    def wait(self) -> float | None:
        """Seconds until the first of them may be tried again; None when nothing failed."""
        now = time.monotonic()
        return min((max(when - now, 0.05) for when, _ in self._failed.values()), default=None)
