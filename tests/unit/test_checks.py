"""Reports as text, HTML and JSON."""

from __future__ import annotations

from typing import Any

from jarkkit.model.checks import Check, Report, with_group
from jarkkit.render.html import html as html_of
from jarkkit.render.text import text as text_of

REPORT = Report(
    title="Will it work?",
    checks=(
        Check(name="Region", status="pass", found="us-west-2"),
        Check(name="Policy", status="unknown", found="denied", fix="Look yourself."),
        Check(
            name="Quota <G>",
            status="fail",
            found="0",
            needed="8",
            why="No GPUs.",
            fix="Ask for more.",
            code="JK-AWS-QUOTA",
            link="https://example.org/quota",
        ),
        Check(name="Spot", status="warn", found="expensive"),
        Check(name="Accelerators", status="skip", found="none chosen"),
    ),
)


def verdict(*statuses: str) -> str:
    checks = [Check(name=str(i), status=s) for i, s in enumerate(statuses)]  # type: ignore[arg-type]
    return Report(title="Will it work?", checks=tuple(checks)).verdict


def test_the_verdict_is_no_when_a_check_failed() -> None:
    words = "1 failed, 1 warning, 1 not checked, 1 passed"
    assert REPORT.verdict == f"Will it work? No: {words}."
    assert not REPORT.ok


def test_the_verdict_is_yes_as_far_as_checks_passed() -> None:
    assert verdict("pass", "warn") == "Will it work? Yes: 1 warning, 1 passed."
    assert verdict("pass", "unknown") == (
        "Will it work? Yes, as far as it could be checked: 1 not checked, 1 passed."
    )
    assert verdict("unknown", "skip") == "Will it work? Unknown: 1 not checked."
    assert verdict() == "Will it work? Nothing was checked."


def test_unknown_is_neither_pass_nor_fail() -> None:
    report = Report(title="t", checks=(Check(name="a", status="unknown"),))
    assert report.ok
    assert report.count("pass") == 0


def test_the_text_has_the_verdict_then_failures_and_passed_checks_last() -> None:
    assert text_of(REPORT).splitlines() == [
        REPORT.verdict,
        "  ✘ Quota <G>: 0 (needed: 8) [JK-AWS-QUOTA]",
        "      why: No GPUs.",
        "      fix: Ask for more.",
        "      see: https://example.org/quota",
        "  ! Spot: expensive",
        "  ? Policy: denied",
        "      fix: Look yourself.",
        "  ✔ Region: us-west-2",
        "  - Accelerators: none chosen",
    ]


def test_checks_with_the_same_reason_are_merged() -> None:
    unknown: dict[str, Any] = {
        "status": "unknown",
        "found": "expired",
        "fix": "Log in.",
        "code": "JK-AWS-EXPIRED",
    }
    checks = tuple(Check(name=name, **unknown) for name in ("Region", "Version"))
    lines = text_of(Report(title="t", checks=checks)).splitlines()
    assert lines[1:] == ["  ? Region, Version: expired [JK-AWS-EXPIRED]", "      fix: Log in."]


def test_checks_without_a_fix_are_not_merged() -> None:
    checks = tuple(Check(name=name, status="warn", found="expensive") for name in "ab")
    assert len(text_of(Report(title="t", checks=checks)).splitlines()) == 3


def test_passed_checks_are_one_paragraph_per_group() -> None:
    zones = with_group("Places", [Check(name=n, status="pass", found="none") for n in "ab"])
    other = with_group("Other", [Check(name="c", status="pass", found="word " * 40)])
    lines = text_of(Report(title="t", checks=(*zones, *other))).splitlines()
    assert lines[1] == "  ✔ Places. a, b: none"
    assert lines[2].startswith("  ✔ Other. c: word word")
    assert lines[3].startswith("    word")
    assert max(map(len, lines)) <= 100


def test_the_html_is_escaped_and_has_the_status_in_words() -> None:
    html = html_of(REPORT)
    assert "Quota &lt;G&gt;" in html
    assert "Quota <G>" not in html
    assert ">failed</span>" in html


def test_the_html_folds_passed_checks() -> None:
    findings, _, folded = html_of(REPORT).partition("<details>")
    assert "<summary>1 passed, 1 not needed</summary>" in folded
    assert "us-west-2" in folded
    assert "us-west-2" not in findings
    assert "Look yourself." in findings


def test_json_reads_back() -> None:
    assert Report.model_validate_json(REPORT.model_dump_json()) == REPORT
