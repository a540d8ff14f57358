"""Long polls: the server waits for a message before the call, so that it does not hold the lock.

The account serves one call at a time. A call that waits inside the account would block all other
callers, including the sender of the message.
"""

from __future__ import annotations

import json
import threading
from typing import Any
from urllib.parse import parse_qsl

from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.sqs.models import sqs_backends

from jarkkit.model.polling import poll
from jarkkit.sandbox.api_calls import Call

_MOST_SECONDS = 20.0
_LOOK_SECONDS = 0.2


def wait_for_message(
    call: Call, environ: dict[str, Any], lock: threading.Lock, stopping: threading.Event
) -> None:
    """Wait until the queue has a message or the call's WaitTimeSeconds are over.

    Args:
        lock: the lock that the server holds while it serves a request; the caller must not hold it.
        stopping: the event that ends all waiting.
    """
    request = request_members(call, environ["jarkkit.body"])
    if not (seconds := wait_seconds(request)):
        return
    for _ in poll(_LOOK_SECONDS, seconds, sleep=stopping.wait):
        with lock:
            if _has_message(_region(environ), str(request.get("QueueUrl"))):
                return


def request_members(call: Call, body: bytes) -> dict[str, Any]:
    """Return the request's members, in either protocol; empty for calls but ReceiveMessage."""
    if call.service != "sqs" or call.operation != "ReceiveMessage":
        return {}
    try:
        return dict(parse_qsl(body.decode()) if call.xml else json.loads(body))
    except ValueError:
        return {}


def wait_seconds(request: dict[str, Any]) -> float:
    """Return for how many seconds the call waits."""
    try:
        return min(_MOST_SECONDS, float(request.get("WaitTimeSeconds") or 0))
    except ValueError:
        return 0.0


def _region(environ: dict[str, Any]) -> str:
    """Return the Region from the signature's credential scope."""
    scope = environ.get("HTTP_AUTHORIZATION", "").partition("Credential=")[2].split("/")
    return str(scope[2]) if len(scope) > 2 else ""


def _has_message(region: str, url: str) -> bool:
    """Return True if the queue has a message, or does not exist, so that the call fails now."""
    queues: Any = sqs_backends[DEFAULT_ACCOUNT_ID]
    if region not in queues:
        return True
    queue: Any = queues[region].queues.get(url.rsplit("/", 1)[-1])
    return queue is None or any(message.visible for message in queue.messages)
