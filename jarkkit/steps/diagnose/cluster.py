"""The queries to the cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cache, partial
from typing import Any

from jarkkit.decisions.cluster.pod_failures import NOMINATED
from jarkkit.decisions.cluster.pod_status import owner_of
from jarkkit.decisions.cluster.readiness import ReplicaStatus, WorkloadKey, all_replica_statuses
from jarkkit.decisions.cluster.supply import ClusterSupply
from jarkkit.decisions.diagnosis.custom_resources import KINDS
from jarkkit.decisions.diagnosis.findings import Rank
from jarkkit.decisions.diagnosis.nodes import without_resolved
from jarkkit.decisions.diagnosis.pods import PodGroup, PodObservations, unready_groups
from jarkkit.model.records import ClusterState
from jarkkit.ports.kube import Kube, Object, event_time
from jarkkit.steps.cluster.cluster_layer import ClusterLayer
from jarkkit.steps.cluster.pod_diagnosis import cluster_supply, diagnose_events
from jarkkit.steps.diagnose.observations import KUBERNETES_API, PODS, DiagnosisQuery, Queries
from jarkkit.steps.diagnose.shared_calls import SharedLists

# A broken cluster can have thousands of pods with the same few failures.
_MAX_GROUPS = 30
_MAX_PODS = 20
_ADMISSION = "admissionregistration.k8s.io/v1"
_NODE_CLAIM = ("karpenter.sh/v1", "NodeClaim")


def queries(layer: ClusterLayer, lists: SharedLists) -> Queries:
    """Return all queries; `observations` evaluates their answers."""
    kube = layer.kube

    def addons() -> tuple[dict[WorkloadKey, ReplicaStatus], ClusterState]:
        there = all_replica_statuses(partial(lists.list, "apps/v1"))
        return there, layer.install_state.load()

    found = {
        KUBERNETES_API: (kube.version, (Rank.API,)),
        "Nodes": (lambda: lists.list("v1", "Node"), (Rank.NODE, Rank.ACCELERATOR)),
        "Karpenter": (lambda: _karpenter(lists), (Rank.POOL, Rank.NODE_CLAIM, Rank.SUPPLY)),
        PODS: (
            lambda: _pods(kube, lists),
            (Rank.PODS, Rank.CORE_PODS, Rank.DEPENDENT_PODS, Rank.REFUSED_PODS),
        ),
        "Workloads": (lambda: _workloads(kube), (Rank.WORKLOAD,)),
        "Load balancers": (lambda: _balanced(kube, lists), (Rank.LOAD_BALANCER,)),
        "Volume claims": (lambda: _claims(lists), (Rank.CLAIM,)),
        "Webhooks": (lambda: _webhooks(kube), (Rank.WEBHOOK,)),
        "Helm releases": (lambda: tuple(layer.releases().values()), (Rank.RELEASE,)),
        "Add-ons": (addons, (Rank.ADDON,)),
    }
    if not layer.settings.karpenter:
        del found["Karpenter"]
    return {
        name: DiagnosisQuery(ask, ranks, uses_cluster_api=True)
        for name, (ask, ranks) in found.items()
    }


def _karpenter(lists: SharedLists) -> tuple[tuple[Object, ...], ...]:
    kinds = (
        _NODE_CLAIM,
        ("karpenter.sh/v1", "NodePool"),
        ("karpenter.k8s.aws/v1", "EC2NodeClass"),
    )
    return tuple(lists.list_if_served(*kind) for kind in kinds)


def _list_if_known(kube: Kube, api: str, kind: str) -> tuple[Object, ...]:
    return tuple(kube.list(api, kind)) if kube.serves_kind(api, kind) else ()


def _workloads(kube: Kube) -> tuple[Object, ...]:
    """Return Jobs and the operators' resources that the cluster has."""
    found = []
    for api, kind in KINDS:
        for item in _list_if_known(kube, api, kind):
            found.append({**item, "apiVersion": api, "kind": kind})
    return tuple(found)


def _balanced(kube: Kube, lists: SharedLists) -> tuple[tuple[Object, ...], tuple[Object, ...]]:
    """Return what can have a load balancer: Services and Ingresses."""
    services = lists.list("v1", "Service")
    balanced = tuple(
        {**s, "kind": "Service"} for s in services if s["spec"].get("type") == "LoadBalancer"
    )
    ingresses = kube.list("networking.k8s.io/v1", "Ingress")
    return balanced, tuple({**ingress, "kind": "Ingress"} for ingress in ingresses)


def _pods(kube: Kube, lists: SharedLists) -> PodObservations:
    placed: dict[str, set[str]] = {}

    def listed() -> Iterator[Object]:
        for pod in kube.list("v1", "Pod"):
            if name := pod["spec"].get("nodeName"):
                placed.setdefault(name, set()).add(str(owner_of(pod)))
            yield pod

    groups = unready_groups(listed())
    events = without_resolved(_events(kube), lists.list_if_served(*_NODE_CLAIM))
    supply = cache(partial(cluster_supply, kube, lists.list))
    return PodObservations(
        tuple(_judged(kube, g, events, supply) for g in groups[:_MAX_GROUPS]), events, placed
    )


def _judged(
    kube: Kube,
    group: PodGroup,
    events: Sequence[Object],
    get_supply: Callable[[], ClusterSupply | None],
) -> PodGroup:
    related = [e for e in events if e["metadata"]["namespace"] in _event_namespaces(group)]
    pods = [dict(pod) for pod in group.pods[:_MAX_PODS]]
    failure = diagnose_events(kube, pods, related, get_supply)
    return replace(group, wrong=failure)


def _event_namespaces(group: PodGroup) -> tuple[str, str]:
    """Return the namespaces of its events; those about cluster-scoped objects are in `default`."""
    return group.owner.namespace, "default"


def _events(kube: Kube) -> tuple[Object, ...]:
    """Return all warnings, and Karpenter's events about its nodes and the pods they are for."""
    found: dict[str, Any] = {}
    selectors = ["type!=Normal", f"reason={NOMINATED}"]
    selectors += [f"involvedObject.kind={kind}" for kind in ("NodeClaim", "NodePool")]
    for selector in selectors:
        for event in kube.list("v1", "Event", fields=selector):
            found[f"{event['metadata']['namespace']}/{event['metadata']['name']}"] = event
    return tuple(sorted(found.values(), key=event_time))


def _claims(lists: SharedLists) -> tuple[tuple[Object, ...], tuple[Object, ...]]:
    pending = (
        claim
        for claim in lists.list("v1", "PersistentVolumeClaim")
        if claim.get("status", {}).get("phase") in ("Pending", "Lost")
    )
    return tuple(pending), lists.list("storage.k8s.io/v1", "StorageClass")


def _webhooks(kube: Kube) -> tuple[tuple[Object, ...], tuple[Object, ...]]:
    kinds = ("ValidatingWebhookConfiguration", "MutatingWebhookConfiguration")
    found = tuple(item for kind in kinds for item in kube.list(_ADMISSION, kind))
    slices = tuple(kube.list("discovery.k8s.io/v1", "EndpointSlice")) if found else ()
    return found, slices
