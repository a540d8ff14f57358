"""Concurrent calls and their rate limit."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from jarkkit.model.unknown import Unknown
from jarkkit.ports.aws.concurrency import RateLimiter, gather
from tests.support.fakes.clock import Clock, denied


def broken() -> str:
    raise ZeroDivisionError


def test_results_keep_the_order_of_the_calls_and_errors_are_unknown_results() -> None:
    found = gather({"b": lambda: "1", "denied": denied, "a": lambda: "2"})
    assert list(found) == ["b", "denied", "a"]
    assert found["b"] == "1"
    assert found["a"] == "2"
    assert isinstance(found["denied"], Unknown)
    assert found["denied"].reason.code == "JK-AWS-DENIED"


def test_calls_run_concurrently() -> None:
    barrier = threading.Barrier(8, timeout=60)
    assert set(gather(dict.fromkeys(range(8), barrier.wait)).values()) == set(range(8))


def test_at_most_max_workers_calls_run_at_once() -> None:
    barrier = threading.Barrier(2)

    def meet() -> int:
        return barrier.wait(timeout=0.1)

    with pytest.raises(threading.BrokenBarrierError):
        gather({1: meet, 2: meet}, max_workers=1)


def test_no_calls_give_no_results() -> None:
    assert gather({}) == {}


def test_an_unexpected_exception_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        gather({"x": broken})


def test_a_burst_runs_at_once_and_the_rest_at_the_rate() -> None:
    clock = Clock()
    limiter = RateLimiter(10, 3, clock=clock.monotonic, sleep=clock.sleep)
    for _ in range(5):
        limiter.acquire()
    assert clock.slept == pytest.approx([0.1, 0.2])


def test_a_pause_refills_the_burst_and_no_more() -> None:
    clock = Clock()
    limiter = RateLimiter(10, 2, clock=clock.monotonic, sleep=clock.sleep)
    for _ in range(2):
        limiter.acquire()
    clock.seconds = 60
    for _ in range(2):
        limiter.acquire()
    assert clock.slept == []
    limiter.acquire()
    assert clock.slept == pytest.approx([0.1])


def test_throttling_halves_the_rate_and_ends_the_burst() -> None:
    clock = Clock()
    limiter = RateLimiter(10, 5, clock=clock.monotonic, sleep=clock.sleep)
    limiter.acquire()
    limiter.slow_down()
    limiter.acquire()
    limiter.acquire()
    assert clock.slept == pytest.approx([0.2, 0.4])


def test_threads_share_a_rate() -> None:
    clock = Clock()
    limiter = RateLimiter(5, 5, clock=clock.monotonic, sleep=clock.sleep)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: limiter.acquire(), range(20)))
    assert max(clock.slept) == pytest.approx(3.0)
    assert len(clock.slept) == 15
