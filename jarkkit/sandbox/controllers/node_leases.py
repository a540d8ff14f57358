"""Lets a restarted KWOK manage the nodes of its predecessor immediately.

KWOK holds the lease of every node that it manages, under a holder name that changes with each
start. A new KWOK waits until its predecessor's leases expire: minutes in which no pod starts or
ends.
"""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime, timedelta

import psutil

from jarkkit.sandbox.kubernetes.api import Api, ApiError
from jarkkit.sandbox.kubernetes.control_plane import LocalControlPlane

_LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
KWOK_CONTROLLER = "kwok-controller"


def take_over(plane: LocalControlPlane, api: Api) -> None:
    """Delete the leases of an earlier KWOK, and restart this one.

    KWOK retries a lease that it could not acquire only rarely, so deleting alone is not enough.
    Does nothing when the API server does not answer: pods then wait until the leases expire.
    Raises JK-SANDBOX-CLUSTER.
    """
    kwok = next((part for part in plane.components() if part.name == KWOK_CONTROLLER), None)
    if kwok is None:
        return
    began = datetime.now(UTC) - timedelta(seconds=kwok.uptime)
    with contextlib.suppress(ApiError):
        if _forget(api, began):
            with contextlib.suppress(psutil.Error):
                process = psutil.Process(kwok.pid)
                process.kill()
                process.wait(10)
            plane.restart_dead()


def _forget(api: Api, before: datetime) -> bool:
    """Delete leases not renewed since that time; return True when there were any."""
    stale = []
    for lease in api.list(_LEASES):
        renewed = lease["spec"].get("renewTime")
        if not renewed or datetime.fromisoformat(renewed) < before:
            stale.append(f"{_LEASES}/{lease['metadata']['name']}")
    for path in stale:
        api.delete(path)
    return bool(stale)
