"""The table of contents, which shows the finished steps of a deployment."""

from __future__ import annotations

from jarkkit.decisions.notebook_progress import step_marks
from jarkkit.model.records import LedgerEntry, Step
from jarkkit.notebook.ui import contents
from jarkkit.render.html import html as html_of
from jarkkit.render.text import text as text_of
from tests.support.fakes.deployment import DeploymentHarness

NOW, BEFORE = "digest now", "digest before"


def entry(step: Step, status: str = "finished", digest: str = NOW) -> LedgerEntry:
    return LedgerEntry.model_validate(
        {"time": "2026-01-01T00:00:00Z", "step": step, "status": status, "digest": digest}
    )


def marks(*entries: LedgerEntry, running: bool = False) -> dict[Step, str]:
    return dict(step_marks(entries, NOW, running=running))


def test_a_step_has_the_status_of_its_last_run() -> None:
    assert marks(entry("plan", "failed"), entry("plan")) == {"plan": "done"}
    assert marks(entry("plan"), entry("plan", "failed")) == {"plan": "failed"}
    assert marks(entry("deploy", "started"), running=True) == {"deploy": "running"}
    assert marks(entry("deploy", "started"), running=False) == {"deploy": "failed"}


def test_a_plan_and_a_deploy_of_other_settings_are_outdated() -> None:
    shown = marks(entry("plan", digest=BEFORE), entry("deploy", digest=BEFORE), entry("configure"))
    assert shown == {"plan": "again", "deploy": "again", "configure": "done"}


def test_a_verification_before_the_last_deploy_is_outdated() -> None:
    assert marks(entry("verify"), entry("use"), entry("deploy"))["verify"] == "again"
    assert marks(entry("deploy"), entry("verify"))["verify"] == "done"


def test_configuring_before_a_preflight_is_not_done_until_a_plan() -> None:
    assert marks(entry("configure"), entry("preflight"))["configure"] == ""
    assert marks(entry("preflight"), entry("configure"))["configure"] == "done"
    planned = marks(entry("configure"), entry("preflight"), entry("plan"))
    assert planned["configure"] == "done"


def test_a_cleanup_clears_earlier_steps() -> None:
    shown = marks(entry("plan"), entry("deploy"), entry("verify"), entry("cleanup"))
    assert shown == {"cleanup": "done"}
    again = marks(entry("cleanup"), entry("plan"), entry("deploy"))
    assert again == {"plan": "done", "deploy": "done"}


def test_the_table_lists_every_notebook_with_a_link(harness: DeploymentHarness) -> None:
    harness.deploy()
    shown = contents(harness.deployment)
    page = html_of(shown)
    assert "<a href='04-deploy.ipynb'>04 · Deploy</a>" in page
    assert dict(shown.lines)["04-deploy"] == "done"
    assert dict(shown.lines)["08-cleanup"] == ""
    assert "✔ done" in text_of(shown)
