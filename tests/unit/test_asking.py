"""Asking side by side, at a pace, and remembering the answers with their dates."""

from __future__ import annotations

import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from jarkkit.aws.answers import DAY, MINUTE, Answers, Key, answers_folder
from jarkkit.aws.asking import Pace, together
from jarkkit.errors import JarkkitError

KEY = Key("111122223333", "us-west-2", "ec2 quotas")
NOON = datetime(2026, 11, 27, 12, tzinfo=UTC)


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = NOON
        self.seconds = 0.0
        self.slept: list[float] = []

    def __call__(self) -> datetime:
        return self.now

    def monotonic(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


def refused() -> str:
    raise JarkkitError("JK-AWS-DENIED", "no", "ask")


def broken() -> str:
    raise ZeroDivisionError


# -- side by side ----------------------------------------------------------------------------------


def test_answers_keep_the_order_of_the_questions_and_errors_are_answers() -> None:
    found = together({"b": lambda: "1", "denied": refused, "a": lambda: "2"})
    assert list(found) == ["b", "denied", "a"]
    assert found["b"] == "1"
    assert found["a"] == "2"
    assert isinstance(found["denied"], JarkkitError)
    assert found["denied"].code == "JK-AWS-DENIED"


def test_calls_wait_side_by_side() -> None:
    meeting = threading.Barrier(8, timeout=5)
    assert set(together(dict.fromkeys(range(8), meeting.wait)).values()) == set(range(8))


def test_no_more_than_so_many_at_once() -> None:
    meeting = threading.Barrier(2)

    def meet() -> int:
        return meeting.wait(timeout=0.1)

    with pytest.raises(threading.BrokenBarrierError):
        together({1: meet, 2: meet}, at_once=1)


def test_nothing_asked_nothing_answered() -> None:
    assert together({}) == {}


def test_a_defect_is_not_an_answer() -> None:
    with pytest.raises(ZeroDivisionError):
        together({"x": broken})


# -- pace ------------------------------------------------------------------------------------------


def test_a_burst_goes_at_once_and_the_rest_at_the_rate() -> None:
    clock = Clock()
    pace = Pace(10, 3, clock=clock.monotonic, sleep=clock.sleep)
    for _ in range(5):
        pace.wait()
    assert clock.slept == pytest.approx([0.1, 0.2])


def test_a_rest_fills_the_burst_again_but_not_more() -> None:
    clock = Clock()
    pace = Pace(10, 2, clock=clock.monotonic, sleep=clock.sleep)
    for _ in range(2):
        pace.wait()
    clock.seconds = 60
    for _ in range(2):
        pace.wait()
    assert clock.slept == []
    pace.wait()
    assert clock.slept == pytest.approx([0.1])


def test_a_refusal_halves_the_rate_and_ends_the_burst() -> None:
    clock = Clock()
    pace = Pace(10, 5, clock=clock.monotonic, sleep=clock.sleep)
    pace.wait()
    pace.slower()
    pace.wait()
    pace.wait()
    assert clock.slept == pytest.approx([0.2, 0.4])


def test_threads_share_a_pace() -> None:
    clock = Clock()
    pace = Pace(5, 5, clock=clock.monotonic, sleep=clock.sleep)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: pace.wait(), range(20)))
    assert max(clock.slept) == pytest.approx(3.0)
    assert len(clock.slept) == 15


# -- answers ---------------------------------------------------------------------------------------


def test_an_answer_is_kept_with_its_date_for_the_next_process(tmp_path: Path) -> None:
    clock = Clock()
    Answers(tmp_path, clock=clock).put(KEY, {"L-1": 5.0})
    clock.now += timedelta(minutes=9)
    found = Answers(tmp_path, clock=clock).get(KEY, 10 * MINUTE)
    assert found is not None
    assert found.value == {"L-1": 5.0}
    assert found.asked == NOON


@pytest.mark.parametrize("later", [timedelta(minutes=11), timedelta(minutes=-1)])
def test_an_old_answer_is_none_and_so_is_one_from_the_future(
    tmp_path: Path, later: timedelta
) -> None:
    clock = Clock()
    Answers(tmp_path, clock=clock).put(KEY, 1)
    clock.now += later
    assert Answers(tmp_path, clock=clock).get(KEY, 10 * MINUTE) is None


@pytest.mark.parametrize(
    "other",
    [
        KEY._replace(account_id="444455556666"),
        KEY._replace(region="eu-west-1"),
        KEY._replace(question="ec2 quotas of another kind"),
    ],
)
def test_accounts_regions_and_questions_do_not_mix(tmp_path: Path, other: Key) -> None:
    Answers(tmp_path).put(KEY, 1)
    assert Answers(tmp_path).get(other, DAY) is None


def test_files_are_for_their_owner_alone_and_no_other_file_is_left(tmp_path: Path) -> None:
    Answers(tmp_path / "account").put(KEY, 1)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) == 1
    assert stat.S_IMODE(files[0].stat().st_mode) == 0o600


def test_forgetting_takes_what_was_known_but_not_what_it_learns(tmp_path: Path) -> None:
    clock = Clock()
    Answers(tmp_path, clock=clock).put(KEY, "old")
    clock.now += timedelta(seconds=1)
    refreshed = Answers(tmp_path, clock=clock)
    refreshed.forget()
    assert refreshed.get(KEY, DAY) is None
    refreshed.put(KEY, "new")
    clock.now += timedelta(seconds=1)
    for answers in (refreshed, Answers(tmp_path, clock=clock)):
        found = answers.get(KEY, DAY)
        assert found is not None
        assert found.value == "new"


def test_what_is_known_is_not_asked_again_and_errors_are_not_kept(tmp_path: Path) -> None:
    answers = Answers(tmp_path)
    with pytest.raises(JarkkitError):
        answers.ask(KEY, DAY, refused)
    assert answers.ask(KEY, DAY, lambda: "yes").value == "yes"
    assert answers.ask(KEY, DAY, refused).value == "yes"


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"question": "ec2 quotas"}', "\xff"])
def test_a_damaged_file_is_as_good_as_none(tmp_path: Path, damage: str) -> None:
    Answers(tmp_path).put(KEY, 1)
    (file,) = (path for path in tmp_path.rglob("*.json"))
    file.write_bytes(damage.encode("latin-1"))
    assert Answers(tmp_path).get(KEY, DAY) is None


def test_a_place_that_cannot_be_written_remembers_for_now(tmp_path: Path) -> None:
    (tmp_path / "account").write_text("a file, not a folder")
    answers = Answers(tmp_path / "account")
    answers.put(KEY, 1)
    assert answers.get(KEY, DAY) is not None
    assert Answers(tmp_path / "account").get(KEY, DAY) is None


def test_a_pretend_account_never_shares_the_users_folder(tmp_path: Path) -> None:
    cache = {"JARKKIT_CACHE": str(tmp_path)}
    assert answers_folder(cache) == tmp_path / "account"
    pretend = {**cache, "AWS_ENDPOINT_URL": "http://127.0.0.1:5000"}
    assert answers_folder(pretend) is None
    assert answers_folder({**pretend, "JARKKIT_ACCOUNT_CACHE": "/x"}) == Path("/x")
    assert Answers(None).ask(KEY, DAY, lambda: 1).value == 1
