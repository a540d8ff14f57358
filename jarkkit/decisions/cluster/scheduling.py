"""Finds out why no node takes a pod, from the messages of the scheduler and Karpenter. Pure.

The messages are those of kube-scheduler 1.30 to 1.36 (pkg/scheduler/framework/plugins) and of
Karpenter 1.14 (pkg/controllers/provisioning/scheduling). Where they allow more than one reading,
the cluster's nodes and pools decide; without these, the failure names every reading.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import timedelta
from difflib import get_close_matches
from typing import NamedTuple

from jarkkit.decisions.addons.node_pools import POOL_LABEL
from jarkkit.decisions.cluster import supply as offers
from jarkkit.decisions.cluster.pod_status import (
    Object,
    PodFailure,
    as_evidence,
    claim_names,
    event_text,
    is_about,
    pod_condition,
    pod_name,
    time_of,
)
from jarkkit.decisions.cluster.supply import ClusterSupply

CODE = "JK-ADDON-PENDING"
DEFAULT_SCHEDULER = "default-scheduler"
# Findings about accelerators that their nodes do not announce have this key.
UNANNOUNCED = "unannounced accelerators"
# A scheduler looks at a new pod within seconds.
_UNSEEN = timedelta(seconds=60)
# Schedulers that the catalog's add-ons bring.
_SCHEDULERS = {
    "volcano": "volcano",
    "my-scheduler": "neuron",
    "jupyterhub-user-scheduler": "jupyterhub",
}
_LABELS_PAGE = "docs/workloads.md has the labels of the node pools"


class _Reason(NamedTuple):
    """What one kind of the scheduler's reasons means.

    Attributes:
        pattern: matches the message.
        words: what is wrong; `{nodes}` is the number of nodes, `{resource}` what is short.
        fix: what to do.
    """

    pattern: str
    words: str
    fix: str


class _Blocker(NamedTuple):
    """A reason for which some nodes reject a pod, as the scheduler reports it."""

    reason: _Reason
    nodes: int
    text: str


_ZONE = _Reason(
    r"volume node affinity conflict|PersistentVolume's node affinity|no available volume zone",
    "its volume is in another zone than {nodes}",
    "An EBS volume stays in its zone, so the pod needs a node there: uncordon or repair that "
    "zone's nodes, or let Karpenter or the core node group add one. Do not delete the claim: its "
    "data would be lost.",
)
_LABEL = _Reason(
    r"node affinity/selector|didn't match node selector|the requested node name|"
    r"incompatible requirements|does not have known values",
    "its node selector or affinity matches none of the labels of {nodes}",
    "Correct its node selector or affinity, or enable the accelerator family in the settings: "
    f"{_LABELS_PAGE}.",
)
_TAINT = _Reason(
    r"untolerated taint|did not tolerate|didn't tolerate",
    "it does not tolerate the taint of {nodes}",
    "Add the toleration for the taint, or choose a node pool without it.",
)
_LIMIT = _Reason(
    r"exceed limits|limits? .*nodepool",
    "the node pool that fits has reached its vCPU limit",
    "Raise the pool's max_vcpus in the settings and deploy again, or delete workloads on it.",
)
_RESOURCE = _Reason(
    r"Insufficient \S+",
    "no node has enough free capacity: {resource} is short on {nodes}",
    "Lower its requests, delete other workloads, or let a node be added: Karpenter does that if it "
    "runs and one of its pools may (jarkkit verify shows both).",
)
_TAINTED = r"taint(?:\(s\))? \{[^}]*"
# The first that matches. In the order in which they are reported: what more nodes cannot change
# comes before what is only full.
_REASONS = (
    _ZONE,
    _Reason(
        r"bound to non-existent pv",
        "the volume of its claim does not exist any more",
        "Restore the volume from a snapshot. If its data may be lost, delete the claim and the "
        "pod, so that a new volume is created.",
    ),
    _Reason(
        r"(?i:persistentvolumeclaim|didn't find available persistent volumes)|"
        r"not have enough free storage",
        "it has no volume yet",
        "Check that the claim exists, that there is a default storage class and that its CSI "
        "driver is ready: jarkkit verify shows both.",
    ),
    _LIMIT,
    _LABEL,
    _Reason(
        _TAINTED + r"(agent-not-ready|uninitialized|karpenter\.sh/(unregistered|disrupted))",
        "{nodes} did not finish starting, or will be replaced",
        "Wait a minute or two. If the taint stays, the component that removes it does not run: "
        "jarkkit diagnose",
    ),
    _Reason(
        _TAINTED + r"node\.kubernetes\.io/(not-ready|unreachable|\w+-pressure|network-unavailable)",
        "a condition of {nodes} keeps pods away; the taint names it",
        "Repair or replace the nodes: kubectl describe node NAME shows the condition. A toleration "
        "would not help.",
    ),
    _Reason(
        r"were unschedulable|node\.kubernetes\.io/unschedulable",
        "scheduling is switched off on {nodes} (cordoned)",
        "When their maintenance is over: kubectl uncordon NAME",
    ),
    _TAINT,
    _Reason(
        r"max volume count",
        "no more volumes can be attached to {nodes}",
        "Add nodes, or delete pods with volumes: each instance type has a limit of attachments.",
    ),
    _Reason(
        r"Too many pods",
        "the kubelet's limit of pods is reached on {nodes}",
        "Add nodes: raise core_nodes, or let Karpenter add one. CPU and memory are not the limit.",
    ),
    _Reason(
        r"free ports",
        "its host port is taken on {nodes}",
        "Remove hostPort from the pod, choose another port, or run at most one such pod per node.",
    ),
    _Reason(
        r"anti-affinity",
        "its anti-affinity, or that of running pods, excludes {nodes}",
        "Add nodes, run fewer replicas, or make the rule preferred instead of required.",
    ),
    _Reason(
        r"pod affinity rules",
        "no pod that its affinity requires runs on {nodes}",
        "Start the pods that the affinity names, or correct its labels.",
    ),
    _Reason(
        r"topology spread",
        "its topology spread constraint excludes {nodes}",
        "Add a node in the zone that has too few replicas, or set whenUnsatisfiable to "
        "ScheduleAnyway.",
    ),
    _Reason(
        r"(?i:resource ?claim|cannot allocate all claims)",
        "no device satisfies its resource claim",
        "Compare the claim with the device classes: kubectl get resourceclaims,deviceclasses -A",
    ),
    _RESOURCE,
)


def unscheduled(
    pod: Object, events: Sequence[Object], supply: ClusterSupply | None
) -> PodFailure | None:
    """Return why no node takes the pod; None if a scheduler may just need more time.

    Args:
        events: about the pod, oldest first.
        supply: the cluster's nodes, pools and volumes; None if they are unknown.
    """
    condition = pod_condition(pod, "PodScheduled")
    if condition.get("reason") == "SchedulingGated":
        return _gated(pod)
    own = [e for e in events if is_about(e, pod) and e.get("reason") == "FailedScheduling"]
    current, past = str(condition.get("message", "")), [event_text(e) for e in own[-2:]]
    if not current and not past:
        return _unseen(pod, events, supply)
    karpenter = next((t for t in reversed(past) if "nodepool" in t.lower()), "")
    found = _decide(pod, current or "\n".join(past), karpenter, supply)
    return replace(found, evidence=as_evidence(*past, current))


def _decide(pod: Object, message: str, karpenter: str, supply: ClusterSupply | None) -> PodFailure:
    blockers = _parse(message)
    reasons = {blocker.reason for blocker in blockers}
    if supply is not None:
        if failure := _unoffered(pod, supply):
            return failure
        if _ZONE in reasons and (failure := _in_other_zone(pod, supply)):
            return failure
        if failure := _unannounced(pod, supply):
            return failure
        if failure := _no_match(pod, supply):
            return failure
        # Some node or pool has the labels, and its taints are tolerated: the others do not matter.
        blockers = [b for b in blockers if b.reason not in (_LABEL, _TAINT)]
        if not blockers and not karpenter:
            return _not_added(pod, supply)
    if re.search(_LIMIT.pattern, karpenter):
        blockers = [_Blocker(_LIMIT, 0, karpenter), *blockers]
    if failure := _too_large(pod, karpenter, supply):
        return failure
    return _described(pod, blockers, supply)


def _parse(message: str) -> list[_Blocker]:
    """Return the reasons in a scheduler's message, one of each kind."""
    body = message.partition("preemption:")[0]
    found: dict[_Reason, _Blocker] = {}
    for part in re.split(r"[,:]\s+(?=\d+ )|\n", body):
        reason = next((r for r in _REASONS if re.search(r.pattern, part)), None)
        if reason is None:
            continue
        counted = re.match(r"(\d+) (?!nodes? are)", part)
        before = found.get(reason, _Blocker(reason, 0, ""))
        text = "\n".join(filter(None, (before.text, part)))
        found[reason] = _Blocker(reason, before.nodes + (int(counted[1]) if counted else 0), text)
    return sorted(found.values(), key=lambda blocker: _REASONS.index(blocker.reason))


