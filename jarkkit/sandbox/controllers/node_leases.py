"""Lets a restarted KWOK manage the nodes of its predecessor immediately.

KWOK holds the lease of every node that it manages, under a holder name that changes with each
start. A new KWOK waits until its predecessor's leases expire: minutes in which no pod starts or
ends.
"""

from __future__ import annotations

import contextlib
import threading
from datetime import UTC, datetime, timedelta

import psutil

from jarkkit.model.polling import wait_until
from jarkkit.sandbox.kubernetes.api import Api, ApiError
from jarkkit.sandbox.kubernetes.control_plane import LocalControlPlane

_LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
_NODES = "/api/v1/nodes"
KWOK_CONTROLLER = "kwok-controller"


# KWOK needs a second for a thousand leases.
_HELD_SECONDS, _POLL_SECONDS = 30.0, 0.2


def take_over(plane: LocalControlPlane, api: Api, stopping: threading.Event) -> None:
    """Delete the leases of an earlier KWOK, restart this one, and wait until it holds them.

    KWOK retries a lease that it could not acquire only rarely, so deleting alone is not enough. It
    reads the pods of a node, and with them which addresses are taken, when it acquires its lease;
    a pod that starts before could get the address of another one.
    Does nothing when the API server does not answer: pods then wait until the leases expire.
    Raises JK-SANDBOX-CLUSTER.

    Args:
        stopping: ends the wait.
    """
    kwok = next((part for part in plane.components() if part.name == KWOK_CONTROLLER), None)
    if kwok is None:
        return
    began = datetime.now(UTC) - timedelta(seconds=kwok.uptime)
    with contextlib.suppress(ApiError):
        if stale := _stale(api, began):
            with contextlib.suppress(psutil.Error):  # first, or it could take one of them again
                process = psutil.Process(kwok.pid)
                process.kill()
                process.wait(10)
            for name in stale:
                api.delete(f"{_LEASES}/{name}")
            plane.restart_dead()
            wait_until(
                lambda: _without_holder(api, stale),
                lambda waiting: not waiting,
                _POLL_SECONDS,
                _HELD_SECONDS,
                sleep=stopping.wait,
            )


def _stale(api: Api, before: datetime) -> frozenset[str]:
    """Return the names of the nodes whose leases were not renewed since that time."""
    return frozenset(
        str(lease["metadata"]["name"])
        for lease in api.list(_LEASES)
        if not (renewed := lease["spec"].get("renewTime"))
        or datetime.fromisoformat(renewed) < before
    )


def _without_holder(api: Api, names: frozenset[str]) -> frozenset[str]:
    """Return those of the nodes that still exist and whose lease is not held."""
    held = {
        lease["metadata"]["name"]
        for lease in api.list(_LEASES)
        if lease["spec"].get("holderIdentity")
    }
    return frozenset(names & {node["metadata"]["name"] for node in api.list(_NODES)} - held)
