"""Difference between this machine's clock and AWS' clock."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from typing import Any

from botocore.exceptions import ClientError

from jarkkit.model.errors import JarkkitError
from jarkkit.ports.aws.session import AwsSession, translate_errors


def skew_seconds(session: AwsSession, clock: Callable[[], float] = time.time) -> float | None:
    """Return how many seconds the clock is ahead (behind: negative), or 0 if the duration of the
    call explains the difference; None if AWS' response has no date. Raises the call's JK-AWS-…
    errors.

    An error response has a date too: AWS rejects the call if the clock is wrong.
    """
    sent = clock()
    try:
        with translate_errors("sts GetCallerIdentity"):
            answer = session.client("sts").get_caller_identity()
    except JarkkitError as error:
        if not isinstance(error.__cause__, ClientError):
            raise
        answer = error.__cause__.response
    server_time = _date(answer)
    return None if server_time is None else skew_between(sent, clock(), server_time)


def skew_between(sent: float, received: float, server_time: float) -> float:
    """Return the skew from three times. The server's time is truncated to whole seconds."""
    if sent > server_time + 1:
        return sent - server_time - 1
    return min(0.0, received - server_time)


def _date(answer: Mapping[str, Any]) -> float | None:
    headers = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    try:
        return parsedate_to_datetime(headers["date"]).timestamp()
    except (KeyError, TypeError, ValueError):
        return None
