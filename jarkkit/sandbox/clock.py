"""The account's time: operations take their published durations, divided by a speed factor."""

from __future__ import annotations

import time
from dataclasses import dataclass

# Seconds at speed 1, from published runs of EKS blueprints and AWS' own timings. docs/sandbox.md
# lists the sources.
DURATIONS: dict[str, float] = {
    "cluster create": 544.0,
    "cluster update": 600.0,
    "cluster delete": 150.0,
    "node group create": 160.0,
    "node group launch": 40.0,
    "node group wait": 1200.0,
    "node group update": 300.0,
    "node group delete": 190.0,
    "add-on create": 15.0,
    "add-on update": 15.0,
    "add-on delete": 10.0,
    "NAT gateway create": 106.0,
    "NAT gateway delete": 50.0,
    "Spot interruption": 120.0,
    "node join": 40.0,
    "quota increase approve": 900.0,
    "quota increase case": 300.0,
}


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
        return DURATIONS[operation] * self.time_scale

    def has_reached(self, when: float) -> bool:
        """Return True when that time has come."""
        return self.now() >= when


CLOCK = Clock()
"""The daemon's clock. There is one per process, because moto's backends are process-wide too."""
