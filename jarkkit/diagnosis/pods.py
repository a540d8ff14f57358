"""What the cluster says of its pods. Pure.

Why a pod is not ready is judged in `cluster/pod_troubles`; here troubles become findings that know
what they may follow from.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from jarkkit.addons.catalogue import Addon
from jarkkit.cluster.pod_inquiry import is_ready
from jarkkit.cluster.pod_troubles import Trouble
from jarkkit.diagnosis.findings import Finding, Rank

Object = Mapping[str, Any]

# So long a pod may be about to become ready without anything being wrong.
_PATIENCE = timedelta(seconds=45)
_STUCK = timedelta(minutes=5)
_SUPPLY = ("JK-AWS-CAPACITY", "JK-AWS-QUOTA")
_PENDING = ("JK-ADDON-PENDING", *_SUPPLY)


class Owner(NamedTuple):
    """Whose pods they are; a bare pod is its own owner."""

    namespace: str
    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}"


@dataclass(frozen=True)
class Group:
    """Pods of one owner that are not ready.

    Attributes:
        wrong: what is wrong with them, where something says so.
    """

    owner: Owner
    pods: tuple[Object, ...]
    wrong: Trouble | None = None


class PodsSeen(NamedTuple):
    """What was seen of the cluster's pods.

    Attributes:
        groups: those that are not ready, with what is wrong.
        events: the cluster's warnings, and what Karpenter said; oldest first.
        placed: by node whose pods run there.
    """

    groups: tuple[Group, ...] = ()
    events: tuple[Object, ...] = ()
    placed: Mapping[str, Iterable[str]] = {}


def unwell(pods: Iterable[Object]) -> tuple[Group, ...]:
    """Pods that are not ready, by their owner."""
    groups: dict[Owner, list[Object]] = {}
    for pod in pods:
        if not _settled(pod):
            groups.setdefault(owner_of(pod), []).append(pod)
    return tuple(Group(owner, tuple(members)) for owner, members in groups.items())


def _settled(pod: Object) -> bool:
    return pod.get("status", {}).get("phase") == "Succeeded" or is_ready(pod)


def owner_of(pod: Object) -> Owner:
    """The workload above it: a ReplicaSet stands for its Deployment."""
    meta = pod["metadata"]
    above = next((o for o in meta.get("ownerReferences") or () if o.get("controller")), None)
    if above is None:
        return Owner(meta["namespace"], "Pod", meta["name"])
    hashed = (meta.get("labels") or {}).get("pod-template-hash")
    if above["kind"] == "ReplicaSet" and hashed:
        name = str(above["name"]).removesuffix(f"-{hashed}")
        return Owner(meta["namespace"], "Deployment", name)
    return Owner(meta["namespace"], above["kind"], above["name"])


def pod_findings(
    groups: Iterable[Group],
    addons: Mapping[Owner, Addon],
    events: Sequence[Object],
    gone: Callable[[str], bool],
    now: datetime,
) -> Iterator[Finding]:
    """Pods that are not ready, one finding per owner.

    Args:
        addons: whose workloads they are.
        events: the cluster's warnings.
        gone: true for the name of a node that is no more; its pods are taken away some minutes
            later, and are missed by nobody.
    """
    for group in groups:
        stays = [
            pod
            for pod in group.pods
            if not pod["metadata"].get("deletionTimestamp") and not gone(_node_of(pod))
        ]
        if wrong := group.wrong or _silent(stays, events, now) or _leaving(group.pods, now):
            yield _pods(group, wrong, addons.get(group.owner))


def _pods(group: Group, wrong: Trouble, addon: Addon | None) -> Finding:
    owner, pods = group.owner, group.pods
    core = addon is not None and addon.core
    nodes = {f"node:{pod['spec']['nodeName']}" for pod in pods if pod["spec"].get("nodeName")}
    waits = {"pools", "claims", "nodes", "addon:karpenter"}
    waits |= {"supply"} if wrong.code in _SUPPLY else set()
    return Finding(
        rank=Rank.CORE_PODS if core else Rank.PODS,
        subject=str(owner),
        found=wrong.evidence or f"{len(pods)} pods are not ready",
        why=f"{addon.title + ': ' if addon else ''}{wrong.message}.",
        fix=wrong.fix,
        code=wrong.code,
        grave=any(pod.get("status", {}).get("phase") != "Failed" for pod in pods),
        explains=frozenset(
            {f"pods:{owner.namespace}/{owner.name}"} | ({f"addon:{addon.name}"} if addon else set())
        ),
        follows=frozenset(
            nodes | _claims_of(pods) | (waits if wrong.code in _PENDING else {"network"})
        ),
    )


def _node_of(pod: Object) -> str:
    return str(pod["spec"].get("nodeName") or "")


def _silent(pods: Sequence[Object], events: Sequence[Object], now: datetime) -> Trouble | None:
    """They run, or are about to, are not ready, and no container says why: a probe may."""
    old = [pod for pod in pods if now - _since(pod) > _PATIENCE]
    lost = [pod for pod in pods if _lost_its_node(pod)]
    if not old and not lost:
        return None
    pod = (lost or old)[0]
    meta = pod["metadata"]
    name = f"{meta['namespace']}/{meta['name']}"
    said = [e for e in events if is_about(e, meta["name"]) and e.get("reason") == "Unhealthy"]
    return Trouble(
        "JK-ADDON-TIMEOUT",
        f"pod {name} runs and is not ready",
        f"Ask what it waits for: kubectl -n {meta['namespace']} logs {meta['name']}; a probe that "
        f"fails is among its events: kubectl -n {meta['namespace']} describe pod {meta['name']}",
        str(said[-1].get("message", "")) if said else "no event and no container says why",
    )


def _since(pod: Object) -> datetime:
    """When it was last otherwise: made, or ready."""
    conditions = pod.get("status", {}).get("conditions") or ()
    ready: Object = next((c for c in conditions if c["type"] == "Ready"), {})
    moment = ready.get("lastTransitionTime") or pod["metadata"]["creationTimestamp"]
    return datetime.fromisoformat(moment)


def _lost_its_node(pod: Object) -> bool:
    """All its containers say that they are ready: it is the node that nobody hears."""
    statuses = pod.get("status", {}).get("containerStatuses") or ()
    return bool(statuses) and all(status.get("ready") for status in statuses)


def _leaving(pods: Sequence[Object], now: datetime) -> Trouble | None:
    for pod in pods:
        meta = pod["metadata"]
        asked = meta.get("deletionTimestamp")
        if asked and now - datetime.fromisoformat(asked) > _STUCK:
            held = ", ".join(meta.get("finalizers") or ()) or "none"
            return Trouble(
                "JK-ADDON-FAILED",
                f"pod {meta['namespace']}/{meta['name']} does not go away",
                "Its node is gone, or a finalizer holds it. When that is so for good: "
                f"kubectl -n {meta['namespace']} delete pod {meta['name']} --force",
                f"deletion was asked for at {asked}; finalizers: {held}",
            )
    return None


def _claims_of(pods: Iterable[Object]) -> set[str]:
    return {
        f"claim:{pod['metadata']['namespace']}/{volume['persistentVolumeClaim']['claimName']}"
        for pod in pods
        for volume in pod["spec"].get("volumes") or ()
        if "persistentVolumeClaim" in volume
    }


def is_about(event: Object, name: str) -> bool:
    """True when it says something of the object of that name."""
    return bool(event.get("involvedObject", {}).get("name") == name)
