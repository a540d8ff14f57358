"""Costs so far: hours from the ledger, and the resources in the account now. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from jarkkit.decisions.costs import usage_assumptions
from jarkkit.decisions.costs.line_items import fixed_line, free_line, unknown_line, usage_line
from jarkkit.decisions.costs.models import (
    ZERO_USD,
    Bill,
    CostArea,
    CostLine,
    UsdRange,
    total_usd,
)
from jarkkit.decisions.costs.node_runs import RanLine
from jarkkit.decisions.costs.price_table import Price, PriceTable
from jarkkit.decisions.costs.usage_assumptions import UsageRange
from jarkkit.model.records import LedgerEntry, OwnedResource, Record

# Sizes that the inventory could not read.
_VOLUME_GIB, _STORED_LOGS_GB = UsageRange(1.0, 30.0, 300.0), UsageRange(0.0, 0.1, 5.0)
_FSX_GIB = UsageRange(1200.0, 1200.0, 9600.0)  # 1.2 TiB is the smallest Lustre file system


class DeployedPeriod(Record):
    """The time from the start of a deploy to the end of a cleanup.

    Attributes:
        ended: empty if it has not ended.
    """

    began: str
    ended: str = ""
    hours: float


class ActualCosts(Record):
    """The costs of a deployment so far, by list prices.

    Attributes:
        usd: for all periods together.
        ran: nodes of Karpenter, from their start to their end; part of `usd`.
        now: billable resources in the account now; None if the account was not scanned.
        not_looked_at: what the scan could not read.
    """

    rehearsal: bool
    periods: tuple[DeployedPeriod, ...]
    usd: UsdRange
    ran: tuple[RanLine, ...] = ()
    now: tuple[CostLine, ...] | None = None
    not_looked_at: tuple[str, ...] = ()

    @property
    def hours(self) -> float:
        """Total hours of all periods."""
        return sum(period.hours for period in self.periods)

    @property
    def hourly(self) -> UsdRange:
        """USD per hour of the resources that exist now."""
        return total_usd(line.usd for line in self.now or ())

    @property
    def summary(self) -> str:
        """The costs in one line."""
        if not self.periods:
            return "No costs so far: nothing was deployed yet."
        kind = "Rehearsed: on AWS, the cost so far would be" if self.rehearsal else "Cost so far:"
        so_far = f"{kind} about {self.usd} USD for {_time(self.hours)}."
        return f"{so_far} {self._now}".rstrip()

    @property
    def _now(self) -> str:
        if self.now is None:
            return "" if self.periods[-1].ended else "The account was not scanned."
        if not self.now:
            return "No billable resources exist now."
        return f"The resources that exist now cost about {self.hourly} USD per hour."


def deployed_periods(entries: Iterable[LedgerEntry], now: str) -> tuple[DeployedPeriod, ...]:
    """Return the periods in which the deployment existed, by the ledger.

    A deploy starts a period, and a finished cleanup ends it.
    """
    found: list[DeployedPeriod] = []
    began = ""
    for entry in entries:
        if entry.step == "deploy" and not began:
            began = entry.time
        elif entry.step == "cleanup" and entry.status == "finished" and began:
            found.append(
                DeployedPeriod(began=began, ended=entry.time, hours=_hours(began, entry.time))
            )
            began = ""
    if began:
        found.append(DeployedPeriod(began=began, hours=_hours(began, now)))
    return tuple(found)


def actual_costs(
    entries: Iterable[LedgerEntry],
    bill: Bill,
    *,
    rehearsal: bool,
    now: str,
    running: tuple[CostLine, ...] | None = None,
    not_looked_at: tuple[str, ...] = (),
    ran: tuple[RanLine, ...] = (),
    nodes_now: UsdRange = ZERO_USD,
) -> ActualCosts:
    """Return the costs so far: the ledger's hours at the bill's hourly rate, and what the nodes
    cost that Karpenter launched beyond those that the bill expects for the add-ons.

    If the resources that exist now cost more than the bill's hourly rate, they may have done so all
    the time: then they set the upper end of the range.

    Args:
        now: UTC, ISO 8601.
        running: lines for the resources that exist now; None if the account was not scanned.
        ran: nodes of Karpenter, from their start to their end.
        nodes_now: USD per hour of those among them that still run.
    """
    there = deployed_periods(entries, now)
    hours = sum(period.hours for period in there)
    usd = bill.hourly.scaled(hours) + _beyond_bill(ran, bill, hours)
    last = 0.0 if not there or there[-1].ended else there[-1].hours
    other = total_usd(line.usd for line in running or ()).high - nodes_now.low
    more = max(0.0, other - bill.hourly.high)
    return ActualCosts(
        rehearsal=rehearsal,
        periods=there,
        usd=usd.model_copy(update={"high": usd.high + more * last}),
        ran=ran,
        now=running,
        not_looked_at=not_looked_at,
    )


def _beyond_bill(ran: Iterable[RanLine], bill: Bill, hours: float) -> UsdRange:
    """Return what nodes of Karpenter cost, without the CPU nodes that the hourly rate includes."""
    areas: dict[CostArea, UsdRange] = {}
    for line in ran:
        areas[line.area] = areas.get(line.area, ZERO_USD) + (line.usd or ZERO_USD)
    expected = bill.by_area().get("CPU nodes", ZERO_USD).scaled(hours)
    cpu = areas.get("CPU nodes", ZERO_USD)
    return areas.get("accelerators", ZERO_USD) + UsdRange(
        low=max(0.0, cpu.low - expected.low),
        likely=max(0.0, cpu.likely - expected.likely),
        high=max(0.0, cpu.high - expected.high),
    )


# -- resources in the account ----------------------------------------------------------------------


def price_resources(
    found: Iterable[OwnedResource], table: PriceTable, region: str
) -> tuple[CostLine, ...]:
    """Return a line per kind of billable resources in the account, with their price per hour."""
    groups: dict[tuple[str, str, bool], list[OwnedResource]] = {}
    for resource in found:
        if resource.billable:
            key = (resource.terraform_type, _kind_of(resource), resource.gib is not None)
            groups.setdefault(key, []).append(resource)
    return tuple(
        _priced(kind, detail, resources, table, region)
        for (kind, detail, _), resources in groups.items()
    )


def with_monthly_prices(
    found: Iterable[OwnedResource], table: PriceTable, region: str
) -> tuple[OwnedResource, ...]:
    """Return the resources with their likely cost per month: 0 for what is free, None for what the
    price table does not know."""

    def usd(resource: OwnedResource) -> float | None:
        lines = price_resources([resource], table, region)
        if any(line.usd is None for line in lines):
            return None
        return round(monthly_costs(lines).likely, 2)

    return tuple(r.model_copy(update={"usd_per_month": usd(r)}) for r in found)


def monthly_costs(lines: Iterable[CostLine]) -> UsdRange:
    """Return what these lines cost per month."""
    return total_usd(line.usd for line in lines).scaled(usage_assumptions.HOURS_PER_MONTH)


def describe_remaining_costs(left: Iterable[OwnedResource], table: PriceTable, region: str) -> str:
    """Return one line about the costs that continue after a cleanup."""
    lines = price_resources(left, table, region)
    if not lines:
        return "Costs after cleanup: 0 USD."
    what = ", ".join(line.what for line in lines)
    rest = " Some have no known price." if any(line.usd is None for line in lines) else ""
    usd = monthly_costs(lines)
    return f"The remaining resources cost about {usd} USD per month: {what}.{rest}"


def _kind_of(resource: OwnedResource) -> str:
    """Return what the price depends on, in addition to the type."""
    if resource.terraform_type in ("aws_instance", "aws_ec2_capacity_reservation"):
        return resource.name
    if resource.terraform_type == "aws_lb":
        return "alb" if "/app/" in resource.import_id else "nlb"
    return ""


def _priced(
    kind: str, detail: str, resources: Sequence[OwnedResource], table: PriceTable, region: str
) -> CostLine:
    def item(key: str) -> Price | None:
        return table.item(region, key)

    count = len(resources)
    if kind == "aws_instance":
        return _instances(f"{count} x {detail}", count, detail, table, region)
    if kind == "aws_ec2_capacity_reservation":
        reserved, _, instance_type = detail.partition(" x ")
        what = f"{count} x capacity reservation of {detail}"
        return _instances(what, count * int(reserved or 0), instance_type, table, region)
    if kind == "aws_lb":
        names = {"alb": "Application Load Balancer", "nlb": "Network Load Balancer"}
        what = f"{count} x {names[detail]}"
        return fixed_line("load balancers", what, [(count, item(f"{detail}-hour"))])
    known = _PRICED_BY_TYPE.get(kind)
    if known is None:
        return unknown_line("storage", f"{count} x {kind.removeprefix('aws_')}")
    area, name, price = known
    return price.line(area, f"{count} x {name}", item, resources)


def _instances(
    what: str, count: int, instance_type: str, table: PriceTable, region: str
) -> CostLine:
    area: CostArea = "accelerators" if instance_type in table.accelerated else "core nodes"
    return fixed_line(area, what, [(count, table.instance(region, instance_type))])


_Item = Callable[[str], Price | None]


@dataclass(frozen=True)
class _Rate:
    """How one kind is priced.

    Attributes:
        key: of the price; empty for what is free.
        per: `hour` or `month` for each resource, `GiB` for its size.
        use: assumed size, if the account does not report it.
        why: it is free.
    """

    key: str = ""
    per: Literal["hour", "month", "GiB"] = "hour"
    use: UsageRange | None = None
    why: str = ""

    def line(
        self, area: CostArea, what: str, item: _Item, resources: Sequence[OwnedResource]
    ) -> CostLine:
        """Return the line for these resources of one kind."""
        count = len(resources)
        sizes = [r.gib for r in resources if r.gib is not None]
        if not self.key:
            return free_line(area, what, self.why)
        if self.per == "GiB" and sizes:
            gib = sum(sizes)
            share = gib / usage_assumptions.HOURS_PER_MONTH
            return fixed_line(area, f"{what} ({gib:.4g} GiB)", [(share, item(self.key))])
        if self.use is not None:
            return usage_line(area, what, self.use, item(self.key), count, month=True)
        share = 1 / usage_assumptions.HOURS_PER_MONTH if self.per == "month" else 1.0
        return fixed_line(area, what, [(count * share, item(self.key))])


_PRICED_BY_TYPE: dict[str, tuple[CostArea, str, _Rate]] = {
    "aws_eks_cluster": ("control plane", "EKS control plane", _Rate("eks-standard")),
    "aws_nat_gateway": ("NAT and addresses", "NAT gateway", _Rate("nat-hour")),
    "aws_eip": ("NAT and addresses", "public IPv4 address", _Rate("ipv4")),
    "aws_vpc_endpoint": ("NAT and addresses", "VPC endpoint", _Rate("endpoint-hour")),
    "aws_elb": ("load balancers", "Classic Load Balancer", _Rate("clb-hour")),
    "aws_ebs_volume": ("storage", "EBS volume", _Rate("gp3", "GiB", _VOLUME_GIB)),
    # The size of the volume: an upper limit, because a snapshot holds only the blocks in use.
    "aws_ebs_snapshot": ("storage", "EBS snapshot", _Rate("snapshot", "GiB", _VOLUME_GIB)),
    "aws_efs_file_system": (
        "storage",
        "EFS file system",
        _Rate("efs", "GiB", usage_assumptions.FILES_GIB),
    ),
    "aws_fsx_file_system": ("storage", "FSx file system", _Rate("fsx", "GiB", _FSX_GIB)),
    "aws_s3_bucket": ("storage", "S3 bucket", _Rate("s3", "GiB", usage_assumptions.BUCKET_GB)),
    "aws_kms_key": ("keys", "KMS key", _Rate("kms-key", "month")),
    "aws_cloudwatch_log_group": (
        "logs and metrics",
        "log group",
        _Rate("logs-stored", "GiB", _STORED_LOGS_GB),
    ),
    "aws_prometheus_workspace": (
        "logs and metrics",
        "Prometheus workspace",
        _Rate(why="You pay for the samples that you send to it."),
    ),
}


# -- time ------------------------------------------------------------------------------------------


def _hours(began: str, ended: str) -> float:
    took = datetime.fromisoformat(ended) - datetime.fromisoformat(began)
    return max(0.0, took.total_seconds() / 3600)


def _time(hours: float) -> str:
    return f"{hours:.1f} hours" if hours >= 2 else f"{hours * 60:.0f} min"
