"""What a fake account has of what settings name."""

from __future__ import annotations

from dataclasses import dataclass, field

from jarkkit.model.errors import JarkkitError
from jarkkit.model.records import Certificate


@dataclass
class FakeNamedResources:
    """Policies, certificates and secrets by ARN; `failing` is what every call raises."""

    policies: frozenset[str] = frozenset()
    certificates: dict[str, Certificate] = field(default_factory=dict)
    secrets: frozenset[str] = frozenset()
    failing: JarkkitError | None = None

    def has_policy(self, arn: str) -> bool:
        self._maybe_fail()
        return arn in self.policies

    def certificate(self, arn: str) -> Certificate | None:
        self._maybe_fail()
        return self.certificates.get(arn)

    def has_secret(self, arn: str) -> bool:
        self._maybe_fail()
        return arn in self.secrets

    def _maybe_fail(self) -> None:
        if self.failing:
            raise self.failing
