"""Asking an account many things at once, without asking too fast.

Answers are waited for side by side, each refusal is an answer of its own, and an API with a
published rate is called at that rate instead of being called until it refuses.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from jarkkit.errors import JarkkitError

K = TypeVar("K")
V = TypeVar("V")

_AT_ONCE = 16


def together(
    calls: Mapping[K, Callable[[], V]], *, at_once: int = _AT_ONCE
) -> dict[K, V | JarkkitError]:
    """Make read-only calls side by side. Their answers by the same keys, in the same order; where
    a call raised a `JarkkitError`, the error is the answer. Other exceptions are raised.

    Args:
        at_once: how many threads wait at most.
    """
    if not calls:
        return {}
    with ThreadPoolExecutor(min(at_once, len(calls))) as pool:
        return dict(zip(calls, pool.map(_answer, calls.values()), strict=True))


def _answer(call: Callable[[], V]) -> V | JarkkitError:
    try:
        return call()
    except JarkkitError as error:
        return error


class Pace:
    """Lets so many calls through at once and so many a second after that; fewer when told that it
    was too many. Good for many threads.

    Args:
        per_second: the API's documented rate.
        burst: how many may go at once; the API's documented burst.
    """

    def __init__(
        self,
        per_second: float,
        burst: int,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._per_second = per_second
        self._burst = burst
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()
        self._tokens = float(burst)
        self._counted = clock()

    def wait(self) -> None:
        """Return when the next call may be made. Callers are let through in turn."""
        with self._lock:
            moment = self._clock()
            gained = (moment - self._counted) * self._per_second
            self._tokens = min(self._burst, self._tokens + gained) - 1
            self._counted = moment
            pause = max(0.0, -self._tokens / self._per_second)
        if pause:
            self._sleep(pause)

    def slower(self) -> None:
        """A call was refused, others share the rate: half as many from now on, and none saved."""
        with self._lock:
            self._per_second /= 2
            self._tokens = min(self._tokens, 0.0)