def _described(
    pod: Object, blockers: Sequence[_Blocker], supply: ClusterSupply | None
) -> PodFailure:
    """Describe all reasons; the fixes are those of the first two."""
    if not blockers:
        return _failure(
            pod,
            "no node takes it, and jarkkit does not know this reason",
            "The evidence has the scheduler's own words: "
            f"kubectl -n {pod['metadata']['namespace']} describe pod {pod['metadata']['name']}",
        )
    words = "; ".join(map(_words, blockers))
    fixes = [blocker.reason.fix for blocker in blockers[:2]]
    if supply is not None and not supply.pools and blockers[0].reason is _RESOURCE:
        fixes[0] = (
            "No Karpenter node pool exists, so no node is added: raise core_nodes, switch "
            "Karpenter on, or lower the requests."
        )
    return _failure(pod, words, " Or: ".join(dict.fromkeys(fixes)))


def _words(blocker: _Blocker) -> str:
    nodes = {0: "the nodes", 1: "1 node"}.get(blocker.nodes, f"{blocker.nodes} nodes")
    short = re.findall(r"Insufficient ([^\s,]+?)\.?(?=[\s,]|$)", blocker.text)
    return blocker.reason.words.format(nodes=nodes, resource=" and ".join(dict.fromkeys(short)))


