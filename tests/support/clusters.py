"""Sandboxes with one cluster of real control-plane programs."""

from __future__ import annotations

import contextlib
import ipaddress
import shutil
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from jarkkit.sandbox import daemon_client
from jarkkit.sandbox.controllers.cluster import REQUIRED_PROGRAMS
from jarkkit.sandbox.kubernetes.api import Api, admin_api
from jarkkit.sandbox.kubernetes.toolchain import Toolchain, user_cache
from jarkkit.sandbox.reaper import processes_of
from tests.support.account import ensure_role, make_client
from tests.support.poll import wait_for

REGION = "us-west-2"
NAME = "rehearsal"


@dataclass(frozen=True)
class RehearsalCluster:
    """A cluster in a sandbox, with its account."""

    running: daemon_client.RunningSandbox
    api: Api
    folder: Path

    def client(self, service: str) -> Any:
        """Return a boto3 client of the account."""
        return make_client(self.running, service, REGION)

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return self.folder / "clusters" / "cluster" / "kubeconfig.yaml"

    def log(self) -> str:
        """Return the log of the simulated EKS."""
        return (self.folder / "eks.log").read_text()


def needs_programs() -> None:
    """Skip the test where the programs of a cluster are not built (`jarkkit sandbox setup`)."""
    tools = Toolchain(user_cache())
    missing = [p.name for p in tools.missing() if p.name in REQUIRED_PROGRAMS]
    if missing:
        pytest.skip(f"needs {', '.join(missing)}: jarkkit sandbox setup")


def create_cluster(
    running: daemon_client.RunningSandbox, name: str = NAME, **more: Any
) -> dict[str, Any]:
    """Create a cluster in the default VPC; return its description when it is ACTIVE."""
    ec2, eks, iam = (make_client(running, service, REGION) for service in ("ec2", "eks", "iam"))
    subnets = [subnet["SubnetId"] for subnet in ec2.describe_subnets()["Subnets"]][:2]
    eks.create_cluster(
        name=name,
        roleArn=ensure_role(iam),
        resourcesVpcConfig={"subnetIds": subnets},
        version="1.36",
        **{"accessConfig": {"authenticationMode": "API"}, **more},
    )

    def described() -> dict[str, Any]:
        return dict(eks.describe_cluster(name=name)["cluster"])

    wait_for(lambda: described()["status"] != "CREATING", 120)
    assert described()["status"] == "ACTIVE", described()["health"]
    return described()


def rehearsal_cluster(
    running: daemon_client.RunningSandbox, identity: str, name: str = NAME
) -> RehearsalCluster:
    """Return the cluster with that id."""
    folder = running.home / "clusters" / identity
    pki = folder / "clusters" / "cluster" / "pki"
    cluster = make_client(running, "eks", REGION).describe_cluster(name=name)["cluster"]
    return RehearsalCluster(running, admin_api(cluster["endpoint"], pki), folder)


@contextlib.contextmanager
def sandbox_with_cluster(**options: Any) -> Iterator[RehearsalCluster]:
    """Start a sandbox of its own with one cluster; stop it afterwards."""
    needs_programs()
    home = Path(tempfile.mkdtemp(prefix="jarkkit-test-"))
    running = daemon_client.start(home, **options)
    sockets = Sockets(running)
    try:
        yield rehearsal_cluster(running, identity_of(create_cluster(running)))
    finally:
        sockets.stop()
        daemon_client.stop(home)
        shutil.rmtree(home)
    assert sockets.beyond_loopback == set()
    assert processes_of(str(home)) == []


class Sockets(threading.Thread):
    """Checks all sockets of a sandbox's processes once a second while the sandbox runs."""

    def __init__(self, running: daemon_client.RunningSandbox) -> None:
        super().__init__(daemon=True)
        self.beyond_loopback: set[str] = set()
        self._running = running
        self._ended = threading.Event()
        self.start()

    def run(self) -> None:
        while not self._ended.wait(1.0):
            with contextlib.suppress(psutil.Error):
                self._check_sockets()

    def _check_sockets(self) -> None:
        ours = {process.pid for process in processes_of(str(self._running.home))}
        ours.add(self._running.pid)
        # All at once: process by process takes several times as long.
        for found in psutil.net_connections("inet"):
            if found.pid not in ours:
                continue
            for end in (found.laddr, found.raddr):
                if end and not ipaddress.ip_address(end.ip).is_loopback:
                    self.beyond_loopback.add(str(found))

    def stop(self) -> None:
        self._ended.set()
        self.join()


def identity_of(cluster: dict[str, Any]) -> str:
    """Return the cluster's id."""
    return str(cluster["identity"]["oidc"]["issuer"].rsplit("/", 1)[-1])
