"""A sandbox with one real cluster, made once per test process; every test gets a namespace."""

from __future__ import annotations

import contextlib
import ipaddress
import secrets
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import psutil
import pytest

from jarkkit.sandbox import control
from jarkkit.sandbox.cluster.api import Api, ApiError, Credentials
from jarkkit.sandbox.cluster.toolchain import Toolchain, user_cache
from jarkkit.sandbox.eks.cluster import NEEDED
from jarkkit.sandbox.guard import processes_of
from tests.sandbox.test_account import make_client

REGION = "us-west-2"
NAME = "rehearsal"
T = TypeVar("T")


@dataclass(frozen=True)
class World:
    """A sandbox with a cluster in it."""

    running: control.Running
    api: Api
    folder: Path

    def client(self, service: str) -> Any:
        """A boto3 client for the account."""
        return make_client(self.running, service, REGION)

    @property
    def kubeconfig(self) -> Path:
        """The administrator's."""
        return self.folder / "clusters" / "cluster" / "kubeconfig.yaml"

    def log(self) -> str:
        """What the EKS side said."""
        return (self.folder / "eks.log").read_text()


def wait_for(ask: Callable[[], T], seconds: float = 90.0) -> T:
    """What `ask` answers as soon as that is true; ApiError counts as not yet.

    The limit is for busy machines; on an idle one nothing here takes a third of it.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            if answer := ask():
                return answer
        except ApiError as error:
            if time.monotonic() > deadline:
                raise AssertionError("in vain") from error
        assert time.monotonic() < deadline, "in vain"
        time.sleep(0.1)


def needs_programs() -> None:
    """Skip where they are not built; that is `jarkkit sandbox setup`'s business."""
    tools = Toolchain(user_cache())
    missing = [p.name for p in tools.missing() if p.name in NEEDED]
    if missing:
        pytest.skip(f"needs {', '.join(missing)}: jarkkit sandbox setup")


def create_cluster(running: control.Running, name: str = NAME, **more: Any) -> dict[str, Any]:
    """A cluster in the default VPC, ACTIVE."""
    ec2, eks, iam = (make_client(running, service, REGION) for service in ("ec2", "eks", "iam"))
    subnets = [subnet["SubnetId"] for subnet in ec2.describe_subnets()["Subnets"]][:2]
    role = iam.create_role(RoleName=f"{name}-cluster", AssumeRolePolicyDocument="{}")
    eks.create_cluster(
        name=name,
        roleArn=role["Role"]["Arn"],
        resourcesVpcConfig={"subnetIds": subnets},
        version="1.36",
        **{"accessConfig": {"authenticationMode": "API"}, **more},
    )

    def described() -> dict[str, Any]:
        return eks.describe_cluster(name=name)["cluster"]

    wait_for(lambda: described()["status"] != "CREATING", 120)
    assert described()["status"] == "ACTIVE", described()["health"]
    return described()


def world_of(running: control.Running, identity: str, name: str = NAME) -> World:
    """The world of a cluster by its identity."""
    folder = running.home / "clusters" / identity
    pki = folder / "clusters" / "cluster" / "pki"
    credentials = Credentials(pki / "ca.crt", pki / "admin.crt", pki / "admin.key")
    cluster = make_client(running, "eks", REGION).describe_cluster(name=name)["cluster"]
    return World(running, Api(cluster["endpoint"], credentials), folder)


@contextlib.contextmanager
def fresh_world(**options: Any) -> Iterator[World]:
    """A sandbox of its own, with one cluster."""
    needs_programs()
    home = Path(tempfile.mkdtemp(prefix="jarkkit-test-"))
    running = control.start(home, **options)
    sockets = Sockets(running)
    try:
        yield world_of(running, identity_of(create_cluster(running)))
    finally:
        sockets.stop()
        control.stop(home)
        shutil.rmtree(home)
    assert sockets.beyond_loopback == set()
    assert processes_of(str(home)) == []


class Sockets(threading.Thread):
    """Looks at all sockets of a sandbox's processes, once a second, as long as it lives."""

    def __init__(self, running: control.Running) -> None:
        super().__init__(daemon=True)
        self.beyond_loopback: set[str] = set()
        self._running = running
        self._ended = threading.Event()
        self.start()

    def run(self) -> None:
        while not self._ended.wait(1.0):
            with contextlib.suppress(psutil.Error):
                self._look(psutil.Process(self._running.pid))
            for process in processes_of(str(self._running.home)):
                with contextlib.suppress(psutil.Error):
                    self._look(process)

    def _look(self, process: psutil.Process) -> None:
        for found in process.net_connections("inet"):
            for end in (found.laddr, found.raddr):
                if end and not ipaddress.ip_address(end.ip).is_loopback:
                    self.beyond_loopback.add(f"{process.name()} {found}")

    def stop(self) -> None:
        self._ended.set()
        self.join()


def identity_of(cluster: dict[str, Any]) -> str:
    """The cluster's own id."""
    return str(cluster["identity"]["oidc"]["issuer"].rsplit("/", 1)[-1])


@pytest.fixture(scope="session")
def world() -> Iterator[World]:
    with fresh_world() as made:
        yield made


@pytest.fixture
def namespace(world: World) -> Iterator[str]:
    name = f"test-{secrets.token_hex(4)}"
    world.api.create("/api/v1/namespaces", {"metadata": {"name": name}})
    wait_for(lambda: world.api.find(f"/api/v1/namespaces/{name}/serviceaccounts/default"))
    yield name
    world.api.delete(f"/api/v1/namespaces/{name}")
