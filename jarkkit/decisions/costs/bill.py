"""Builds a bill from settings: one small function per area yields its lines. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from jarkkit.catalog.facts import standard_support_ends
from jarkkit.decisions.addons.node_pools import DISK_GIB
from jarkkit.decisions.costs import usage_assumptions
from jarkkit.decisions.costs.line_items import (
    fixed_line,
    free_line,
    price_range,
    unknown_line,
    usage_line,
)
from jarkkit.decisions.costs.models import ZERO_USD, Bill, CostArea, CostLine, UsdRange
from jarkkit.decisions.costs.price_table import REFERENCE_SIZE, Price, PriceTable
from jarkkit.decisions.costs.usage_assumptions import HOURS_PER_MONTH, UsageRange
from jarkkit.decisions.instance_sizes import accelerators, size_factor, vcpus
from jarkkit.decisions.node_demand import SMALLEST_CPU_NODE_VCPUS
from jarkkit.decisions.stack import ResolvedStack
from jarkkit.settings import Accelerator, Settings

SESSION_HOURS = 4.0
# Spot costs 10 to 70 % of On-Demand, if no price history is available:
# https://aws.amazon.com/ec2/spot/ ("up to 90 % off")
_SPOT_SHARE = (0.1, 0.7)
# Sizes that Karpenter's CPU pool can launch (decisions/addons/node_pools.py): 4 to 32 vCPUs.
_CPU_SIZES = ("xlarge", "2xlarge", "4xlarge", "8xlarge")
_STATIC_GPU_GIB = 300  # root volume (terraform/nodes.tf)
_RESERVED = "You pay for the reservation, used or not."

SpotPrices = Mapping[str, Mapping[str, float]]
Support = Literal["standard", "extended"]


@dataclass(frozen=True)
class _Work:
    """The inputs of every area."""

    stack: ResolvedStack
    table: PriceTable
    spot: SpotPrices
    support: Support

    @property
    def settings(self) -> Settings:
        return self.stack.settings

    def item(self, key: str) -> Price | None:
        return self.table.item(self.settings.region, key)

    def instance(self, instance_type: str) -> Price | None:
        return self.table.instance(self.settings.region, instance_type)


def build_bill(
    stack: ResolvedStack,
    table: PriceTable,
    *,
    today: str,
    session_hours: float = SESSION_HOURS,
    spot: SpotPrices | None = None,
    support: Support | None = None,
) -> Bill:
    """Build the bill for this stack.

    Args:
        today: `YYYY-MM-DD`, to decide whether Kubernetes is in extended support.
        spot: USD per hour by instance type and zone; without it, Spot prices are a wide range.
        support: support of the Kubernetes version according to EKS; None uses the shipped dates.
    """
    support = support or support_on(today, stack.settings)
    work = _Work(stack, table, spot or {}, support)
    lines = tuple(line for area in _PARTS for line in area(work))
    return Bill(region=stack.settings.region, session_hours=session_hours, lines=lines)


def support_on(day: str, settings: Settings) -> Support:
    """Return the support of the Kubernetes version on a day (`YYYY-MM-DD`), by shipped dates."""
    ends = standard_support_ends(settings.cluster_version)
    return "extended" if ends and day >= ends else "standard"


def priced_names(settings: Settings, table: PriceTable) -> tuple[str, ...]:
    """Return the instance types and items whose prices the bill needs from AWS."""
    families = [pool.family for pool in settings.accelerators]
    types = [kind for family in families for kind in table.types(family)]
    types += [f"{family}.{REFERENCE_SIZE}" for family in _cpu_families(table)]
    types += [settings.core_instance_type]
    types += [settings.static_gpu_instance_type] if settings.static_gpu_nodes else []
    return tuple(dict.fromkeys([*types, *table.items]))


def spot_instance_types(settings: Settings, table: PriceTable) -> tuple[str, ...]:
    """Return the instance types whose Spot prices matter to these settings."""
    pools = [pool for pool in settings.accelerators if "spot" in pool.capacity]
    types = [kind for pool in pools for kind in table.types(pool.family)]
    if "spot" in settings.cpu_capacity:
        types += _cpu_types(table)
    return tuple(dict.fromkeys(types)) if settings.karpenter else ()


# -- areas -----------------------------------------------------------------------------------------


def _control_plane(work: _Work) -> Iterator[CostLine]:
    """Yield the control plane, which never costs extended support: the upgrade policy is STANDARD
    (terraform/modules/cluster).

    https://docs.aws.amazon.com/eks/latest/userguide/view-upgrade-policy.html
    """
    version = work.settings.cluster_version
    plain = fixed_line("control plane", "EKS control plane", [(1, work.item("eks-standard"))])
    ends, more = standard_support_ends(version), work.item("eks-extended")
    upgrade = "EKS then upgrades the cluster by itself"
    if more:
        upgrade += f", so that extended support ({more.usd:g} more) is never charged"
    later = ""
    if work.support == "extended":
        later = f". Standard support of {version} has ended; {upgrade}."
    elif ends:
        later = f". Standard support of {version} ends on {ends}; {upgrade}."
    yield plain.model_copy(update={"why": plain.why + later})


def _core_nodes(work: _Work) -> Iterator[CostLine]:
    s = work.settings
    count, kind = s.core_nodes, s.core_instance_type
    yield fixed_line("core nodes", f"{count} x {kind}", [(count, work.instance(kind))])


def _cpu_nodes(work: _Work) -> Iterator[CostLine]:
    s = work.settings
    if not s.karpenter:
        return
    kinds, size = _cpu_types(work.table), SMALLEST_CPU_NODE_VCPUS
    nodes = work.stack.addon_nodes
    if nodes:
        fills = _fills(work, [k for k in kinds if vcpus(k) == size], nodes * size, s.cpu_capacity)
        why = f"The add-ons request more than the {s.core_nodes} core nodes have."
        why = _unless_reserved(s.cpu_capacity, why)
        yield fills.line("CPU nodes", f"{nodes} x {size} vCPUs for add-ons", "always", why)
    left = s.cpu_max_vcpus - nodes * size
    if left >= size:  # else the add-ons use up the limit
        fills = _fills(work, kinds, left, s.cpu_capacity)
        why = "For notebooks and jobs of users. From cheapest to most expensive general family."
        why = _unless_reserved(s.cpu_capacity, why)
        yield fills.line("CPU nodes", f"up to {s.cpu_max_vcpus} vCPUs", "limit", why)


def _accelerators(work: _Work) -> Iterator[CostLine]:
    s = work.settings
    if s.static_gpu_nodes:
        kind = s.static_gpu_instance_type
        what = f"{s.static_gpu_nodes} x {kind}, always running"
        yield fixed_line("accelerators", what, [(s.static_gpu_nodes, work.instance(kind))])
    for pool in s.accelerators if s.karpenter else ():
        why = "No instance runs until a pod requests one."
        yield free_line("accelerators", f"{pool.family}: none", why)
        yield _pool_at_limit(work, pool)
    if s.karpenter and s.accelerators:
        yield from _one_each(work, s.accelerators[0])


def _one_each(work: _Work, pool: Accelerator) -> Iterator[CostLine]:
    """Yield the line for all attendees, with an accelerator each, on the smallest type of the first
    pool."""
    people = work.settings.attendees
    kinds = [kind for kind in work.table.types(pool.family) if vcpus(kind) <= pool.max_vcpus]
    price = work.instance(kinds[0]) if kinds else None
    if price is None:
        return
    count = math.ceil(people / accelerators(kinds[0]))
    usd = instance_usd(price, work.spot.get(kinds[0], {}), pool.capacity).scaled(count)
    what = f"{count} x {kinds[0]} in use"
    why = f"{count} x {price.usd:g} per hour, one accelerator for each of {people} attendees."
    why = _unless_reserved(pool.capacity, why)
    yield CostLine(area="accelerators", what=what, usd=usd, when="use", why=why, prices=(price,))


def _pool_at_limit(work: _Work, pool: Accelerator) -> CostLine:
    what = f"{pool.family}: up to {pool.max_vcpus} vCPUs"
    if _only_reserved(pool.capacity):  # also of a family without list prices
        return free_line("accelerators", what, _RESERVED, when="limit")
    kinds = work.table.types(pool.family)
    if kinds and not any(vcpus(kind) <= pool.max_vcpus for kind in kinds):
        smallest = min(vcpus(kind) for kind in kinds)
        why = f"The smallest {pool.family} has {smallest} vCPUs, more than the limit."
        return free_line("accelerators", what, why, when="limit")
    fills = _fills(work, kinds, pool.max_vcpus, pool.capacity)
    return fills.line("accelerators", what, "limit", fills.summary)


def _nat(work: _Work) -> Iterator[CostLine]:
    s = work.settings
    if s.vpc_id:
        return
    count = s.az_count if s.nat == "per-az" else 1
    prices = [(count, work.item("nat-hour")), (count, work.item("ipv4"))]
    what = f"{count} NAT gateway{'s' if count > 1 else ''} with a public IPv4 address each"
    yield fixed_line("NAT and addresses", what, prices)
    yield usage_line(
        "NAT and addresses", "data through NAT", usage_assumptions.NAT_GB, work.item("nat-gb")
    )


def _load_balancers(work: _Work) -> Iterator[CostLine]:
    counts = {
        "nlb": ("Network", work.stack.network_load_balancers),
        "alb": ("Application", work.stack.application_load_balancers),
    }
    for key, (kind, count) in counts.items():
        if count:
            what = f"{count} {kind} Load Balancer{'s' if count > 1 else ''}"
            yield fixed_line("load balancers", what, [(count, work.item(f"{key}-hour"))])
            use, price = usage_assumptions.LOAD_BALANCER_UNITS, work.item(f"{key}-lcu")
            what = f"{kind} Load Balancer traffic"
            yield usage_line("load balancers", what, use, price, count)


def _storage(work: _Work) -> Iterator[CostLine]:
    s = work.settings
    roots = s.core_nodes * s.core_disk_gib + s.static_gpu_nodes * _STATIC_GPU_GIB
    roots += work.stack.addon_nodes * DISK_GIB["cpu"]
    claimed = work.stack.volumes_gib
    what = f"{roots + claimed:.0f} GiB gp3: node disks, add-on volumes"
    yield fixed_line("storage", what, [((roots + claimed) / HOURS_PER_MONTH, work.item("gp3"))])
    if s.karpenter:
        yield _disks_at_limit(work)
    if s.shared_files:
        yield usage_line(
            "storage", "files on EFS", usage_assumptions.FILES_GIB, work.item("efs"), month=True
        )
        # Elastic throughput (terraform/modules/file_system). Bursting throughput is free, but a
        # file system of 10 GiB has a baseline of 1 MiB/s when its burst credits are used up:
        # https://docs.aws.amazon.com/efs/latest/ug/performance.html#bursting
        yield usage_line(
            "storage", "reads from EFS", usage_assumptions.EFS_READ_GB, work.item("efs-read")
        )
        yield usage_line(
            "storage", "writes to EFS", usage_assumptions.EFS_WRITTEN_GB, work.item("efs-write")
        )
    if s.artifact_bucket:
        yield usage_line(
            "storage", "artifacts on S3", usage_assumptions.BUCKET_GB, work.item("s3"), month=True
        )


def _disks_at_limit(work: _Work) -> CostLine:
    s, price = work.settings, work.item("gp3")
    few = many = 0.0
    smallest = SMALLEST_CPU_NODE_VCPUS
    # The disks of the nodes for add-ons always exist: `_storage` has them.
    left = max(0, s.cpu_max_vcpus - work.stack.addon_nodes * smallest)
    pools = [(left, 32, smallest, DISK_GIB["cpu"])]
    for pool in s.accelerators:
        sizes = [vcpus(k) for k in work.table.types(pool.family) if vcpus(k) <= pool.max_vcpus]
        if sizes:
            pools.append((pool.max_vcpus, max(sizes), min(sizes), DISK_GIB["accelerator"]))
    for most, large, small, gib in pools:
        few += most // large * gib
        many += most // small * gib
    use = UsageRange(few, many, many)
    why = f"{few:.0f} GiB with few large nodes, {many:.0f} GiB with many small nodes."
    line = usage_line("storage", "disks of Karpenter's nodes", use, price, month=True)
    return line.model_copy(update={"when": "limit", "why": why})


def _logs(work: _Work) -> Iterator[CostLine]:
    s, price = work.settings, work.item("logs-gb")
    if "audit" in s.cluster_log_types:
        yield usage_line(
            "logs and metrics", "audit log to CloudWatch", usage_assumptions.AUDIT_GB, price
        )
    if set(s.cluster_log_types) - {"audit"}:
        what = "other control-plane logs"
        yield usage_line("logs and metrics", what, usage_assumptions.OTHER_LOGS_GB, price)
    nodes = s.core_nodes + s.static_gpu_nodes
    if "amazon-cloudwatch-observability" in work.stack.addon_names:
        what = f"container logs of {nodes} nodes"
        yield usage_line("logs and metrics", what, usage_assumptions.NODE_LOGS_GB, price, nodes)
        what, insights = f"Container Insights of {nodes} nodes", work.item("insights")
        yield usage_line(
            "logs and metrics", what, usage_assumptions.INSIGHTS_OBSERVATIONS, insights, nodes
        )
        if s.application_signals:
            use, signals = usage_assumptions.APPLICATION_SIGNALS, work.item("signals")
            yield usage_line("logs and metrics", "Application Signals", use, signals)
    if s.managed_prometheus:
        samples = work.item("prometheus")
        yield usage_line(
            "logs and metrics", "Managed Prometheus", usage_assumptions.PROMETHEUS_SAMPLES, samples
        )


def _keys(work: _Work) -> Iterator[CostLine]:
    yield fixed_line("keys", "KMS key for secrets", [(1 / HOURS_PER_MONTH, work.item("kms-key"))])


_PARTS: tuple[Callable[[_Work], Iterator[CostLine]], ...] = (
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


# -- cost at a limit -------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Fills:
    """The cost of using a limit fully, by instance type that fits: USD per hour."""

    by_type: Mapping[str, UsdRange] = field(default_factory=dict)
    prices: tuple[Price, ...] = ()
    summary: str = ""

    def line(
        self, area: CostArea, what: str, when: Literal["always", "limit"], why: str
    ) -> CostLine:
        if not self.by_type:
            return unknown_line(area, what).model_copy(update={"when": when})
        low = min(fill.low for fill in self.by_type.values())
        high = max(fill.high for fill in self.by_type.values())
        cheapest = min(fill.likely for fill in self.by_type.values())
        costliest = max(fill.likely for fill in self.by_type.values())
        # Karpenter launches what always runs as cheaply as possible; a limit shows the worst case.
        usd = UsdRange(low=low, likely=cheapest if when == "always" else costliest, high=high)
        return CostLine(area=area, what=what, usd=usd, when=when, why=why, prices=self.prices)


def _fills(work: _Work, kinds: Iterable[str], most: int, capacity: tuple[str, ...]) -> _Fills:
    """Return the cost of using `most` vCPUs with instances of one type, for each type."""
    found: dict[str, UsdRange] = {}
    prices: dict[str, Price] = {}
    for kind in kinds:
        price = work.instance(kind)
        if price is not None and size_factor(kind) and (count := most // vcpus(kind)):
            found[kind] = instance_usd(price, work.spot.get(kind, {}), capacity).scaled(count)
            prices[f"{price.source} {price.date}"] = price
    if not found:
        return _Fills()
    cheap = min(found, key=lambda kind: found[kind].likely)
    costly = max(found, key=lambda kind: found[kind].likely)
    summary = (
        f"Cheapest: {most // vcpus(cheap)} x {cheap}; most expensive: "
        f"{most // vcpus(costly)} x {costly}."
    )
    return _Fills(found, tuple(prices.values()), summary)


def instance_usd(
    on_demand: Price, spot: Mapping[str, float], capacity: tuple[str, ...]
) -> UsdRange:
    """Return what one instance costs: nothing in a reservation, which you pay for whether you use
    it or not; else its On-Demand price, or Spot if the pool allows it.

    Karpenter prefers reserved capacity, then Spot.
    https://karpenter.sh/docs/concepts/nodepools/ (karpenter.sh/capacity-type)
    """
    if _only_reserved(capacity):
        return ZERO_USD
    usd = _bought_usd(on_demand, spot, capacity)
    return usd.model_copy(update={"low": 0.0}) if "reserved" in capacity else usd


def _only_reserved(capacity: tuple[str, ...]) -> bool:
    return set(capacity) == {"reserved"}


def _unless_reserved(capacity: tuple[str, ...], why: str) -> str:
    """Return the explanation of a cost, unless it is only that of a reservation."""
    return _RESERVED if _only_reserved(capacity) else why


def _bought_usd(on_demand: Price, spot: Mapping[str, float], capacity: tuple[str, ...]) -> UsdRange:
    usual = price_range(on_demand, 1, 1, 1)
    if "spot" not in capacity:
        return usual
    least, most = _SPOT_SHARE
    low = min(spot.values(), default=usual.low * least)
    high = max(spot.values(), default=usual.high * most)
    if "on-demand" in capacity:
        high = usual.high
    return UsdRange(low=low, likely=(low + high) / 2 if not spot else low, high=high)


def _cpu_types(table: PriceTable) -> list[str]:
    return [f"{family}.{size}" for family in _cpu_families(table) for size in _CPU_SIZES]


def _cpu_families(table: PriceTable) -> list[str]:
    """Return the families that the CPU pool can launch: c, m and r, fifth generation and later."""
    return [family for family in table.cpu_families if family[0] in "cmr"]
