"""What the cluster says of its nodes and of what Karpenter wants to launch. Pure.

Conditions of nodes: https://kubernetes.io/docs/reference/node/node-status/, of NodeClaims and
pools: https://karpenter.sh/docs/concepts/nodeclaims/ and …/nodepools/ (Karpenter 1.14).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar

from jarkkit.checks import Check
from jarkkit.cluster.pod_troubles import CAPACITY, QUOTA
from jarkkit.diagnosis.account import JOINING
from jarkkit.diagnosis.findings import Finding, Rank, listed
from jarkkit.kube import happened_at

Object = Mapping[str, Any]
E = TypeVar("E", bound=Mapping[str, Any])

# Conditions that are bad when they are true; Ready and those of EKS' monitoring agent the other
# way round (https://docs.aws.amazon.com/eks/latest/userguide/node-health.html).
_BAD = ("MemoryPressure", "DiskPressure", "PIDPressure", "NetworkUnavailable")
_GOOD = ("KernelReady", "NetworkingReady", "StorageReady", "ContainerRuntimeReady",
         "AcceleratedHardwareReady")  # fmt: skip
_POOL = "karpenter.sh/nodepool"
_STEPS = ("Launched", "Registered", "Initialized")
_DENIED = ("UnauthorizedOperation", "AccessDenied", "is not authorized to perform")
# Karpenter tries what it could not have again after three minutes.
RECENT = timedelta(minutes=6)
# A kubelet says first that it is not Ready as soon as it has registered its node.
_FIRST_WORDS = timedelta(seconds=30)


def instance_of(thing: Object) -> str:
    """The instance behind a Node or NodeClaim; empty where there is none."""
    provider = thing.get("spec", {}).get("providerID") or thing.get("status", {}).get("providerID")
    return str(provider or "").rpartition("/")[2]


def node_findings(
    nodes: Iterable[Object], placed: Mapping[str, Iterable[str]], now: datetime
) -> Iterator[Finding]:
    """Nodes that are not Ready, or say that something of them does not work.

    Args:
        placed: whose pods run on a node.
    """
    for thing in nodes:
        said = [*_unready(thing), *_complaints(thing)]
        if not said:
            continue
        name, unready, joining = (
            thing["metadata"]["name"],
            bool(_unready(thing)),
            _joins(thing, now),
        )
        yield Finding(
            rank=Rank.NODE,
            subject=f"Node {name}",
            found="; ".join([*said, *_burden(placed.get(name, ()))]),
            why=_WHY[unready, joining],
            fix="Look again in some minutes."
            if joining
            else f"What it says: kubectl describe node {name}. Karpenter replaces its own nodes; "
            "of a node group, end the instance: EKS launches another.",
            code="JK-NODE-NOT-READY",
            grave=unready and not joining,
            explains=frozenset({f"node:{name}", "nodes"} if unready else ()),
            follows=frozenset({f"instance:{instance_of(thing)}", "network"}),
        )


_WHY = {
    (True, True): "It is new and may still be joining.",
    (True, False): "Its kubelet has stopped, or the instance has no memory, disk or network left. "
    "Pods on it count as not ready, and after five minutes they are moved.",
    (False, False): "It works, and something of it does not.",
    (False, True): "It works, and something of it does not.",
}


def _joins(thing: Object, now: datetime) -> bool:
    """It is new, and has not been Ready yet."""
    made = datetime.fromisoformat(thing["metadata"]["creationTimestamp"])
    changed = _ready(thing).get("lastTransitionTime")
    was_ready = changed and datetime.fromisoformat(changed) - made > _FIRST_WORDS
    return now - made < JOINING and not was_ready


def _ready(thing: Object) -> Object:
    return next(iter(_conditions(thing, ("Ready",))), {})


def _unready(thing: Object) -> list[str]:
    ready = _ready(thing)
    if ready.get("status") == "True":
        return []
    said = f"{ready.get('reason', '')} {ready.get('message', '')}".strip()
    return [f"not Ready: {said or 'its kubelet says nothing'}"]


def _burden(owners: Iterable[str]) -> Iterator[str]:
    if owners:
        yield f"pods run there of {listed(owners)}"


def _complaints(thing: Object) -> Iterator[str]:
    for condition in thing.get("status", {}).get("conditions") or ():
        kind, status = condition["type"], condition["status"]
        if (kind in _BAD and status == "True") or (kind in _GOOD and status == "False"):
            yield f"{kind}: {condition.get('reason', '')} {condition.get('message', '')}".strip()


def claim_findings(claims: Iterable[Object], now: datetime) -> Iterator[Finding]:
    """NodeClaims that have not become nodes."""
    for thing in claims:
        meta = thing["metadata"]
        if meta.get("deletionTimestamp"):
            continue
        behind = next((c for c in _conditions(thing, _STEPS) if c["status"] != "True"), None)
        if behind is None:
            continue
        age = now - datetime.fromisoformat(meta["creationTimestamp"])
        pool = (meta.get("labels") or {}).get(_POOL, "")
        said = f"{behind.get('reason', '')}: {behind.get('message', '')}".strip(": ")
        yield Finding(
            rank=Rank.NODE_CLAIM,
            subject=f"NodeClaim {meta['name']}",
            found=f"not {behind['type']} after {round(age.total_seconds())} s: {said}",
            why="Karpenter gives up after 15 minutes and tries another instance."
            if behind["type"] == "Registered"
            else "",
            fix="Karpenter's own words: kubectl -n karpenter logs deploy/karpenter",
            code="JK-NODE-NOT-JOINED",
            grave=age > JOINING,
            explains=frozenset({f"claim of {pool}", "claims"}),
            follows=frozenset(
                {f"instance:{instance_of(thing)}", f"pool:{pool}"}
                | ({"supply"} if behind["type"] == "Launched" else set())
            ),
        )


def _conditions(thing: Object, kinds: Sequence[str]) -> list[Any]:
    """In the order of `kinds`."""
    every = {c["type"]: c for c in thing.get("status", {}).get("conditions") or ()}
    return [every[kind] for kind in kinds if kind in every]


def pool_findings(checks: Iterable[Check]) -> Iterator[Finding]:
    """From verify's judgement of Karpenter's pools and node classes."""
    for check in checks:
        if check.status == "fail":
            yield Finding(
                rank=Rank.POOL,
                subject=f"Karpenter's {check.name[:1].lower()}{check.name[1:]}",
                found=f"{check.found}: {check.why}" if check.why else check.found,
                fix=check.fix,
                code=check.code,
                explains=frozenset({"pools", f"pool:{check.name.rpartition(' ')[2]}"}),
                follows=frozenset({"addon:karpenter"}),
            )


def supply_findings(
    events: Iterable[Object], claims: Iterable[Object], lacking: Collection[str], now: datetime
) -> Iterator[Finding]:
    """What EC2 refused to Karpenter lately, once for each reason: no capacity, no quota, no
    permission. Only the events of NodeClaims and NodePools say so, and they stay when it has
    passed; so only what somebody lacks now counts.

    Args:
        lacking: the codes of what keeps pods waiting now.
    """
    last: dict[str, Object] = {}
    waits = any(map(_is_unlaunched, claims))
    for event in events:
        about = event.get("involvedObject", {}).get("kind")
        if about in ("NodeClaim", "NodePool") and age(event, now) < RECENT:
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


def still_true(events: Iterable[E], claims: Iterable[Object]) -> tuple[E, ...]:
    """Without what was said of a pool before it got an instance: that has passed."""
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
    return happened_at(dict(event)) < since


def _is_unlaunched(claim: Object) -> bool:
    launched = _conditions(claim, ("Launched",))
    return not launched or launched[0]["status"] != "True"


def reclaim_findings(
    events: Iterable[Object], nodes: Collection[str], now: datetime
) -> Iterator[Finding]:
    """Nodes on Spot that AWS wants back, as Karpenter heard it.

    Args:
        nodes: the names of those that are still there.
    """
    last: dict[str, Object] = {}
    for event in events:
        name = event["involvedObject"].get("name", "")
        said = event.get("reason") == "SpotInterrupted" and age(event, now) < RECENT
        if said and name in nodes:
            last[name] = event
    for name, event in last.items():
        yield Finding(
            rank=Rank.INSTANCE,
            subject=f"Spot node {name}",
            found=str(event.get("message", "")),
            why="AWS takes this Spot instance back, two minutes after it has said so.",
            fix="Karpenter replaces it by itself. What must not be interrupted: give its pool "
            "capacity on-demand in the settings.",
            code="JK-NODE-RECLAIMED",
            grave=False,
            explains=frozenset({f"node:{name}"}),
        )


_SUPPLY = {"JK-AWS-QUOTA": QUOTA, "JK-AWS-CAPACITY": CAPACITY, "JK-AWS-DENIED": _DENIED}
_MEANING = {
    "JK-AWS-QUOTA": (
        "The account's quota of vCPUs for this kind of instance is used up, or is zero.",
        "Ask for more in the Service Quotas console (jarkkit preflight says which), or choose "
        "another family in the settings.",
    ),
    "JK-AWS-CAPACITY": (
        "AWS has none of these instances to give in your zones now.",
        "Karpenter tries again every few minutes. To widen the choice add another family, "
        "capacity type or zone in the settings.",
    ),
    "JK-AWS-DENIED": (
        "AWS refuses the call to Karpenter's role.",
        "Deploy again: it makes the role's policy anew. A policy of your organisation may deny it, "
        "too: the message names the action.",
    ),
}


def age(event: Object, now: datetime) -> timedelta:
    """How long ago it happened last; forever where it does not say."""
    moment = happened_at(dict(event))
    return now - datetime.fromisoformat(moment) if moment else timedelta.max
