"""Pods that are not ready, and events about them, as the Kubernetes API returns them."""

from __future__ import annotations

from typing import Any

OLD = "2026-11-25T11:00:00Z"


def pod(
    name: str = "hub-1", *, node: str = "n1", status: dict[str, Any] | None = None, **spec: Any
) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "namespace": "jupyterhub", "creationTimestamp": OLD},
        "spec": {"containers": [{"name": "hub", "image": "hub:1"}], "nodeName": node, **spec},
        "status": {"phase": "Pending", **(status or {})},
    }


def waiting(reason: str, message: str = "", **more: Any) -> dict[str, Any]:
    state = {"waiting": {"reason": reason, "message": message}}
    return {"containerStatuses": [{"name": "hub", "image": "hub:1", "state": state, **more}]}


def event(kind: str, name: str, reason: str, message: str, when: str = OLD) -> dict[str, Any]:
    return {
        "metadata": {"creationTimestamp": when},
        "involvedObject": {"kind": kind, "name": name},
        "reason": reason,
        "message": message,
        "lastTimestamp": when,
    }
