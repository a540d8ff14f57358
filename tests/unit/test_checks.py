"""Reports: one truth, three renderings."""

from __future__ import annotations

from jarkkit.checks import Check, Report, grouped

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
        Check(name="Spot", status="warn", found="dear"),
        Check(name="Accelerators", status="skip", found="none chosen"),
    ),
)


def verdict(*statuses: str) -> str:
    checks = [Check(name=str(i), status=s) for i, s in enumerate(statuses)]  # type: ignore[arg-type]
    return Report(title="Will it work?", checks=tuple(checks)).verdict


def test_the_verdict_says_no_when_something_failed() -> None:
    words = "1 failed, 1 to know, 1 unknown, 1 passed"
    assert REPORT.verdict == f"Will it work? No: {words}."
    assert not REPORT.ok


def test_the_verdict_says_yes_and_how_far() -> None:
    assert verdict("pass", "warn") == "Will it work? Yes: 1 to know, 1 passed."
    assert verdict("pass", "unknown") == (
        "Will it work? Yes, as far as could be asked: 1 unknown, 1 passed."
    )
    assert verdict("unknown", "skip") == "Will it work? Not known: 1 unknown."
    assert verdict() == "Will it work? Nothing was checked."


def test_unknown_is_neither_pass_nor_fail() -> None:
    report = Report(title="t", checks=(Check(name="a", status="unknown"),))
    assert report.ok
    assert report.count("pass") == 0


def test_the_text_tells_the_verdict_then_the_gravest_and_what_is_well_last() -> None:
    assert REPORT.text().splitlines() == [
        REPORT.verdict,
        "  ✘ Quota <G>: 0 (needed: 8) [JK-AWS-QUOTA]",
        "      why: No GPUs.",
        "      fix: Ask for more.",
        "      see: https://example.org/quota",
        "  ! Spot: dear",
        "  ? Policy: denied",
        "      fix: Look yourself.",
        "  ✔ Region: us-west-2",
        "  - Accelerators: none chosen",
    ]


def test_questions_with_the_same_reason_are_told_as_one() -> None:
    closed = {"status": "unknown", "found": "expired", "fix": "Log in.", "code": "JK-AWS-EXPIRED"}
    checks = tuple(Check(name=name, **closed) for name in ("Region", "Version"))
    lines = Report(title="t", checks=checks).text().splitlines()
    assert lines[1:] == ["  ? Region, Version: expired [JK-AWS-EXPIRED]", "      fix: Log in."]


def test_findings_without_a_remedy_stay_apart() -> None:
    checks = tuple(Check(name=name, status="warn", found="dear") for name in "ab")
    assert len(Report(title="t", checks=checks).text().splitlines()) == 3


def test_what_is_well_is_a_paragraph_per_group() -> None:
    places = grouped("Places", [Check(name=n, status="pass", found="none") for n in "ab"])
    other = grouped("Other", [Check(name="c", status="pass", found="word " * 40)])
    lines = Report(title="t", checks=(*places, *other)).text().splitlines()
    assert lines[1] == "  ✔ Places. a, b: none"
    assert lines[2].startswith("  ✔ Other. c: word word")
    assert lines[3].startswith("    word")
    assert max(map(len, lines)) <= 100


def test_the_html_is_escaped_and_says_the_status_in_words() -> None:
    html = REPORT._repr_html_()
    assert "Quota &lt;G&gt;" in html
    assert "Quota <G>" not in html
    assert ">fail</span>" in html


def test_the_html_folds_what_is_well() -> None:
    findings, _, folded = REPORT._repr_html_().partition("<details>")
    assert "<summary>1 passed, 1 not needed</summary>" in folded
    assert "us-west-2" in folded
    assert "us-west-2" not in findings
    assert "Look yourself." in findings


def test_json_reads_back() -> None:
    assert Report.model_validate_json(REPORT.model_dump_json()) == REPORT
