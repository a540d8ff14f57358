"""The quota table as checks: one per quota too small or unknown, one for all others. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from jarkkit.decisions.node_demand import SMALLEST_CPU_NODE_VCPUS
from jarkkit.decisions.quotas.formatting import (
    console_link,
    describe_requirement,
    describe_usage,
    format_amount,
    increase_command,
)
from jarkkit.decisions.quotas.instance_demand import attendee_vcpus, smallest_instance_type
from jarkkit.decisions.quotas.models import Fits, QuotaRow
from jarkkit.decisions.quotas.table import QuotaTable
from jarkkit.decisions.stack import ResolvedStack
from jarkkit.model.checks import Check, Status
from jarkkit.model.records import InstanceType

_CODE = "JK-AWS-QUOTA"
_STATUS: dict[Fits, Status] = {
    "no": "fail",
    "at the start": "warn",
    "unknown": "unknown",
    "yes": "pass",
}


def quota_checks(table: QuotaTable) -> Iterator[Check]:
    """Yield the table as checks."""
    by_fit = {fit: [row for row in table.rows if row.fits == fit] for fit in _STATUS}
    yield from (_finding(row) for fit in ("no", "at the start") for row in by_fit[fit])
    yield from _not_known(by_fit["unknown"])
    if by_fit["yes"]:
        yield _enough(by_fit["yes"], others=len(by_fit["yes"]) < len(table.rows))
    if table.strange:
        yield Check(
            name="Unknown instance types",
            status="unknown",
            found=", ".join(table.strange),
            why="jarkkit does not know which vCPU quota counts these instances, and left them out.",
            fix="Check the vCPU quotas in the Service Quotas console.",
        )
    if table.pending_unknown and len(by_fit["unknown"]) < len(table.rows):
        yield Check(
            name="Quota increase requests",
            status="unknown",
            found=table.pending_unknown,
            code=table.pending_code,
        )


def attendee_checks(stack: ResolvedStack, types: Mapping[str, InstanceType]) -> Iterator[Check]:
    """Check whether each pool can start an instance, and whether its limit fits all attendees."""
    settings = stack.settings
    yield from _cpu_pool_too_small(stack)
    for pool in settings.accelerators:
        kind = smallest_instance_type(pool.family, types.values())
        if kind and kind.vcpus > pool.max_vcpus:
            yield _pool_too_small(pool.family, pool.max_vcpus, kind)
    needed = attendee_vcpus(stack, types.values())
    if settings.accelerators:
        pool = settings.accelerators[0]
        name, limit, setting = f"pool {pool.family}", pool.max_vcpus, "max_vcpus of this pool"
    else:
        name, limit, setting = "the CPU pool", settings.cpu_max_vcpus, "cpu_max_vcpus"
    if settings.attendees > 1 and needed > limit:
        yield Check(
            name="Capacity for all attendees",
            status="warn",
            found=f"the limit of {name} is {limit} vCPUs",
            needed=f"{needed} vCPUs for {settings.attendees} concurrent users",
            why="When the pool is full, the next user must wait until another one leaves.",
            fix=f"Set {setting} to {needed} or more, or lower attendees.",
            code=_CODE,
        )


def _cpu_pool_too_small(stack: ResolvedStack) -> Iterator[Check]:
    limit, nodes = stack.settings.cpu_max_vcpus, stack.addon_nodes
    needed = nodes * SMALLEST_CPU_NODE_VCPUS
    if needed > limit:
        yield Check(
            name="Limit of the CPU pool",
            status="fail",
            found=f"cpu_max_vcpus is {limit}",
            needed=f"{needed} vCPUs: {nodes} x {SMALLEST_CPU_NODE_VCPUS} for the add-ons that do "
            "not fit on the core nodes",
            why="Karpenter cannot launch these nodes, so some add-ons never start.",
            fix=f"Set cpu_max_vcpus to {needed} or more, increase core_nodes, or choose a larger "
            "core_instance_type.",
            code="JK-SETTINGS-INVALID",
        )


def _pool_too_small(family: str, limit: int, kind: InstanceType) -> Check:
    return Check(
        name=f"Limit of pool {family}",
        status="fail",
        found=f"max_vcpus is {limit}",
        needed=f"{kind.vcpus} vCPUs for its smallest instance, {kind.name}",
        why="Karpenter can never launch an instance of this pool.",
        fix=f"Set max_vcpus of accelerator pool {family} to {kind.vcpus} or more.",
        code="JK-SETTINGS-INVALID",
    )


def _finding(row: QuotaRow) -> Check:
    return Check(
        name=f"{row.name} ({row.service} {row.code})",
        status=_STATUS[row.fits],
        found=describe_usage(row),
        needed=describe_requirement(row),
        why=_why(row),
        fix=row.fix or _fix(row),
        code=row.error_code or _CODE,
        link=console_link(row),
    )


def _not_known(rows: Iterable[QuotaRow]) -> Iterator[Check]:
    """Yield one check for all quotas that are unknown for the same reason."""
    reasons: dict[tuple[str, str], list[QuotaRow]] = {}
    for row in rows:
        reasons.setdefault((row.why, row.error_code), []).append(row)
    for (why, code), same in reasons.items():
        names = ", ".join(f"{row.name} ({row.code})" for row in same)
        found = _finding(same[0])
        if len(same) > 1:
            update = {"name": f"{len(same)} quotas", "found": names, "needed": "", "link": ""}
            found = found.model_copy(update=update)
        yield found.model_copy(update={"why": why, "code": code})


def _why(row: QuotaRow) -> str:
    parts = "; ".join(row.parts)
    if row.fits == "no":
        effect = "The deploy would fail" if row.now > (row.free or 0) else "A pool cannot start"
        return row.why or f"{effect}: {parts}."
    if row.fits == "at the start":
        return f"Enough to start, but not for the limits in your settings: {parts}."
    return row.why


def _fix(row: QuotaRow) -> str:
    if row.pending:
        case = f", case {row.pending.case_id}" if row.pending.case_id else ""
        request = f"for {format_amount(row.pending.desired)} is open ({row.pending.status}{case})"
        if row.desired is None or row.pending.desired >= row.desired:
            return f"Wait for AWS: a request {request}."
        return (
            f"Wait for AWS: a request {request}. You need {row.desired}; send another request "
            "after the decision."
        )
    lower = "lower the limits in your settings" if row.fits == "at the start" else ""
    also = "stop other resources that use it" if (row.used or 0) > (row.own or 0) else ""
    others = "".join(f", or {option}" for option in (also, lower) if option)
    return f"Request an increase to {row.desired}{others}: {increase_command(row)}"


def _enough(rows: Sequence[QuotaRow], *, others: bool) -> Check:
    """Return one check for all quotas that fit. It names the tightest."""
    count = f"{len(rows)} {'other ' if others else ''}quotas are large enough for the limits"
    tight = sorted((row for row in rows if row.quota), key=_share, reverse=True)[:3]
    shown = "; ".join(
        f"{row.name}: {format_amount(row.most)} of {format_amount(row.free)} free" for row in tight
    )
    return Check(name="Quotas", status="pass", found=f"{count} ({shown})")


def _share(row: QuotaRow) -> float:
    return row.most / (row.free or 1)
