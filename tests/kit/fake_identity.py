"""A caller who may do everything but what is refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from jarkkit.errors import JarkkitError
from jarkkit.permissions.questions import Decision, Question
from jarkkit.records import Caller


@dataclass
class FakeIdentity:
    """`refused` maps actions to what the simulator decides; `roles` are those that are missing."""

    refused: dict[str, Decision] = field(default_factory=dict)
    missing_roles: frozenset[str] = frozenset()
    failing: JarkkitError | None = None
    in_organization: bool | None = None

    def principal(self, caller: Caller) -> str:
        return caller.arn

    def simulate(
        self, principal: str, questions: Sequence[Question]
    ) -> dict[Question, Sequence[Decision] | JarkkitError]:
        return {question: self.failing or self._answer(question) for question in questions}

    def service_linked_roles(self, roles: Mapping[str, str]) -> dict[str, bool | JarkkitError]:
        return {service: service not in self.missing_roles for service in roles}

    def _answer(self, question: Question) -> list[Decision]:
        return [
            self.refused.get(action)
            or Decision(action, resource, "allowed", by_organization=self.in_organization)
            for action in question.actions
            for resource in question.resources
        ]
