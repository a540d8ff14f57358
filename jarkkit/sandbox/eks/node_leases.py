"""A KWOK that was started anew plays the nodes of the one before it at once.

KWOK holds the lease of every node that it plays, under a name that is new each time it starts, and
waits until the leases of the one before have run out: minutes in which no pod would move.
"""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime, timedelta

import psutil

from jarkkit.sandbox.cluster.api import Api, ApiError
from jarkkit.sandbox.cluster.control_plane import ControlPlane

_LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
KWOK = "kwok-controller"


def take_over(plane: ControlPlane, api: Api) -> None:
    """Forget leases of an earlier KWOK, and have this one begin without them.

    It looks at a lease that it could not get only once in a while, so forgetting is not enough.
    Without an API server nothing is done: pods then wait until the leases have run out.
    Raises JK-SANDBOX-CLUSTER.
    """
    kwok = next((part for part in plane.components() if part.name == KWOK), None)
    if kwok is None:
        return
    began = datetime.now(UTC) - timedelta(seconds=kwok.uptime)
    with contextlib.suppress(ApiError):
        if _forget(api, began):
            with contextlib.suppress(psutil.Error):
                process = psutil.Process(kwok.pid)
                process.kill()
                process.wait(10)
            plane.revive()


def _forget(api: Api, before: datetime) -> bool:
    """Delete what was not renewed since; True when there was any."""
    stale = []
    for lease in api.list(_LEASES):
        renewed = lease["spec"].get("renewTime")
        if not renewed or datetime.fromisoformat(renewed) < before:
            stale.append(f"{_LEASES}/{lease['metadata']['name']}")
    for path in stale:
        api.delete(path)
    return bool(stale)
