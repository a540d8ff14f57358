"""Which nodes there may be, and whether a pod finds one among them. Pure.

https://kubernetes.io/docs/concepts/scheduling-eviction/ has the rules.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from jarkkit.addons.pools import ACCELERATOR, CORE, Object, node_pools, taint
from jarkkit.settings import FAMILIES, Settings

_LINUX = {"kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64"}
# Beginnings of labels that nodes have with values not known here: all of them, those that Karpenter
# makes, those on which NVIDIA's feature discovery runs.
_EVERYWHERE = ("node.kubernetes.io/", "topology.kubernetes.io/", "kubernetes.io/hostname")
_BY_KARPENTER = ("karpenter.sh/", "karpenter.k8s.aws/")
_BY_DISCOVERY = ("nvidia.com/", "feature.node.kubernetes.io/")
# Taints that Kubernetes, EKS or a controller may put on any node for a time.
_PASSING = (
    "CriticalAddonsOnly",
    "ebs.csi.aws.com/",
    "efs.csi.aws.com/",
    "karpenter.sh/",
    "node-role.kubernetes.io/",
    "node.cloudprovider.kubernetes.io/",
    "node.kubernetes.io/",
)


@dataclass(frozen=True)
class Node:
    """A kind of node that there may be.

    Attributes:
        open: beginnings of labels that it has with values not known here.
        taints: what keeps pods away.
    """

    labels: Mapping[str, str]
    open: tuple[str, ...] = ()
    taints: tuple[Object, ...] = ()


def nodes(settings: Settings) -> list[Node]:
    """The kinds of nodes that there may be with these settings."""
    found = [Node(_LINUX | CORE, _EVERYWHERE)]
    if settings.static_gpu_nodes:
        labelled = _LINUX | {"jarkkit/nodes": "static-gpu", ACCELERATOR: "nvidia"}
        found.append(Node(labelled, (*_EVERYWHERE, *_BY_DISCOVERY), (taint("g6"),)))
    return found + [_node(pool) for pool in (node_pools(settings) if settings.karpenter else ())]


def possible(settings: Settings) -> list[Node]:
    """The kinds of nodes that there may be if more is switched on."""
    families = [{"family": family, "max_vcpus": 64} for family in FAMILIES]
    more = {"karpenter": True, "accelerators": families, "static_gpu_nodes": 1}
    return nodes(settings.changed(more))


def unknown_taints(pod: Object, among: Iterable[Node]) -> list[str]:
    """The taints that it tolerates and that no node has."""
    taints = {taint["key"] for node in among for taint in node.taints}
    keys = (toleration.get("key", "") for toleration in _tolerations(pod))
    return [
        key
        for key in keys
        if key and "${" not in key and key not in taints and not key.startswith(_PASSING)
    ]


def trouble(pod: Object, among: Iterable[Node]) -> str:
    """Why it can run on none of the nodes; empty when it can, or when it does not choose."""
    selector, terms = pod.get("nodeSelector"), _terms(pod)
    if not (isinstance(selector, Mapping) and selector):
        selector = {}
    if not selector and not terms:
        return ""
    wanted = [{"key": k, "operator": "In", "values": [v]} for k, v in selector.items()]
    chosen = [
        node
        for node in among
        if _matches(node, wanted) and (not terms or any(_matches(node, term) for term in terms))
    ]
    asked = selector or terms
    if not chosen:
        return f"no node is as it asks for: {asked}"
    if any(all(_tolerates(pod, taint) for taint in node.taints) for node in chosen):
        return ""
    keys = sorted({taint["key"] for node in chosen for taint in node.taints})
    return f"it does not tolerate {', '.join(keys)} of the nodes it asks for: {asked}"


def _node(pool: Object) -> Node:
    template = pool["spec"]["template"]
    labelled = template["metadata"]["labels"]
    discovered = _BY_DISCOVERY if labelled.get(ACCELERATOR) == "nvidia" else ()
    return Node(
        _LINUX | labelled,
        (*_EVERYWHERE, *_BY_KARPENTER, *discovered),
        tuple(template["spec"].get("taints", ())),
    )


def _terms(pod: Object) -> list[list[Object]]:
    """The expressions of its required node affinity: one of the lists must hold."""
    found: Any = pod
    for key in ("affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution"):
        found = found.get(key) if isinstance(found, Mapping) else None
    terms = found.get("nodeSelectorTerms", []) if isinstance(found, Mapping) else []
    return [term.get("matchExpressions", []) for term in terms]


def _matches(node: Node, expressions: Iterable[Object]) -> bool:
    return all(_holds(node, expression) for expression in expressions)


def _holds(node: Node, expression: Object) -> bool:
    key, values = expression["key"], [str(value) for value in expression.get("values", ())]
    if "${" in key or any("${" in value for value in values):
        return True
    if key not in node.labels and key.startswith(node.open):
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
