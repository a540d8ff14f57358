"""Decides from a workload's status whether it is ready. Pure.

https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#deployment-status
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple, get_args

from jarkkit.catalog.addons import Addon, AddonWorkload, WorkloadKind

Object = Mapping[str, Any]
WorkloadKey = tuple[str, str, str]

# A crash-looping pod is Ready for moments. Two or three restarts are normal while a program's
# dependencies start; after that it must stay up this long to count as ready.
_MANY_RESTARTS = 3
_STABLE = timedelta(seconds=10)


class ReplicaStatus(NamedTuple):
    """How many of a workload's desired pods are ready."""

    ready: int
    desired: int
    current: bool = True

    @property
    def is_ready(self) -> bool:
        """True when all desired pods of the newest generation are ready."""
        return self.current and self.ready >= self.desired

    def __str__(self) -> str:
        return f"{self.ready}/{self.desired}"


def workload_key(addon: Addon, workload: AddonWorkload) -> WorkloadKey:
    """Return kind, namespace and name of one of an add-on's workloads."""
    return (workload.kind, addon.namespace, workload.name)


def replica_status(kind: str, workload: Object) -> ReplicaStatus:
    """Return the replica status of a Deployment, StatefulSet or DaemonSet."""
    status = workload.get("status", {})
    current = status.get("observedGeneration", 0) >= workload["metadata"].get("generation", 0)
    if kind == "DaemonSet":
        desired = status.get("desiredNumberScheduled", 0)
        ready = min(status.get("numberReady", 0), status.get("updatedNumberScheduled", 0))
        return ReplicaStatus(ready, desired, current)
    desired = workload.get("spec", {}).get("replicas", 1)
    updated = status.get("updatedReplicas", 0) if kind == "Deployment" else desired
    return ReplicaStatus(min(status.get("readyReplicas", 0), updated), desired, current)


def replica_statuses(kind: str, workloads: Iterable[Object]) -> dict[WorkloadKey, ReplicaStatus]:
    """Return the replica statuses by kind, namespace and name."""
    return {
        (kind, w["metadata"]["namespace"], w["metadata"]["name"]): replica_status(kind, w)
        for w in workloads
    }


def all_replica_statuses(
    listed: Callable[[str], Iterable[Object]],
) -> dict[WorkloadKey, ReplicaStatus]:
    """Return the replica statuses of all kinds of workloads; `listed` lists the objects of one."""
    found: dict[WorkloadKey, ReplicaStatus] = {}
    for kind in get_args(WorkloadKind):
        found |= replica_statuses(kind, listed(kind))
    return found


def not_ready(
    addon: Addon, workloads: Iterable[AddonWorkload], there: Mapping[WorkloadKey, ReplicaStatus]
) -> list[AddonWorkload]:
    """Return the workloads that are absent, not ready or have fewer pods than the add-on needs."""
    return [w for w in workloads if not has_all_replicas(w, there.get(workload_key(addon, w)))]


def has_all_replicas(workload: AddonWorkload, found: ReplicaStatus | None) -> bool:
    """Return True when all pods that the add-on needs are ready."""
    if found is None:
        return False
    return found.is_ready and found.desired >= (workload.replicas or 0)


def is_scaled_to_zero(workload: AddonWorkload, found: ReplicaStatus) -> bool:
    """Return True when the add-on needs pods, and the workload asks for none."""
    return bool(workload.replicas) and found.desired == 0


def scale_command(addon: Addon, workload: AddonWorkload) -> str:
    """Return the command that gives the workload its pods back; a deploy leaves replicas alone."""
    kind = workload.kind.lower()
    return (
        f"kubectl -n {addon.namespace} scale {kind} {workload.name} --replicas={workload.replicas}"
    )


def is_crash_looping(pod: Object, at: datetime) -> bool:
    """Return True when one of its containers restarted often and has not stayed up since.

    Pods that have ended don't count: an evicted pod stays listed beside its replacement.
    """
    status = pod.get("status", {})
    if status.get("phase") != "Running" or pod["metadata"].get("deletionTimestamp"):
        return False
    containers = status.get("containerStatuses") or ()
    restarted = (c for c in containers if c.get("restartCount", 0) >= _MANY_RESTARTS)
    return any(_is_down_or_new(container.get("state", {}), at) for container in restarted)


def _is_down_or_new(state: Object, at: datetime) -> bool:
    started = state.get("running", {}).get("startedAt")
    return not started or at - datetime.fromisoformat(started) < _STABLE


def is_ready(pod: Mapping[str, Any]) -> bool:
    """Return True for a pod that is Ready and not being deleted."""
    if pod["metadata"].get("deletionTimestamp"):
        return False
    conditions = pod.get("status", {}).get("conditions") or ()
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)
