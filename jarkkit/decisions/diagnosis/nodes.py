"""Findings about the cluster's nodes and about what Karpenter launches. Pure.

Conditions of nodes: https://kubernetes.io/docs/reference/node/node-status/, of NodeClaims and
pools: https://karpenter.sh/docs/concepts/nodeclaims/ and …/nodepools/ (Karpenter 1.14).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar

from jarkkit.decisions.cluster.pod_failures import CAPACITY_MESSAGES, QUOTA_MESSAGES
from jarkkit.decisions.cluster.scheduling import UNANNOUNCED
from jarkkit.decisions.cluster.supply import ClusterSupply, instance_type, unannounced
from jarkkit.decisions.diagnosis.account import JOIN_TIMEOUT
from jarkkit.decisions.diagnosis.findings import Finding, Rank, short_list
from jarkkit.model.kubernetes_values import event_time

Object = Mapping[str, Any]
E = TypeVar("E", bound=Mapping[str, Any])

# Conditions that are bad when true; Ready and those of EKS' node monitoring agent are bad when
# false (https://docs.aws.amazon.com/eks/latest/userguide/node-health.html).
_BAD = ("MemoryPressure", "DiskPressure", "PIDPressure", "NetworkUnavailable")
_GOOD = ("KernelReady", "NetworkingReady", "StorageReady", "ContainerRuntimeReady",
         "AcceleratedHardwareReady")  # fmt: skip
_POOL = "karpenter.sh/nodepool"
_STEPS = ("Launched", "Registered", "Initialized")
_DENIED = ("UnauthorizedOperation", "AccessDenied", "is not authorized to perform")
# Karpenter retries unavailable instances after three minutes.
RECENT = timedelta(minutes=6)
# A kubelet reports not Ready as soon as it has registered its node.
_REGISTRATION = timedelta(seconds=30)


def instance_id_of(node: Object) -> str:
    """Return the instance behind a Node or NodeClaim; empty where there is none."""
    provider = node.get("spec", {}).get("providerID") or node.get("status", {}).get("providerID")
    return str(provider or "").rpartition("/")[2]


def node_findings(
    nodes: Iterable[Object], placed: Mapping[str, Iterable[str]], now: datetime
) -> Iterator[Finding]:
    """Report nodes that are not Ready, or have a condition with a problem.

    Args:
        placed: the owners of the pods on each node.
    """
    for node in nodes:
        problems = [*_unready(node), *_bad_conditions(node)]
        if not problems:
            continue
        name, unready, joining = node["metadata"]["name"], bool(_unready(node)), _joins(node, now)
        yield Finding(
            rank=Rank.NODE,
            subject=f"Node {name}",
            found="; ".join([*problems, *_affected(placed.get(name, ()))]),
            why=_WHY[unready, joining],
            fix="Check again in a few minutes."
            if joining
            else f"Read its conditions: kubectl describe node {name}. Karpenter replaces its own "
            "nodes; in a node group, terminate the instance, and EKS launches another.",
            code="JK-NODE-NOT-READY",
            grave=unready and not joining,
            explains=frozenset({f"node:{name}", "nodes"} if unready else ()),
            follows=frozenset({f"instance:{instance_id_of(node)}", "network"}),
        )


_WHY = {
    (True, True): "It is new and may still be joining.",
    (True, False): "Its kubelet has stopped, or the instance has no memory, disk or network left. "
    "Its pods count as not ready; after five minutes Kubernetes evicts them.",
    (False, False): "It is Ready, but one of its conditions reports a problem.",
    (False, True): "It is Ready, but one of its conditions reports a problem.",
}


def _joins(node: Object, now: datetime) -> bool:
    """Return True for a new node that has not been Ready yet."""
    made = datetime.fromisoformat(node["metadata"]["creationTimestamp"])
    changed = _ready(node).get("lastTransitionTime")
    was_ready = changed and datetime.fromisoformat(changed) - made > _REGISTRATION
    return now - made < JOIN_TIMEOUT and not was_ready


def _ready(node: Object) -> Object:
    return next(iter(_conditions(node, ("Ready",))), {})


def _unready(node: Object) -> list[str]:
    ready = _ready(node)
    if ready.get("status") == "True":
        return []
    reason = f"{ready.get('reason', '')} {ready.get('message', '')}".strip()
    return [f"not Ready: {reason or 'its kubelet reports nothing'}"]


def _affected(owners: Iterable[str]) -> Iterator[str]:
    if owners:
        yield f"affected pods: {short_list(owners)}"


def _bad_conditions(node: Object) -> Iterator[str]:
    for condition in node.get("status", {}).get("conditions") or ():
        kind, status = condition["type"], condition["status"]
        if (kind in _BAD and status == "True") or (kind in _GOOD and status == "False"):
            yield f"{kind}: {condition.get('reason', '')} {condition.get('message', '')}".strip()


def accelerator_findings(supply: ClusterSupply, addons: Iterable[str]) -> Iterator[Finding]:
    """Report nodes whose accelerators no device plugin announces.

    Args:
        addons: the enabled add-ons that install device plugins.
    """
    silent: dict[str, list[Object]] = {}
    for node, resource in unannounced(supply):
        silent.setdefault(resource, []).append(node)
    for resource, found in silent.items():
        named = [f"{node['metadata']['name']} ({instance_type(node)})" for node in found]
        yield Finding(
            rank=Rank.ACCELERATOR,
            subject=f"Accelerators {resource}",
            found=f"announced by none of {short_list(named)}, which have them",
            why="Their device plugin does not work there, so pods that request the resource stay "
            "pending although the nodes cost money.",
            fix="Read the log of the device plugin's pod on the node: kubectl get pods -A -o wide "
            "--field-selector spec.nodeName=NODE. If there is none, enable its add-on.",
            code="JK-NODE-NOT-READY",
            explains=frozenset({UNANNOUNCED}),
            follows=frozenset(
                {f"addon:{name}" for name in addons}
                | {f"node:{node['metadata']['name']}" for node in found}
            ),
        )


def foreign_pool_findings(
    pools: Iterable[Object], classes: Iterable[Object], own: Collection[str]
) -> Iterator[Finding]:
    """Report node pools and node classes that are not jarkkit's and are not Ready.

    Args:
        own: the names of those that the settings ask for.
    """
    for item in (*pools, *classes):
        name, kind = item["metadata"]["name"], item.get("kind", "NodePool")
        ready = _conditions(item, ("Ready",))
        if name in own or not ready or ready[0]["status"] == "True":
            continue
        messages = [
            f"{c['type']}: {c.get('message') or c.get('reason', '')}"
            for c in item.get("status", {}).get("conditions") or ()
            if c["status"] != "True"
        ]
        yield Finding(
            rank=Rank.POOL,
            subject=f"{kind} {name}",
            found="; ".join(messages[:3]) or "not Ready",
            why="Karpenter launches no nodes for it.",
            fix="Correct what the message names. jarkkit's node classes are cpu and accelerator: "
            "kubectl get ec2nodeclass",
            code="JK-VERIFY-FAILED",
            explains=frozenset({f"pool:{name}"}),
            follows=frozenset({"addon:karpenter"}),
        )


def claim_findings(claims: Iterable[Object], now: datetime) -> Iterator[Finding]:
    """Report NodeClaims that have not become nodes."""
    for claim in claims:
        meta = claim["metadata"]
        if meta.get("deletionTimestamp"):
            continue
        behind = next((c for c in _conditions(claim, _STEPS) if c["status"] != "True"), None)
        if behind is None:
            continue
        age = now - datetime.fromisoformat(meta["creationTimestamp"])
        pool = (meta.get("labels") or {}).get(_POOL, "")
        reason = f"{behind.get('reason', '')}: {behind.get('message', '')}".strip(": ")
        yield Finding(
            rank=Rank.NODE_CLAIM,
            subject=f"NodeClaim {meta['name']}",
            found=f"not {behind['type']} after {round(age.total_seconds())} s: {reason}",
            why="Karpenter gives up after 15 minutes and tries another instance."
            if behind["type"] == "Registered"
            else "",
            fix="Read Karpenter's log: kubectl -n karpenter logs deploy/karpenter",
            code="JK-NODE-NOT-JOINED",
            grave=age > JOIN_TIMEOUT,
            explains=frozenset({f"claim of {pool}", "claims"}),
            follows=frozenset(
                {f"instance:{instance_id_of(claim)}", f"pool:{pool}"}
                | ({"supply"} if behind["type"] == "Launched" else set())
            ),
        )


def _conditions(item: Object, kinds: Sequence[str]) -> list[Any]:
    """Return the conditions of these types, in the order of `kinds`."""
    every = {c["type"]: c for c in item.get("status", {}).get("conditions") or ()}
    return [every[kind] for kind in kinds if kind in every]


def supply_findings(
    events: Iterable[Object], claims: Iterable[Object], lacking: Collection[str], now: datetime
) -> Iterator[Finding]:
    """Report why EC2 rejected Karpenter's recent launches: no capacity, no quota, no permission.

    There is one finding per reason. Only events of NodeClaims and NodePools show the reason, and
    they remain after it has passed. So a reason counts only while a pod or NodeClaim still waits.

    Args:
        lacking: the codes of what keeps pods pending now.
    """
    last: dict[str, Object] = {}
    waits = any(map(_is_unlaunched, claims))
    for event in events:
        about = event.get("involvedObject", {}).get("kind")
        if about in ("NodeClaim", "NodePool") and event_age(event, now) < RECENT:
            text = f"{event.get('reason', '')} {event.get('message', '')}"
            for code, words in _SUPPLY.items():
                if any(word in text for word in words):
                    last |= {code: event} if waits or code in lacking else {}
                    break
    for code, event in last.items():
        why, fix = _MEANING[code]
        yield Finding(
            rank=Rank.SUPPLY,
            subject="Instances for Karpenter",
            found=str(event.get("message", "")),
            why=why,
            fix=fix,
            code=code,
            explains=frozenset({"supply"}),
        )


def without_resolved(events: Iterable[E], claims: Iterable[Object]) -> tuple[E, ...]:
    """Drop a pool's events from before it got an instance: their reason has passed."""
    served: dict[str, str] = {}
    for claim in claims:
        if not _is_unlaunched(claim):
            meta = claim["metadata"]
            pool = (meta.get("labels") or {}).get(_POOL, "")
            served[pool] = max(served.get(pool, ""), meta["creationTimestamp"])
    return tuple(event for event in events if not _is_past(event, served))