# -- no scheduler has decided ----------------------------------------------------------------------


def _gated(pod: Object) -> PodFailure:
    gates = ", ".join(gate["name"] for gate in pod["spec"].get("schedulingGates") or ())
    return PodFailure(
        CODE,
        f"{pod_name(pod)} is held back by its scheduling gates ({gates or 'unnamed'})",
        "The controller that set a gate removes it, for example Kueue when there is quota. If it "
        "no longer runs, create the pod again without the gate.",
        as_evidence(str(pod_condition(pod, "PodScheduled").get("message", ""))),
    )


def _unseen(
    pod: Object, events: Sequence[Object], supply: ClusterSupply | None
) -> PodFailure | None:
    """Report a pod that its scheduler has ignored for a minute."""
    created = time_of(pod["metadata"].get("creationTimestamp"))
    if supply is None or created is None or supply.now - created < _UNSEEN:
        return None
    if any(is_about(event, pod) for event in events):
        return None
    name = pod["spec"].get("schedulerName") or DEFAULT_SCHEDULER
    seconds = round((supply.now - created).total_seconds())
    return PodFailure(
        CODE,
        f"{pod_name(pod)} is unscheduled: the scheduler {name}, which it names, has not looked at "
        f"it for {seconds} s, so it does not run here",
        _scheduler_fix(name),
        f"schedulerName: {name}; no condition PodScheduled, no event",
    )


def _scheduler_fix(name: str) -> str:
    if name == DEFAULT_SCHEDULER:
        return "EKS runs this scheduler: check the cluster's health in the EKS console."
    remove = "or remove schedulerName from the pod, so that the default scheduler takes it."
    if addon := _SCHEDULERS.get(name):
        return f"The add-on {addon} brings it: enable it, or check its pods if it is; {remove}"
    return f"Install what provides the scheduler {name}; {remove}"


# -- what the supply shows -------------------------------------------------------------------------


def _unoffered(pod: Object, supply: ClusterSupply) -> PodFailure | None:
    """Report a resource that no node and no pool of the cluster has; it may be mistyped."""
    for resource in offers.device_requests(pod):
        if offers.is_offered(resource, supply):
            continue
        meant = get_close_matches(resource, offers.known_resources(supply), 1, cutoff=0.6)
        if resource in offers.DEVICE_RESOURCES or not meant:
            fix = (
                "Add a family with it to accelerators in the settings and deploy again."
                if resource in offers.DEVICE_RESOURCES
                else "Correct the resource's name, or install the device plugin that announces it."
            )
        else:
            fix = f"Did you mean {meant[0]}? Correct the resource's name in the pod's limits."
        return _failure(pod, f"no node and no node pool offers {resource}", fix)
    return None


def _in_other_zone(pod: Object, supply: ClusterSupply) -> PodFailure | None:
    namespace = pod["metadata"]["namespace"]
    for claim in claim_names(pod):
        volume = supply.volumes.get(f"{namespace}/{claim}")
        if volume is None or not (zone := offers.zone_of(volume)):
            continue
        there = [node for node in supply.nodes if offers.node_zone(node) == zone]
        cordoned = [offers.name_of(n) for n in there if n.get("spec", {}).get("unschedulable")]
        state = (
            "where no node runs"
            if not there
            else f"where scheduling is switched off on {', '.join(sorted(cordoned))}"
            if len(cordoned) == len(there)
            else f"where no node takes the pod ({len(there)} run there)"
        )
        return _failure(pod, f"its volume, claim {claim}, is in {zone}, {state}", _ZONE.fix)
    return None


