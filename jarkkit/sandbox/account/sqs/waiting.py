"""Long polls, for the server: wait for a message before the call, so that the account stays free.

The account serves one call at a time. A call that waited inside would hold up everybody, and with
them whoever has the message.
"""

from __future__ import annotations

import json
import threading
import time
from typing import Any
from urllib.parse import parse_qsl

from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.sqs.models import sqs_backends

from jarkkit.sandbox.calls import Call

_MOST_SECONDS = 20.0
_LOOK_SECONDS = 0.2


def for_message(
    call: Call, environ: dict[str, Any], lock: threading.Lock, stopping: threading.Event
) -> None:
    """Return when the queue has a message, or the call's WaitTimeSeconds are over.

    Args:
        lock: held while somebody is served; not held by the caller.
        stopping: ends all waiting.
    """
    asked = members(call, environ["jarkkit.body"])
    until = time.monotonic() + patience(asked)
    while time.monotonic() < until:
        with lock:
            if _has_message(_region(environ), str(asked.get("QueueUrl"))):
                return
        if stopping.wait(_LOOK_SECONDS):
            return


def members(call: Call, body: bytes) -> dict[str, Any]:
    """The request's members, in either protocol; empty for all calls but ReceiveMessage."""
    if call.service != "sqs" or call.operation != "ReceiveMessage":
        return {}
    try:
        return dict(parse_qsl(body.decode()) if call.xml else json.loads(body))
    except ValueError:
        return {}


def patience(asked: dict[str, Any]) -> float:
    """For how many seconds the call would wait."""
    try:
        return min(_MOST_SECONDS, float(asked.get("WaitTimeSeconds") or 0))
    except ValueError:
        return 0.0


def _region(environ: dict[str, Any]) -> str:
    """From the signature's credential scope."""
    scope = environ.get("HTTP_AUTHORIZATION", "").partition("Credential=")[2].split("/")
    return str(scope[2]) if len(scope) > 2 else ""


def _has_message(region: str, url: str) -> bool:
    """True also for a queue that is not there: the call then says so, and need not wait."""
    queues: Any = sqs_backends[DEFAULT_ACCOUNT_ID]
    if region not in queues:
        return True
    queue: Any = queues[region].queues.get(url.rsplit("/", 1)[-1])
    return queue is None or any(message.visible for message in queue.messages)
