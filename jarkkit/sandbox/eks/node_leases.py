"""A KWOK that was started anew plays the nodes of the one before it at once.

KWOK holds the lease of every node that it plays, under a name that is new each time it starts, and
waits until the leases of the one before have run out: minutes in which no pod would move.
"""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime, timedelta

import psutil

from jarkkit.sandbox.cluster.api import Api
from jarkkit.sandbox.cluster.control_plane import ControlPlane

_LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
_KWOK = "kwok-controller"


def take_over(plane: ControlPlane, api: Api) -> None:
    """Forget leases of an earlier KWOK, and have this one begin without them.

    It looks at a lease that it could not get only once in a while, so forgetting is not enough.
    Raises ApiError, JK-SANDBOX-CLUSTER.
    """
    kwok = next((part for part in plane.components() if part.name == _KWOK), None)
    if kwok is None:
        return
    began = datetime.now(UTC) - timedelta(seconds=kwok.uptime)
    renewed = {
        lease["metadata"]["name"]: lease["spec"].get("renewTime") for lease in api.list(_LEASES)
    }
    stale = [name for name, when in renewed.items() if not when or _time(when) < began]
    for name in stale:
        api.delete(f"{_LEASES}/{name}")
    if stale:
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(kwok.pid)
            process.kill()
            process.wait(10)
        plane.revive()


def _time(words: str) -> datetime:
    return datetime.fromisoformat(words)
