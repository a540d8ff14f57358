"""What is shown: pictures, summaries, forms, the command line's lines."""

from __future__ import annotations

import json
from collections.abc import Generator
from pathlib import Path

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from jarkkit import pictures, ui
from jarkkit.checks import Check, Report
from jarkkit.cli import app as cli
from jarkkit.cli import failures, show
from jarkkit.errors import JarkkitError
from jarkkit.records import Event
from jarkkit.scrub import Scrub, words_of
from jarkkit.settings import Settings
from jarkkit.streams import drain
from jarkkit.workspace import Workspace
from tests.kit.conftest import World


def event(second: int, subject: str, status: str, kind: str = "resource") -> Event:
    return Event.model_validate(
        {
            "time": f"2026-01-01T00:00:{second:02d}Z",
            "step": "deploy",
            "kind": kind,
            "subject": subject,
            "action": "create",
            "status": status,
            "seconds": float(second),
        }
    )


class TestDrain:
    def test_gives_every_event_and_the_value(self) -> None:
        def work() -> Generator[Event, None, int]:
            yield event(1, "a", "done")
            return 7

        seen: list[Event] = []
        assert drain(work(), seen.append) == 7
        assert [e.subject for e in seen] == ["a"]

    def test_closes_the_work_when_showing_is_interrupted(self) -> None:
        closed = []

        def work() -> Generator[Event, None, None]:
            try:
                yield event(1, "a", "started")
            finally:
                closed.append(True)

        def interrupted(_: Event) -> None:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            drain(work(), interrupted)
        assert closed == [True]


class TestPictures:
    def test_a_timeline_has_what_was_worked_on(self) -> None:
        events = [
            event(0, "module.cluster.aws_eks_cluster.this", "started"),
            event(1, "aws_vpc.this", "started"),
            event(5, "aws_vpc.this", "done"),
            event(9, "module.cluster.aws_eks_cluster.this", "failed"),
        ]
        picture = pictures.timeline(events)
        assert picture.png.startswith(b"\x89PNG")
        assert "cluster.eks_cluster.this 9 s" in picture.alt
        assert "Timeline of 2 resources" in picture.alt

    def test_a_timeline_names_no_account(self) -> None:
        subject = 'aws_eks_access_entry.admin["arn:aws:iam::123456789012:user/learner"]'
        picture = pictures.timeline([event(0, subject, "started"), event(5, subject, "done")])
        assert "1234…9012" in picture.alt
        assert "123456789012" not in picture.alt

    def test_an_empty_one_is_still_a_picture(self) -> None:
        assert "none" in pictures.timeline([]).alt

    def test_a_plan_is_told_by_area_to_those_who_cannot_see(self, world: World) -> None:
        world.plan()
        plan = world.kit.last_plan()
        assert plan is not None
        picture = pictures.plan_map(plan)
        for area, changes in plan.by_area().items():
            assert f"{area} {len(changes)}" in picture.alt
        data, metadata = picture._repr_mimebundle_()
        assert data["text/plain"] == picture.alt
        assert metadata["image/png"] == {"alt": picture.alt}


class TestSummaries:
    def test_every_value_of_the_journey_has_one(self, world: World) -> None:
        world.deploy()
        list(world.kit.cleanup(confirm="demo"))
        values = [world.kit.planned(), world.kit.last_receipt(), world.kit.status()]
        for value in values:
            assert ui.summary(value).data
        proof = world.kit.proof()
        assert proof is not None
        assert proof.ok

    def test_anything_else_has_none(self) -> None:
        with pytest.raises(TypeError):
            ui.summary(3)


class TestLines:
    def test_of_what_ended(self) -> None:
        line = show.line_of(event(4, "module.network[0].aws_vpc.this", "done"))
        assert line.split() == ["✔", "create", "network.vpc.this", "(4", "s)"]

    def test_of_reads_there_are_none(self) -> None:
        read = event(1, "data.aws_partition.current", "done").model_copy(update={"action": "read"})
        assert show.line_of(read) == ""

    def test_of_heartbeats_only_where_it_takes_long(self) -> None:
        assert show.line_of(event(10, "aws_vpc.this", "running")) == ""
        assert show.line_of(event(30, "aws_vpc.this", "running")) != ""


