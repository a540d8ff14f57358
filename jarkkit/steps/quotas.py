"""Request quota increases from AWS. No other step sends such a request."""

from __future__ import annotations

from jarkkit.decisions.quotas.formatting import increase_command
from jarkkit.decisions.quotas.models import QuotaRow, RequestedQuotaIncrease
from jarkkit.decisions.quotas.table import QuotaTable
from jarkkit.model.errors import JarkkitError
from jarkkit.model.records import Record
from jarkkit.ports.aws import Account


class QuotaIncreaseRequest(Record):
    """A quota increase request, exactly as jarkkit would send it.

    Attributes:
        desired: the new value: what everything else uses plus what the deployment needs at its
            limits, rounded up to a whole number.
        in_force: the current value.
        command: the AWS CLI command that sends the same request.
    """

    service: str
    code: str
    name: str
    region: str
    desired: int
    in_force: float
    command: str


class QuotaIncreaseResult(Record):
    """The result of a quota increase request.

    Attributes:
        request: AWS' answer, or the request that was already open; None where AWS rejected it.
        before: a request was already open.
        error: why AWS rejected it; None where it did not.
    """

    request: QuotaIncreaseRequest
    increase: RequestedQuotaIncrease | None = None
    before: bool = False
    error: dict[str, str] | None = None


def quota_increase_requests(found: QuotaTable) -> tuple[QuotaIncreaseRequest, ...]:
    """Build a request for every quota that is too small, now or at the deployment's limits.

    Quotas with an open request are left out.
    """
    return tuple(_request(row) for row in found.rows if _needs_increase(row))


def request_increase(account: Account, request: QuotaIncreaseRequest) -> QuotaIncreaseResult:
    """Send the request; if AWS rejects it, the result holds the error."""
    try:
        sent = account.quotas.request_increase(
            request.service, request.code, request.region, request.desired
        )
    except JarkkitError as error:
        return QuotaIncreaseResult(request=request, error=error.as_dict())
    return QuotaIncreaseResult(request=request, increase=sent.request, before=sent.was_open)


def _needs_increase(row: QuotaRow) -> bool:
    short = row.fits in ("no", "at the start")
    return short and row.desired is not None and row.pending is None


def _request(row: QuotaRow) -> QuotaIncreaseRequest:
    return QuotaIncreaseRequest(
        service=row.service,
        code=row.code,
        name=row.name,
        region=row.region,
        desired=row.desired or 0,
        in_force=row.quota or 0,
        command=increase_command(row),
    )
