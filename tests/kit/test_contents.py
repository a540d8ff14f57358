"""What is done in a deployment, as the table of contents shows it."""

from __future__ import annotations

from jarkkit.records import Entry, Step
from jarkkit.ui import contents
from jarkkit.ui.contents import marks_of
from tests.kit.conftest import World

NOW, BEFORE = "digest now", "digest before"


def entry(step: Step, status: str = "finished", digest: str = NOW) -> Entry:
    return Entry.model_validate(
        {"time": "2026-01-01T00:00:00Z", "step": step, "status": status, "digest": digest}
    )


def marks(*entries: Entry, running: bool = False) -> dict[Step, str]:
    return dict(marks_of(entries, NOW, running=running))


def test_a_step_is_what_became_of_it_last() -> None:
    assert marks(entry("plan", "failed"), entry("plan")) == {"plan": "done"}
    assert marks(entry("plan"), entry("plan", "failed")) == {"plan": "failed"}
    assert marks(entry("deploy", "started"), running=True) == {"deploy": "running"}
    assert marks(entry("deploy", "started"), running=False) == {"deploy": "failed"}


def test_a_plan_and_a_deploy_of_other_settings_are_to_be_done_again() -> None:
    told = marks(entry("plan", digest=BEFORE), entry("deploy", digest=BEFORE), entry("configure"))
    assert told == {"plan": "again", "deploy": "again", "configure": "done"}


def test_what_was_looked_at_before_the_last_deploy_is_to_be_done_again() -> None:
    assert marks(entry("verify"), entry("use"), entry("deploy"))["verify"] == "again"
    assert marks(entry("deploy"), entry("verify"))["verify"] == "done"


def test_the_region_chosen_for_a_preflight_is_not_yet_all_that_is_wanted() -> None:
    assert marks(entry("configure"), entry("preflight"))["configure"] == ""
    assert marks(entry("preflight"), entry("configure"))["configure"] == "done"
    planned = marks(entry("configure"), entry("preflight"), entry("plan"))
    assert planned["configure"] == "done"


def test_after_a_cleanup_nothing_is_left_to_count() -> None:
    told = marks(entry("plan"), entry("deploy"), entry("verify"), entry("cleanup"))
    assert told == {"cleanup": "done"}
    again = marks(entry("cleanup"), entry("plan"), entry("deploy"))
    assert again == {"plan": "done", "deploy": "done"}


def test_it_lists_every_notebook_with_a_link(world: World) -> None:
    world.deploy()
    shown = contents(world.kit)
    page = shown._repr_html_()
    assert "<a href='04-deploy.ipynb'>04 · Deploy</a>" in page
    assert dict(shown.lines)["04-deploy"] == "done"
    assert dict(shown.lines)["08-cleanup"] == ""
    assert "✔ done" in repr(shown)