class TestCommandLine:
    def test_every_command_explains_itself(self) -> None:
        commands = get_command(cli.app).commands
        for command in {*commands, "configure", "plan", "deploy", "run", "lab", "cleanup"}:
            result = CliRunner().invoke(cli.app, [command, "--help"])
            assert result.exit_code == 0, command

    def test_wrong_use_is_exit_code_2(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert cli._run(["plan", "--no-such-option"]) == 2
        assert "JK-USAGE" in capsys.readouterr().err

    def test_an_error_in_json_is_data(self, capsys: pytest.CaptureFixture[str]) -> None:
        error = JarkkitError("JK-CONFIRM", "what", "how")
        assert failures.explain(error, as_json=True) == 1
        assert json.loads(capsys.readouterr().out)["error"]["code"] == "JK-CONFIRM"

    def test_a_defect_leaves_its_traceback_in_a_private_file(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert failures.other(ZeroDivisionError("x"), as_json=True) == 1
        error = json.loads(capsys.readouterr().out)["error"]
        assert error["code"] == "JK-INTERNAL"
        path = Path(next(word for word in error["fix"].split() if "jarkkit-crash" in word)[:-1])
        assert path.stat().st_mode & 0o777 == 0o600
        path.unlink()

    def test_interrupted_is_130(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert failures.interrupted(as_json=False) == 130
        assert "JK-INTERRUPTED" in capsys.readouterr().err

    def test_data_that_needs_no_deployment(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert cli._run(["addons", "--json"]) == 0
        assert "vpc-cni" in {item["name"] for item in json.loads(capsys.readouterr().out)}
        assert cli._run(["errors", "jk-confirm"]) == 0
        assert "JK-CONFIRM" in capsys.readouterr().out
        assert cli._run(["errors", "JK-NONE"]) == 2
        assert cli._run(["--version"]) == 0


def test_scrub_takes_the_longest_first(tmp_path: Path) -> None:
    words = words_of(tmp_path, account_id="123456789012", secrets=("s3cr3t-value", "x"))
    scrub = Scrub(words)
    said = scrub.text(f"{tmp_path}/a 123456789012 s3cr3t-value x")
    assert said == "./a 1234…9012 (secret) x"


def test_a_report_that_failed_stops_with_every_fix() -> None:
    check = Check(name="Quota", status="fail", fix="Ask for more.")
    with pytest.raises(JarkkitError) as caught:
        Report(title="Will it work?", checks=(check,)).must_pass("JK-PREFLIGHT-BLOCKED")
    assert "Quota" in caught.value.message
    assert "Ask for more." in caught.value.fix
    Report(title="Fine?", checks=()).must_pass("JK-PREFLIGHT-BLOCKED")


def test_saved_values_may_lie_in_a_folder_and_events_are_followed(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "demo")
    workspace.create(Settings(), rehearsal=True)
    report = Report(title="t", checks=())
    workspace.save("reports/preflight", report)
    assert workspace.load("reports/preflight", Report) == report
    assert workspace.events_from(0) == ((), 0)
    workspace.log(event(1, "a", "started"))
    first, offset = workspace.events_from(0)
    workspace.log(event(2, "a", "done"))
    with (workspace.folder / "events.jsonl").open("a") as handle:
        handle.write('{"half')
    second, _ = workspace.events_from(offset)
    assert [e.status for e in (*first, *second)] == ["started", "done"]


def test_the_plans_time_is_said_to_be_without_the_add_ons(world: World) -> None:
    world.plan()
    said = repr(ui.summary(world.kit.last_plan()))
    assert "On AWS these take about" in said
    assert "what Helm installs comes after it" in said
