"""From settings to a bill: a small function per area, each yielding lines. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from jarkkit.addons.choice import chosen, needs_file_system
from jarkkit.addons.pools import DISK_GIB
from jarkkit.costs import amounts
from jarkkit.costs.amounts import HOURS_PER_MONTH, Use
from jarkkit.costs.bill import Area, Bill, Line, Range
from jarkkit.costs.making import fixed, nothing, priced, unknown, used
from jarkkit.costs.table import (
    REFERENCE_SIZE,
    Price,
    PriceTable,
    size_factor,
    vcpus,
)
from jarkkit.settings import Accelerator, Settings

SESSION_HOURS = 4.0
# Spot costs 10 to 70 % of On-Demand where no history is at hand:
# https://aws.amazon.com/ec2/spot/ ("up to 90 % off")
_SPOT_SHARE = (0.1, 0.7)
# What Karpenter's CPU pool may launch (addons/pools.py): sizes of 4 to 32 vCPUs.
_CPU_SIZES = ("xlarge", "2xlarge", "4xlarge", "8xlarge")
_STATIC_GPU_GIB = 300  # root volume (terraform/nodes.tf)

SpotPrices = Mapping[str, Mapping[str, float]]
Support = Literal["standard", "extended"]


@dataclass(frozen=True)
class _Work:
    """What every area works with."""

    settings: Settings
    table: PriceTable
    spot: SpotPrices
    support: Support

    def item(self, key: str) -> Price | None:
        return self.table.item(self.settings.region, key)

    def instance(self, instance_type: str) -> Price | None:
        return self.table.instance(self.settings.region, instance_type)


def bill(
    settings: Settings,
    table: PriceTable,
    *,
    today: str,
    session_hours: float = SESSION_HOURS,
    spot: SpotPrices | None = None,
    support: Support | None = None,
) -> Bill:
    """What these settings cost.

    Args:
        today: `YYYY-MM-DD`, to tell whether Kubernetes is in extended support.
        spot: USD per hour by instance type and zone; without it Spot is a wide range.
        support: what EKS says of the version of Kubernetes; None goes by the shipped dates.
    """
    support = support or support_on(today, settings, table)
    work = _Work(settings, table, spot or {}, support)
    lines = tuple(line for area in _PARTS for line in area(work))
    return Bill(region=settings.region, session_hours=session_hours, lines=lines)


def support_on(day: str, settings: Settings, table: PriceTable) -> Support:
    """The support of the version of Kubernetes on a day (`YYYY-MM-DD`), by the shipped dates."""
    ends = table.standard_support_ends(settings.cluster_version)
    return "extended" if ends and day >= ends else "standard"


def names(settings: Settings, table: PriceTable) -> tuple[str, ...]:
    """The instance types and items whose prices such a bill is made of: what to ask AWS for."""
    families = [pool.family for pool in settings.accelerators]
    types = [kind for family in families for kind in table.types(family)]
    types += [f"{family}.{REFERENCE_SIZE}" for family in _cpu_families(table)]
    types += [settings.core_instance_type]
    types += [settings.static_gpu_instance_type] if settings.static_gpu_nodes else []
    return tuple(dict.fromkeys([*types, *table.items]))


def spot_types(settings: Settings, table: PriceTable) -> tuple[str, ...]:
    """The instance types whose Spot prices matter to these settings."""
    pools = [pool for pool in settings.accelerators if "spot" in pool.capacity]
    types = [kind for pool in pools for kind in table.types(pool.family)]
    if "spot" in settings.cpu_capacity:
        types += _cpu_types(table)
    return tuple(dict.fromkeys(types)) if settings.karpenter else ()


# -- areas -----------------------------------------------------------------------------------------


def _control_plane(work: _Work) -> Iterator[Line]:
    version = work.settings.cluster_version
    plain = fixed("control plane", "EKS control plane", [(1, work.item("eks-standard"))])
    if work.support == "extended":
        yield plain
        what = f"extended support of Kubernetes {version}"
        yield fixed("control plane", what, [(1, work.item("eks-extended"))])
        return
    ends, more = work.table.standard_support_ends(version), work.item("eks-extended")
    later = (
        f". Standard support of {version} ends on {ends}; {more.usd:g} more after that."
        if ends and more
        else ""
    )
    yield plain.model_copy(update={"why": plain.why + later})


def _core_nodes(work: _Work) -> Iterator[Line]:
    s = work.settings
    count, kind = s.core_nodes, s.core_instance_type
    yield fixed("core nodes", f"{count} x {kind}", [(count, work.instance(kind))])


def _cpu_nodes(work: _Work) -> Iterator[Line]:
    s = work.settings
    if not s.karpenter:
        return
    kinds = _cpu_types(work.table)
    nodes = amounts.expected_cpu_nodes(s)
    if nodes:
        fills = _fills(work, [k for k in kinds if vcpus(k) == 4], nodes * 4, s.cpu_capacity)
        why = f"The add-ons ask for more than {s.core_nodes} core nodes have."
        yield fills.line("CPU nodes", f"{nodes} x 4 vCPUs for add-ons", "always", why)
    fills = _fills(work, kinds, s.cpu_max_vcpus - nodes * 4, s.cpu_capacity)
    why = "Users' notebooks and jobs. Cheapest to dearest general family."
    yield fills.line("CPU nodes", f"up to {s.cpu_max_vcpus} vCPUs", "limit", why)


def _accelerators(work: _Work) -> Iterator[Line]:
    s = work.settings
    if s.static_gpu_nodes:
        kind = s.static_gpu_instance_type
        what = f"{s.static_gpu_nodes} x {kind}, running all the time"
        yield fixed("accelerators", what, [(s.static_gpu_nodes, work.instance(kind))])
    for pool in s.accelerators if s.karpenter else ():
        yield nothing("accelerators", f"{pool.family}: none", "None runs until a pod asks for it.")
        yield _pool_at_limit(work, pool)
    if s.karpenter and s.accelerators:
        yield from _one_each(work, s.accelerators[0])


def _one_each(work: _Work, pool: Accelerator) -> Iterator[Line]:
    """Everybody with the smallest type of the first pool."""
    people = work.settings.attendees
    kinds = [kind for kind in work.table.types(pool.family) if vcpus(kind) <= pool.max_vcpus]
    price = work.instance(kinds[0]) if kinds else None
    if price is None or set(pool.capacity) == {"reserved"}:
        return
    usd = _bought(price, work.spot.get(kinds[0], {}), pool.capacity).times(people)
    what = f"{people} x {kinds[0]} in use"
    why = f"{people} x {price.usd:g} per hour, one for each of the attendees."
    yield Line(area="accelerators", what=what, usd=usd, when="use", why=why, prices=(price,))


def _pool_at_limit(work: _Work, pool: Accelerator) -> Line:
    what = f"{pool.family}: up to {pool.max_vcpus} vCPUs"
    if set(pool.capacity) == {"reserved"}:
        why = "Paid with the reservation, used or not."
        return nothing("accelerators", what, why, when="limit")
    kinds = work.table.types(pool.family)
    if kinds and not any(vcpus(kind) <= pool.max_vcpus for kind in kinds):
        smallest = min(vcpus(kind) for kind in kinds)
        why = f"The smallest {pool.family} has {smallest} vCPUs: nothing fits under the limit."
        return nothing("accelerators", what, why, when="limit")
    fills = _fills(work, kinds, pool.max_vcpus, pool.capacity)
    return fills.line("accelerators", what, "limit", fills.said)


def _nat(work: _Work) -> Iterator[Line]:
    s = work.settings
    if s.vpc_id:
        return
    count = s.az_count if s.nat == "per-az" else 1
    prices = [(count, work.item("nat-hour")), (count, work.item("ipv4"))]
    what = f"{count} NAT gateway{'s' if count > 1 else ''} with a public IPv4 address each"
    yield fixed("NAT and addresses", what, prices)
    yield used("NAT and addresses", "data through NAT", amounts.NAT_GB, work.item("nat-gb"))


def _load_balancers(work: _Work) -> Iterator[Line]:
    count = sum(
        service.type == "LoadBalancer"
        for addon in chosen(work.settings)
        for service in addon.services
    )
    if count:
        what = f"{count} Network Load Balancer{'s' if count > 1 else ''}"
        yield fixed("load balancers", what, [(count, work.item("nlb-hour"))])
        use = amounts.LOAD_BALANCER_UNITS
        yield used("load balancers", "their traffic", use, work.item("nlb-lcu"), count)


def _storage(work: _Work) -> Iterator[Line]:
    s = work.settings
    roots = s.core_nodes * s.core_disk_gib + s.static_gpu_nodes * _STATIC_GPU_GIB
    roots += amounts.expected_cpu_nodes(s) * DISK_GIB["cpu"] if s.karpenter else 0
    claimed = amounts.volumes_gib(s)
    what = f"{roots + claimed:.0f} GiB gp3: nodes' disks, add-ons' volumes"
    yield fixed("storage", what, [((roots + claimed) / HOURS_PER_MONTH, work.item("gp3"))])
    if s.karpenter:
        yield _disks_at_limit(work)
    if needs_file_system(s):
        yield used("storage", "files on EFS", amounts.FILES_GIB, work.item("efs"), month=True)
    if s.artifact_bucket:
        yield used("storage", "artifacts on S3", amounts.BUCKET_GB, work.item("s3"), month=True)


def _disks_at_limit(work: _Work) -> Line:
    s, price = work.settings, work.item("gp3")
    few = many = 0.0
    pools = [(s.cpu_max_vcpus, 32, 4, DISK_GIB["cpu"])]
    for pool in s.accelerators:
        sizes = [vcpus(k) for k in work.table.types(pool.family) if vcpus(k) <= pool.max_vcpus]
        if sizes:
            pools.append((pool.max_vcpus, max(sizes), min(sizes), DISK_GIB["accelerator"]))
    for most, large, small, gib in pools:
        few += most // large * gib
        many += most // small * gib
    use = Use(few, many, many)
    why = f"{few:.0f} GiB when few large nodes are launched, {many:.0f} GiB when many small ones."
    line = used("storage", "disks of Karpenter's nodes", use, price, month=True)
    return line.model_copy(update={"when": "limit", "why": why})


def _logs(work: _Work) -> Iterator[Line]:
    s, price = work.settings, work.item("logs-gb")
    if "audit" in s.cluster_log_types:
        yield used("logs and metrics", "audit log to CloudWatch", amounts.AUDIT_GB, price)
    if set(s.cluster_log_types) - {"audit"}:
        what = "other control-plane logs"
        yield used("logs and metrics", what, amounts.OTHER_LOGS_GB, price)
    nodes = s.core_nodes + s.static_gpu_nodes
    if any(addon.name == "amazon-cloudwatch-observability" for addon in chosen(s)):
        what = f"container logs of {nodes} nodes"
        yield used("logs and metrics", what, amounts.NODE_LOGS_GB, price, nodes)
        what, insights = f"Container Insights of {nodes} nodes", work.item("insights")
        yield used("logs and metrics", what, amounts.OBSERVATIONS, insights, nodes)
    if s.managed_prometheus:
        samples = work.item("prometheus")
        yield used("logs and metrics", "Managed Prometheus", amounts.SAMPLES, samples)


def _keys(work: _Work) -> Iterator[Line]:
    yield fixed("keys", "KMS key for secrets", [(1 / HOURS_PER_MONTH, work.item("kms-key"))])


_PARTS: tuple[Callable[[_Work], Iterator[Line]], ...] = (
    _control_plane,
    _core_nodes,
    _cpu_nodes,
    _accelerators,
    _nat,
    _load_balancers,
    _storage,
    _logs,
    _keys,
)


# -- filling a limit -------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Fills:
    """What filling a limit costs with each instance type that fits: USD per hour."""

    by_type: Mapping[str, Range] = field(default_factory=dict)
    prices: tuple[Price, ...] = ()
    said: str = ""

    def line(self, area: Area, what: str, when: Literal["always", "limit"], why: str) -> Line:
        if not self.by_type:
            return unknown(area, what).model_copy(update={"when": when})
        low = min(fill.low for fill in self.by_type.values())
        high = max(fill.high for fill in self.by_type.values())
        cheapest = min(fill.likely for fill in self.by_type.values())
        dearest = max(fill.likely for fill in self.by_type.values())
        # What is always there is launched as cheaply as possible; a limit is about the most.
        usd = Range(low=low, likely=cheapest if when == "always" else dearest, high=high)
        return Line(area=area, what=what, usd=usd, when=when, why=why, prices=self.prices)


def _fills(work: _Work, kinds: Iterable[str], most: int, capacity: tuple[str, ...]) -> _Fills:
    """Filling `most` vCPUs with instances of one type, for each type."""
    found: dict[str, Range] = {}
    prices: dict[str, Price] = {}
    for kind in kinds:
        price = work.instance(kind)
        if price is not None and size_factor(kind) and (count := most // vcpus(kind)):
            found[kind] = _bought(price, work.spot.get(kind, {}), capacity).times(count)
            prices[f"{price.source} {price.date}"] = price
    if not found:
        return _Fills()
    cheap = min(found, key=lambda kind: found[kind].likely)
    dear = max(found, key=lambda kind: found[kind].likely)
    said = f"Cheapest: {most // vcpus(cheap)} x {cheap}; dearest: {most // vcpus(dear)} x {dear}."
    return _Fills(found, tuple(prices.values()), said)


def _bought(on_demand: Price, spot: Mapping[str, float], capacity: tuple[str, ...]) -> Range:
    """One instance: On-Demand, or Spot where the pool may have it (Karpenter prefers it)."""
    usual = priced(on_demand, 1, 1, 1)
    if "spot" not in capacity:
        return usual
    least, most = _SPOT_SHARE
    low = min(spot.values(), default=usual.low * least)
    high = max(spot.values(), default=usual.high * most)
    if "on-demand" in capacity:
        high = usual.high
    return Range(low=low, likely=(low + high) / 2 if not spot else low, high=high)


def _cpu_types(table: PriceTable) -> list[str]:
    return [f"{family}.{size}" for family in _cpu_families(table) for size in _CPU_SIZES]


def _cpu_families(table: PriceTable) -> list[str]:
    """The families that the CPU pool may launch: c, m and r of the fifth generation and later."""
    return [family for family in table.cpu_families if family[0] in "cmr"]
