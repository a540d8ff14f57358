"""How far a step is, added up from its events, and how it is drawn."""

from __future__ import annotations

import pytest

from jarkkit.errors import JarkkitError
from jarkkit.records import Event
from jarkkit.ui import drawing
from jarkkit.ui.progress import Progress, seconds_of

START = seconds_of("2026-01-01T00:00:00Z")


def event(
    second: int, kind: str = "resource", subject: str = "aws_vpc.this", **more: object
) -> Event:
    values = {"time": f"2026-01-01T00:00:{second:02d}Z", "step": "deploy", "kind": kind}
    created = {"action": "create"} if kind in ("resource", "addon") else {}
    return Event.model_validate({**values, **created, "subject": subject, **more})


def taken(*events: Event, **expected: int) -> Progress:
    progress = Progress(expected)
    for each in events:
        progress.take(each)
    return progress


class TestCounting:
    def test_is_over_resources_and_addons_together(self) -> None:
        progress = taken(event(1, status="done", done=3, total=10), resource=12, addon=5)
        assert progress.count() == (3, 15)
        assert progress.to_come() == "5 add-ons"
        progress.take(event(2, "addon", "hub", status="done", done=1, total=4))
        assert progress.count() == (4, 14)
        assert progress.to_come() == ""

    def test_forgets_what_did_not_come_when_all_is_done(self) -> None:
        progress = taken(event(1, "message", message="nothing to do"), resource=12)
        assert progress.count() == (0, 12)
        progress.finish("done", START + 2)
        assert progress.count() == (0, 0)

    def test_time_left_goes_down_between_events(self) -> None:
        progress = taken(event(10, status="running", done=1, total=2, seconds_left=30.0))
        assert progress.seconds_left(START + 15) == 25.0
        assert progress.seconds_left(START + 99) == 0.0

    def test_time_left_of_one_phase_says_nothing_of_the_next(self) -> None:
        progress = taken(event(10, status="running", done=1, total=2, seconds_left=30.0))
        progress.take(event(11, "phase", "add-ons", status="started"))
        assert progress.seconds_left(START + 12) is None


class TestItems:
    def test_last_from_their_beginning_to_their_end(self) -> None:
        progress = taken(event(5, status="started"))
        (item,) = progress.items.values()
        assert (item.state, item.lasted(START + 9)) == ("running", 4.0)
        progress.take(event(20, status="done", seconds=15.0))
        assert (item.state, item.word, item.lasted(START + 99)) == ("done", "created", 15.0)

    def test_that_matter_now_come_first(self) -> None:
        progress = taken(
            event(1, subject="done first", status="started"),
            event(2, subject="done last", status="started"),
            event(3, subject="long", status="started"),
            event(6, subject="short", status="started"),
            event(7, subject="done first", status="done"),
            event(8, subject="bad", status="failed"),
            event(9, subject="done last", status="done"),
        )
        names = [item.name for item in progress.in_order(START + 10)]
        assert names == ["bad", "long", "short", "done last", "done first"]

    def test_that_are_only_read_are_left_out(self) -> None:
        assert not taken(event(1, action="read", status="done")).items

    def test_under_way_at_the_end_were_cut_short(self) -> None:
        progress = taken(event(1, "phase", "apply", status="started"), event(2, status="started"))
        progress.finish("stopped", START + 8)
        (item,) = progress.items.values()
        assert (item.state, item.seconds) == ("stopped", 6.0)
        assert progress.phases[0].state == "stopped"


class TestPhases:
    def test_end_when_the_next_begins(self) -> None:
        progress = taken(
            event(1, "phase", "settle", status="running", message="waiting"),
            event(4, "phase", "settle", status="running", message="still waiting"),
            event(6, "phase", "plan", status="started"),
            event(9, "phase", "plan", status="done", message="3 to create"),
        )
        told = [(p.name, p.state, p.seconds, p.message) for p in progress.phases]
        assert told == [
            ("settle", "done", 5.0, "still waiting"),
            ("plan", "done", 3.0, "3 to create"),
        ]

    def test_of_one_name_may_come_again(self) -> None:
        progress = taken(
            event(1, "phase", "plan", status="started"),
            event(2, "phase", "plan", status="done"),
            event(3, "phase", "plan", status="started"),
        )
        assert [p.state for p in progress.phases] == ["done", "running"]


class TestTroubles:
    def test_stay_in_sight_with_code_and_fix(self) -> None:
        progress = taken(
            event(1, "addon", "hub", status="failed", message="no image", code="JK-ADDON-IMAGE"),
            event(2, "warning", "", message="slow"),
            event(3, "error", "", message="It broke.", code="JK-TF-FAILED"),
        )
        progress.finish("failed", START + 4, JarkkitError("JK-TF-FAILED", "It broke.", "Mend it."))
        told = [(t.code, t.message, t.fix) for t in progress.troubles]
        assert told == [
            ("JK-TF-FAILED", "It broke.", "Mend it."),
            ("JK-ADDON-IMAGE", "hub: no image", ""),
            ("", "slow", ""),
        ]
        for shown in (drawing.troubles(progress), drawing.text(progress, START + 4)):
            for words in ("JK-TF-FAILED", "Mend it.", "JK-ADDON-IMAGE", "hub: no image", "slow"):
                assert words in shown

    def test_are_said_once(self) -> None:
        same = event(1, "error", "", message="again")
        assert len(taken(same, same).troubles) == 1


class TestDrawing:
    def test_the_head_says_how_far_and_how_long(self) -> None:
        progress = taken(
            event(0, "phase", "apply", status="started", message="10 to create"),
            event(20, status="running", done=4, total=10, seconds_left=600.0),
            addon=24,
        )
        head = drawing.head(progress, START + 20)
        for words in ("under way", "4 of 34", "20 s", "about 10 min left", "then 24 add-ons"):
            assert words in head
        assert "aria-valuenow='4'" in head

    def test_a_table_has_a_row_per_thing_up_to_a_screenful(self) -> None:
        many = [event(1, subject=f"aws_subnet.n{n}", status="started") for n in range(80)]
        table = drawing.table(taken(*many), START + 2)
        assert table.count("creating") == 60
        assert "20 more" in table

    def test_the_summary_reads_without_widgets(self) -> None:
        progress = taken(
            event(1, "phase", "apply", status="started"),
            event(1, status="started"),
            event(9, status="done", done=1, total=1, seconds=8.0),
        )
        progress.finish("done", START + 10)
        page, text = drawing.summary(progress, START + 50), drawing.text(progress, START + 50)
        for words in ("deploy: done", "1 of 1", "took 9 s", "apply"):
            assert words in page
            assert words in text
        assert "vpc.this" in page

    @pytest.mark.parametrize("draw", [drawing.troubles, lambda p: drawing.table(p, START)])
    def test_what_others_said_is_no_markup(self, draw: object) -> None:
        bad = event(1, "addon", "<b>x</b>", status="failed", message="<script>")
        assert callable(draw)
        assert "<script>" not in draw(taken(bad))
        assert "<b>" not in draw(taken(bad))