def _is_past(event: Object, served: Mapping[str, str]) -> bool:
    about = event.get("involvedObject", {})
    if about.get("kind") not in ("NodeClaim", "NodePool"):
        return False
    name = str(about.get("name", ""))
    since = next((at for pool, at in served.items() if f"{name}-".startswith(f"{pool}-")), "")
    return event_time(event) < since


def _is_unlaunched(claim: Object) -> bool:
    launched = _conditions(claim, ("Launched",))
    return not launched or launched[0]["status"] != "True"


def reclaim_findings(
    events: Iterable[Object], nodes: Collection[str], now: datetime
) -> Iterator[Finding]:
    """Report Spot nodes that AWS is reclaiming, from Karpenter's events.

    Args:
        nodes: the names of the existing nodes.
    """
    last: dict[str, Object] = {}
    for event in events:
        name = event["involvedObject"].get("name", "")
        interrupted = event.get("reason") == "SpotInterrupted" and event_age(event, now) < RECENT
        if interrupted and name in nodes:
            last[name] = event
    for name, event in last.items():
        yield Finding(
            rank=Rank.INSTANCE,
            subject=f"Spot node {name}",
            found=str(event.get("message", "")),
            why="AWS reclaims this Spot instance two minutes after its warning.",
            fix="Karpenter replaces it. For work that must not be interrupted, set its pool's "
            "capacity to on-demand in the settings.",
            code="JK-NODE-RECLAIMED",
            grave=False,
            explains=frozenset({f"node:{name}"}),
        )


_SUPPLY = {
    "JK-AWS-QUOTA": QUOTA_MESSAGES,
    "JK-AWS-CAPACITY": CAPACITY_MESSAGES,
    "JK-AWS-DENIED": _DENIED,
}
_MEANING = {
    "JK-AWS-QUOTA": (
        "The account's quota of vCPUs for this kind of instance is used up, or is zero.",
        "Request more in the Service Quotas console (jarkkit preflight shows which quota), or "
        "choose another family in the settings.",
    ),
    "JK-AWS-CAPACITY": (
        "AWS has no capacity for these instances in your zones now.",
        "Karpenter retries every few minutes. For more options, add another family, capacity "
        "type or zone in the settings.",
    ),
    "JK-AWS-DENIED": (
        "AWS denies the call by Karpenter's role.",
        "Deploy again to restore the role's policy. A service control policy may deny it, too: "
        "the message names the action.",
    ),
}


def event_age(event: Object, now: datetime) -> timedelta:
    """Return how long ago it last happened; the maximum where it has no time."""
    moment = event_time(event)
    return now - datetime.fromisoformat(moment) if moment else timedelta.max
