"""Lets a restarted KWOK manage the nodes of its predecessor immediately.

KWOK holds the lease of every node that it manages, under a holder name that changes with each
start. A new KWOK waits until its predecessor's leases expire: minutes in which no pod starts or
ends.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection
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


def take_over(plane: LocalControlPlane, api: Api) -> None:
    """Delete the leases of an earlier KWOK, restart this one, and wait until it holds them.

    KWOK retries a lease that it could not acquire only rarely, so deleting alone is not enough. It
    reads the pods of a node, and with them which addresses are taken, when it acquires its lease;
    a pod that starts before could get the address of another one.
    Does nothing when the API server does not answer: pods then wait until the leases expire.
    Raises JK-SANDBOX-CLUSTER.
    """
    kwok = next((part for part in plane.components() if part.name == KWOK_CONTROLLER), None)
    if kwok is None:
        return
    began = datetime.now(UTC) - timedelta(seconds=kwok.uptime)
    with contextlib.suppress(ApiError):
        if stale := _forget(api, began):
            with contextlib.suppress(psutil.Error):
                process = psutil.Process(kwok.pid)
                process.kill()
                process.wait(10)
            plane.restart_dead()
            expected = stale & {str(node["metadata"]["name"]) for node in api.list(_NODES)}
            wait_until(lambda: _held(api), expected.issubset, _POLL_SECONDS, _HELD_SECONDS)


def _forget(api: Api, before: datetime) -> frozenset[str]:
    """Delete leases not renewed since that time; return the names of their nodes."""
    stale = set()
    for lease in api.list(_LEASES):
        renewed = lease["spec"].get("renewTime")
        if not renewed or datetime.fromisoformat(renewed) < before:
            stale.add(str(lease["metadata"]["name"]))
    for name in stale:
        api.delete(f"{_LEASES}/{name}")
    return frozenset(stale)


def _held(api: Api) -> Collection[str]:
    """Return the names of the nodes whose lease is held."""
    return {
        str(lease["metadata"]["name"])
        for lease in api.list(_LEASES)
        if lease["spec"].get("holderIdentity")
    }
