"""What is asked of the cluster."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from jarkkit.cluster.layer import ClusterLayer
from jarkkit.cluster.pod_inquiry import judged
from jarkkit.cluster.pod_troubles import NOMINATED
from jarkkit.diagnosis.findings import Rank
from jarkkit.diagnosis.nodes import still_true
from jarkkit.diagnosis.pods import Group, PodsSeen, owner_of, unwell
from jarkkit.kube import Kube, Object, happened_at
from jarkkit.steps.diagnose.seen import API, Question, Questions

# A broken cluster has thousands of pods in the same few troubles.
_GROUPS = 30
_PODS = 20
_ADMISSION = "admissionregistration.k8s.io/v1"
_NODE_CLAIM = ("karpenter.sh/v1", "NodeClaim")


def questions(layer: ClusterLayer) -> Questions:
    """All of them; what each is told is judged in `seen`."""
    kube = layer.kube
    asked = {
        API: (kube.version, (Rank.API,)),
        "Nodes": (lambda: tuple(kube.list("v1", "Node")), (Rank.NODE,)),
        "Karpenter": (lambda: _karpenter(kube), (Rank.POOL, Rank.NODE_CLAIM, Rank.SUPPLY)),
        "Pods": (lambda: _pods(kube), (Rank.PODS, Rank.CORE_PODS, Rank.REFUSED_PODS)),
        "Volume claims": (lambda: _claims(kube), (Rank.CLAIM,)),
        "Webhooks": (lambda: _webhooks(kube), (Rank.WEBHOOK,)),
        "Helm releases": (lambda: tuple(layer.releases().values()), (Rank.RELEASE,)),
        "Add-ons": (lambda: (layer.standings(), layer.memory.load()), (Rank.ADDON,)),
    }
    if not layer.settings.karpenter:
        del asked["Karpenter"]
    return {name: Question(ask, ranks, of_cluster=True) for name, (ask, ranks) in asked.items()}


def _karpenter(kube: Kube) -> tuple[tuple[Object, ...], ...]:
    kinds = (
        _NODE_CLAIM,
        ("karpenter.sh/v1", "NodePool"),
        ("karpenter.k8s.aws/v1", "EC2NodeClass"),
    )
    return tuple(_known(kube, *kind) for kind in kinds)


def _known(kube: Kube, api: str, kind: str) -> tuple[Object, ...]:
    return tuple(kube.list(api, kind)) if kube.knows(api, kind) else ()


def _pods(kube: Kube) -> PodsSeen:
    placed: dict[str, set[str]] = {}

    def listed() -> Iterator[Object]:
        for pod in kube.list("v1", "Pod"):
            if name := pod["spec"].get("nodeName"):
                placed.setdefault(name, set()).add(str(owner_of(pod)))
            yield pod

    groups = unwell(listed())
    events = still_true(_events(kube), _known(kube, *_NODE_CLAIM))
    return PodsSeen(tuple(_judged(kube, g, events) for g in groups[:_GROUPS]), events, placed)


def _judged(kube: Kube, group: Group, events: Sequence[Object]) -> Group:
    about = [e for e in events if e["metadata"]["namespace"] in _near(group)]
    wrong = judged(kube, [dict(pod) for pod in group.pods[:_PODS]], about)
    return replace(group, wrong=wrong)


def _near(group: Group) -> tuple[str, str]:
    """Where the events about it are; those about what has no namespace are in `default`."""
    return group.owner.namespace, "default"


def _events(kube: Kube) -> tuple[Object, ...]:
    """All warnings, and all that Karpenter says of its nodes, and of the pods they are for."""
    found: dict[str, Any] = {}
    selectors = ["type!=Normal", f"reason={NOMINATED}"]
    selectors += [f"involvedObject.kind={kind}" for kind in ("NodeClaim", "NodePool")]
    for selector in selectors:
        for event in kube.list("v1", "Event", fields=selector):
            found[f"{event['metadata']['namespace']}/{event['metadata']['name']}"] = event
    return tuple(sorted(found.values(), key=happened_at))


def _claims(kube: Kube) -> tuple[tuple[Object, ...], tuple[Object, ...]]:
    pending = (
        claim
        for claim in kube.list("v1", "PersistentVolumeClaim")
        if claim.get("status", {}).get("phase") == "Pending"
    )
    return tuple(pending), tuple(kube.list("storage.k8s.io/v1", "StorageClass"))


def _webhooks(kube: Kube) -> tuple[tuple[Object, ...], tuple[Object, ...]]:
    kinds = ("ValidatingWebhookConfiguration", "MutatingWebhookConfiguration")
    found = tuple(thing for kind in kinds for thing in kube.list(_ADMISSION, kind))
    slices = tuple(kube.list("discovery.k8s.io/v1", "EndpointSlice")) if found else ()
    return found, slices
