"""The map of a cluster: its nodes and the pods of each add-on on them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, NamedTuple

from jarkkit.decisions.cluster import health_checks
from jarkkit.decisions.cluster.pod_status import PodOwner, owner_of
from jarkkit.decisions.cluster.readiness import is_ready
from jarkkit.decisions.stack import ResolvedStack
from jarkkit.model.records import Record

Object = dict[str, Any]

OTHERS = "others"
# With more nodes than this, all nodes of a kind share one column.
_MOST_COLUMNS = 10
_ZONE = "topology.kubernetes.io/zone"


class MapNode(Record):
    """A node.

    Attributes:
        group: the Karpenter node pool or the managed node group.
        accelerators: how many are allocatable.
    """

    name: str
    group: str
    instance_type: str
    zone: str
    ready: bool
    accelerators: int = 0


class MapPods(Record):
    """The pods of one add-on on one node; `node` is empty for pods without a node."""

    node: str
    addon: str
    count: int
    ready: int


class MapColumn(NamedTuple):
    """One node, or all nodes of a kind.

    Attributes:
        nodes: their names; the empty name is for pods without a node.
    """

    nodes: frozenset[str]
    lines: tuple[str, ...]
    ready: bool


class ClusterMap(Record):
    """Nodes and pods at one moment.

    Attributes:
        made: UTC, ISO 8601.
    """

    made: str
    nodes: tuple[MapNode, ...]
    pods: tuple[MapPods, ...]

    def addons(self) -> tuple[str, ...]:
        """Return the add-ons with pods, by name; pods that belong to none come last."""
        return tuple(sorted({p.addon for p in self.pods}, key=lambda name: (name == OTHERS, name)))

    def columns(self) -> tuple[MapColumn, ...]:
        """Return one column per node; with many nodes, one per kind of node."""
        found = list(self._kinds() if len(self.nodes) > _MOST_COLUMNS else self._single())
        if any(not pods.node for pods in self.pods):
            found.append(MapColumn(frozenset({""}), ("no node", "yet"), ready=False))
        return tuple(found)

    def count(self, column: MapColumn, addon: str) -> tuple[int, int]:
        """Count an add-on's pods in a column, and how many of them are ready."""
        pods = [p for p in self.pods if p.addon == addon and p.node in column.nodes]
        return sum(p.count for p in pods), sum(p.ready for p in pods)

    def summary(self) -> str:
        """Return the map as one sentence."""
        count, ready = sum(p.count for p in self.pods), sum(p.ready for p in self.pods)
        kinds = ", ".join(" ".join(column.lines) for column in self._kinds())
        late = [p.addon for p in self.pods if p.ready < p.count]
        waiting = f" Not all ready: {', '.join(dict.fromkeys(late))}." if late else ""
        nodes, pods = _many(len(self.nodes), "node"), _many(count, "pod")
        return (
            f"Map of the cluster: {nodes} ({kinds or 'none'}) with {pods} of "
            f"{_many(len(self.addons()), 'add-on')}, {ready} ready.{waiting}"
        )

    def _single(self) -> Iterator[MapColumn]:
        for node in self.nodes:
            devices = _many(node.accelerators, "accelerator") if node.accelerators else ""
            state = "" if node.ready else "✘ not Ready"
            lines = (node.group, node.instance_type, node.zone, devices, state)
            yield MapColumn(frozenset({node.name}), tuple(filter(None, lines)), node.ready)

    def _kinds(self) -> Iterator[MapColumn]:
        kinds: dict[tuple[str, str], list[MapNode]] = {}
        for node in self.nodes:
            kinds.setdefault((node.group, node.instance_type), []).append(node)
        for (group, instance_type), nodes in kinds.items():
            names = frozenset(node.name for node in nodes)
            missing = sum(not node.ready for node in nodes)
            lines = (group, f"{len(nodes)} x {instance_type}", f"✘ {missing} not Ready")
            yield MapColumn(names, lines if missing else lines[:2], ready=not missing)


def cluster_map(
    stack: ResolvedStack, nodes: Iterable[Object], pods: Iterable[Object], *, made: str
) -> ClusterMap:
    """Build the map from the nodes and pods that the API lists."""
    owners = _Owners(stack)
    counted: dict[tuple[str, str], list[bool]] = {}
    for pod in pods:
        if pod.get("status", {}).get("phase") not in ("Succeeded", "Failed"):
            cell = (pod.get("spec", {}).get("nodeName", ""), owners.of(pod))
            counted.setdefault(cell, []).append(is_ready(pod))
    now = datetime.fromisoformat(made)
    found = sorted((_node(manifest, now) for manifest in nodes), key=lambda n: (n.group, n.name))
    return ClusterMap(
        made=made,
        nodes=tuple(found),
        pods=tuple(
            MapPods(node=node, addon=addon, count=len(ready), ready=sum(ready))
            for (node, addon), ready in sorted(counted.items())
        ),
    )


def _many(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


class _Owners:
    """Finds the add-on of a pod: by the pod's workload, else by its namespace if only one add-on
    runs there."""

    def __init__(self, stack: ResolvedStack) -> None:
        self._workloads = {
            PodOwner(addon.namespace, workload.kind, workload.name): addon.title
            for addon, workload in stack.workloads
        }
        namespaces: dict[str, list[str]] = {}
        for addon in stack.addons:
            namespaces.setdefault(addon.namespace, []).append(addon.title)
        self._namespaces = {
            name: titles[0] for name, titles in namespaces.items() if len(titles) == 1
        }

    def of(self, pod: Object) -> str:
        """Return the title of the pod's add-on."""
        owner = owner_of(pod)
        if title := self._workloads.get(owner):
            return title
        return self._namespaces.get(owner.namespace, OTHERS)


def _node(manifest: Object, now: datetime) -> MapNode:
    found = health_checks.node_status(manifest, now)
    labels = manifest["metadata"].get("labels") or {}
    return MapNode(
        name=found.name,
        group=found.group,
        instance_type=found.instance_type,
        zone=labels.get(_ZONE, ""),
        ready=not found.not_ready_reason,
        accelerators=sum(count for _, count in found.accelerators),
    )
