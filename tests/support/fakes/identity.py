"""A caller with all permissions but those that the test denies."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from jarkkit.decisions.permissions.simulation import SimulationRequest, SimulationResult
from jarkkit.model.errors import JarkkitError
from jarkkit.model.records import Caller
from jarkkit.model.unknown import Unknown


@dataclass
class FakeIdentity:
    """`denied` maps actions to the simulator's decisions; `missing_roles` do not exist."""

    denied: dict[str, SimulationResult] = field(default_factory=dict)
    missing_roles: frozenset[str] = frozenset()
    missing_principals: frozenset[str] = frozenset()
    failing: JarkkitError | None = None
    in_organization: bool | None = None

    def principal(self, caller: Caller) -> str:
        return caller.arn

    def simulate(
        self, principal: str, requests: Sequence[SimulationRequest]
    ) -> dict[SimulationRequest, Sequence[SimulationResult] | Unknown]:
        unknown = Unknown(self.failing) if self.failing else None
        return {request: unknown or self._answer(request) for request in requests}

    def service_linked_roles(self, roles: Mapping[str, str]) -> dict[str, bool | Unknown]:
        return {service: service not in self.missing_roles for service in roles}

    def principals(self, arns: Iterable[str]) -> dict[str, bool | Unknown]:
        unknown = Unknown(self.failing) if self.failing else None
        return {arn: unknown or arn not in self.missing_principals for arn in arns}

    def _answer(self, request: SimulationRequest) -> list[SimulationResult]:
        return [
            self.denied.get(action)
            or SimulationResult(action, resource, "allowed", by_organization=self.in_organization)
            for action in request.actions
            for resource in request.resources
        ]
