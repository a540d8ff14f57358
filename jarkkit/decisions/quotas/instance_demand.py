"""The instances that a deployment launches, with the sizes of their types from AWS. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from jarkkit.decisions.instance_sizes import vcpus
from jarkkit.decisions.node_demand import SMALLEST_CPU_NODE_VCPUS, InstanceDemand
from jarkkit.decisions.stack import ResolvedStack
from jarkkit.model.records import InstanceType


def smallest_instance_type(family: str, types: Iterable[InstanceType]) -> InstanceType | None:
    """Return the smallest instance type of a family; None if there is none."""
    own = [item for item in types if item.name.startswith(f"{family}.")]
    return min(own, key=lambda item: item.vcpus, default=None)


def attendee_vcpus(stack: ResolvedStack, types: Iterable[InstanceType]) -> int:
    """Return the vCPUs that all attendees need at the same time.

    They use the smallest instances of the first accelerator pool, one accelerator each. Without
    accelerators, they use the smallest notebook servers on the CPU pool.
    """
    people, pools = stack.settings.attendees, stack.settings.accelerators
    if not pools:
        each = stack.hub_profiles[0]["kubespawner_override"]["cpu_guarantee"]
        return -(-people * int(each) // SMALLEST_CPU_NODE_VCPUS) * SMALLEST_CPU_NODE_VCPUS
    kind = smallest_instance_type(pools[0].family, types)
    if kind is None:
        return 0
    return -(-people // max(kind.accelerators, 1)) * kind.vcpus


def vcpus_per_instance(demand: InstanceDemand, types: Mapping[str, InstanceType]) -> int:
    """Return the vCPUs of one instance; for a pool, of its smallest.

    A type that AWS was not asked about has those of its name.
    """
    if demand.pattern in types:
        return types[demand.pattern].vcpus
    if named := vcpus(demand.pattern):
        return named
    kind = smallest_instance_type(demand.family, types.values())
    return kind.vcpus if kind else SMALLEST_CPU_NODE_VCPUS


def instance_demands_for_attendees(
    stack: ResolvedStack, types: Mapping[str, InstanceType]
) -> tuple[InstanceDemand, ...]:
    """Return all groups of instances; the pool that attendees use is large enough for all."""
    found = list(stack.instance_demands)
    pools = [n for n, demand in enumerate(found) if demand.max_vcpus]
    pools.sort(key=lambda n: found[n].is_cpu_pool)  # they prefer accelerators
    if pools and stack.settings.attendees > 1:
        demand = found[pools[0]]
        most = max(demand.max_vcpus, attendee_vcpus(stack, types.values()))
        found[pools[0]] = replace(demand, max_vcpus=most)
    return tuple(found)
