"""The account's time: operations take their published durations, divided by a speed factor.

The durations are in `catalog/facts/durations.yaml`.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from jarkkit.catalog.facts import durations


@dataclass
class Clock:
    """The clock that decides when an operation in progress completes.

    Args:
        speed: how many times faster than AWS; 0 completes everything immediately.
    """

    speed: float = 0.0

    def now(self) -> float:
        """Return seconds since the epoch, which stay valid when a saved account is loaded."""
        return time.time()

    @property
    def time_scale(self) -> float:
        """Duration of one AWS second in the sandbox, in seconds."""
        return 1.0 / self.speed if self.speed else 0.0

    def ready_at(self, operation: str) -> float:
        """Return when an operation that starts now completes. Raises KeyError if unknown."""
        return self.now() + self.seconds(operation)

    def seconds(self, operation: str) -> float:
        """Return the operation's duration in the sandbox. Raises KeyError if unknown."""
        return durations()[operation].seconds * self.time_scale

    def has_reached(self, when: float) -> bool:
        """Return True when that time has come."""
        return self.now() >= when


CLOCK = Clock()
"""The daemon's clock. There is one per process, because moto's backends are process-wide too."""
