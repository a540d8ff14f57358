"""How far this machine's clock is from AWS'."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from typing import Any

from botocore.exceptions import ClientError

from jarkkit.aws.session import Session, translated
from jarkkit.errors import JarkkitError


def skew_seconds(session: Session, clock: Callable[[], float] = time.time) -> float | None:
    """How many seconds the clock is ahead (behind: negative), 0 where the time that the call took
    explains it; None where AWS' answer has no date. Raises the JK-AWS-… of the call.

    A refusal tells the time as well: with a wrong clock the call is refused.
    """
    sent = clock()
    try:
        with translated("sts GetCallerIdentity"):
            answer = session.client("sts").get_caller_identity()
    except JarkkitError as error:
        if not isinstance(error.__cause__, ClientError):
            raise
        answer = error.__cause__.response
    told = _date(answer)
    return None if told is None else between(sent, clock(), told)


def between(sent: float, received: float, told: float) -> float:
    """The same from three times. What was told is a whole second, cut off."""
    if sent > told + 1:
        return sent - told - 1
    return min(0.0, received - told)


def _date(answer: Mapping[str, Any]) -> float | None:
    headers = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    try:
        return parsedate_to_datetime(headers["date"]).timestamp()
    except (KeyError, TypeError, ValueError):
        return None
