"""Whether what is needed fits into what is in force and not in use. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from jarkkit.errors import JarkkitError
from jarkkit.quotas.codes import Quota
from jarkkit.quotas.families import family_of, is_known, spot_family_of
from jarkkit.quotas.values import (
    Demand,
    Either,
    Fits,
    Increase,
    InForce,
    InUse,
    Need,
    Row,
    Running,
)

Values = Mapping[str, InForce | JarkkitError | None]
Uses = Mapping[str, InUse | JarkkitError]


def judge(
    demand: Demand,
    values: Values,
    uses: Uses,
    *,
    region: str,
    home: str,
    pending: Iterable[Increase] = (),
) -> tuple[Row, ...]:
    """A row per quota that is needed.

    Args:
        values: by code; None where the Region lists no such quota.
        uses: by code; a quota that is counted for something new is not in use.
        home: the partition's home Region, where IAM's quotas are kept.
        pending: requests to raise quotas, the newest first.
    """
    open_requests = {request.code: request for request in pending if request.is_open}
    rows = {
        need.quota.code: _row(need, values, uses, home if need.quota.worldwide else region)
        for need in demand.needs
    }
    for either in demand.eithers:
        rows.update(_short_of_both(either, rows))
    return tuple(
        row.model_copy(update={"pending": open_requests.get(code)}) for code, row in rows.items()
    )


def vcpus_in_use(running: Iterable[Running], quota: Quota, *, p5_apart: bool) -> InUse:
    """How much of a vCPU quota running instances take."""
    counted = [
        item
        for item in running
        if item.purchase == quota.purchase and _counts(item, quota, p5_apart)
    ]
    return InUse(
        total=sum(item.vcpus for item in counted),
        own=sum(item.vcpus for item in counted if item.own),
    )


def strange(running: Iterable[Running]) -> tuple[str, ...]:
    """Running instance types of which is not known under which quota they fall."""
    return tuple(sorted({r.instance_type for r in running if not is_known(r.instance_type)}))


def _counts(item: Running, quota: Quota, p5_apart: bool) -> bool:
    if item.purchase == "spot":
        return spot_family_of(item.instance_type, p5_apart=p5_apart) == quota.family
    return family_of(item.instance_type) == quota.family


def _row(need: Need, values: Values, uses: Uses, region: str) -> Row:
    quota = need.quota
    row = Row(
        service=quota.service,
        code=quota.code,
        name=quota.name,
        unit=quota.unit,
        each=quota.each,
        region=region,
        now=need.now,
        least=need.least,
        most=need.most,
        parts=need.parts,
    )
    value, used = values.get(quota.code), uses.get(quota.code, InUse())
    if isinstance(value, InForce):
        known = {"quota": value.value, "applied": value.applied, "asked": value.asked}
        row = row.model_copy(update=known)
    if isinstance(used, InUse):
        row = row.model_copy(update={"used": used.total, "own": used.own})
    for error in (value, used):
        if isinstance(error, JarkkitError):
            return _unknown(row, error.message, error.code, error.fix)
    if value is None:
        return _unknown(
            row,
            f"Service Quotas lists no {quota.code} in {region}.",
            "JK-AWS-FAILED",
            "Look it up in the Service Quotas console of that Region.",
        )
    return row.model_copy(update={"fits": _fits(row)})


def _unknown(row: Row, why: str, code: str, fix: str) -> Row:
    return row.model_copy(update={"fits": "unknown", "why": why, "error_code": code, "fix": fix})


def _fits(row: Row) -> Fits:
    free = row.free
    if free is None:
        return "unknown"
    # A value that is over-used already leaves nothing, but what needs nothing fits.
    if row.least > free:
        return "no"
    return "at the start" if row.most > free else "yes"


def _short_of_both(either: Either, rows: Mapping[str, Row]) -> dict[str, Row]:
    """No quota of the pool's holds its smallest instance: the first is where to ask."""
    own = [rows[code] for code in either.codes]
    if any(row.free is None or row.free - row.now >= either.vcpus for row in own):
        return {}
    first = own[0]
    least = max(first.least, first.now + either.vcpus)
    why = f"{either.what} cannot start its smallest instance ({either.vcpus} vCPUs) in any way."
    return {first.code: first.model_copy(update={"fits": "no", "least": least, "why": why})}
