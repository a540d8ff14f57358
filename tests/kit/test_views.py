"""Pictures, summaries and the lines of the command line."""

from __future__ import annotations

import json
import re
from collections.abc import Generator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from jarkkit.cli import app as cli
from jarkkit.cli import error_output
from jarkkit.decisions.redaction import Redactor, sensitive_values
from jarkkit.model.checks import Check, Report
from jarkkit.model.errors import JarkkitError
from jarkkit.model.records import Event
from jarkkit.model.step_generators import run_to_end
from jarkkit.notebook import ui
from jarkkit.ports.paths import local_paths
from jarkkit.ports.workspace import Workspace
from jarkkit.render import pictures
from jarkkit.render.pictures.bars import Axis, Bar, Bars, Row, bar_chart
from jarkkit.render.text import text as text_of
from jarkkit.settings import Settings
from tests.support.fakes.deployment import DeploymentHarness


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


class TestRunToEnd:
    def test_yields_every_event_and_returns_the_result(self) -> None:
        def work() -> Generator[Event, None, int]:
            yield event(1, "a", "done")
            return 7

        seen: list[Event] = []
        assert run_to_end(work(), seen.append) == 7
        assert [e.subject for e in seen] == ["a"]

    def test_closes_the_generator_when_the_display_is_interrupted(self) -> None:
        closed = []

        def work() -> Generator[Event, None, None]:
            try:
                yield event(1, "a", "started")
            finally:
                closed.append(True)

        def interrupted(_: Event) -> None:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            run_to_end(work(), interrupted)
        assert closed == [True]


class TestPictures:
    def test_a_timeline_has_every_resource(self) -> None:
        events = [
            event(0, "module.cluster.aws_eks_cluster.this", "started"),
            event(1, "aws_vpc.this", "started"),
            event(5, "aws_vpc.this", "done"),
            event(9, "module.cluster.aws_eks_cluster.this", "failed"),
        ]
        picture = pictures.timeline(events)
        assert picture.svg.startswith("<svg")
        assert "cluster.eks_cluster.this 9 s" in picture.caption
        assert "Timeline of 2 resources" in picture.caption

    def test_a_timeline_has_no_account_id(self) -> None:
        subject = 'aws_eks_access_entry.admin["arn:aws:iam::123456789012:user/learner"]'
        picture = pictures.timeline([event(0, subject, "started"), event(5, subject, "done")])
        assert "1234…9012" in picture.caption
        assert "123456789012" not in picture.caption

    def test_an_empty_timeline_is_still_a_picture(self) -> None:
        assert "none" in pictures.timeline([]).caption

    def test_a_plan_map_has_an_alternative_text_by_area(self, harness: DeploymentHarness) -> None:
        harness.plan()
        plan = harness.deployment.last_plan()
        assert plan is not None
        picture = pictures.plan_map(plan)
        for area, changes in plan.by_area().items():
            assert f"{area} {len(changes)}" in picture.caption
        data = picture._repr_mimebundle_()
        assert data["text/plain"] == picture.caption
        assert f"<figcaption>{picture.caption}</figcaption>" in data["text/html"]

    def test_a_picture_follows_the_theme_and_says_the_same_in_words(
        self, harness: DeploymentHarness
    ) -> None:
        harness.plan()
        plan = harness.deployment.last_plan()
        assert plan is not None
        picture = pictures.plan_map(plan)
        svg = ElementTree.fromstring(picture.svg)
        assert svg.get("fill") == "currentColor"
        texts = [*svg.iter("{http://www.w3.org/2000/svg}text")]
        assert not any(text.get("fill") or text.get("style") for text in texts)
        # No box of a color of its own behind the bars.
        shapes = [*svg.iter("{http://www.w3.org/2000/svg}rect")]
        assert shapes
        assert all("currentColor" in shape.get("style", "") for shape in shapes)
        drawn = {text.text for text in texts}
        assert {area for area, *_ in picture.rows} <= drawn
        assert [(area, str(len(found))) for area, found in plan.by_area().items()] == [
            (area, total) for area, *_, total in picture.rows
        ]
        for area, *_ in picture.rows:
            assert f">{area}</td>" in picture.html().partition("In words")[2]

    def test_the_words_of_a_picture_are_hidden_where_its_style_is_removed(self) -> None:
        page = pictures.timeline([event(0, "a", "started"), event(5, "a", "done")]).html()
        stripped = re.sub(r' style="[^"]*"', "", page)
        assert '<div hidden="hidden"><svg' in stripped
        # JupyterLab keeps `display` but not the variable that shows the picture.
        assert "display:var(--jarkkit-shown, none)" in page.replace("--jarkkit-shown:block;", "")

    def test_a_quota_bar_has_its_quota_in_the_picture(self) -> None:
        rows = [Row("a", (Bar(0, 0.1, "green"),), "few")]
        svg = ElementTree.fromstring(
            bar_chart([Bars(rows, Axis(ticks=((1.0, "quota"),), line=1.0))])
        )
        lines = [
            float(line.get("x1", "0")) for line in svg.iter("{http://www.w3.org/2000/svg}line")
        ]
        assert max(lines) <= float(svg.get("width", "0"))


