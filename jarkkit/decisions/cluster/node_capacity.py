"""Decides which add-ons fit on the current nodes and need not wait for Karpenter. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from jarkkit.catalog.addons import AddonWorkload
from jarkkit.decisions.node_demand import SCHEDULABLE_SHARE, ComputeResources, pod_requests
from jarkkit.model.kubernetes_values import quantity_value

Node = Mapping[str, Any]


def node_capacity(nodes: Iterable[Node]) -> ComputeResources:
    """Return what pods can request on these nodes."""
    total = ComputeResources()
    for node in nodes:
        each = node["status"].get("allocatable", {})
        cpu, memory, pods = (quantity_value(each.get(k, 0)) for k in ("cpu", "memory", "pods"))
        total = total.plus(ComputeResources(cpu, memory / 2**30, pods), SCHEDULABLE_SHARE)
    return total


def schedulable(
    nodes: Sequence[Node],
    core: Iterable[AddonWorkload],
    others: Mapping[str, Sequence[AddonWorkload]],
) -> frozenset[str]:
    """Return the names of the other add-ons that fit together beside the core ones, smallest first.

    Args:
        core: workloads of the core add-ons, whose capacity is always reserved.
        others: workloads by add-on name.
    """
    free = node_capacity(nodes).minus(pod_requests(core).on(len(nodes)))
    wanted = {name: pod_requests(workloads).on(len(nodes)) for name, workloads in others.items()}
    return frozenset(_placed(free, wanted))


def _placed(free: ComputeResources, wanted: Mapping[str, ComputeResources]) -> Iterator[str]:
    for name in sorted(wanted, key=lambda name: (wanted[name].vcpus, name)):
        if wanted[name].fits_in(free):
            free = free.minus(wanted[name])
            yield name
