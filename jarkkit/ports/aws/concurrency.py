"""Concurrent AWS calls below the API's rate limits.

Calls run in parallel, and the result of one that fails is `Unknown`. An API with a published rate
limit is called at that rate, so that it does not throttle.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from jarkkit.model.errors import JarkkitError
from jarkkit.model.unknown import Unknown

K = TypeVar("K")
V = TypeVar("V")

_AT_ONCE = 16


def gather(
    calls: Mapping[K, Callable[[], V]], *, max_workers: int = _AT_ONCE
) -> dict[K, V | Unknown]:
    """Make read-only calls in parallel and return their results by the same keys, in order.

    The result of a call that raises a `JarkkitError` is unknown. Raises other exceptions.

    Args:
        max_workers: maximum number of threads.
    """
    if not calls:
        return {}
    with ThreadPoolExecutor(min(max_workers, len(calls))) as pool:
        return dict(zip(calls, pool.map(_answer, calls.values()), strict=True))


def _answer(call: Callable[[], V]) -> V | Unknown:
    try:
        return call()
    except JarkkitError as error:
        return Unknown(error)


class RateLimiter:
    """Token bucket that limits calls to a burst and a rate, which can be lowered. Thread-safe.

    Args:
        per_second: the API's documented rate limit.
        burst: the API's documented burst limit.
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

    def acquire(self) -> None:
        """Wait until the next call is allowed. Callers proceed in order."""
        with self._lock:
            moment = self._clock()
            gained = (moment - self._counted) * self._per_second
            self._tokens = min(self._burst, self._tokens + gained) - 1
            self._counted = moment
            pause = max(0.0, -self._tokens / self._per_second)
        if pause:
            self._sleep(pause)

    def slow_down(self) -> None:
        """Halve the rate and drop saved tokens after throttling, since other clients share the
        limit."""
        with self._lock:
            self._per_second /= 2
            self._tokens = min(self._tokens, 0.0)
