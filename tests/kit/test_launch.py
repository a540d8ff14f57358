"""Steps that a notebook starts in their own processes and can join again later."""

from __future__ import annotations

import asyncio
import inspect
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import psutil
import pytest

from jarkkit.decisions.step_progress import StepProgress
from jarkkit.deployment import Deployment
from jarkkit.model.clock import now
from jarkkit.model.errors import JarkkitError
from jarkkit.model.records import DeployResult, Event, LedgerEntry, Plan
from jarkkit.notebook import ui
from jarkkit.notebook.ui import inputs
from jarkkit.notebook.ui.background_step import BackgroundStep, StepProcess, log_tail
from jarkkit.notebook.ui.launch import expected_counts, options_of
from jarkkit.notebook.ui.live_progress import LiveDisplay
from jarkkit.sandbox import daemon_client
from tests.support.account import sandbox_environment
from tests.support.fakes.deployment import DeploymentHarness

R = TypeVar("R")


def result_of(running: ui.RunningStep[R]) -> R:
    async def wait() -> R:
        return await running

    return asyncio.run(wait())


def step_process(pid: int, created: float = 1.0) -> StepProcess:
    return StepProcess(step="deploy", pid=pid, created=created, offset=0)


def save_step_process(deployment: Deployment, pid: int, created: float = 1.0) -> None:
    deployment.workspace.save(".step", step_process(pid, created))


def record_step(deployment: Deployment, pid: int, status: str = "finished") -> None:
    for word in ("started", status):
        deployment.workspace.record(
            LedgerEntry.model_validate(
                {"time": now(), "step": "deploy", "status": word, "pid": pid}
            )
        )


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    """Start a process that could be a step."""
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as process:
        yield process
        process.kill()


