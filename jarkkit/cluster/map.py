"""Where things run: the nodes of a cluster and the pods of each add-on on them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, NamedTuple

from jarkkit.addons.catalogue import catalogue
from jarkkit.addons.choice import is_on
from jarkkit.cluster import checks
from jarkkit.cluster.pod_inquiry import is_ready
from jarkkit.records import Record
from jarkkit.settings import Settings

Object = dict[str, Any]

OTHERS = "others"
# More nodes than that are shown together with those of their kind.
_MOST_COLUMNS = 10
_ZONE = "topology.kubernetes.io/zone"


class MapNode(Record):
    """A node.

    Attributes:
        group: the Karpenter pool or the managed node group.
        accelerators: how many it announces.
    """

    name: str
    group: str
    instance_type: str
    zone: str
    ready: bool
    accelerators: int = 0


class MapPods(Record):
    """The pods of one add-on on one node; `node` is empty for those that have none yet."""

    node: str
    addon: str
    count: int
    ready: int


class Column(NamedTuple):
    """One node, or all nodes of a kind.

    Attributes:
        nodes: their names; the empty name stands for pods without a node.
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
        """Those with pods, by name; what belongs to none comes last."""
        return tuple(sorted({p.addon for p in self.pods}, key=lambda name: (name == OTHERS, name)))

    def columns(self) -> tuple[Column, ...]:
        """The nodes; those of a kind together where there are many."""
        found = list(self._kinds() if len(self.nodes) > _MOST_COLUMNS else self._single())
        if any(not pods.node for pods in self.pods):
            found.append(Column(frozenset({""}), ("no node", "yet"), ready=False))
        return tuple(found)

    def count(self, column: Column, addon: str) -> tuple[int, int]:
        """How many pods an add-on has there, and how many of them are ready."""
        here = [p for p in self.pods if p.addon == addon and p.node in column.nodes]
        return sum(p.count for p in here), sum(p.ready for p in here)

    def told(self) -> str:
        """In words."""
        count, ready = sum(p.count for p in self.pods), sum(p.ready for p in self.pods)
        kinds = ", ".join(" ".join(column.lines) for column in self._kinds())
        late = [p.addon for p in self.pods if p.ready < p.count]
        waiting = f" Not all ready: {', '.join(dict.fromkeys(late))}." if late else ""
        nodes, pods = _many(len(self.nodes), "node"), _many(count, "pod")
        return (
            f"Map of the cluster: {nodes} ({kinds or 'none'}) with {pods} of "
            f"{_many(len(self.addons()), 'add-on')}, {ready} ready.{waiting}"
        )

    def _single(self) -> Iterator[Column]:
        for node in self.nodes:
            devices = _many(node.accelerators, "accelerator") if node.accelerators else ""
            state = "" if node.ready else "✘ not Ready"
            lines = (node.group, node.instance_type, node.zone, devices, state)
            yield Column(frozenset({node.name}), tuple(filter(None, lines)), node.ready)

    def _kinds(self) -> Iterator[Column]:
        kinds: dict[tuple[str, str], list[MapNode]] = {}
        for node in self.nodes:
            kinds.setdefault((node.group, node.instance_type), []).append(node)
        for (group, instance_type), nodes in kinds.items():
            names = frozenset(node.name for node in nodes)
            missing = sum(not node.ready for node in nodes)
            lines = (group, f"{len(nodes)} x {instance_type}", f"✘ {missing} not Ready")
            yield Column(names, lines if missing else lines[:2], ready=not missing)


def cluster_map(
    settings: Settings, nodes: Iterable[Object], pods: Iterable[Object], *, made: str
) -> ClusterMap:
    """The map of what the API lists."""
    owners = _Owners(settings)
    counted: dict[tuple[str, str], list[bool]] = {}
    for pod in pods:
        if pod.get("status", {}).get("phase") not in ("Succeeded", "Failed"):
            place = (pod.get("spec", {}).get("nodeName", ""), owners.of(pod))
            counted.setdefault(place, []).append(is_ready(pod))
    moment = datetime.fromisoformat(made)
    found = sorted((_node(thing, moment) for thing in nodes), key=lambda n: (n.group, n.name))
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
    """Whose a pod is: by the workload that it belongs to, else by its namespace where only one
    add-on lives in it."""

    def __init__(self, settings: Settings) -> None:
        self._workloads = {
            (addon.namespace, workload.kind, workload.name): addon.title
            for addon, workload in checks.expected(settings)
        }
        homes: dict[str, list[str]] = {}
        for addon in catalogue().values():
            if is_on(addon, settings):
                homes.setdefault(addon.namespace, []).append(addon.title)
        self._homes = {name: titles[0] for name, titles in homes.items() if len(titles) == 1}

    def of(self, pod: Object) -> str:
        """The add-on's title."""
        meta = pod["metadata"]
        namespace = meta.get("namespace", "")
        for owner in meta.get("ownerReferences") or ():
            kind, name = owner["kind"], owner["name"]
            if kind == "ReplicaSet":
                kind, name = "Deployment", name.rpartition("-")[0]
            if title := self._workloads.get((namespace, kind, name)):
                return title
        return self._homes.get(namespace, OTHERS)


def _node(thing: Object, moment: datetime) -> MapNode:
    found = checks.node(thing, moment)
    labels = thing["metadata"].get("labels") or {}
    return MapNode(
        name=found.name,
        group=found.group,
        instance_type=found.instance_type,
        zone=labels.get(_ZONE, ""),
        ready=not found.trouble,
        accelerators=sum(count for _, count in found.accelerators),
    )