class TestSummaries:
    def test_every_result_of_a_step_has_a_summary(self, harness: DeploymentHarness) -> None:
        harness.deploy()
        list(harness.deployment.cleanup(confirm="demo"))
        values = [
            harness.deployment.recorded_plan(),
            harness.deployment.last_receipt(),
            harness.deployment.status(),
        ]
        for value in values:
            assert ui.summary(value).data
        proof = harness.deployment.cleanup_report()
        assert proof is not None
        assert proof.ok

    def test_a_plan_is_shown_by_action_with_its_losses(self, harness: DeploymentHarness) -> None:
        harness.deploy()
        harness.terraform.replacing = ("aws_eks_cluster.demo",)
        harness.plan()
        plan = harness.deployment.last_plan()
        assert plan is not None
        table = ui.summary(plan).data
        assert "to replace" in table
        assert "eks_cluster demo (old-1)" in table
        assert "the cluster with everything in it" in table
        assert "cluster 1 (1 to replace)" in pictures.plan_map(plan).caption
        text = text_of(plan)
        assert "1 to replace; on AWS" in text
        assert "eks_cluster.demo: demo (old-1); forced by cidr_block" in text
        assert "replace cluster demo (old-1): the cluster with everything in it" in text
        assert "jarkkit deploy demo --confirm demo" in text
        saved = json.loads(plan.model_dump_json())
        assert saved["losses"][0]["confirm"] is True
        assert saved["changes"][0]["action"] == "replace"

    def test_a_plan_that_only_creates_loses_nothing(self, harness: DeploymentHarness) -> None:
        harness.plan()
        plan = harness.deployment.last_plan()
        assert plan is not None
        text = text_of(plan)
        assert text.startswith("2 to create; on AWS about")
        assert "vpc.demo" in text
        assert "lose" not in text

    def test_other_values_have_no_summary(self) -> None:
        with pytest.raises(TypeError):
            ui.summary(3)


class TestEventLines:
    def test_a_finished_resource_has_a_line(self) -> None:
        line = text_of(event(4, "module.network[0].aws_vpc.this", "done"))
        assert line.split() == ["✔", "create", "network.vpc.this", "(4", "s)"]

    def test_reads_have_no_line(self) -> None:
        read = event(1, "data.aws_partition.current", "done").model_copy(update={"action": "read"})
        assert text_of(read) == ""

    def test_only_late_heartbeats_have_a_line(self) -> None:
        assert text_of(event(10, "aws_vpc.this", "running")) == ""
        assert text_of(event(30, "aws_vpc.this", "running")) != ""


class TestCommandLine:
    def test_every_command_has_help(self) -> None:
        group: Any = get_command(cli.app)
        for command in {*group.commands, "configure", "plan", "deploy", "run", "lab", "cleanup"}:
            result = CliRunner().invoke(cli.app, [command, "--help"])
            assert result.exit_code == 0, command

    def test_wrong_use_is_exit_code_2(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert cli._run(["plan", "--no-such-option"]) == 2
        assert "JK-USAGE" in capsys.readouterr().err

    def test_an_error_is_printed_as_json(self, capsys: pytest.CaptureFixture[str]) -> None:
        error = JarkkitError("JK-CONFIRM", "what", "how")
        assert error_output.report_error(error, as_json=True) == 1
        assert json.loads(capsys.readouterr().out)["error"]["code"] == "JK-CONFIRM"

    def test_a_defect_leaves_its_traceback_in_a_private_file(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert error_output.report_exception(ZeroDivisionError("x"), as_json=True) == 1
        error = json.loads(capsys.readouterr().out)["error"]
        assert error["code"] == "JK-INTERNAL"
        path = Path(next(word for word in error["fix"].split() if "jarkkit-crash" in word)[:-1])
        assert path.stat().st_mode & 0o777 == 0o600
        path.unlink()

    def test_an_interrupt_is_exit_code_130(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert error_output.interrupted(as_json=False) == 130
        assert "JK-INTERRUPTED" in capsys.readouterr().err

    def test_commands_that_need_no_deployment(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert cli._run(["addons", "--json"]) == 0
        assert "vpc-cni" in {item["name"] for item in json.loads(capsys.readouterr().out)}
        assert cli._run(["errors", "jk-confirm"]) == 0
        assert "JK-CONFIRM" in capsys.readouterr().out
        assert cli._run(["errors", "JK-NONE"]) == 2
        assert cli._run(["--version"]) == 0


def test_redaction_replaces_the_longest_value_first(tmp_path: Path) -> None:
    words = sensitive_values(
        local_paths(tmp_path), account_id="123456789012", secrets=("s3cr3t-value", "x")
    )
    redactor = Redactor(words)
    text = redactor.text(f"{tmp_path}/a 123456789012 s3cr3t-value x")
    assert text == "./a 1234…9012 (secret) x"


def test_a_failed_report_raises_an_error_with_every_fix() -> None:
    check = Check(name="Quota", status="fail", fix="Ask for more.")
    with pytest.raises(JarkkitError) as caught:
        Report(title="Will it work?", checks=(check,)).raise_for_failures("JK-PREFLIGHT-BLOCKED")
    assert "Quota" in caught.value.message
    assert "Ask for more." in caught.value.fix
    Report(title="Fine?", checks=()).raise_for_failures("JK-PREFLIGHT-BLOCKED")


def test_saved_values_may_be_in_a_subfolder_and_events_are_followed(tmp_path: Path) -> None:
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
    second = workspace.events_from(offset).events
    assert [e.status for e in (*first, *second)] == ["started", "done"]


def test_the_duration_of_a_plan_excludes_the_add_ons(harness: DeploymentHarness) -> None:
    harness.plan()
    text = repr(ui.summary(harness.deployment.last_plan()))
    assert "On AWS this takes about" in text
    assert "without the add-ons that Helm installs afterwards" in text
