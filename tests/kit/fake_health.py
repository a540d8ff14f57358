"""How the parts of a deployment do, as a test wants it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeVar

from jarkkit.errors import JarkkitError
from jarkkit.records import ControlPlane, Gateway, Instance

T = TypeVar("T")


@dataclass
class FakeHealth:
    """Answers what it is told to; `failing` maps a method to its error."""

    plane: ControlPlane | None = field(default_factory=lambda: ControlPlane(status="ACTIVE"))
    the_instances: tuple[Instance, ...] = ()
    the_gateways: tuple[Gateway, ...] = ()
    interfaces: tuple[str, ...] = ()
    failing: dict[str, JarkkitError] = field(default_factory=dict)

    def _answer(self, method: str, answer: T) -> T:
        if method in self.failing:
            raise self.failing[method]
        return answer

    def control_plane(self, name: str) -> ControlPlane | None:
        return self._answer("control_plane", self.plane)

    def instances(self, name: str) -> tuple[Instance, ...]:
        return self._answer("instances", self.the_instances)

    def gateways(self, name: str) -> tuple[Gateway, ...]:
        return self._answer("gateways", self.the_gateways)

    def idle_interfaces(self, vpc_id: str) -> tuple[str, ...]:
        return self._answer("idle_interfaces", self.interfaces)
