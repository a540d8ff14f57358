"""Waiting: how often, how long, and what ends it."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from jarkkit.model.errors import JarkkitError
from jarkkit.model.polling import poll, wait_until


class SleepingClock:
    """A clock that only sleeping moves, or a call that takes time."""

    def __init__(self) -> None:
        self.seconds = 100.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.seconds += seconds


@pytest.fixture
def clock() -> SleepingClock:
    return SleepingClock()


def test_it_looks_at_once_then_after_each_pause_until_the_time_is_up(clock: SleepingClock) -> None:
    assert list(poll(2, 5, clock=clock, sleep=clock.sleep)) == [0, 2, 4, 6]
    assert clock.slept == [2, 2, 2]


def test_it_looks_once_if_there_is_no_time(clock: SleepingClock) -> None:
    assert list(poll(2, 0, clock=clock, sleep=clock.sleep)) == [0]
    assert list(poll(2, -1, clock=clock, sleep=clock.sleep)) == [0]
    assert clock.slept == []


def test_the_time_that_a_look_takes_counts(clock: SleepingClock) -> None:
    looks = 0
    for _ in poll(1, 5, clock=clock, sleep=clock.sleep):
        looks += 1
        clock.seconds += 4
    assert looks == 2
    assert clock.slept == [1]


def test_leaving_the_loop_ends_the_wait(clock: SleepingClock) -> None:
    for elapsed in poll(1, clock=clock, sleep=clock.sleep):
        if elapsed >= 3:
            break
    assert clock.slept == [1, 1, 1]


def test_pauses_can_grow_and_looks_be_counted(clock: SleepingClock) -> None:
    assert len(list(poll(0.5, attempts=4, growth=2, clock=clock, sleep=clock.sleep))) == 4
    assert clock.slept == [0.5, 1, 2]


def test_an_event_ends_the_wait() -> None:
    stop = threading.Event()
    looks = 0
    for _ in poll(30, sleep=stop.wait):
        looks += 1
        stop.set()
    assert looks == 1


def test_an_interrupt_ends_the_wait(clock: SleepingClock) -> None:
    def sleep(_: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(poll(1, clock=clock, sleep=sleep))


def counter() -> Callable[[], int]:
    return iter(range(100)).__next__


def test_the_first_accepted_value_is_returned(clock: SleepingClock) -> None:
    assert wait_until(counter(), lambda n: n == 3, 1, 9, clock=clock, sleep=clock.sleep) == 3
    assert clock.slept == [1, 1, 1]


def test_after_the_timeout_the_last_value_is_returned_or_an_error_made_of_it(
    clock: SleepingClock,
) -> None:
    assert wait_until(counter(), lambda n: n == 9, 1, 2, clock=clock, sleep=clock.sleep) == 2

    def error(value: int) -> JarkkitError:
        return JarkkitError("JK-DRILL-TIMEOUT", f"last {value}", "wait")

    with pytest.raises(JarkkitError, match="last 2"):
        wait_until(
            counter(), lambda n: n == 9, 1, 2, or_raise=error, clock=clock, sleep=clock.sleep
        )
