"""The kinds of nodes that a cluster can have, and whether a pod can be scheduled on one. Pure.

Rules: https://kubernetes.io/docs/concepts/scheduling-eviction/
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from jarkkit.decisions.addons.node_pools import (
    ACCELERATOR_LABEL,
    CORE_LABELS,
    Object,
    node_pools,
    taint,
)
from jarkkit.settings import FAMILIES, Settings

_LINUX = {"kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64"}
# Prefixes of labels whose values are not known in advance: on all nodes, on Karpenter's nodes, on
# nodes with NVIDIA's feature discovery.
_EVERYWHERE = ("node.kubernetes.io/", "topology.kubernetes.io/", "kubernetes.io/hostname")
_BY_KARPENTER = ("karpenter.sh/", "karpenter.k8s.aws/")
_BY_DISCOVERY = ("nvidia.com/", "feature.node.kubernetes.io/")
# Taints that Kubernetes, EKS or a controller may temporarily put on any node.
_TEMPORARY = (
    "CriticalAddonsOnly",
    "ebs.csi.aws.com/",
    "efs.csi.aws.com/",
    "karpenter.sh/",
    "node-role.kubernetes.io/",
    "node.cloudprovider.kubernetes.io/",
    "node.kubernetes.io/",
)


@dataclass(frozen=True)
class NodeTemplate:
    """A kind of node that the cluster can have.

    Attributes:
        open_prefixes: prefixes of labels that it has with values not known in advance.
    """

    labels: Mapping[str, str]
    open_prefixes: tuple[str, ...] = ()
    taints: tuple[Object, ...] = ()


def node_templates(settings: Settings) -> list[NodeTemplate]:
    """Return the kinds of nodes that the cluster can have with these settings."""
    found = [NodeTemplate(_LINUX | CORE_LABELS, _EVERYWHERE)]
    if settings.static_gpu_nodes:
        labelled = _LINUX | {"jarkkit/nodes": "static-gpu", ACCELERATOR_LABEL: "nvidia"}
        found.append(NodeTemplate(labelled, (*_EVERYWHERE, *_BY_DISCOVERY), (taint("g6"),)))
    return found + [_node(pool) for pool in node_pools(settings)]


def all_node_templates(settings: Settings) -> list[NodeTemplate]:
    """Return the kinds of nodes that the cluster can have with everything enabled."""
    families = [{"family": family, "max_vcpus": 64} for family in FAMILIES]
    more = {"karpenter": True, "accelerators": families, "static_gpu_nodes": 1}
    return node_templates(settings.with_changes(more))


def unknown_taints(pod: Object, among: Iterable[NodeTemplate]) -> list[str]:
    """Return the keys of taints that the pod tolerates and no node has."""
    taints = {taint["key"] for node in among for taint in node.taints}
    keys = (toleration.get("key", "") for toleration in _tolerations(pod))
    return [
        key
        for key in keys
        if key and "${" not in key and key not in taints and not key.startswith(_TEMPORARY)
    ]


def why_unschedulable(pod: Object, among: Iterable[NodeTemplate]) -> str:
    """Return why the pod fits on none of the nodes; empty when it fits or has no node selection."""
    selector, terms = pod.get("nodeSelector"), _terms(pod)
    if not (isinstance(selector, Mapping) and selector):
        selector = {}
    if not selector and not terms:
        return ""
    required = [{"key": k, "operator": "In", "values": [v]} for k, v in selector.items()]
    selected = [
        node
        for node in among
        if _matches(node, required) and (not terms or any(_matches(node, term) for term in terms))
    ]
    shown = selector or terms
    if not selected:
        return f"no node matches its node selection: {shown}"
    if any(all(_tolerates(pod, taint) for taint in node.taints) for node in selected):
        return ""
    keys = sorted({taint["key"] for node in selected for taint in node.taints})
    return f"it does not tolerate {', '.join(keys)} of the nodes that it selects: {shown}"


def _node(pool: Object) -> NodeTemplate:
    template = pool["spec"]["template"]
    labelled = template["metadata"]["labels"]
    discovered = _BY_DISCOVERY if labelled.get(ACCELERATOR_LABEL) == "nvidia" else ()
    return NodeTemplate(
        _LINUX | labelled,
        (*_EVERYWHERE, *_BY_KARPENTER, *discovered),
        tuple(template["spec"].get("taints", ())),
    )


def _terms(pod: Object) -> list[list[Object]]:
    """Return the expressions of its required node affinity: one of the lists must match."""
    found: Any = pod
    for key in ("affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution"):
        found = found.get(key) if isinstance(found, Mapping) else None
    terms = found.get("nodeSelectorTerms", []) if isinstance(found, Mapping) else []
    return [term.get("matchExpressions", []) for term in terms]


def _matches(node: NodeTemplate, expressions: Iterable[Object]) -> bool:
    return all(_matches_one(node, expression) for expression in expressions)


def _matches_one(node: NodeTemplate, expression: Object) -> bool:
    key, values = expression["key"], [str(value) for value in expression.get("values", ())]
    if "${" in key or any("${" in value for value in values):
        return True
    if key not in node.labels and key.startswith(node.open_prefixes):
        return True
    value = node.labels.get(key)
    tests: dict[str, Callable[[], bool]] = {
        "In": lambda: value in values,
        "NotIn": lambda: value not in values,
        "Exists": lambda: value is not None,
        "DoesNotExist": lambda: value is None,
    }
    return tests[expression["operator"]]()


def _tolerates(pod: Object, taint: Object) -> bool:
    return any(
        toleration.get("effect", "") in ("", taint["effect"])
        and toleration.get("key", "") in ("", taint["key"])
        and (
            toleration.get("operator") == "Exists" or toleration.get("value", "") == taint["value"]
        )
        for toleration in _tolerations(pod)
    )


def _tolerations(pod: Object) -> list[Object]:
    found = pod.get("tolerations")
    return [t for t in found if isinstance(t, dict)] if isinstance(found, list | tuple) else []