def _unannounced(pod: Object, supply: ClusterSupply) -> PodFailure | None:
    """Report a node that has the accelerator in hardware, and whose device plugin is silent."""
    requested = offers.device_requests(pod)
    for node, resource in offers.unannounced(supply):
        if resource not in requested or offers.not_tolerated(pod, node):
            continue
        if not offers.matches_labels(node, offers.required_labels(pod)):
            continue
        failure = _failure(
            pod,
            f"node {offers.name_of(node)} ({offers.instance_type(node)}) has accelerators and "
            f"announces no {resource}",
            "The device plugin's pod on that node does not work: read its log. More nodes, or "
            "higher limits of the pools, would not help.",
        )
        return replace(failure, follows=frozenset({UNANNOUNCED}))
    return None


def _no_match(pod: Object, supply: ClusterSupply) -> PodFailure | None:
    """Report labels that no node and no pool has, or taints of all those that have them."""
    required = offers.required_labels(pod)
    items = (*supply.nodes, *supply.pools)
    fitting = [item for item in items if offers.matches_labels(item, required)]
    if not fitting:
        return _no_label(pod, required, items, supply)
    own = [t for item in fitting for t in offers.not_tolerated(pod, item)]
    if any(not offers.not_tolerated(pod, item) for item in fitting):
        return None
    if not any(map(offers.is_chosen, own)):
        texts = [f"1 node(s) had untolerated taint {{{t['key']}: }}" for t in own]
        return _described(pod, _parse("\n".join(texts)), supply)
    named = dict.fromkeys(offers.taint_text(t) for t in own if offers.is_chosen(t))
    where = ", ".join(sorted({offers.name_of(item) for item in fitting})[:3])
    keys = ", ".join(dict.fromkeys(t["key"] for t in own if offers.is_chosen(t)))
    return _failure(
        pod,
        f"it does not tolerate the taint {', '.join(named)} of the nodes that fit ({where})",
        f"Add to its tolerations: key {keys}, operator Exists. Or choose a node pool without the "
        "taint.",
    )


def _no_label(
    pod: Object,
    required: dict[str, tuple[str, ...]],
    items: Iterable[offers.Object],
    supply: ClusterSupply,
) -> PodFailure:
    every = tuple(items)
    missing = [
        f"{key}={'|'.join(values)}" if values else key
        for key, values in required.items()
        if not any(offers.has_label(item, key, values) for item in every)
    ]
    words = (
        f"no node and no node pool has the labels that it requires: {', '.join(missing)}"
        if missing
        else "no single node or node pool has all the labels that it requires: "
        + ", ".join(required)
    )
    pool = offers.pool_for(pod, supply.pools)
    fix = (
        f"Use `{POOL_LABEL}: {pool}` as its node selector, or remove the selector: {_LABELS_PAGE}."
        if pool
        else _LABEL.fix
    )
    return _failure(pod, words, fix)


def _not_added(pod: Object, supply: ClusterSupply) -> PodFailure:
    """Report a pod for which a node pool could add a node, and Karpenter does not say why not."""
    pools = [p for p in supply.pools if offers.matches_labels(p, offers.required_labels(pod))]
    usable = [offers.name_of(p) for p in pools if not offers.not_tolerated(pod, p)]
    if not usable:
        return _failure(
            pod,
            "the nodes that fit do not take it",
            f"The evidence has the scheduler's own words. Compare them with the pod: kubectl -n "
            f"{pod['metadata']['namespace']} describe pod {pod['metadata']['name']}",
        )
    return _failure(
        pod,
        f"no node fits, and Karpenter has added none of the node pool {usable[0]} that would",
        "Check that Karpenter runs and that the pool is Ready (jarkkit verify), then its log: "
        "kubectl -n karpenter logs deploy/karpenter",
    )


def _too_large(pod: Object, karpenter: str, supply: ClusterSupply | None) -> PodFailure | None:
    """Report requests that no instance type satisfies of the pools that the pod could use."""
    pools = supply.pools if supply is not None else ()
    usable = {
        offers.name_of(pool)
        for pool in pools
        if not offers.not_tolerated(pod, pool)
        and offers.matches_labels(pool, offers.required_labels(pod))
    }
    for part in re.split(r";\s*|\n", karpenter):  # one part per pool
        named = re.search(r"nodepool[\"' =(]+([\w.-]+)", part, re.IGNORECASE)
        if named and named[1] in usable and re.search(r"no instance type", part):
            return _failure(
                pod,
                f"it requests more than any instance type of the node pool {named[1]} offers",
                "Lower its requests, or allow larger instance types: another accelerator family in "
                "the settings, or a node pool of your own.",
            )
    return None


def _failure(pod: Object, words: str, fix: str) -> PodFailure:
    return PodFailure(CODE, f"{pod_name(pod)} is unschedulable: {words}", fix)
