"""Which add-ons find room on the nodes that are there, so that they need not wait for Karpenter.
Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from jarkkit.addons.catalogue import Workload
from jarkkit.addons.choice import ROOM_SHARE
from jarkkit.kube.quantities import amount

Node = Mapping[str, Any]
Amounts = dict[str, float]


def room_of(nodes: Sequence[Node]) -> Amounts:
    """What pods may ask for on these nodes: vCPUs, bytes of memory, number of pods."""
    there = [node["status"].get("allocatable", {}) for node in nodes]
    return {
        what: ROOM_SHARE * sum(amount(each.get(what, 0)) for each in there)
        for what in ("cpu", "memory", "pods")
    }


def demand_of(workloads: Iterable[Workload], nodes: int) -> Amounts:
    """What the pods of these workloads ask for, with a DaemonSet's on each of so many nodes."""
    counted = [(w, nodes if w.replicas is None else w.replicas) for w in workloads]
    return {
        "cpu": sum(w.vcpus(nodes) for w, _ in counted),
        "memory": sum(amount(w.memory) * count for w, count in counted),
        "pods": float(sum(count for _, count in counted)),
    }


def fitting(
    nodes: Sequence[Node], core: Iterable[Workload], others: Mapping[str, Sequence[Workload]]
) -> frozenset[str]:
    """Names of the others that fit beside the core add-ons, all together; the smallest first.

    Args:
        core: workloads of the core add-ons, which always have their room.
        others: workloads by name of add-on.
    """
    left = _without(room_of(nodes), demand_of(core, len(nodes)))
    demands = {name: demand_of(workloads, len(nodes)) for name, workloads in others.items()}
    return frozenset(_taken(left, demands))


def _taken(left: Amounts, demands: Mapping[str, Amounts]) -> Iterator[str]:
    for name in sorted(demands, key=lambda name: (demands[name]["cpu"], name)):
        after = _without(left, demands[name])
        if min(after.values()) >= 0:
            left = after
            yield name


def _without(room: Amounts, taken: Amounts) -> Amounts:
    return {what: room[what] - taken[what] for what in room}
