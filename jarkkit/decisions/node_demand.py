"""What pods request, and the nodes and instances that a deployment launches for it. Pure.

`pod_requests` is the only sum of requests. Quotas, bill and estimated durations read it from the
`ResolvedStack`, and the installer compares it with the nodes that exist.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Literal

from jarkkit.catalog.addons import AddonWorkload
from jarkkit.decisions.addons.node_pools import MAX_PODS
from jarkkit.decisions.instance_sizes import max_pods, size_factor, vcpus
from jarkkit.model.kubernetes_values import quantity_value
from jarkkit.settings import Settings

Purchase = Literal["on-demand", "spot"]

# Pods never fill nodes completely: some of the free capacity is in pieces too small for a pod.
SCHEDULABLE_SHARE = 0.85
# Karpenter's CPU pool uses instances with 4 or more vCPUs (`decisions/addons/node_pools.py`).
SMALLEST_CPU_NODE, SMALLEST_CPU_NODE_VCPUS = "m5.xlarge", 4
_CPU_PATTERN = "m.*"  # of its types, for quotas: all its families count as Standard

# Allocatable capacity of a node with the EKS AMIs: 3.92 of 4 vCPUs, and less memory by 355 MiB and
# at most 11 MiB for each pod that it may have.
# https://github.com/awslabs/amazon-eks-ami/blob/main/nodeadm/internal/kubelet/eviction.go
_CPU_SHARE, _RESERVED_MIB, _RESERVED_MIB_PER_POD = 0.98, 355, 11
# GiB per unit of `size_factor`, by the first letter of the family; others have the ratio of m.
_GIB_PER_SIZE = {"c": 2.0, "r": 8.0}


# -- pods ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ComputeResources:
    """VCPUs, memory in GiB and a number of pods: what pods request, or what nodes offer."""

    vcpus: float = 0.0
    gib: float = 0.0
    pods: float = 0.0

    def plus(self, other: ComputeResources, times: float = 1.0) -> ComputeResources:
        """Return the sum with a multiple of the others."""
        return ComputeResources(
            self.vcpus + times * other.vcpus,
            self.gib + times * other.gib,
            self.pods + times * other.pods,
        )

    def minus(self, other: ComputeResources) -> ComputeResources:
        """Return the difference."""
        return self.plus(other, -1.0)

    def fits_in(self, free: ComputeResources) -> bool:
        """Return True if all of it is free."""
        left = free.minus(self)
        return min(left.vcpus, left.gib, left.pods) >= 0


@dataclass(frozen=True)
class PodRequests:
    """What pods request: once in the cluster, and on each node (DaemonSets)."""

    once: ComputeResources = ComputeResources()
    per_node: ComputeResources = ComputeResources()

    def on(self, nodes: int) -> ComputeResources:
        """Return what they request on that many nodes."""
        return self.once.plus(self.per_node, nodes)


def pod_requests(workloads: Iterable[AddonWorkload]) -> PodRequests:
    """Return what the pods of these workloads request."""
    once = per_node = ComputeResources()
    for workload in workloads:
        cpu, memory = quantity_value(workload.cpu), quantity_value(workload.memory)
        pod = ComputeResources(cpu, memory / 2**30, 1)
        if workload.replicas is None:
            per_node = per_node.plus(pod)
        else:
            once = once.plus(pod, workload.replicas)
    return PodRequests(once, per_node)


# -- nodes -----------------------------------------------------------------------------------------


def allocatable(instance_type: str, pods: int) -> ComputeResources:
    """Return what pods can request on one node that may have that many."""
    memory = (size_factor(instance_type) or 0) * _GIB_PER_SIZE.get(instance_type[:1], 4.0)
    reserved = (_RESERVED_MIB + _RESERVED_MIB_PER_POD * pods) / 1024
    return ComputeResources(vcpus(instance_type) * _CPU_SHARE, memory - reserved, pods)


def nodes_beside_core(requests: PodRequests, settings: Settings) -> int:
    """Return how many nodes Karpenter adds for pods that do not fit on the core nodes.

    Of its smallest type; none if the size of the core nodes is unknown.
    """
    kind, count = settings.core_instance_type, settings.core_nodes
    if not settings.karpenter or not vcpus(kind):
        return 0
    each_core = allocatable(kind, max_pods(kind))
    core = ComputeResources().plus(each_core, count * SCHEDULABLE_SHARE)
    added = ComputeResources().plus(allocatable(SMALLEST_CPU_NODE, MAX_PODS), SCHEDULABLE_SHARE)
    missing, each = requests.on(count).minus(core), added.minus(requests.per_node)
    shares = (missing.vcpus / each.vcpus, missing.gib / each.gib, missing.pods / each.pods)
    return max(0, math.ceil(max(shares)))


# -- instances -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class InstanceDemand:
    """A group of instances that the deployment launches.

    Attributes:
        label: the node group or pool, as text.
        pattern: EC2 pattern of their types.
        purchases: possible purchase options; empty if only reserved capacity is used.
        count: number of instances that always run.
        max_count: maximum number of instances, for a node group.
        max_vcpus: maximum total vCPUs, for a Karpenter pool.
        to_start: number of instances that a pool must be able to start, of its smallest type: one
            of an accelerator pool, which is useless otherwise; in the CPU pool, those for the
            add-ons that do not fit on the core nodes.
        reserved: whether it uses capacity reservations and Capacity Blocks.
    """

    label: str
    pattern: str
    purchases: tuple[Purchase, ...] = ("on-demand",)
    count: int = 0
    max_count: int = 0
    max_vcpus: int = 0
    to_start: int = 0
    reserved: bool = False

    @property
    def family(self) -> str:
        """The instance family, such as `g6`."""
        return self.pattern.partition(".")[0]

    @property
    def is_cpu_pool(self) -> bool:
        """Whether it is Karpenter's pool without accelerators."""
        return self.pattern == _CPU_PATTERN

    @property
    def running(self) -> int:
        """The number of instances that run as soon as the add-ons are installed."""
        return self.count + (self.to_start if self.is_cpu_pool else 0)


def instance_demands(settings: Settings, addon_nodes: int) -> tuple[InstanceDemand, ...]:
    """Return all groups of instances.

    Args:
        addon_nodes: how many nodes of the CPU pool the add-ons need.
    """
    s = settings
    node_groups = (
        ("core nodes", s.core_instance_type, s.core_nodes, s.core_nodes_max),
        ("static GPU nodes", s.static_gpu_instance_type, s.static_gpu_nodes, s.static_gpu_nodes),
    )
    found = [
        InstanceDemand(label, kind, count=now, max_count=most)
        for label, kind, now, most in node_groups
        if most
    ]
    if s.karpenter:
        overflow = " for add-ons that do not fit on the core nodes" if addon_nodes else ""
        label = f"CPU pool{overflow}"
        found.append(_pool(label, _CPU_PATTERN, s.cpu_capacity, s.cpu_max_vcpus, addon_nodes))
    for pool in s.accelerators:
        label, pattern = f"pool {pool.family}", f"{pool.family}.*"
        found.append(_pool(label, pattern, pool.capacity, pool.max_vcpus, to_start=1))
    return tuple(found)


def _pool(
    label: str, pattern: str, capacity: Collection[str], most: int, to_start: int
) -> InstanceDemand:
    bought: tuple[Purchase, ...] = ("on-demand", "spot")
    return InstanceDemand(
        label,
        pattern,
        tuple(purchase for purchase in bought if purchase in capacity),
        max_vcpus=most,
        to_start=to_start,
        reserved="reserved" in capacity,
    )
