"""Findings about the cluster's pods. Pure.

`cluster/pod_failures` finds out why a pod is not ready; this module turns its results into findings
with their possible causes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from jarkkit.catalog.addons import Addon
from jarkkit.decisions.cluster.pod_status import PodFailure, PodOwner, owner_of
from jarkkit.decisions.cluster.readiness import is_ready
from jarkkit.decisions.diagnosis.findings import Finding, Rank

Object = Mapping[str, Any]

# A pod may take this long to become ready before it counts as a problem.
_READY_TIMEOUT = timedelta(seconds=45)
_STUCK_TIMEOUT = timedelta(minutes=5)


@dataclass(frozen=True)
class PodGroup:
    """Pods of one owner that are not ready.

    Attributes:
        wrong: the reason, where one is known.
    """

    owner: PodOwner
    pods: tuple[Object, ...]
    wrong: PodFailure | None = None


class PodObservations(NamedTuple):
    """The observed state of the cluster's pods.

    Attributes:
        groups: pods that are not ready, with the reason.
        events: the cluster's warnings and Karpenter's events, oldest first.
        placed: the owners of the pods on each node.
    """

    groups: tuple[PodGroup, ...] = ()
    events: tuple[Object, ...] = ()
    placed: Mapping[str, Iterable[str]] = {}


def unready_groups(pods: Iterable[Object]) -> tuple[PodGroup, ...]:
    """Group the pods that are not ready by their owner."""
    groups: dict[PodOwner, list[Object]] = {}
    for pod in pods:
        if not _healthy(pod):
            groups.setdefault(owner_of(pod), []).append(pod)
    return tuple(PodGroup(owner, tuple(members)) for owner, members in groups.items())


def _healthy(pod: Object) -> bool:
    succeeded = pod.get("status", {}).get("phase") == "Succeeded"
    return succeeded or is_ready(pod) or _is_idle_serve_worker(pod)


def _is_idle_serve_worker(pod: Object) -> bool:
    """Return True for a worker of a RayService that runs and is not ready: it has no replica.

    https://docs.ray.io/en/latest/cluster/kubernetes/ (troubleshooting of RayService)
    """
    labels = pod["metadata"].get("labels") or {}
    if labels.get("ray.io/originated-from-crd") != "RayService":
        return False
    statuses = pod.get("status", {}).get("containerStatuses") or ()
    running = statuses and all("running" in (s.get("state") or {}) for s in statuses)
    return bool(labels.get("ray.io/node-type") == "worker" and running)


def pod_findings(
    groups: Iterable[PodGroup],
    addons: Mapping[PodOwner, Addon],
    events: Sequence[Object],
    gone: Callable[[str], bool],
    now: datetime,
) -> Iterator[Finding]:
    """Report pods that are not ready, one finding per owner.

    Args:
        addons: the add-on that each owner belongs to.
        events: the cluster's warnings.
        gone: returns True for the name of a deleted node; Kubernetes deletes its pods some minutes
            later, and they are no problem.
    """
    for group in groups:
        stays = [
            pod
            for pod in group.pods
            if not pod["metadata"].get("deletionTimestamp") and not gone(_node_of(pod))
        ]
        if failure := group.wrong or _not_ready(stays, events, now) or _stuck(group.pods, now):
            yield _pods(group, failure, addons.get(group.owner))


def _pods(group: PodGroup, failure: PodFailure, addon: Addon | None) -> Finding:
    owner, pods = group.owner, group.pods
    core = addon is not None and addon.core
    nodes = {f"node:{pod['spec']['nodeName']}" for pod in pods if pod["spec"].get("nodeName")}
    waits = {"pools", "claims", "nodes", "addon:karpenter"}
    waits |= {"supply"} if failure.lacks_supply else set()
    plain = Rank.DEPENDENT_PODS if failure.follows else Rank.PODS
    return Finding(
        rank=Rank.CORE_PODS if core else plain,
        subject=str(owner),
        found=failure.evidence or f"{len(pods)} pods are not ready",
        why=f"{addon.title + ': ' if addon else ''}{failure.message}.",
        fix=failure.fix,
        code=failure.code,
        grave=any(pod.get("status", {}).get("phase") != "Failed" for pod in pods),
        explains=frozenset(
            {f"pods:{owner.namespace}/{owner.name}"}
            | {f"Pod:{owner.namespace}/{pod['metadata']['name']}" for pod in pods}
            | ({f"addon:{addon.name}"} if addon else set())
        ),
        follows=frozenset(
            failure.follows
            | nodes
            | _claims_of(pods)
            | (waits if failure.is_unscheduled else {"network"})
        ),
    )


def _node_of(pod: Object) -> str:
    return str(pod["spec"].get("nodeName") or "")


def _not_ready(
    pods: Sequence[Object], events: Sequence[Object], now: datetime
) -> PodFailure | None:
    """Report a pod that is not ready although no container shows why; a probe may fail."""
    old = [pod for pod in pods if now - _since(pod) > _READY_TIMEOUT]
    lost = [pod for pod in pods if _lost_its_node(pod)]
    if not old and not lost:
        return None
    pod = (lost or old)[0]
    meta = pod["metadata"]
    name = f"{meta['namespace']}/{meta['name']}"
    own = [e for e in events if concerns(e, meta["name"])]
    probes = [e for e in own if e.get("reason") == "Unhealthy"]
    describe = f"kubectl -n {meta['namespace']} describe pod {meta['name']}"
    evidence = (
        f"{(probes or own)[-1].get('reason', '')}: {(probes or own)[-1].get('message', '')}"
        if own
        else "no event and no container shows why"
    )
    if not probes and not _node_of(pod):
        return PodFailure(
            "JK-ADDON-PENDING",
            f"pod {name} has no node, and jarkkit does not know why",
            f"Read its conditions and events: {describe}",
            evidence,
        )
    if not probes and not _has_started(pod):
        return PodFailure(
            "JK-ADDON-TIMEOUT",
            f"pod {name} has a node, but its containers have not started",
            f"Read its events: {describe}. A large image takes minutes.",
            evidence,
        )
    return PodFailure(
        "JK-ADDON-TIMEOUT",
        f"pod {name} runs but is not ready",
        f"Read its log: kubectl -n {meta['namespace']} logs {meta['name']}. Its events show "
        f"a failing probe: {describe}",
        evidence,
    )


def _has_started(pod: Object) -> bool:
    statuses = pod.get("status", {}).get("containerStatuses") or ()
    return any("waiting" not in status.get("state", {}) or status.get("lastState")
               for status in statuses)  # fmt: skip


def _since(pod: Object) -> datetime:
    """Return since when it is not ready: its creation or the last change."""
    conditions = pod.get("status", {}).get("conditions") or ()
    ready: Object = next((c for c in conditions if c["type"] == "Ready"), {})
    moment = ready.get("lastTransitionTime") or pod["metadata"]["creationTimestamp"]
    return datetime.fromisoformat(moment)


def _lost_its_node(pod: Object) -> bool:
    """Return True when all its containers are ready, so that its node must be unreachable."""
    statuses = pod.get("status", {}).get("containerStatuses") or ()
    return bool(statuses) and all(status.get("ready") for status in statuses)


def _stuck(pods: Sequence[Object], now: datetime) -> PodFailure | None:
    for pod in pods:
        meta = pod["metadata"]
        requested_at = meta.get("deletionTimestamp")
        if requested_at and now - datetime.fromisoformat(requested_at) > _STUCK_TIMEOUT:
            finalizers = ", ".join(meta.get("finalizers") or ()) or "none"
            return PodFailure(
                "JK-ADDON-FAILED",
                f"pod {meta['namespace']}/{meta['name']} is stuck in Terminating",
                "Its node is gone, or a finalizer blocks its deletion. If that does not change: "
                f"kubectl -n {meta['namespace']} delete pod {meta['name']} --force",
                f"deletion was requested at {requested_at}; finalizers: {finalizers}",
            )
    return None


def _claims_of(pods: Iterable[Object]) -> set[str]:
    return {
        f"claim:{pod['metadata']['namespace']}/{volume['persistentVolumeClaim']['claimName']}"
        for pod in pods
        for volume in pod["spec"].get("volumes") or ()
        if "persistentVolumeClaim" in volume
    }


def concerns(event: Object, name: str) -> bool:
    """Return True when the event is about the object of that name."""
    return bool(event.get("involvedObject", {}).get("name") == name)
