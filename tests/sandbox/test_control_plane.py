"""A real control plane: made, stopped, started again, killed; on loopback alone."""

from __future__ import annotations

import base64
import contextlib
import shutil
import socket
import ssl
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from kubernetes import client, config

from jarkkit.errors import JarkkitError
from jarkkit.sandbox import stages
from jarkkit.sandbox.cluster.control_plane import COMPONENTS, ControlPlane
from jarkkit.sandbox.cluster.toolchain import (
    CLUSTER,
    PROGRAMS,
    Toolchain,
    kubernetes_version,
    user_cache,
)

NEEDED = tuple(p for p in PROGRAMS if p.group == CLUSTER and p.name != "karpenter")


@pytest.fixture(scope="module")
def programs() -> dict[str, Path]:
    """The programs that this machine has; building them is not a test's business."""
    tools = Toolchain(user_cache())
    found = {program.name: tools.find(program) for program in NEEDED}
    missing = [name for name, path in found.items() if path is None]
    if missing:
        pytest.skip(f"needs {', '.join(missing)}: jarkkit sandbox setup")
    return {name: path for name, path in found.items() if path is not None}


@pytest.fixture(scope="module")
def plane(programs: dict[str, Path]) -> Iterator[ControlPlane]:
    folder = Path(tempfile.mkdtemp(prefix="jk"))  # short: a socket's path is 107 bytes at most
    plane = ControlPlane(folder, programs)
    plane.start()
    yield plane
    plane.stop()
    assert plane.components() == ()
    shutil.rmtree(folder)


def core(plane: ControlPlane) -> client.CoreV1Api:
    return client.CoreV1Api(config.new_client_from_config(str(plane.kubeconfig)))


def test_it_is_the_pinned_kubernetes(plane: ControlPlane) -> None:
    version = client.VersionApi(core(plane).api_client).get_code()
    assert version.git_version == f"v{kubernetes_version()}"


def test_its_authority_is_the_one_it_gives_away(plane: ControlPlane) -> None:
    authority = base64.b64decode(plane.certificate_authority).decode()
    host, port = plane.endpoint.removeprefix("https://").split(":")
    trusting = ssl.create_default_context(cadata=authority)
    with socket.create_connection((host, int(port)), timeout=10) as plain:
        trusting.wrap_socket(plain, server_hostname=host).close()
    with (
        socket.create_connection((host, int(port)), timeout=10) as plain,
        pytest.raises(ssl.SSLCertVerificationError),
    ):
        ssl.create_default_context().wrap_socket(plain, server_hostname=host)


def test_nothing_listens_or_talks_beyond_loopback(plane: ControlPlane) -> None:
    assert {component.name for component in plane.components()} == set(COMPONENTS)
    for component in plane.components():
        for found in psutil.Process(component.pid).net_connections("inet"):
            assert found.laddr.ip in ("127.0.0.1", "::1")
            assert not found.raddr or found.raddr.ip in ("127.0.0.1", "::1")


def test_secrets_are_the_users_alone(plane: ControlPlane) -> None:
    for path in plane.folder.rglob("*"):
        if path.suffix in (".key", ".yaml", ".sock"):
            assert path.stat().st_mode & 0o077 == 0, path.name


def test_what_was_made_survives_stop_and_start(plane: ControlPlane) -> None:
    endpoint = plane.endpoint
    core(plane).create_namespace({"metadata": {"name": "kept"}})
    plane.stop()
    assert plane.components() == ()
    plane.start()
    assert plane.endpoint == endpoint
    assert core(plane).read_namespace("kept").metadata.name == "kept"


def test_a_dead_component_is_noticed(plane: ControlPlane) -> None:
    assert plane.dead() == ()
    scheduler = next(c for c in plane.components() if c.name == "kube-scheduler")
    victim = psutil.Process(scheduler.pid)
    victim.kill()
    psutil.wait_procs([victim], timeout=10)
    assert plane.dead() == ("kube-scheduler",)
    assert plane.log("kube-scheduler")
    plane.stop()
    plane.start()
    assert plane.dead() == ()


def test_a_port_that_is_taken_for_a_moment_does_not_keep_it_down(plane: ControlPlane) -> None:
    port = int(plane.endpoint.rsplit(":", 1)[1])
    server = next(c for c in plane.components() if c.name == "kube-apiserver")
    victim = psutil.Process(server.pid)
    victim.kill()
    psutil.wait_procs([victim], timeout=10)
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", port))
        other.listen()
        threading.Timer(4.0, other.close).start()
        plane.revive()
    assert plane.ready()


def test_it_starts_again_after_everything_was_killed(plane: ControlPlane) -> None:
    victims = [psutil.Process(component.pid) for component in plane.components()]
    for victim in victims:
        victim.kill()
    psutil.wait_procs(victims, timeout=10)
    assert not plane.ready()
    plane.start()
    assert plane.dead() == ()


def test_a_start_that_fails_says_why_and_leaves_nothing(
    programs: dict[str, Path], tmp_path: Path
) -> None:
    broken = tmp_path / "etcd"
    broken.write_text(
        '#!/bin/sh\n[ "$1" = --version ] && echo etcd Version: 3.6.8 && exit\n'
        "echo the disk is on fire >&2\nexit 1\n"
    )
    broken.chmod(0o755)
    folder = Path(tempfile.mkdtemp(prefix="jk"))
    plane = ControlPlane(folder, {**programs, "etcd": broken})
    with pytest.raises(JarkkitError) as caught:
        plane.start()
    assert caught.value.code == "JK-SANDBOX-CLUSTER"
    assert "the disk is on fire" in caught.value.evidence
    assert plane.components() == ()
    shutil.rmtree(folder)


@pytest.mark.parametrize("scheduler", ["default-scheduler", "jupyterhub-user-scheduler"])
def test_kwok_runs_pods_of_every_scheduler(plane: ControlPlane, scheduler: str) -> None:
    for stage in stages.objects(0.0):
        plane.api().apply(stage)
    api = core(plane)
    capacity = {"cpu": "4", "memory": "16Gi", "pods": "20"}
    status = {"capacity": capacity, "allocatable": capacity}
    api.create_node({"metadata": {"name": scheduler}, "status": status})
    wait_for(lambda: api.read_namespaced_service_account("default", "default"))
    spec = {"schedulerName": scheduler, "containers": [{"name": "it", "image": "none"}]}
    api.create_namespaced_pod("default", {"metadata": {"name": scheduler}, "spec": spec})
    wait_for(lambda: api.read_namespaced_pod(scheduler, "default").status.phase == "Running")


def wait_for(done: Callable[[], object]) -> None:
    deadline = time.monotonic() + 30
    while True:
        with contextlib.suppress(client.ApiException):
            if done():
                return
        assert time.monotonic() < deadline
        time.sleep(0.1)
