"""Reports: one truth, three renderings."""

from __future__ import annotations

from jarkkit.checks import Check, Report

REPORT = Report(
    title="Will it work?",
    checks=(
        Check(name="Region", status="pass", found="us-west-2"),
        Check(
            name="Quota <G>",
            status="fail",
            found="0",
            needed="8",
            why="No GPUs.",
            fix="Ask for more.",
            code="JK-AWS-QUOTA",
        ),
        Check(name="Policy", status="unknown", found="denied", fix="Look yourself."),
    ),
)


def test_the_verdict_says_no_when_something_failed() -> None:
    assert REPORT.verdict == "Will it work?: no (1 of 3 passed, 1 failed, 1 unknown)"
    assert not REPORT.ok


def test_unknown_is_neither_pass_nor_fail() -> None:
    report = Report(title="t", checks=(Check(name="a", status="unknown"),))
    assert report.ok
    assert report.count("pass") == 0


def test_the_text_gives_the_fix_with_its_code() -> None:
    assert "      fix: Ask for more. [JK-AWS-QUOTA]" in REPORT.text().splitlines()


def test_the_html_is_escaped_and_says_the_status_in_words() -> None:
    html = REPORT._repr_html_()
    assert "Quota &lt;G&gt;" in html
    assert "Quota <G>" not in html
    assert ">fail</span>" in html


def test_json_reads_back() -> None:
    assert Report.model_validate_json(REPORT.model_dump_json()) == REPORT
