"""A real control plane: created, stopped, started again and killed; only on loopback."""

from __future__ import annotations

import base64
import shutil
import socket
import ssl
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from kubernetes import client, config

from jarkkit.model.errors import JarkkitError
from jarkkit.sandbox import kwok_stages
from jarkkit.sandbox.kubernetes.control_plane import COMPONENTS, LocalControlPlane
from jarkkit.sandbox.kubernetes.toolchain import (
    CLUSTER,
    PROGRAMS,
    Toolchain,
    kubernetes_version,
    user_cache,
)
from tests.support.poll import wait_for

NEEDED = tuple(p for p in PROGRAMS if p.group == CLUSTER and p.name != "karpenter")


@pytest.fixture(scope="module")
def programs() -> dict[str, Path]:
    """The programs on this machine; tests do not build missing ones."""
    tools = Toolchain(user_cache())
    found = {program.name: tools.find(program) for program in NEEDED}
    missing = [name for name, path in found.items() if path is None]
    if missing:
        pytest.skip(f"needs {', '.join(missing)}: jarkkit sandbox setup")
    return {name: path for name, path in found.items() if path is not None}


@pytest.fixture(scope="module")
def plane(programs: dict[str, Path]) -> Iterator[LocalControlPlane]:
    folder = Path(tempfile.mkdtemp(prefix="jk"))  # short: a socket's path is 107 bytes at most
    plane = LocalControlPlane(folder, programs)
    plane.start()
    yield plane
    plane.stop()
    assert plane.components() == ()
    shutil.rmtree(folder)


def core(plane: LocalControlPlane) -> Any:
    return client.CoreV1Api(config.new_client_from_config(str(plane.kubeconfig)))


def test_the_control_plane_runs_the_pinned_kubernetes_version(plane: LocalControlPlane) -> None:
    version = client.VersionApi(core(plane).api_client).get_code()
    assert version.git_version == f"v{kubernetes_version()}"


def test_the_api_server_uses_the_authority_in_the_kubeconfig(plane: LocalControlPlane) -> None:
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


def test_no_component_listens_or_connects_beyond_loopback(plane: LocalControlPlane) -> None:
    assert {component.name for component in plane.components()} == set(COMPONENTS)
    for component in plane.components():
        for found in psutil.Process(component.pid).net_connections("inet"):
            assert found.laddr.ip in ("127.0.0.1", "::1")
            assert not found.raddr or found.raddr.ip in ("127.0.0.1", "::1")


def test_files_with_secrets_are_private(plane: LocalControlPlane) -> None:
    for path in plane.folder.rglob("*"):
        if path.suffix in (".key", ".yaml", ".sock"):
            assert path.stat().st_mode & 0o077 == 0, path.name


def test_objects_survive_a_stop_and_a_start(plane: LocalControlPlane) -> None:
    endpoint = plane.endpoint
    core(plane).create_namespace({"metadata": {"name": "kept"}})
    plane.stop()
    assert plane.components() == ()
    plane.start()
    assert plane.endpoint == endpoint
    assert core(plane).read_namespace("kept").metadata.name == "kept"


def test_a_dead_component_is_noticed(plane: LocalControlPlane) -> None:
    assert plane.dead_components() == ()
    scheduler = next(c for c in plane.components() if c.name == "kube-scheduler")
    victim = psutil.Process(scheduler.pid)
    victim.kill()
    psutil.wait_procs([victim], timeout=10)
    assert plane.dead_components() == ("kube-scheduler",)
    assert plane.log_tail("kube-scheduler")
    plane.stop()
    plane.start()
    assert plane.dead_components() == ()


def test_a_start_succeeds_when_a_port_is_briefly_in_use(plane: LocalControlPlane) -> None:
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
        plane.restart_dead()
    assert plane.is_ready()


def test_the_control_plane_starts_again_after_all_processes_were_killed(
    plane: LocalControlPlane,
) -> None:
    victims = [psutil.Process(component.pid) for component in plane.components()]
    for victim in victims:
        victim.kill()
    psutil.wait_procs(victims, timeout=10)
    assert not plane.is_ready()
    plane.start()
    assert plane.dead_components() == ()


def test_a_failed_start_reports_why_and_leaves_no_process(
    programs: dict[str, Path], tmp_path: Path
) -> None:
    broken = tmp_path / "etcd"
    broken.write_text(
        '#!/bin/sh\n[ "$1" = --version ] && echo etcd Version: 3.6.8 && exit\n'
        "echo the disk is on fire >&2\nexit 1\n"
    )
    broken.chmod(0o755)
    folder = Path(tempfile.mkdtemp(prefix="jk"))
    plane = LocalControlPlane(folder, {**programs, "etcd": broken})
    with pytest.raises(JarkkitError) as caught:
        plane.start()
    assert caught.value.code == "JK-SANDBOX-CLUSTER"
    assert "the disk is on fire" in caught.value.evidence
    assert plane.components() == ()
    shutil.rmtree(folder)


@pytest.mark.parametrize("scheduler", ["default-scheduler", "jupyterhub-user-scheduler"])
def test_kwok_simulates_pods_of_every_scheduler(plane: LocalControlPlane, scheduler: str) -> None:
    for stage in kwok_stages.base_stages(0.0):
        plane.api().apply(stage)
    api = core(plane)
    capacity = {"cpu": "4", "memory": "16Gi", "pods": "20"}
    status = {"capacity": capacity, "allocatable": capacity}
    api.create_node({"metadata": {"name": scheduler}, "status": status})
    wait_for(lambda: api.read_namespaced_service_account("default", "default"))
    spec = {"schedulerName": scheduler, "containers": [{"name": "it", "image": "none"}]}
    api.create_namespaced_pod("default", {"metadata": {"name": scheduler}, "spec": spec})
    wait_for(lambda: api.read_namespaced_pod(scheduler, "default").status.phase == "Running")
