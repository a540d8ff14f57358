"""What a deployment launches, from its settings. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from jarkkit.addons.choice import ROOM_SHARE, vcpus
from jarkkit.addons.profiles import profiles
from jarkkit.quotas.codes import Purchase
from jarkkit.records import InstanceType
from jarkkit.settings import Settings

# Karpenter's CPU pool has instances of 4 vCPUs and more (`addons/pools.py`).
SMALLEST_CPU = 4
_CPU_POOL = "CPU pool"


@dataclass(frozen=True)
class Launch:
    """Instances that the deployment launches.

    Attributes:
        what: whose they are, in words.
        pattern: EC2's pattern of their types.
        purchases: how they may be bought; empty where only reserved capacity is used.
        count: how many run all the time.
        most_count: how many there can be, where that is counted in instances.
        max_vcpus: how many vCPUs they may have together, where that is a pool's limit.
        must_start: a pool that must be able to start one instance: one of accelerators is useless
            otherwise, and that of CPUs takes the add-ons for which the core nodes have no room.
        reserved: capacity reservations and Capacity Blocks are used.
    """

    what: str
    pattern: str
    purchases: tuple[Purchase, ...] = ("on-demand",)
    count: int = 0
    most_count: int = 0
    max_vcpus: int = 0
    must_start: bool = False
    reserved: bool = False

    @property
    def family(self) -> str:
        """The instances' family, such as `g6`."""
        return self.pattern.partition(".")[0]


def launches(settings: Settings) -> tuple[Launch, ...]:
    """Everything that launches instances."""
    found = [
        Launch(
            "core nodes",
            settings.core_instance_type,
            count=settings.core_nodes,
            most_count=settings.core_nodes_max,
        )
    ]
    if settings.static_gpu_nodes:
        found.append(
            Launch(
                "static GPU nodes",
                settings.static_gpu_instance_type,
                count=settings.static_gpu_nodes,
                most_count=settings.static_gpu_nodes,
            )
        )
    if settings.karpenter:
        found.append(
            Launch(
                _CPU_POOL,
                "m.*",
                _purchases(settings.cpu_capacity),
                max_vcpus=settings.cpu_max_vcpus,
                reserved="reserved" in settings.cpu_capacity,
            )
        )
    for pool in settings.accelerators:
        found.append(
            Launch(
                f"pool {pool.family}",
                f"{pool.family}.*",
                _purchases(pool.capacity),
                max_vcpus=pool.max_vcpus,
                must_start=True,
                reserved="reserved" in pool.capacity,
            )
        )
    return tuple(found)


def patterns(settings: Settings) -> tuple[str, ...]:
    """The instance types that must be known, as EC2's patterns."""
    known = [launch.pattern for launch in launches(settings) if launch.what != _CPU_POOL]
    return tuple(dict.fromkeys(known))


def smallest(family: str, types: Iterable[InstanceType]) -> InstanceType | None:
    """The smallest instance type of a family."""
    own = [item for item in types if item.name.startswith(f"{family}.")]
    return min(own, key=lambda item: item.vcpus, default=None)


def attended_vcpus(settings: Settings, types: Iterable[InstanceType]) -> int:
    """vCPUs of the pool that everybody who works at the same time needs: the first accelerator
    pool's smallest instances, one accelerator each; without accelerators the CPU pool's smallest
    servers."""
    people = settings.attendees
    if not settings.accelerators:
        each = profiles(settings)[0]["kubespawner_override"]["cpu_guarantee"]
        return -(-people * int(each) // SMALLEST_CPU) * SMALLEST_CPU
    kind = smallest(settings.accelerators[0].family, types)
    if kind is None:
        return 0
    return -(-people // max(kind.accelerators, 1)) * kind.vcpus


def vcpus_each(launch: Launch, types: Mapping[str, InstanceType]) -> int:
    """vCPUs of one instance; of a pool, of its smallest."""
    if launch.pattern in types:
        return types[launch.pattern].vcpus
    kind = smallest(launch.family, types.values())
    return kind.vcpus if kind else SMALLEST_CPU


def _purchases(capacity: Iterable[str]) -> tuple[Purchase, ...]:
    bought: tuple[Purchase, ...] = ("on-demand", "spot")
    return tuple(purchase for purchase in bought if purchase in capacity)


def attended(settings: Settings, types: Mapping[str, InstanceType]) -> tuple[Launch, ...]:
    """The launches; the pool that people work in is as large as they need it, and add-ons that do
    not fit onto the core nodes have an instance of the CPU pool."""
    found = list(launches(settings))
    pools = [n for n, launch in enumerate(found) if launch.must_start] or [
        n for n, launch in enumerate(found) if launch.max_vcpus
    ]
    if pools and settings.attendees > 1:
        launch = found[pools[0]]
        most = max(launch.max_vcpus, attended_vcpus(settings, types.values()))
        found[pools[0]] = replace(launch, max_vcpus=most)
    return tuple(_with_overflow(launch, found[0], settings, types) for launch in found)


def _with_overflow(
    launch: Launch, core: Launch, settings: Settings, types: Mapping[str, InstanceType]
) -> Launch:
    if launch.what != _CPU_POOL or core.pattern not in types:
        return launch
    room = ROOM_SHARE * core.count * types[core.pattern].vcpus
    if vcpus(settings, core.count) <= room:
        return launch
    what = f"{_CPU_POOL} for add-ons without room on the core nodes"
    return replace(launch, what=what, must_start=True)
