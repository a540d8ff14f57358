"""The account's time: things take their published durations, divided by a speed factor."""

from __future__ import annotations

import time
from dataclasses import dataclass

# Seconds at speed 1. Published runs of EKS blueprints and of AWS' own timings; the sources are in
# docs/sandbox.md.
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
    """Decides when something that was begun is done.

    Args:
        speed: how many times faster than AWS; 0 finishes everything at once.
    """

    speed: float = 0.0

    def now(self) -> float:
        """Seconds since the epoch: saved with the account, so it must survive a restart."""
        return time.time()

    @property
    def pace(self) -> float:
        """What a second of AWS is here, in seconds."""
        return 1.0 / self.speed if self.speed else 0.0

    def ready_at(self, what: str) -> float:
        """When something that begins now will be done. Raises KeyError for an unknown duration."""
        return self.now() + self.seconds(what)

    def seconds(self, what: str) -> float:
        """How long it takes here. Raises KeyError for an unknown duration."""
        return DURATIONS[what] * self.pace

    def reached(self, when: float) -> bool:
        """True when that moment has come."""
        return self.now() >= when


CLOCK = Clock()
"""The daemon's clock. One per process: moto's backends are process-wide too."""
