"""The comparison of required quotas with applied values and usage. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from jarkkit.decisions.quotas.families import (
    is_known_instance_type,
    quota_family,
    spot_quota_family,
)
from jarkkit.decisions.quotas.models import (
    AppliedQuota,
    Fits,
    QuotaAlternative,
    QuotaRequirement,
    QuotaRequirements,
    QuotaRow,
    QuotaUsage,
    RequestedQuotaIncrease,
    RunningInstances,
)
from jarkkit.decisions.quotas.quota_codes import ServiceQuota
from jarkkit.model.unknown import Unknown

AppliedQuotas = Mapping[str, AppliedQuota | Unknown | None]
QuotaUsages = Mapping[str, QuotaUsage | Unknown]


def compare_quotas(
    demand: QuotaRequirements,
    values: AppliedQuotas,
    uses: QuotaUsages,
    *,
    region: str,
    home: str,
    pending: Iterable[RequestedQuotaIncrease] = (),
) -> tuple[QuotaRow, ...]:
    """Return a row per required quota.

    Args:
        values: by code; None if the Region does not list the quota.
        uses: by code; quotas of new parent resources have no usage yet.
        home: the partition's home Region, which has IAM's quotas.
        pending: quota increase requests, newest first.
    """
    open_requests = {request.code: request for request in pending if request.is_open}
    rows = {
        need.quota.code: _row(need, values, uses, home if need.quota.worldwide else region)
        for need in demand.requirements
    }
    for alternative in demand.alternatives:
        rows.update(_short_of_both(alternative, rows))
    return tuple(
        row.model_copy(update={"pending": open_requests.get(code)}) for code, row in rows.items()
    )


def vcpus_in_use(
    running: Iterable[RunningInstances], quota: ServiceQuota, *, has_p5_spot_quota: bool
) -> QuotaUsage:
    """Return how much of a vCPU quota the running instances use."""
    counted = [
        item
        for item in running
        if item.purchase == quota.purchase and _counts(item, quota, has_p5_spot_quota)
    ]
    return QuotaUsage(
        total=sum(item.vcpus for item in counted),
        own=sum(item.vcpus for item in counted if item.own),
    )


def unknown_instance_types(running: Iterable[RunningInstances]) -> tuple[str, ...]:
    """Return the running instance types whose vCPU quota is unknown."""
    return tuple(
        sorted({r.instance_type for r in running if not is_known_instance_type(r.instance_type)})
    )


def _counts(item: RunningInstances, quota: ServiceQuota, has_p5_spot_quota: bool) -> bool:
    if item.purchase == "spot":
        return (
            spot_quota_family(item.instance_type, has_p5_spot_quota=has_p5_spot_quota)
            == quota.family
        )
    return quota_family(item.instance_type) == quota.family


def _row(need: QuotaRequirement, values: AppliedQuotas, uses: QuotaUsages, region: str) -> QuotaRow:
    quota = need.quota
    row = QuotaRow(
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
    value, used = values.get(quota.code), uses.get(quota.code, QuotaUsage())
    if isinstance(value, AppliedQuota):
        known = {"quota": value.value, "applied": value.applied, "asked": value.asked}
        row = row.model_copy(update=known)
    if isinstance(used, QuotaUsage):
        row = row.model_copy(update={"used": used.total, "own": used.own})
    for answer in (value, used):
        if isinstance(answer, Unknown):
            reason = answer.reason
            return _unknown(row, reason.message, reason.code, reason.fix)
    if value is None:
        return _unknown(
            row,
            f"Service Quotas does not list {quota.code} in {region}.",
            "JK-AWS-FAILED",
            "Look it up in the Service Quotas console of this Region.",
        )
    return row.model_copy(update={"fits": _fits(row)})


def _unknown(row: QuotaRow, why: str, code: str, fix: str) -> QuotaRow:
    return row.model_copy(update={"fits": "unknown", "why": why, "error_code": code, "fix": fix})


def _fits(row: QuotaRow) -> Fits:
    free = row.free
    if free is None:
        return "unknown"
    # A quota that is already exceeded has nothing free, but a requirement of zero still fits.
    if row.least > free:
        return "no"
    return "at the start" if row.most > free else "yes"


def _short_of_both(
    alternative: QuotaAlternative, rows: Mapping[str, QuotaRow]
) -> dict[str, QuotaRow]:
    """Return the pool's first quota as too small, if none of its quotas fits what it must start."""
    own = [rows[code] for code in alternative.codes]
    if any(row.free is None or row.free - row.now >= alternative.vcpus for row in own):
        return {}
    first = own[0]
    least = max(first.least, first.now + alternative.vcpus)
    why = (
        f"{alternative.label} cannot start what it needs at least ({alternative.vcpus} vCPUs) "
        "with any of its capacity types."
    )
    return {first.code: first.model_copy(update={"fits": "no", "least": least, "why": why})}
