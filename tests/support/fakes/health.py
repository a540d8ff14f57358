"""The health of a deployment's AWS resources, as the test sets it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeVar

from jarkkit.model.errors import JarkkitError
from jarkkit.model.records import Instance, NatGateway

T = TypeVar("T")


@dataclass
class FakeHealth:
    """Returns what the test sets; `failing` maps a method to its error."""

    instance_list: tuple[Instance, ...] = ()
    gateway_list: tuple[NatGateway, ...] = ()
    interfaces: tuple[str, ...] = ()
    failing: dict[str, JarkkitError] = field(default_factory=dict)

    def _answer(self, method: str, answer: T) -> T:
        if method in self.failing:
            raise self.failing[method]
        return answer

    def instances(self, name: str) -> tuple[Instance, ...]:
        return self._answer("instances", self.instance_list)

    def gateways(self, name: str) -> tuple[NatGateway, ...]:
        return self._answer("gateways", self.gateway_list)

    def idle_interfaces(self, vpc_id: str) -> tuple[str, ...]:
        return self._answer("idle_interfaces", self.interfaces)
