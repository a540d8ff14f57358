"""The one function with which tests wait for a condition."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any, TypeVar

from kubernetes.client import ApiException

from jarkkit.model.polling import poll
from jarkkit.sandbox.kubernetes.api import ApiError

T = TypeVar("T")

# On an idle machine nothing takes a third of its timeout. On a real cluster the kubelet pulls
# images, and load balancers take minutes.
_REAL = bool(os.environ.get("JARKKIT_TEST_KUBECONFIG"))
TIMEOUT_SECONDS = 600.0 if _REAL else 90.0
# A machine that other work keeps busy gets this many times as long. Only a failure waits for it.
_BUSY = 4.0
PAUSE_SECONDS = 0.5 if _REAL else 0.1


def is_not_found(error: Exception) -> bool:
    """Return whether the error means that an object does not exist yet."""
    return isinstance(error, ApiError) or (isinstance(error, ApiException) and error.status == 404)


def wait_for(
    ask: Callable[[], T],
    seconds: float = TIMEOUT_SECONDS,
    *,
    pause: float = PAUSE_SECONDS,
    not_yet: Callable[[Exception], bool] = is_not_found,
    sleep: Callable[[float], object] = time.sleep,
    saying: Callable[[], object] = str,
) -> T:
    """Return the first true value of `ask`.

    Args:
        ask: the condition; it is called until its value is true.
        seconds: how long it may take on an idle machine; the test fails after four times that.
        pause: seconds between two calls.
        not_yet: whether an error of `ask` means that it has to be called again.
        sleep: waits for the pause.
        saying: more details for the message of a timeout.
    """
    limit = _BUSY * seconds
    for _ in poll(pause, limit, sleep=sleep):
        value: Any = None
        last_error: Exception | None = None
        try:
            value = ask()
        except Exception as error:
            if not not_yet(error):
                raise
            last_error = error
        if value:
            return value  # type: ignore[no-any-return]
    last = last_error or value
    raise AssertionError(f"timed out after {limit:g} s; last: {last} {saying()}") from last_error
