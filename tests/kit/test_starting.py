"""Steps that a notebook starts: in processes of their own, joined again by whoever comes later."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import psutil
import pytest

from jarkkit import ui
from jarkkit.clock import now
from jarkkit.errors import JarkkitError
from jarkkit.kit import Kit
from jarkkit.records import Deployed, Entry, Event, Plan
from jarkkit.sandbox import control
from jarkkit.ui.apart import Apart, Known, raw_tail
from jarkkit.ui.live import Live
from jarkkit.ui.progress import Progress
from jarkkit.ui.starting import expected
from tests.conftest import pointed_at
from tests.kit.conftest import World

R = TypeVar("R")


def ended(running: ui.Running[R]) -> R:
    async def wait() -> R:
        return await running

    return asyncio.run(wait())


def known_of(pid: int, created: float = 1.0) -> Known:
    return Known(step="deploy", pid=pid, created=created, offset=0)


def write_down(kit: Kit, pid: int, created: float = 1.0) -> None:
    kit.workspace.save(".step", known_of(pid, created))


def finished(kit: Kit, pid: int, status: str = "finished") -> None:
    for word in ("started", status):
        kit.workspace.record(
            Entry.model_validate({"time": now(), "step": "deploy", "status": word, "pid": pid})
        )


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    """A process that could be a step."""
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as process:
        yield process
        process.kill()


@pytest.fixture
def account(
    sandbox: control.Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """This process' environment reaches a pretend account, as a kernel's would."""
    for name in set(os.environ) - set(pointed_at(sandbox)):
        monkeypatch.delenv(name)
    for name, value in pointed_at(sandbox).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("JARKKIT_HOME", str(tmp_path))
    return tmp_path


def joined(world: World, step: subprocess.Popen[bytes]) -> ui.Running[Deployed]:
    """A deploy that a notebook has started before, shown again."""
    write_down(world.kit, step.pid, psutil.Process(step.pid).create_time())
    return ui.start(world.kit.deploy)


class TestInAProcessOfItsOwn:
    def test_a_step_ends_with_its_value(self, account: Path, terraform: str) -> None:
        kit = Kit.create("apart-plan", rehearsal=True)
        plan = ended(ui.start(kit.plan))
        assert isinstance(plan, Plan)
        assert plan == kit.last_plan()
        (begun,) = [e for e in kit.entries() if (e.step, e.status) == ("plan", "started")]
        assert begun.pid != os.getpid()

    def test_a_step_ends_with_its_error(self, account: Path) -> None:
        kit = Kit.create("apart-error", rehearsal=True)
        with pytest.raises(JarkkitError) as caught:
            ended(ui.start(kit.deploy))
        assert caught.value.code == "JK-PLAN-MISSING"
        assert "jarkkit plan" in caught.value.fix
        assert Apart(kit).known is None  # it was seen

    def test_what_a_step_refuses_at_once_starts_nothing(self, world: World) -> None:
        with pytest.raises(JarkkitError) as caught:
            ui.start(world.kit.cleanup, confirm="another")
        assert caught.value.code == "JK-CONFIRM"
        assert Apart(world.kit).known is None

    def test_only_steps_are_started(self) -> None:
        with pytest.raises(TypeError):
            ui.start(print)  # type: ignore[arg-type]


class TestComingBack:
    def test_a_step_that_is_under_way_is_joined(
        self, world: World, sleeper: subprocess.Popen[bytes]
    ) -> None:
        running = joined(world, sleeper)
        with pytest.raises(JarkkitError) as caught:
            ui.start(world.kit.plan)
        assert caught.value.code == "JK-DEPLOYMENT-BUSY"
        running.stop()
        with pytest.raises(JarkkitError) as caught:
            ended(running)
        assert caught.value.code == "JK-INTERRUPTED"
        assert sleeper.wait() != 0

    def test_an_interrupt_of_the_waiting_cell_stops_the_step(
        self, world: World, sleeper: subprocess.Popen[bytes]
    ) -> None:
        running = joined(world, sleeper)

        async def interrupted() -> None:
            async def wait() -> None:
                await running

            task = asyncio.ensure_future(wait())
            await asyncio.sleep(0.2)
            task.cancel()
            await task

        with pytest.raises(JarkkitError) as caught:
            asyncio.run(interrupted())
        assert caught.value.code == "JK-INTERRUPTED"

    def test_how_it_ended_while_nobody_looked_is_shown_once(self, world: World) -> None:
        world.deploy()
        deployed = world.kit.last_deployed()
        assert deployed is not None
        gone = 2**22 - 1
        finished(world.kit, gone)
        write_down(world.kit, gone)
        (world.kit.folder / ".step.out").write_text(deployed.model_dump_json())
        count = len(world.kit.entries())
        assert ended(ui.start(world.kit.deploy)) == deployed
        assert len(world.kit.entries()) == count
        assert Apart(world.kit).known is None

    def test_what_was_changed_since_counts_more(self, world: World) -> None:
        gone = 2**22 - 1
        finished(world.kit, gone)
        known = known_of(gone)
        write_down(world.kit, gone)
        (world.kit.folder / ".step.out").write_text(json.dumps({"error": ERROR}))
        apart = Apart(world.kit)
        assert apart.unseen(known)
        world.kit.configure({"az_count": 3})
        assert not apart.unseen(known)

    def test_a_step_that_was_killed_is_begun_anew(self, world: World) -> None:
        gone = 2**22 - 1
        world.kit.workspace.record(Entry(time=now(), step="deploy", status="started", pid=gone))
        write_down(world.kit, gone)
        (world.kit.folder / ".step.out").write_text("")
        assert not Apart(world.kit).unseen(known_of(gone))

    def test_another_process_with_its_id_is_not_the_step(
        self, world: World, sleeper: subprocess.Popen[bytes]
    ) -> None:
        assert not Apart(world.kit).alive(known_of(sleeper.pid))


ERROR = {"code": "JK-TF-FAILED", "message": "It broke.", "fix": "Mend it.", "evidence": ""}


class TestHeadless:
    def test_a_step_has_ended_when_it_was_started(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv(ui.HEADLESS, "1")
        world.plan()
        running = ui.start(world.kit.deploy)
        deployed = world.kit.last_deployed()
        assert isinstance(deployed, Deployed)
        assert ended(running) == deployed


class TestFollowing:
    def test_gives_the_value_and_passes_errors_on(self, world: World) -> None:
        assert ui.follow(world.kit.plan()) == world.kit.last_plan()
        world.kit.configure({"az_count": 3})
        with pytest.raises(JarkkitError) as caught:
            ui.follow(world.kit.deploy())
        assert caught.value.code == "JK-PLAN-STALE"

    def test_what_it_shows_names_no_account_and_no_path(self, world: World) -> None:
        live = Live(Progress())
        message = f"arn:aws:iam::123456789012:role/x in {Path.home()}/x"
        live.take(Event(time=now(), step="deploy", kind="error", message=message))
        bundle = live._bundle(live=False)
        for shown in (bundle["text/html"], bundle["text/plain"]):
            assert "1234…9012" in shown
            assert "123456789012" not in shown
            assert str(Path.home()) not in shown.replace("/x", "")


def test_what_a_deploy_is_about_is_known_beforehand(world: World) -> None:
    assert expected(world.kit, "deploy") == {}
    world.plan()
    plan = world.kit.last_plan()
    assert plan is not None
    assert expected(world.kit, "deploy") == {"resource": len(plan.pending), "addon": 0}
    time.sleep(0.01)
    list(world.kit.deploy())
    assert expected(world.kit, "deploy")["resource"] == 0
    assert expected(world.kit, "cleanup")["resource"] == len(plan.pending)


def test_terraforms_words_are_read_out_of_its_log(tmp_path: Path) -> None:
    log = tmp_path / "apply.jsonl"
    log.write_text('{"@message": "Creating..."}\nError: plain\n{"half')
    assert raw_tail(log) == ["Creating...", "Error: plain", '{"half']
    assert raw_tail(log, 16)[-1] == '{"half'
    assert raw_tail(None) == []
