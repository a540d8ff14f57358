"""The Service Quotas client: applied quotas and quota increase requests.

It finds quotas by their exact code in the lists of their service, with a hundred quotas per page.
One call covers many codes, while GetServiceQuota allows only five calls per second. A quota that
was never applied to the account is missing from the list, and then the default applies.
https://docs.aws.amazon.com/servicequotas/latest/userguide/reference_limits.html (read 2026-11-27)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import Any

from jarkkit.decisions.quotas.models import (
    AppliedQuota,
    RequestedQuotaIncrease,
    SentQuotaIncrease,
)
from jarkkit.decisions.quotas.quota_codes import QUOTAS, ServiceQuota
from jarkkit.model.errors import JarkkitError, ObjectNotFound, Throttled
from jarkkit.model.unknown import Unknown, known_or_raise
from jarkkit.ports.aws.concurrency import RateLimiter, gather
from jarkkit.ports.aws.response_cache import MINUTE, CachedResponse
from jarkkit.ports.aws.session import AwsSession, client_error_code, home_region, translate_errors

_VALUES_GOOD_FOR = 10 * MINUTE
_REQUESTS_GOOD_FOR = 2 * MINUTE


class ServiceQuotas:
    """The quotas of one account in one Region. The constructor makes no call."""

    def __init__(self, session: AwsSession) -> None:
        self._session = session
        self._home = session.in_region(home_region(session.region))
        # The documented rate limits, per Region: ten list calls per second, five for increase
        # requests, each with a burst of the same size.
        self._lists = RateLimiter(10, 10)
        self._requests = RateLimiter(5, 5)

    @property
    def home_region(self) -> str:
        """Region that holds the quotas of global services."""
        return self._home.region

    def applied_quotas(
        self, quotas: Iterable[ServiceQuota]
    ) -> dict[str, AppliedQuota | Unknown | None]:
        """Return the values of these quotas, by code; None if the Region does not list it."""
        by_service: dict[tuple[str, bool], list[ServiceQuota]] = {}
        for quota in quotas:
            by_service.setdefault((quota.service, quota.worldwide), []).append(quota)
        answers = gather(
            {key: partial(self._service, *key, own) for key, own in by_service.items()}
        )
        found: dict[str, AppliedQuota | Unknown | None] = {}
        for key, answer in answers.items():
            for quota in by_service[key]:
                found[quota.code] = (
                    answer if isinstance(answer, Unknown) else answer.get(quota.code)
                )
        return found

    def increase_requests(self) -> tuple[RequestedQuotaIncrease, ...]:
        """Return the quota increase requests for this Region and for global quotas in the home
        Region, the newest first."""
        sessions = {session.region: session for session in (self._session, self._home)}
        answers = gather({r: partial(self._history, s) for r, s in sessions.items()})
        found: list[RequestedQuotaIncrease] = []
        for region, answer in answers.items():
            items = known_or_raise(answer).value
            requests = [RequestedQuotaIncrease.model_validate(item) for item in items]
            # The home Region's own vCPU quotas do not apply to this Region.
            found += (r for r in requests if region == self._session.region or _worldwide(r.code))
        return tuple(sorted(found, key=lambda request: request.created, reverse=True))

    def request_increase(
        self, service: str, code: str, region: str, desired: float
    ) -> SentQuotaIncrease:
        """Request a quota increase, or return the request that is already open.

        Raises JK-AWS-QUOTA if AWS rejects the request.
        """
        session = self._session.in_region(region)
        self._session.ignore_cache()  # the request changes them
        self._requests.acquire()
        try:
            with translate_errors("service-quotas RequestServiceQuotaIncrease"):
                answer = session.client("service-quotas").request_service_quota_increase(
                    ServiceCode=service, QuotaCode=code, DesiredValue=float(desired)
                )
        except JarkkitError as error:
            return SentQuotaIncrease(self._refused(error, session, code), was_open=True)
        request = RequestedQuotaIncrease.model_validate(_request(answer["RequestedQuota"]))
        return SentQuotaIncrease(request, was_open=False)

    def _refused(
        self, error: JarkkitError, session: AwsSession, code: str
    ) -> RequestedQuotaIncrease:
        """Return the open request that caused the rejection. Raises any other rejection."""
        reason = client_error_code(error)
        if reason == "ResourceAlreadyExistsException":
            found = (
                RequestedQuotaIncrease.model_validate(item) for item in self._history(session).value
            )
            if request := next((r for r in found if r.code == code and r.is_open), None):
                return request
        if reason in _REFUSED:
            raise JarkkitError(
                "JK-AWS-QUOTA",
                f"AWS rejected the quota increase request for {code}: {_REFUSED[reason]}.",
                "Check the quota and the open requests in the Service Quotas console.",
                evidence=error.evidence,
            ) from error
        raise error

    # -- calls ---------------------------------------------------------------------------------

    def _service(
        self, service: str, worldwide: bool, quotas: list[ServiceQuota]
    ) -> dict[str, AppliedQuota | Unknown]:
        """Return the quotas of one service: applied values, or defaults for those never applied."""
        session = self._home if worldwide else self._session
        found = self._list(session, "list_service_quotas", service, applied=True)
        if any(quota.code not in found for quota in quotas):
            defaults = self._list(session, "list_aws_default_service_quotas", service)
            found = {**defaults, **found}
        return found

    def _list(
        self, session: AwsSession, operation: str, service: str, *, applied: bool = False
    ) -> dict[str, AppliedQuota | Unknown]:
        kind = "applied" if applied else "default"
        answer = session.cached(
            f"{kind} quotas of {service}",
            _VALUES_GOOD_FOR,
            lambda: self._values(session, operation, service),
        )
        fetched_at = _timestamp(answer)
        return {
            code: _missing_value(code)
            if value is None
            else AppliedQuota(value=value, applied=applied, asked=fetched_at)
            for code, value in answer.value.items()
        }

    def _values(self, session: AwsSession, operation: str, service: str) -> dict[str, float | None]:
        try:
            pages = self._pages(session, operation, self._lists, ServiceCode=service)
            listed = [item for page in pages for item in page["Quotas"]]
            # A quota whose service returned no value has an error reason instead.
            return {item["QuotaCode"]: item.get("Value") for item in listed}
        except ObjectNotFound:
            return {}  # the service has no quotas here, or none was ever applied

    def _history(self, session: AwsSession) -> CachedResponse:
        operation = "list_requested_service_quota_change_history"
        return session.cached(
            "quota increase requests",
            _REQUESTS_GOOD_FOR,
            lambda: [
                _request(item)
                for page in self._pages(session, operation, self._requests)
                for item in page["RequestedQuotas"]
            ],
        )

    def _pages(
        self, session: AwsSession, operation: str, limiter: RateLimiter, **arguments: Any
    ) -> Iterator[Mapping[str, Any]]:
        client = session.client("service-quotas")
        name = client.meta.method_to_api_mapping[operation]
        token: dict[str, str] = {}
        while True:
            limiter.acquire()
            try:
                with translate_errors(f"service-quotas {name}"):
                    page = getattr(client, operation)(MaxResults=100, **arguments, **token)
            except Throttled:
                limiter.slow_down()
                raise
            yield page
            if not page.get("NextToken"):
                return
            token = {"NextToken": page["NextToken"]}


_REFUSED = {
    "ResourceAlreadyExistsException": "a request is already open",
    "IllegalArgumentException": "the value is not above the applied quota, or is not adjustable",
    "QuotaExceededException": "too many requests are open in this account or Region",
    "DependencyAccessDeniedException": "the service does not allow it with these credentials",
}


def _worldwide(code: str) -> bool:
    return code in QUOTAS and QUOTAS[code].worldwide


def _missing_value(code: str) -> Unknown:
    return Unknown(
        JarkkitError(
            "JK-AWS-FAILED",
            f"Service Quotas lists {code} without its value.",
            "Try again later, or look up the quota in the Service Quotas console.",
        )
    )


def _request(item: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": item["Id"],
        "service": item["ServiceCode"],
        "code": item["QuotaCode"],
        "desired": item["DesiredValue"],
        "status": item["Status"],
        "created": str(item.get("Created", "")),
        "case_id": item.get("CaseId", ""),
    }


def _timestamp(answer: CachedResponse) -> str:
    return answer.fetched_at.isoformat(timespec="seconds").replace("+00:00", "Z")
