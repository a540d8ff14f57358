"""What was spent: hours from the ledger, and what runs in the account now. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime

from jarkkit.costs import amounts
from jarkkit.costs.amounts import Use
from jarkkit.costs.bill import Area, Bill, Line, Range, total
from jarkkit.costs.lines import Support
from jarkkit.costs.making import fixed, nothing, unknown, used
from jarkkit.costs.table import Price, PriceTable
from jarkkit.records import Entry, Owned, Record
from jarkkit.tables import Told, html_table

# The inventory does not say how large a volume is, nor how much a log group holds.
_VOLUME_GIB, _STORED_LOGS_GB = Use(1.0, 30.0, 300.0), Use(0.0, 0.1, 5.0)


class Period(Record):
    """From the beginning of a deploy until everything was taken down.

    Attributes:
        ended: empty while it lasts.
    """

    began: str
    ended: str = ""
    hours: float


class Spent(Told, Record):
    """What a deployment has cost so far, by list prices.

    Attributes:
        usd: for all periods together.
        now: what is in the account now and costs; None where it was not looked at.
        not_looked_at: places that could not be looked at.
    """

    rehearsal: bool
    periods: tuple[Period, ...]
    usd: Range
    now: tuple[Line, ...] | None = None
    not_looked_at: tuple[str, ...] = ()

    @property
    def hours(self) -> float:
        """How long it has been there in all."""
        return sum(period.hours for period in self.periods)

    @property
    def hourly(self) -> Range:
        """USD per hour of what is there now."""
        return total(line.usd for line in self.now or ())

    @property
    def summary(self) -> str:
        """In one line."""
        if not self.periods:
            return "Nothing was deployed yet, so nothing was spent."
        kind = "rehearsed; on AWS it would have been" if self.rehearsal else "spent"
        said = f"So far {kind} about {self.usd} USD in {_time(self.hours)}."
        return f"{said} {self._now}".rstrip()

    @property
    def _now(self) -> str:
        if self.now is None:
            return "" if self.periods[-1].ended else "What runs now was not looked at."
        if not self.now:
            return "Nothing that costs is there now."
        return f"What is there now costs about {self.hourly} USD per hour."

    def text(self) -> str:
        """For a terminal."""
        lines = [
            f"    {'?' if line.usd is None else str(line.usd):>24}  {line.what}"
            for line in self.now or ()
        ]
        unseen = [f"  ? not looked at: {place}" for place in self.not_looked_at]
        return "\n".join([self.summary, *lines, *unseen])

    def _repr_html_(self) -> str:
        rows = [
            (line.area, line.what, "?" if line.usd is None else str(line.usd), line.why)
            for line in self.now or ()
        ]
        notes = [f"Not looked at: {place}" for place in self.not_looked_at]
        heads = ("Area", "There now", "USD per hour", "How it was worked out")
        return html_table(heads, rows, title=self.summary, notes=notes)


def periods(entries: Iterable[Entry], now: str) -> tuple[Period, ...]:
    """When something was in the account, by the ledger: a deploy begins it, a cleanup that
    finished ends it."""
    found: list[Period] = []
    began = ""
    for entry in entries:
        if entry.step == "deploy" and not began:
            began = entry.time
        elif entry.step == "cleanup" and entry.status == "finished" and began:
            found.append(Period(began=began, ended=entry.time, hours=_hours(began, entry.time)))
            began = ""
    if began:
        found.append(Period(began=began, hours=_hours(began, now)))
    return tuple(found)


def spent(
    entries: Iterable[Entry],
    bill: Bill,
    *,
    rehearsal: bool,
    now: str,
    running: tuple[Line, ...] | None = None,
    not_looked_at: tuple[str, ...] = (),
) -> Spent:
    """What it has cost: the hours of the ledger at the bill's hourly rate. When more runs now than
    the bill's minimum, it may have done so all the time: then that is the upper end.

    Args:
        now: UTC, ISO 8601.
        running: lines of `priced_things`; None where the account was not looked at.
    """
    there = periods(entries, now)
    hours = sum(period.hours for period in there)
    usd = bill.hourly.times(hours)
    last = 0.0 if not there or there[-1].ended else there[-1].hours
    more = max(0.0, total(line.usd for line in running or ()).high - bill.hourly.high)
    return Spent(
        rehearsal=rehearsal,
        periods=there,
        usd=usd.model_copy(update={"high": usd.high + more * last}),
        now=running,
        not_looked_at=not_looked_at,
    )


# -- things in the account -------------------------------------------------------------------------


def priced_things(
    things: Iterable[Owned], table: PriceTable, region: str, support: Support
) -> tuple[Line, ...]:
    """What things in the account cost per hour: those that cost something, equal ones together.

    Args:
        support: of the clusters' version of Kubernetes.
    """
    counts: dict[tuple[str, str], int] = {}
    for thing in things:
        if thing.billable:
            key = (thing.terraform_type, _kind_of(thing))
            counts[key] = counts.get(key, 0) + 1
    lines = [_priced(*key, count, table, region) for key, count in counts.items()]
    clusters = counts.get(("aws_eks_cluster", ""), 0)
    if clusters and support == "extended":
        more = [(clusters, table.item(region, "eks-extended"))]
        lines.append(fixed("control plane", "extended support of Kubernetes", more))
    return tuple(lines)


def monthly(lines: Iterable[Line]) -> Range:
    """What such lines cost in a month."""
    return total(line.usd for line in lines).times(amounts.HOURS_PER_MONTH)


def left_over(left: Iterable[Owned], table: PriceTable, region: str, support: Support) -> str:
    """What costs go on after a cleanup, in a line."""
    lines = priced_things(left, table, region, support)
    if not lines:
        return "Costs after cleanup: 0 USD."
    what = ", ".join(line.what for line in lines)
    rest = " Some have no known price." if any(line.usd is None for line in lines) else ""
    usd = monthly(lines)
    return f"What is left goes on costing about {usd} USD a month: {what}.{rest}"


def _kind_of(thing: Owned) -> str:
    """What the price depends on, beside the type."""
    if thing.terraform_type == "aws_instance":
        return thing.name
    if thing.terraform_type == "aws_lb":
        return "alb" if "/app/" in thing.import_id else "nlb"
    return ""


def _priced(kind: str, detail: str, count: int, table: PriceTable, region: str) -> Line:
    def item(key: str) -> Price | None:
        return table.item(region, key)

    if kind == "aws_instance":
        what = f"{count} x {detail}"
        area: Area = "accelerators" if detail in table.accelerated else "core nodes"
        return fixed(area, what, [(count, table.instance(region, detail))])
    if kind == "aws_lb":
        names = {"alb": "Application Load Balancer", "nlb": "Network Load Balancer"}
        what = f"{count} x {names[detail]}"
        return fixed("load balancers", what, [(count, item(f"{detail}-hour"))])
    known = _THINGS.get(kind)
    if known is None:
        return unknown("storage", f"{count} x {kind.removeprefix('aws_')}")
    area, name, make = known
    return make(area, f"{count} x {name}", item, count)


_Item = Callable[[str], Price | None]
_Maker = Callable[[Area, str, _Item, int], Line]


def _hourly(key: str) -> _Maker:
    return lambda area, what, item, count: fixed(area, what, [(count, item(key))])


def _monthly(key: str) -> _Maker:
    share = 1 / amounts.HOURS_PER_MONTH
    return lambda area, what, item, count: fixed(area, what, [(count * share, item(key))])


def _by_use(key: str, use: Use) -> _Maker:
    return lambda area, what, item, count: used(area, what, use, item(key), count, month=True)


def _free(why: str) -> _Maker:
    return lambda area, what, item, count: nothing(area, what, why)


_THINGS: dict[str, tuple[Area, str, _Maker]] = {
    "aws_eks_cluster": ("control plane", "EKS control plane", _hourly("eks-standard")),
    "aws_nat_gateway": ("NAT and addresses", "NAT gateway", _hourly("nat-hour")),
    "aws_eip": ("NAT and addresses", "public IPv4 address", _hourly("ipv4")),
    "aws_ebs_volume": ("storage", "EBS volume", _by_use("gp3", _VOLUME_GIB)),
    "aws_efs_file_system": ("storage", "EFS file system", _by_use("efs", amounts.FILES_GIB)),
    "aws_s3_bucket": ("storage", "S3 bucket", _by_use("s3", amounts.BUCKET_GB)),
    "aws_kms_key": ("keys", "KMS key", _monthly("kms-key")),
    "aws_cloudwatch_log_group": (
        "logs and metrics",
        "log group",
        _by_use("logs-stored", _STORED_LOGS_GB),
    ),
    "aws_prometheus_workspace": (
        "logs and metrics",
        "Prometheus workspace",
        _free("It costs by what is sent to it."),
    ),
}


# -- time ------------------------------------------------------------------------------------------


def _hours(began: str, ended: str) -> float:
    took = datetime.fromisoformat(ended) - datetime.fromisoformat(began)
    return max(0.0, took.total_seconds() / 3600)


def _time(hours: float) -> str:
    return f"{hours:.1f} hours" if hours >= 2 else f"{hours * 60:.0f} min"
