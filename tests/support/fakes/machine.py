"""A machine whose tools and network the test sets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from jarkkit.ports.machine import LocalMachine


@dataclass(frozen=True)
class FakeMachine(LocalMachine):
    """A machine that reaches every host but those in `down`."""

    environ: Mapping[str, str] = field(default_factory=lambda: {"AWS_PROFILE": "learner"})
    kubectl: str | None = None
    down: Mapping[str, str] = field(default_factory=dict)

    def kubectl_version(self) -> str | None:
        return self.kubectl

    def unreachable_hosts(self, hosts: Iterable[str], seconds: float) -> dict[str, str]:
        return {host: self.down[host] for host in hosts if host in self.down}
