"""The one way to wait for a state that is not reported when it changes.

Who waits decides how often to look, how long, and what to do when the time is up: nothing, return
what is there, or raise an error. Nothing else sleeps in a loop; a test lists the few exceptions.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

from jarkkit.model.clock import monotonic

T = TypeVar("T")

Clock = Callable[[], float]
# Returns True to end the wait, as the `wait` of a threading.Event does.
Sleep = Callable[[float], object]


def poll(
    interval: float,
    timeout: float = math.inf,
    *,
    attempts: float = math.inf,
    growth: float = 1.0,
    clock: Clock = monotonic,
    sleep: Sleep = time.sleep,
) -> Iterator[float]:
    """Yield the seconds since the start, at once and after each pause, until the time is up.

    The body of the `for` loop looks, and leaves the loop when it has what it waits for. It runs at
    least once, and after `timeout` not again: what follows the loop deals with the timeout.

    Args:
        interval: seconds of the first pause.
        timeout: seconds after which no further pause starts; by default there is no limit.
        attempts: how often to look at most.
        growth: factor by which each pause is longer than the one before.
        clock: returns seconds; never goes backward.
        sleep: pauses for that many seconds. An error that it raises (KeyboardInterrupt) ends the
            loop, and so does a return value of True: pass an Event's `wait` to stop early.
    """
    began, elapsed, looks = clock(), 0.0, 1
    while True:
        yield elapsed
        if looks >= attempts or clock() - began >= timeout or sleep(interval) is True:
            return
        elapsed, looks, interval = clock() - began, looks + 1, interval * growth


def wait_until(
    read: Callable[[], T],
    done: Callable[[T], object],
    interval: float,
    timeout: float = math.inf,
    *,
    or_raise: Callable[[T], Exception] | None = None,
    clock: Clock = monotonic,
    sleep: Sleep = time.sleep,
) -> T:
    """Return the first value that `read` returns and `done` accepts.

    After the timeout, return the last value. Raises the error that `or_raise` makes of it, if
    given.
    """
    for _ in poll(interval, timeout, clock=clock, sleep=sleep):
        value = read()
        if done(value):
            return value
    if or_raise:
        raise or_raise(value)
    return value
