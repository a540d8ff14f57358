"""Rows of quotas as checks: one for each that does not fit or is not known, one for all others.
Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from jarkkit.checks import Check, Status
from jarkkit.quotas.launches import attended_vcpus, smallest
from jarkkit.quotas.table import QuotaTable
from jarkkit.quotas.values import Fits, Row
from jarkkit.quotas.words import amount, command_line, console_link, needed, said
from jarkkit.records import InstanceType
from jarkkit.settings import Settings

_CODE = "JK-AWS-QUOTA"
_STATUS: dict[Fits, Status] = {
    "no": "fail",
    "at the start": "warn",
    "unknown": "unknown",
    "yes": "pass",
}


def findings(table: QuotaTable) -> Iterator[Check]:
    """The table as checks."""
    by_fit = {fit: [row for row in table.rows if row.fits == fit] for fit in _STATUS}
    yield from (_finding(row) for fit in ("no", "at the start") for row in by_fit[fit])
    yield from _not_known(by_fit["unknown"])
    if by_fit["yes"]:
        yield _enough(by_fit["yes"], others=len(by_fit["yes"]) < len(table.rows))
    if table.strange:
        yield Check(
            name="Instances of an unknown kind",
            status="unknown",
            found=", ".join(table.strange),
            why="Under which vCPU quota they fall is not known, so they were not counted.",
            fix="Look at the quotas in the Service Quotas console.",
        )
    if table.pending_unknown and len(by_fit["unknown"]) < len(table.rows):
        yield Check(
            name="Requests to raise quotas",
            status="unknown",
            found=table.pending_unknown,
            code=table.pending_code,
        )


def attendees(settings: Settings, types: Mapping[str, InstanceType]) -> Iterator[Check]:
    """Whether the pools' limits let everybody work, and each pool start at all."""
    for pool in settings.accelerators:
        kind = smallest(pool.family, types.values())
        if kind and kind.vcpus > pool.max_vcpus:
            yield _pool_too_small(pool.family, pool.max_vcpus, kind)
    wanted = attended_vcpus(settings, types.values())
    if settings.accelerators:
        pool = settings.accelerators[0]
        name, limit, setting = f"pool {pool.family}", pool.max_vcpus, "max_vcpus of that pool"
    else:
        name, limit, setting = "the CPU pool", settings.cpu_max_vcpus, "cpu_max_vcpus"
    if settings.attendees > 1 and wanted > limit:
        yield Check(
            name="Room for everybody",
            status="warn",
            found=f"{name} is limited to {limit} vCPUs",
            needed=f"{wanted} vCPUs for {settings.attendees} people at the same time",
            why="Who comes when the pool is full waits until somebody leaves.",
            fix=f"Set {setting} to {wanted} or more, or lower attendees.",
            code=_CODE,
        )


def _pool_too_small(family: str, limit: int, kind: InstanceType) -> Check:
    return Check(
        name=f"Limit of pool {family}",
        status="fail",
        found=f"max_vcpus is {limit}",
        needed=f"{kind.vcpus} vCPUs for its smallest instance, {kind.name}",
        why="Karpenter would never launch an instance of this pool.",
        fix=f"Set max_vcpus of the accelerator {family} to {kind.vcpus} or more.",
        code="JK-SETTINGS-INVALID",
    )


def _finding(row: Row) -> Check:
    return Check(
        name=f"{row.name} ({row.service} {row.code})",
        status=_STATUS[row.fits],
        found=said(row),
        needed=needed(row),
        why=_why(row),
        fix=row.fix or _fix(row),
        code=row.error_code or _CODE,
        link=console_link(row),
    )


def _not_known(rows: Iterable[Row]) -> Iterator[Check]:
    """One for all that are not known for the same reason."""
    reasons: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        reasons.setdefault((row.why, row.error_code), []).append(row)
    for (why, code), same in reasons.items():
        names = ", ".join(f"{row.name} ({row.code})" for row in same)
        found = _finding(same[0])
        if len(same) > 1:
            update = {"name": f"{len(same)} quotas", "found": names, "needed": "", "link": ""}
            found = found.model_copy(update=update)
        yield found.model_copy(update={"why": why, "code": code})


def _why(row: Row) -> str:
    parts = "; ".join(row.parts)
    if row.fits == "no":
        verb = "The deploy would fail" if row.now > (row.free or 0) else "A pool cannot start"
        return row.why or f"{verb}: {parts}."
    if row.fits == "at the start":
        return f"Enough to begin with, but not for all that the settings allow: {parts}."
    return row.why


def _fix(row: Row) -> str:
    if row.pending:
        case = f", case {row.pending.case_id}" if row.pending.case_id else ""
        asked = f"{amount(row.pending.desired)} is asked for already ({row.pending.status}{case})"
        if row.desired is None or row.pending.desired >= row.desired:
            return f"Wait: {asked}."
        return f"{asked}; {row.desired} are needed. Wait for the answer, then ask again."
    lower = "or lower the limits in the settings" if row.fits == "at the start" else ""
    also = "or stop what else uses it" if (row.used or 0) > (row.own or 0) else ""
    others = ", ".join(word for word in (also, lower) if word)
    return f"Ask for {row.desired}{f' ({others})' if others else ''}: {command_line(row)}"


def _enough(rows: Sequence[Row], *, others: bool) -> Check:
    """Everything that fits, in one line: the tightest of them by name."""
    count = f"{len(rows)} {'other ' if others else ''}quotas leave room up to the limits"
    tight = sorted((row for row in rows if row.quota), key=_share, reverse=True)[:3]
    shown = "; ".join(f"{row.name}: {amount(row.most)} of {amount(row.free)} free" for row in tight)
    return Check(name="Quotas", status="pass", found=f"{count} ({shown})")


def _share(row: Row) -> float:
    return row.most / (row.free or 1)
