"""The progress of a step, computed from its events, and its rendering."""

from __future__ import annotations

import pytest

from jarkkit.decisions.step_progress import StepProgress, epoch_seconds
from jarkkit.model.errors import JarkkitError
from jarkkit.model.records import Event
from jarkkit.render import progress as progress_html

START = epoch_seconds("2026-01-01T00:00:00Z")


def event(
    second: int, kind: str = "resource", subject: str = "aws_vpc.this", **more: object
) -> Event:
    values = {"time": f"2026-01-01T00:00:{second:02d}Z", "step": "deploy", "kind": kind}
    created = {"action": "create"} if kind in ("resource", "addon") else {}
    return Event.model_validate({**values, **created, "subject": subject, **more})


def progress_of(*events: Event, **expected: int) -> StepProgress:
    progress = StepProgress(expected)
    for each in events:
        progress.add(each)
    return progress


class TestCounting:
    def test_covers_resources_and_add_ons(self) -> None:
        progress = progress_of(event(1, status="done", done=3, total=10), resource=12, addon=5)
        assert progress.count() == (3, 15)
        assert progress.pending_text() == "5 add-ons"
        progress.add(event(2, "addon", "hub", status="done", done=1, total=4))
        assert progress.count() == (4, 14)
        assert progress.pending_text() == ""

    def test_drops_missing_items_at_the_end(self) -> None:
        progress = progress_of(event(1, "message", message="nothing to do"), resource=12)
        assert progress.count() == (0, 12)
        progress.finish("done", START + 2)
        assert progress.count() == (0, 0)

    def test_the_time_left_decreases_between_events(self) -> None:
        progress = progress_of(event(10, status="running", done=1, total=2, seconds_left=30.0))
        assert progress.seconds_left(START + 15) == 25.0
        assert progress.seconds_left(START + 99) == 0.0

    def test_the_time_left_is_unknown_in_a_new_phase(self) -> None:
        progress = progress_of(event(10, status="running", done=1, total=2, seconds_left=30.0))
        progress.add(event(11, "phase", "add-ons", status="started"))
        assert progress.seconds_left(START + 12) is None


class TestItems:
    def test_last_from_start_to_end(self) -> None:
        progress = progress_of(event(5, status="started"))
        (item,) = progress.items.values()
        assert (item.state, item.elapsed(START + 9)) == ("running", 4.0)
        progress.add(event(20, status="done", seconds=15.0))
        assert (item.state, item.status_text, item.elapsed(START + 99)) == ("done", "created", 15.0)

    def test_are_sorted_by_relevance(self) -> None:
        progress = progress_of(
            event(1, subject="done first", status="started"),
            event(2, subject="done last", status="started"),
            event(3, subject="long", status="started"),
            event(6, subject="short", status="started"),
            event(7, subject="done first", status="done"),
            event(8, subject="bad", status="failed"),
            event(9, subject="done last", status="done"),
        )
        names = [item.name for item in progress.sorted_items(START + 10)]
        assert names == ["bad", "long", "short", "done last", "done first"]

    def test_exclude_reads(self) -> None:
        assert not progress_of(event(1, action="read", status="done")).items

    def test_that_run_at_the_end_are_stopped(self) -> None:
        progress = progress_of(
            event(1, "phase", "apply", status="started"), event(2, status="started")
        )
        progress.finish("stopped", START + 8)
        (item,) = progress.items.values()
        assert (item.state, item.seconds) == ("stopped", 6.0)
        assert progress.phases[0].state == "stopped"


class TestPhases:
    def test_end_when_the_next_starts(self) -> None:
        progress = progress_of(
            event(1, "phase", "settle", status="running", message="waiting"),
            event(4, "phase", "settle", status="running", message="still waiting"),
            event(6, "phase", "plan", status="started"),
            event(9, "phase", "plan", status="done", message="3 to create"),
        )
        shown = [(p.name, p.state, p.seconds, p.message) for p in progress.phases]
        assert shown == [
            ("settle", "done", 5.0, "still waiting"),
            ("plan", "done", 3.0, "3 to create"),
        ]

    def test_of_one_name_may_repeat(self) -> None:
        progress = progress_of(
            event(1, "phase", "plan", status="started"),
            event(2, "phase", "plan", status="done"),
            event(3, "phase", "plan", status="started"),
        )
        assert [p.state for p in progress.phases] == ["done", "running"]


class TestProblems:
    def test_stay_visible_with_code_and_fix(self) -> None:
        progress = progress_of(
            event(1, "addon", "hub", status="failed", message="no image", code="JK-ADDON-IMAGE"),
            event(2, "warning", "", message="slow"),
            event(3, "error", "", message="It broke.", code="JK-TF-FAILED"),
        )
        progress.finish("failed", START + 4, JarkkitError("JK-TF-FAILED", "It broke.", "Fix it."))
        problems = [(t.code, t.message, t.fix) for t in progress.problems]
        assert problems == [
            ("JK-TF-FAILED", "It broke.", "Fix it."),
            ("JK-ADDON-IMAGE", "hub: no image", ""),
            ("", "slow", ""),
        ]
        for shown in (progress_html.problems(progress), progress_html.text(progress, START + 4)):
            for words in ("JK-TF-FAILED", "Fix it.", "JK-ADDON-IMAGE", "hub: no image", "slow"):
                assert words in shown

    def test_are_shown_once(self) -> None:
        same = event(1, "error", "", message="again")
        assert len(progress_of(same, same).problems) == 1


class TestRendering:
    def test_the_status_line_has_progress_and_time(self) -> None:
        progress = progress_of(
            event(0, "phase", "apply", status="started", message="10 to create"),
            event(20, status="running", done=4, total=10, seconds_left=600.0),
            addon=24,
        )
        line = progress_html.status_line(progress, START + 20)
        for words in ("running", "4 of 34", "20 s", "about 10 min left", "then 24 add-ons"):
            assert words in line
        assert "aria-valuenow='4'" in line

    def test_a_table_has_a_limited_number_of_rows(self) -> None:
        many = [event(1, subject=f"aws_subnet.n{n}", status="started") for n in range(80)]
        table = progress_html.table(progress_of(*many), START + 2)
        assert table.count("creating") == 60
        assert "20 more" in table

    def test_the_summary_needs_no_widgets(self) -> None:
        progress = progress_of(
            event(1, "phase", "apply", status="started"),
            event(1, status="started"),
            event(9, status="done", done=1, total=1, seconds=8.0),
        )
        progress.finish("done", START + 10)
        page, text = (
            progress_html.summary(progress, START + 50),
            progress_html.text(progress, START + 50),
        )
        for words in ("deploy: done", "1 of 1", "took 9 s", "apply"):
            assert words in page
            assert words in text
        assert "vpc.this" in page

    @pytest.mark.parametrize(
        "render", [progress_html.problems, lambda p: progress_html.table(p, START)]
    )
    def test_messages_are_escaped(self, render: object) -> None:
        bad = event(1, "addon", "<b>x</b>", status="failed", message="<script>")
        assert callable(render)
        assert "<script>" not in render(progress_of(bad))
        assert "<b>" not in render(progress_of(bad))
