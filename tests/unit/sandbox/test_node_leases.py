"""A KWOK that starts takes over the nodes of its predecessor."""

from __future__ import annotations

import subprocess
import sys
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from jarkkit.sandbox.controllers import node_leases
from jarkkit.sandbox.kubernetes.api import Api
from jarkkit.sandbox.kubernetes.control_plane import ControlPlaneProcess, LocalControlPlane


@dataclass
class FakeApi:
    """Leases by the name of their node; the second reading after a restart shows them held."""

    leases: dict[str, dict[str, Any]]
    nodes: tuple[str, ...]
    restarted: bool = False
    readings: int = 0

    def list(self, path: str) -> list[dict[str, Any]]:
        if path.endswith("/nodes"):
            return [{"metadata": {"name": name}} for name in self.nodes]
        if self.restarted:
            self.readings += 1
            if self.readings == 2:
                self.leases |= {name: {"holderIdentity": "new"} for name in self.nodes}
        return [{"metadata": {"name": name}, "spec": spec} for name, spec in self.leases.items()]

    def delete(self, path: str) -> None:
        del self.leases[path.rpartition("/")[2]]


@dataclass
class FakePlane:
    """A control plane whose KWOK is a process that sleeps."""

    api: FakeApi
    pid: int
    restarts: list[str] = field(default_factory=list)

    def components(self) -> tuple[ControlPlaneProcess, ...]:
        return (ControlPlaneProcess("kwok-controller", self.pid, 0, 5.0),)

    def restart_dead(self) -> None:
        self.api.restarted = True
        self.restarts.append("kwok-controller")


def taken_over(leases: dict[str, dict[str, Any]], *nodes: str) -> tuple[FakePlane, FakeApi]:
    api = FakeApi(leases, nodes)
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    plane = FakePlane(api, process.pid)
    try:
        node_leases.take_over(cast(LocalControlPlane, plane), cast(Api, api), threading.Event())
    finally:
        process.kill()
        process.wait()
    return plane, api


def lease(**before: float) -> dict[str, str]:
    renewed = datetime.now(UTC) - timedelta(**before)
    return {"holderIdentity": "old", "renewTime": renewed.isoformat()}


def test_old_leases_are_deleted_and_the_new_ones_waited_for() -> None:
    plane, api = taken_over({"one": lease(hours=1), "gone": lease(hours=1)}, "one")
    assert plane.restarts == ["kwok-controller"]
    assert api.readings == 2
    assert api.leases == {"one": {"holderIdentity": "new"}}


@pytest.mark.parametrize("nodes", [(), ("one",)])
def test_nothing_happens_without_old_leases(nodes: tuple[str, ...]) -> None:
    plane, api = taken_over({name: lease(minutes=-5) for name in nodes}, "one")
    assert plane.restarts == []
    assert api.readings == 0