@pytest.fixture
def simulated_account(
    sandbox: daemon_client.RunningSandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """Point the environment of this process, as of a kernel, at a simulated account."""
    for name in set(os.environ) - set(sandbox_environment(sandbox)):
        monkeypatch.delenv(name)
    for name, value in sandbox_environment(sandbox).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("JARKKIT_HOME", str(tmp_path))
    return tmp_path


def join_deploy(
    harness: DeploymentHarness, step: subprocess.Popen[bytes]
) -> ui.RunningStep[DeployResult]:
    """Return a deploy that a notebook started earlier and now shows again."""
    save_step_process(harness.deployment, step.pid, psutil.Process(step.pid).create_time())
    return ui.start(harness.deployment.deploy)


class TestBackgroundProcess:
    def test_a_step_returns_its_result(self, simulated_account: Path, terraform: str) -> None:
        deployment = Deployment.create("apart-plan", rehearsal=True)
        plan = result_of(ui.start(deployment.plan))
        assert isinstance(plan, Plan)
        assert plan == deployment.last_plan()
        (started,) = [
            e for e in deployment.ledger_entries() if (e.step, e.status) == ("plan", "started")
        ]
        assert started.pid != os.getpid()

    def test_a_step_raises_its_error(self, simulated_account: Path) -> None:
        deployment = Deployment.create("apart-error", rehearsal=True)
        with pytest.raises(JarkkitError) as caught:
            result_of(ui.start(deployment.deploy))
        assert caught.value.code == "JK-PLAN-MISSING"
        assert "jarkkit plan" in caught.value.fix
        assert BackgroundStep(deployment).saved_process is None  # its outcome was shown

    def test_a_rejected_step_starts_no_process(self, harness: DeploymentHarness) -> None:
        with pytest.raises(JarkkitError) as caught:
            ui.start(harness.deployment.cleanup, confirm="another")
        assert caught.value.code == "JK-CONFIRM"
        assert BackgroundStep(harness.deployment).saved_process is None

    @pytest.mark.parametrize("joined", [False, True])
    def test_an_unknown_argument_is_rejected(
        self, harness: DeploymentHarness, sleeper: subprocess.Popen[bytes], *, joined: bool
    ) -> None:
        if joined:
            save_step_process(
                harness.deployment, sleeper.pid, psutil.Process(sleeper.pid).create_time()
            )
        with pytest.raises(TypeError, match="skip_preflights"):
            ui.start(harness.deployment.deploy, skip_preflights=True)  # type: ignore[call-arg]

    def test_only_steps_are_started(self) -> None:
        with pytest.raises(TypeError):
            ui.start(print)  # type: ignore[arg-type]


class TestJoining:
    def test_a_running_step_is_joined(
        self, harness: DeploymentHarness, sleeper: subprocess.Popen[bytes]
    ) -> None:
        running = join_deploy(harness, sleeper)
        with pytest.raises(JarkkitError) as caught:
            ui.start(harness.deployment.plan)
        assert caught.value.code == "JK-DEPLOYMENT-BUSY"
        running.stop()
        with pytest.raises(JarkkitError) as caught:
            result_of(running)
        assert caught.value.code == "JK-INTERRUPTED"
        assert sleeper.wait() != 0

    def test_an_interrupt_of_the_waiting_cell_stops_the_step(
        self, harness: DeploymentHarness, sleeper: subprocess.Popen[bytes]
    ) -> None:
        running = join_deploy(harness, sleeper)

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

    def test_an_unseen_outcome_is_shown_once(self, harness: DeploymentHarness) -> None:
        harness.deploy()
        deployed = harness.deployment.last_deploy_result()
        assert deployed is not None
        dead_pid = 2**22 - 1
        record_step(harness.deployment, dead_pid)
        save_step_process(harness.deployment, dead_pid)
        (harness.deployment.folder / ".step.out").write_text(deployed.model_dump_json())
        count = len(harness.deployment.ledger_entries())
        assert result_of(ui.start(harness.deployment.deploy)) == deployed
        assert len(harness.deployment.ledger_entries()) == count
        assert BackgroundStep(harness.deployment).saved_process is None

    def test_a_later_change_discards_an_unseen_outcome(self, harness: DeploymentHarness) -> None:
        dead_pid = 2**22 - 1
        record_step(harness.deployment, dead_pid)
        saved = step_process(dead_pid)
        save_step_process(harness.deployment, dead_pid)
        (harness.deployment.folder / ".step.out").write_text(json.dumps({"error": ERROR}))
        background = BackgroundStep(harness.deployment)
        assert background.has_unseen_outcome(saved)
        harness.deployment.configure({"az_count": 3})
        assert not background.has_unseen_outcome(saved)

    def test_a_failure_of_the_watcher_is_raised(
        self,
        harness: DeploymentHarness,
        sleeper: subprocess.Popen[bytes],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        running = join_deploy(harness, sleeper)

        def draw(_: LiveDisplay) -> None:
            raise RuntimeError("the display is gone")

        monkeypatch.setattr(LiveDisplay, "draw", draw)
        with pytest.raises(RuntimeError, match="the display is gone"):
            result_of(running)
        assert sleeper.poll() is None  # the step itself continues, and can be joined again
        assert BackgroundStep(harness.deployment).saved_process is not None

    def test_a_killed_step_has_no_outcome(self, harness: DeploymentHarness) -> None:
        dead_pid = 2**22 - 1
        harness.deployment.workspace.record(
            LedgerEntry(time=now(), step="deploy", status="started", pid=dead_pid)
        )
        save_step_process(harness.deployment, dead_pid)
        (harness.deployment.folder / ".step.out").write_text("")
        assert not BackgroundStep(harness.deployment).has_unseen_outcome(step_process(dead_pid))

    def test_another_process_with_the_same_id_is_not_the_step(
        self, harness: DeploymentHarness, sleeper: subprocess.Popen[bytes]
    ) -> None:
        assert not BackgroundStep(harness.deployment).is_alive(step_process(sleeper.pid))


ERROR = {"code": "JK-TF-FAILED", "message": "It broke.", "fix": "Fix it.", "evidence": ""}


class TestHeadless:
    def test_a_headless_step_ends_before_start_returns(
        self, harness: DeploymentHarness, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv(ui.HEADLESS, "1")
        harness.plan()
        running = ui.start(harness.deployment.deploy, agreed=True)
        deployed = harness.deployment.last_deploy_result()
        assert isinstance(deployed, DeployResult)
        assert result_of(running) == deployed


class TestConsent:
    """A notebook spends and destroys only what a person, or a parameter, agreed to."""

    @pytest.mark.parametrize("headless", ["", "1"])
    def test_a_deploy_in_a_real_account_needs_an_agreement(
        self, harness: DeploymentHarness, monkeypatch: pytest.MonkeyPatch, headless: str
    ) -> None:
        monkeypatch.setenv(ui.HEADLESS, headless)
        harness.plan()
        with pytest.raises(JarkkitError, match="JK-CONFIRM"):
            ui.start(harness.deployment.deploy)
        with pytest.raises(JarkkitError, match="JK-CONFIRM"):
            ui.start(harness.deployment.deploy, agreed=False)
        assert harness.terraform.state == []
        assert BackgroundStep(harness.deployment).saved_process is None

    @pytest.mark.parametrize(
        ("arguments", "options"),
        [
            ({}, []),
            ({"agreed": False, "confirm": ""}, []),
            ({"agreed": True}, ["--yes"]),
            ({"agreed": True, "confirm": "demo"}, ["--yes", "--confirm", "demo"]),
            ({"confirm": "demo"}, ["--confirm", "demo"]),
            ({"agreed": True, "allow_orphans": True}, ["--yes", "--allow-orphans"]),
            ({"allow_orphans": False, "skip_preflight": True}, ["--skip-preflight"]),
            ({"upgrade": True}, ["--upgrade"]),
        ],
    )
    def test_the_process_gets_the_options_that_were_given(
        self, arguments: dict[str, Any], options: list[str]
    ) -> None:
        assert options_of(arguments) == options

    @pytest.mark.parametrize("step", [Deployment.plan, Deployment.deploy, Deployment.cleanup])
    def test_every_argument_of_a_step_has_an_option(self, step: Callable[..., Any]) -> None:
        for name in inspect.signature(step).parameters.keys() - {"self"}:
            assert options_of({name: True})

    def test_an_argument_without_an_option_is_rejected(self) -> None:
        with pytest.raises(TypeError, match="upgrades"):
            options_of({"upgrades": True})

    def test_the_cell_returns_the_parameters(self, harness: DeploymentHarness) -> None:
        consent = ui.deploy_consent(harness.deployment)
        assert (consent.agree, consent.confirm) == (False, "")
        given = ui.deploy_consent(harness.deployment, True, "demo")
        assert (given.agree, given.confirm) == (True, "demo")

    def test_the_cell_shows_cost_and_losses_and_asks_for_both(
        self,
        harness: DeploymentHarness,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        harness.deploy()
        harness.terraform.replacing = ("aws_eks_cluster.demo",)
        harness.plan()
        shown: list[Any] = []
        monkeypatch.setattr(inputs, "display", shown.append)
        consent = ui.deploy_consent(harness.deployment)
        consent._ipython_display_()
        text, box, name = shown
        assert "real AWS account" in text.data
        assert "the cluster with everything in it" in text.data
        box.value, name.value = True, "demo"
        assert (consent.agree, consent.confirm) == (True, "demo")

    def test_a_headless_run_only_shows_its_parameters(
        self, harness: DeploymentHarness, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv(ui.HEADLESS, "1")
        shown: list[Any] = []
        monkeypatch.setattr(inputs, "display", shown.append)
        ui.deploy_consent(harness.deployment, agree=True)._ipython_display_()
        assert "agree = True" in shown[-1].data


class TestFollowing:
    def test_returns_the_result_and_raises_errors(self, harness: DeploymentHarness) -> None:
        assert ui.follow(harness.deployment.plan()) == harness.deployment.last_plan()
        harness.deployment.configure({"az_count": 3})
        with pytest.raises(JarkkitError) as caught:
            ui.follow(harness.deployment.deploy())
        assert caught.value.code == "JK-PLAN-STALE"

    def test_hides_account_ids_and_paths(self, harness: DeploymentHarness) -> None:
        live = LiveDisplay(StepProgress())
        message = f"arn:aws:iam::123456789012:role/x in {Path.home()}/x"
        live.add(Event(time=now(), step="deploy", kind="error", message=message))
        bundle = live._bundle(live=False)
        for shown in (bundle["text/html"], bundle["text/plain"]):
            assert "1234…9012" in shown
            assert "123456789012" not in shown
            assert str(Path.home()) not in shown.replace("/x", "")


def test_the_expected_counts_are_known_before_a_deploy(harness: DeploymentHarness) -> None:
    assert expected_counts(harness.deployment, "deploy") == {}
    harness.plan()
    plan = harness.deployment.last_plan()
    assert plan is not None
    assert expected_counts(harness.deployment, "deploy") == {
        "resource": len(plan.pending),
        "addon": 0,
    }
    time.sleep(0.01)
    list(harness.deployment.deploy())
    assert expected_counts(harness.deployment, "deploy")["resource"] == 0
    assert expected_counts(harness.deployment, "cleanup")["resource"] == len(plan.pending)


def test_terraforms_messages_are_read_from_its_log(tmp_path: Path) -> None:
    log = tmp_path / "apply.jsonl"
    log.write_text('{"@message": "Creating..."}\nError: plain\n{"half')
    assert log_tail(log) == ["Creating...", "Error: plain", '{"half']
    assert log_tail(log, 16)[-1] == '{"half'
    assert log_tail(None) == []
