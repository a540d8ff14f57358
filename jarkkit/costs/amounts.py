"""How much of everything a deployment has: what its add-ons ask for, and what use is assumed. Pure.

What depends on use cannot be known beforehand. Each assumption is a range for a small group that
works with the examples; the bill shows the range and says what was assumed.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from jarkkit.addons.catalogue import Addon
from jarkkit.addons.choice import chosen, objects, values, workloads
from jarkkit.costs.table import vcpus
from jarkkit.settings import Settings

HOURS_PER_MONTH = 730  # AWS' own figure for a month

# Of a node's capacity pods get what EKS' images leave: 3.92 of 4 vCPUs, and about 0.9 GiB less
# memory with the 58 pods of an m5.xlarge.
# https://github.com/awslabs/amazon-eks-ami/blob/main/nodeadm/internal/kubelet/eviction.go
_CPU_SHARE, _RESERVED_GIB = 0.98, 0.9
# GiB per vCPU by the first letter of the family; t3 and others are like m.
_GIB_PER_VCPU = {"c": 2.0, "r": 8.0}
_GIB_PER_UNIT = {"": 2.0**-30, "Ki": 2.0**-20, "Mi": 2.0**-10, "Gi": 1.0, "Ti": 1024.0}
_SIZES = ("storage", "size", "diskSize", "storageRequest")


@dataclass(frozen=True)
class Use:
    """An amount that depends on use: at least, likely, at most."""

    low: float
    likely: float
    high: float


# GB an hour through NAT: images and packages when somebody starts something, little in between.
NAT_GB = Use(0.05, 0.5, 5.0)
# Capacity units of a load balancer that serves a class: one is enough for 800 new connections or
# 100 000 open ones a minute.
LOAD_BALANCER_UNITS = Use(0.0, 0.1, 1.0)
# GB an hour of control-plane logs; the audit log is by far the largest.
AUDIT_GB, OTHER_LOGS_GB = Use(0.02, 0.08, 0.4), Use(0.005, 0.02, 0.1)
# GB an hour of containers' and flow logs per node.
NODE_LOGS_GB = Use(0.005, 0.02, 0.1)
# Million observations an hour that Container Insights makes of one node: about 40 a minute for each
# pod, container and the node.
OBSERVATIONS = Use(0.05, 0.1, 0.25)
# GiB in the shared file system, GB in the bucket.
FILES_GIB, BUCKET_GB = Use(1.0, 10.0, 100.0), Use(0.0, 10.0, 200.0)
# Million samples an hour to a Prometheus workspace: 20 000 to 100 000 series twice a minute.
SAMPLES = Use(2.4, 6.0, 12.0)


@dataclass(frozen=True)
class Room:
    """vCPUs and GiB of memory."""

    vcpus: float
    gib: float


def node_room(instance_type: str) -> Room:
    """What the pods of one node get."""
    count = vcpus(instance_type)
    gib = count * _GIB_PER_VCPU.get(instance_type[:1], 4.0)
    return Room(count * _CPU_SHARE, gib - _RESERVED_GIB)


def requests(settings: Settings) -> tuple[Room, Room]:
    """What the chosen add-ons' pods ask for: those that are there once, and those of each node."""
    once, each = Room(0, 0), Room(0, 0)
    for addon in chosen(settings):
        for workload in workloads(addon, settings):
            asked = Room(_cpus(workload.cpu), _gib(workload.memory))
            if workload.replicas is None:
                each = Room(each.vcpus + asked.vcpus, each.gib + asked.gib)
            else:
                count = workload.replicas
                once = Room(once.vcpus + count * asked.vcpus, once.gib + count * asked.gib)
    return once, each


def expected_cpu_nodes(settings: Settings, instance_type: str = "m5.xlarge") -> int:
    """How many nodes of that type Karpenter adds for the add-ons alone: those that the core nodes
    have no room for."""
    once, each = requests(settings)
    core, more = node_room(settings.core_instance_type), node_room(instance_type)
    missing_cpu = once.vcpus - settings.core_nodes * (core.vcpus - each.vcpus)
    missing_gib = once.gib - settings.core_nodes * (core.gib - each.gib)
    nodes = max(missing_cpu / (more.vcpus - each.vcpus), missing_gib / (more.gib - each.gib))
    return max(0, math.ceil(nodes))


def volumes_gib(settings: Settings) -> float:
    """GiB of the EBS volumes that the chosen add-ons claim (storage class gp3)."""
    return sum(volumes_of(addon, settings) for addon in chosen(settings))


def volumes_of(addon: Addon, settings: Settings) -> float:
    """GiB of the volumes that one add-on claims, from its values and objects."""
    made = (*objects(addon, settings, "before"), *objects(addon, settings, "after"))
    return sum(_claimed(item) for item in (values(addon, settings), *made))


def _claimed(item: Any) -> float:
    """The sizes in the smallest parts that name both a size and the storage class."""
    parts = list(_parts(item))
    inside = sum(_claimed(part) for part in parts)
    if not inside and _names_class(item):
        inside = sum(_sizes(item))
    replicas = item.get("replicas", 1) if isinstance(item, dict) else 1
    return inside * (replicas if isinstance(replicas, int) else 1)


def _parts(item: Any) -> Iterable[Any]:
    if isinstance(item, dict):
        return item.values()
    return item if isinstance(item, list | tuple) else ()


def _names_class(item: Any) -> bool:
    return item == "gp3" or any(_names_class(part) for part in _parts(item))


def _sizes(item: Any) -> Iterator[float]:
    for part in _parts(item):
        yield from _sizes(part)
    if isinstance(item, dict):
        for key in _SIZES:
            if isinstance(size := item.get(key), str):
                yield _gib(size)


def _cpus(quantity: str) -> float:
    milli = quantity.endswith("m")
    return float(quantity.removesuffix("m")) / (1000 if milli else 1)


def _gib(quantity: str) -> float:
    found = re.fullmatch(r"([\d.]+)(|Ki|Mi|Gi|Ti)", quantity)
    return float(found[1]) * _GIB_PER_UNIT[found[2]] if found else 0.0
