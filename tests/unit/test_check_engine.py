"""The check engine: questions in parallel, and what becomes of answers and errors."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from jarkkit.model.checks import Check, Report
from jarkkit.model.errors import AccessDenied, JarkkitError
from jarkkit.model.unknown import Unknown
from jarkkit.steps.check_engine import (
    Answer,
    CheckFunction,
    CheckGroup,
    passed,
    run_checks,
    warned,
)

DENIED = JarkkitError("JK-AWS-DENIED", "not allowed", "ask", evidence="in 111122223333")
WRONG = JarkkitError("JK-SETTINGS-INVALID", "too small", "enlarge it")
LOST = JarkkitError("JK-KUBE-UNREACHABLE", "silent", "wait")


def raising(error: Exception) -> CheckFunction[None]:
    def ask(context: None) -> Answer:
        raise error

    return CheckFunction("Question", ask, "Topic")


def status_of(error: Exception) -> str:
    (check,) = run_checks([raising(error)], None)
    return check.status


def test_a_group_asks_its_functions_in_order_with_question_and_topic() -> None:
    group = CheckGroup[int]("Numbers")

    @group.check("Positive")
    def positive(context: int) -> Check:
        return passed(str(context))

    @group.check("Even and small")
    def even(context: int) -> Iterator[Check]:
        yield passed("even").model_copy(update={"name": "Even"})
        yield warned("large", why="", fix="")

    found = run_checks(group, 8)
    assert [(c.name, c.group, c.found) for c in found] == [
        ("Positive", "Numbers", "8"),
        ("Even", "Numbers", "even"),
        ("Even and small", "Numbers", "large"),
    ]
    assert positive(3).found == "3"
    assert even.__name__ == "even"


def test_no_checks_are_no_results() -> None:
    assert run_checks([], None) == ()


def test_checks_run_in_parallel() -> None:
    barrier = threading.Barrier(6, timeout=60)

    def ask(context: None) -> Check:
        return passed(str(barrier.wait()))

    assert len(run_checks([CheckFunction("Question", ask)] * 6, None)) == 6


def test_no_more_checks_run_at_once_than_allowed() -> None:
    barrier = threading.Barrier(2)

    def ask(context: None) -> Check:
        return passed(str(barrier.wait(timeout=0.1)))

    found = run_checks([CheckFunction("Question", ask)] * 2, None, at_once=1)
    assert {check.code for check in found} == {"JK-INTERNAL"}


def test_a_check_is_timed_and_its_results_share_the_time() -> None:
    def ask(context: None) -> Iterator[Check]:
        threading.Event().wait(0.05)
        yield passed("one")
        yield passed("two")

    first, second = run_checks([CheckFunction("Question", ask)], None)
    assert first.seconds is not None
    assert 0.05 <= first.seconds < 5
    assert second.seconds == first.seconds


@pytest.mark.parametrize(
    ("error", "status"), [(DENIED, "unknown"), (LOST, "unknown"), (WRONG, "fail")]
)
def test_a_failed_call_is_not_checked_and_another_error_is_a_failure(
    error: JarkkitError, status: str
) -> None:
    assert status_of(error) == status


def test_an_error_keeps_code_message_and_fix_and_hides_the_account() -> None:
    (check,) = run_checks([raising(DENIED)], None)
    assert (check.name, check.group, check.code) == ("Question", "Topic", "JK-AWS-DENIED")
    assert (check.found, check.fix) == ("not allowed", "ask")
    assert "111122223333" not in check.why


def test_which_errors_are_no_answer_is_up_to_the_step() -> None:
    found = run_checks([raising(DENIED), raising(LOST)], None, unanswered=AccessDenied)
    assert [check.status for check in found] == ["unknown", "fail"]


def test_the_severity_is_that_of_the_check() -> None:
    def ask(context: None) -> Answer:
        raise WRONG

    (check,) = run_checks([CheckFunction("Question", ask, severity="warn")], None)
    assert check.status == "warn"


@pytest.mark.parametrize("reason", [DENIED, WRONG])
def test_an_unknown_value_is_never_a_failure(reason: JarkkitError) -> None:
    (check,) = run_checks([CheckFunction("Question", lambda _: Unknown(reason))], None)
    assert (check.status, check.code) == ("unknown", reason.code)


def test_a_bug_in_one_check_leaves_the_others() -> None:
    good = CheckFunction[None]("Good", lambda _: passed("well"))
    broken, fine = run_checks([raising(ZeroDivisionError("0")), good], None)
    assert (broken.status, broken.code) == ("unknown", "JK-INTERNAL")
    assert "ZeroDivisionError" in broken.found
    assert fine.status == "pass"


def test_a_generator_that_raises_is_no_answer_either() -> None:
    def ask(context: None) -> Iterator[Check]:
        yield passed("first")
        raise DENIED

    (check,) = run_checks([CheckFunction("Question", ask)], None)
    assert check.status == "unknown"


def test_times_do_not_keep_equal_findings_apart() -> None:
    one = warned("old", why="because", fix="renew").model_copy(update={"seconds": 0.1})
    checks = tuple(
        one.model_copy(update={"name": name, "seconds": seconds})
        for name, seconds in (("a", 0.1), ("b", 0.2))
    )
    assert [check.name for check in Report(title="?", checks=checks).findings()] == ["a, b"]
