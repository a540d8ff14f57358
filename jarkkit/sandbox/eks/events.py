"""Events as controllers record them: what a user reads in `kubectl describe`."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import NamedTuple

from jarkkit.sandbox.cluster.api import Api, ApiError, Object


class Said(NamedTuple):
    """What is told: type is Normal or Warning, source the component that tells it."""

    type: str
    reason: str
    message: str
    source: str


def tell(api: Api, about: Object, said: Said) -> None:
    """Record it, or count once more what was recorded before.

    Args:
        about: the object, with apiVersion and kind.
    """
    meta = about["metadata"]
    space = meta.get("namespace") or "default"
    digest = hashlib.sha256(repr((meta["uid"], said)).encode()).hexdigest()[:16]
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
        "type": said.type,
        "reason": said.reason,
        "message": said.message[:1024],
        "source": {"component": said.source},
        "reportingComponent": said.source,
        "firstTimestamp": now,
        "lastTimestamp": now,
        "count": 1,
    }
    try:
        api.create(path, event)
    except ApiError as error:
        if error.status not in (403, 404, 409):  # its namespace is about to go
            raise
