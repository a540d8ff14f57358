"""Kubernetes Events as controllers record them: what you read in `kubectl describe`."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import NamedTuple

from jarkkit.sandbox.kubernetes.api import Api, ApiError, Object


class EventContent(NamedTuple):
    """An event's content: type is Normal or Warning, source the reporting component."""

    type: str
    reason: str
    message: str
    source: str


def record_event(api: Api, about: Object, content: EventContent) -> None:
    """Record an event, or increase the count of an equal one.

    Args:
        about: the involved object, with apiVersion and kind.
    """
    meta = about["metadata"]
    space = meta.get("namespace") or "default"
    digest = hashlib.sha256(repr((meta["uid"], content)).encode()).hexdigest()[:16]
    path = f"/api/v1/namespaces/{space}/events"
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    name = f"{meta['name'][:200]}.{digest}"
    known = api.find(f"{path}/{name}")
    if known:
        again = {"count": known.get("count", 1) + 1, "lastTimestamp": now}
        api.patch(f"{path}/{name}", again)
        return
    event = {
        "metadata": {"name": name, "namespace": space},
        "involvedObject": {
            "apiVersion": about["apiVersion"],
            "kind": about["kind"],
            "name": meta["name"],
            "uid": meta["uid"],
            **({"namespace": meta["namespace"]} if "namespace" in meta else {}),
        },
        "type": content.type,
        "reason": content.reason,
        "message": content.message[:1024],
        "source": {"component": content.source},
        "reportingComponent": content.source,
        "firstTimestamp": now,
        "lastTimestamp": now,
        "count": 1,
    }
    try:
        api.create(path, event)
    except ApiError as error:
        if error.status not in (403, 404, 409):  # its namespace is being deleted
            raise
