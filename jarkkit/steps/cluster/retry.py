"""Retries an add-on's install while webhooks and CRDs of other add-ons come up.

`ports/helm/retry.py` retries one Helm action while the API server is unavailable; this repeats the
whole install of an add-on: the objects before its chart, the release, the objects after it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from jarkkit.model.clock import monotonic
from jarkkit.model.errors import Interrupted, JarkkitError

_ATTEMPTS, _RETRY_SECONDS = 20, 0.7
# Start no attempt later than this after the first error: the ports have already retried while the
# API server did not answer, so each of 20 attempts could take another minute. Time before the first
# error does not count, because a chart's hooks may run for minutes before the API server restarts.
_WINDOW_SECONDS = 60.0


def with_retries(
    call: Callable[[], None], stop: threading.Event, clock: Callable[[], float] = monotonic
) -> None:
    """Call it, and retry transient errors for about a minute, or until `stop` is set.

    Raises the last error, and JK-INTERRUPTED when `stop` is set.
    """
    failed_at: float | None = None
    for left in reversed(range(_ATTEMPTS)):
        if stop.is_set():
            raise Interrupted(
                "JK-INTERRUPTED",
                "The installation was stopped.",
                "Deploy again: it resumes where it stopped.",
            )
        try:
            call()
        except JarkkitError as error:
            failed_at = clock() if failed_at is None else failed_at
            if not left or not error.transient or clock() - failed_at > _WINDOW_SECONDS:
                raise
            stop.wait(_RETRY_SECONDS)
        else:
            return
