"""A cluster's life: killed, revived, saved, ended; and what is left of it, which is nothing."""

from __future__ import annotations

import contextlib
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from jarkkit.sandbox import control
from jarkkit.sandbox.guard import processes_of
from tests.clusters.conftest import (
    NAME,
    World,
    create_cluster,
    fresh_world,
    identity_of,
    needs_programs,
    wait_for,
    world_of,
)
from tests.clusters.test_access import api_as, refused, token

COMPONENTS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok")


@pytest.fixture(scope="module")
def alone() -> Iterator[World]:
    """A sandbox that may be killed."""
    with fresh_world() as made:
        yield made


def processes(world: World) -> list[psutil.Process]:
    """What the sandbox has started."""
    return processes_of(str(world.running.home))


def kill(*victims: psutil.Process) -> None:
    """SIGKILL; returns when they are gone."""
    for victim in victims:
        victim.send_signal(signal.SIGKILL)
    psutil.wait_procs(victims, timeout=10)


def shown(world: World) -> dict[str, object]:
    """The cluster in `sandbox status`."""
    (cluster,) = control.status(world.running.home)["clusters"]
    return dict(cluster)


def test_the_account_shows_where_it_answers(alone: World) -> None:
    cluster = alone.client("eks").describe_cluster(name=NAME)["cluster"]
    assert cluster["endpoint"] == alone.api.endpoint
    assert alone.api.healthy()
    assert (shown(alone)["name"], shown(alone)["state"]) == (NAME, "ready")


@pytest.mark.parametrize("component", COMPONENTS)
def test_a_component_that_is_killed_comes_back(alone: World, component: str) -> None:
    before = next(p for p in processes(alone) if p.name().startswith(component))
    kill(before)

    def back() -> bool:
        found = [p for p in processes(alone) if p.name().startswith(component)]
        return bool(found) and alone.api.healthy()

    wait_for(back, 120)
    assert shown(alone)["state"] == "ready"
    assert f"{component}" in alone.log()


def test_a_guard_that_is_killed_is_replaced(alone: World) -> None:
    (before,) = guards(alone)
    kill(before)
    wait_for(lambda: guards(alone))


def guards(world: World) -> list[psutil.Process]:
    """The processes that would tidy up: there is one."""
    children = psutil.Process(world.running.pid).children()
    return [child for child in children if "jarkkit.sandbox.guard" in words(child)]


def test_state_survives_down_and_up(alone: World) -> None:
    alone.api.create("/api/v1/namespaces", {"metadata": {"name": "kept"}})
    home = alone.running.home
    assert control.stop(home)
    assert processes(alone) == []
    again = control.start(home)
    world = world_of(again, alone.folder.name)
    assert world.api.endpoint == alone.api.endpoint
    assert world.api.get("/api/v1/namespaces/kept")["metadata"]["name"] == "kept"


def test_nothing_is_left_when_the_sandbox_is_killed(alone: World) -> None:
    running = control.require(alone.running.home)
    theirs = processes(alone)
    assert len(theirs) >= len(COMPONENTS)
    ports = [c.laddr.port for p in theirs for c in p.net_connections() if c.status == "LISTEN"]
    sockets = [note.parent for note in Path(tempfile.gettempdir()).glob("jk-*/home")]
    ours = [f for f in sockets if (f / "home").read_text() == str(alone.running.home)]
    assert ports
    assert ours
    kill(psutil.Process(running.pid))
    wait_for(lambda: not processes(alone))
    wait_for(lambda: not any(folder.exists() for folder in ours))
    listening = {c.laddr.port for c in psutil.net_connections() if c.status == "LISTEN"}
    assert not listening & set(ports)
    again = control.start(alone.running.home)
    assert world_of(again, alone.folder.name).api.find("/api/v1/namespaces/kept")


def test_it_ends_with_its_parent() -> None:
    needs_programs()
    home = Path(tempfile.mkdtemp(prefix="jarkkit-test-"))
    script = (
        "import sys; from pathlib import Path; from jarkkit.sandbox import control\n"
        "running = control.start(Path(sys.argv[1]))\n"
        "from tests.clusters.conftest import create_cluster; create_cluster(running)\n"
        "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", script, str(home)], check=False)
    wait_for(lambda: not [p for p in psutil.process_iter() if str(home) in words(p)])
    assert processes_of(str(home)) == []
    shutil.rmtree(home)


def words(process: psutil.Process) -> list[str]:
    """Its command line; empty when it is gone."""
    with contextlib.suppress(psutil.Error):
        return process.cmdline()
    return []


def test_two_clusters_live_side_by_side_and_keep_their_tokens_apart(alone: World) -> None:
    running = control.require(alone.running.home)
    identity = identity_of(create_cluster(running, "second"))
    second = world_of(running, identity, "second")
    first = world_of(running, alone.folder.name)
    assert first.api.endpoint != second.api.endpoint
    assert api_as(second, token(running.env, "second")).list("/api/v1/namespaces")
    assert refused(lambda: api_as(second, token(running.env)).list("/api/v1/namespaces")) == 401
    assert refused(lambda: api_as(first, token(running.env, "second")).list("/api/v1/nodes")) == 401
    second.client("eks").delete_cluster(name="second")
    wait_for(lambda: not second.folder.exists())
    assert not [p for p in processes(alone) if identity in " ".join(p.cmdline())]
    assert first.api.healthy()


def test_a_cluster_that_dies_for_good_says_why(alone: World) -> None:
    running = control.require(alone.running.home)
    world = world_of(running, alone.folder.name)

    def failed() -> bool:
        for process in processes(world):
            if process.name().startswith("kube-scheduler"):
                kill(process)
        return shown(world)["state"] == "failed"

    wait_for(failed, 120)
    assert "kube-scheduler died again" in str(shown(world)["message"])
