"""A step's start and end are in the log."""

from __future__ import annotations

import json
import logging
from collections.abc import Generator

import pytest

from jarkkit.model.errors import JarkkitError
from jarkkit.model.events import (
    AddonProgress,
    PhaseProgress,
    ResourceProgress,
    StepEvent,
    StepMessage,
)
from jarkkit.model.records import Event
from jarkkit.model.step_generators import run_to_end
from jarkkit.steps.ledger import recorded
from tests.support.fakes.deployment import DeploymentHarness


def test_a_step_is_logged_when_it_starts_and_when_it_ends(
    harness: DeploymentHarness, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="jarkkit"):
        harness.deployment.preflight()
        run_to_end(harness.deployment.plan(), lambda event: None)
        with pytest.raises(JarkkitError):
            harness.deployment.cleanup(confirm="other")
    ours = [r.getMessage() for r in caplog.records if r.name == "jarkkit.steps.ledger"]
    assert [text.split()[:3] for text in ours] == [
        ["demo:", "preflight", "started"],
        ["demo:", "preflight", "finished:"],
        ["demo:", "plan", "started"],
        ["demo:", "plan", "finished"],
    ]


def test_a_failure_is_logged_with_its_code(
    harness: DeploymentHarness, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="jarkkit"), pytest.raises(JarkkitError) as raised:
        run_to_end(harness.deployment.deploy(), lambda event: None)
    text = caplog.messages[-1]
    assert text.startswith("demo: deploy failed after ")
    assert raised.value.code in text


def test_the_ledger_names_the_add_ons_that_failed(harness: DeploymentHarness) -> None:
    def work() -> Generator[StepEvent, None, None]:
        yield from ()
        raise JarkkitError("JK-HELM-FAILED", "It broke.", "Fix it.", subjects=("kuberay-operator",))

    workspace = harness.deployment.workspace
    with pytest.raises(JarkkitError):
        run_to_end(recorded(workspace, "deploy", work()), lambda event: None)
    assert harness.deployment.ledger_entries()[-1].subjects == ("kuberay-operator",)


def test_events_get_their_step_and_time_once_and_keep_the_keys_of_the_file(
    harness: DeploymentHarness,
) -> None:
    ended = "2026-01-01T00:00:05Z"

    def work() -> Generator[StepEvent, None, None]:
        yield PhaseProgress("apply", "started", "12 to create")
        yield ResourceProgress("aws_vpc.x", "create", "done", 3.0, 1, 12, 60.0, time=ended)
        yield AddonProgress("kueue", "create", "failed", 4.0, "It broke.", "JK-HELM-FAILED", 0, 3)
        yield StepMessage("Look.", "warning", "JK-AWS-DENIED", "aws_vpc.x")

    workspace = harness.deployment.workspace
    seen: list[Event] = []
    run_to_end(recorded(workspace, "deploy", work()), seen.append)
    assert workspace.events("deploy") == tuple(seen)
    assert {event.step for event in seen} == {"deploy"}
    assert all(event.time for event in seen)
    assert seen[1].time == ended  # Terraform knows better when it happened
    lines = (workspace.folder / "events.jsonl").read_text().splitlines()[-4:]
    common = {"time", "step", "kind", "subject", "message", "code"}
    assert [json.loads(line).keys() - common for line in lines] == [
        {"status"},
        {"action", "status", "seconds", "done", "total", "seconds_left"},
        {"action", "status", "seconds", "done", "total"},
        set(),
    ]
    assert [json.loads(line)["kind"] for line in lines] == ["phase", "resource", "addon", "warning"]
