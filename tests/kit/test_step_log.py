"""A step's start and end are in the log."""

from __future__ import annotations

import logging

import pytest

from jarkkit.model.errors import JarkkitError
from jarkkit.model.step_generators import run_to_end
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
