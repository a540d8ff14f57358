"""The door to Service Quotas: values in force, requests to raise them.

Quotas are found by their exact code in the lists of their service, a page of a hundred at a time:
one call answers for many codes, where GetServiceQuota allows five calls a second. What was never
applied to the account is missing there, and then the default holds.
https://docs.aws.amazon.com/servicequotas/latest/userguide/reference_limits.html (read 2026-11-27)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import Any

from jarkkit.aws.answers import MINUTE, Answer
from jarkkit.aws.asking import Pace, together
from jarkkit.aws.session import Session, client_error_code, home_region, translated
from jarkkit.errors import JarkkitError
from jarkkit.quotas.codes import QUOTAS, Quota
from jarkkit.quotas.values import Increase, InForce

_VALUES_GOOD_FOR = 10 * MINUTE
_REQUESTS_GOOD_FOR = 2 * MINUTE


class Quotas:
    """The quotas of one account in one Region. Making one calls nobody."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._home = session.elsewhere(home_region(session.region))
        # The documented rates, per Region: ten lists a second, five of requests, and as many more
        # in one burst.
        self._lists = Pace(10, 10)
        self._requests = Pace(5, 5)

    @property
    def home(self) -> str:
        """Where the quotas of services without Regions are kept."""
        return self._home.region

    def in_force(self, quotas: Iterable[Quota]) -> dict[str, InForce | JarkkitError | None]:
        """The values of these quotas, by code: None where the Region lists no such quota; the
        error where its service could not be asked."""
        by_service: dict[tuple[str, bool], list[Quota]] = {}
        for quota in quotas:
            by_service.setdefault((quota.service, quota.worldwide), []).append(quota)
        asked = together(
            {key: partial(self._service, *key, own) for key, own in by_service.items()}
        )
        found: dict[str, InForce | JarkkitError | None] = {}
        for key, answer in asked.items():
            for quota in by_service[key]:
                found[quota.code] = (
                    answer if isinstance(answer, JarkkitError) else answer.get(quota.code)
                )
        return found

    def requests(self) -> tuple[Increase, ...]:
        """Requests to raise this Region's quotas, and those that are kept in the home Region, the
        newest first."""
        sessions = {session.region: session for session in (self._session, self._home)}
        asked = together({r: partial(self._history, s) for r, s in sessions.items()})
        found: list[Increase] = []
        for region, answer in asked.items():
            if isinstance(answer, JarkkitError):
                raise answer
            requests = [Increase.model_validate(item) for item in answer.value]
            # The home Region has vCPU quotas of its own: those are not this Region's.
            found += (r for r in requests if region == self._session.region or _worldwide(r.code))
        return tuple(sorted(found, key=lambda request: request.created, reverse=True))

    def ask_for(
        self, service: str, code: str, region: str, desired: float
    ) -> tuple[Increase, bool]:
        """File a request to raise a quota; where one is open already, that one is given back, with
        True.

        Raises JK-AWS-QUOTA where AWS refuses the request.
        """
        session = self._session.elsewhere(region)
        self._session.forget()  # what is known of quotas and requests is not true any longer
        self._requests.wait()
        try:
            with translated("service-quotas RequestServiceQuotaIncrease"):
                answer = session.client("service-quotas").request_service_quota_increase(
                    ServiceCode=service, QuotaCode=code, DesiredValue=float(desired)
                )
        except JarkkitError as error:
            return self._refused(error, session, code), True
        return Increase.model_validate(_request(answer["RequestedQuota"])), False

    def _refused(self, error: JarkkitError, session: Session, code: str) -> Increase:
        """The request that was in the way. Raises what AWS refused for else."""
        reason = client_error_code(error)
        if reason == "ResourceAlreadyExistsException":
            found = (Increase.model_validate(item) for item in self._history(session).value)
            if request := next((r for r in found if r.code == code and r.is_open), None):
                return request
        if reason in _REFUSED:
            raise JarkkitError(
                "JK-AWS-QUOTA",
                f"AWS does not take the request for {code}: {_REFUSED[reason]}.",
                "Look at the quota and at open requests in the Service Quotas console.",
                evidence=error.evidence,
            ) from error
        raise error

    # -- calls ---------------------------------------------------------------------------------

    def _service(
        self, service: str, worldwide: bool, quotas: list[Quota]
    ) -> dict[str, InForce | JarkkitError]:
        """The values of one service: applied ones, and defaults for what was never applied."""
        session = self._home if worldwide else self._session
        found = self._list(session, "list_service_quotas", service, applied=True)
        if any(quota.code not in found for quota in quotas):
            defaults = self._list(session, "list_aws_default_service_quotas", service)
            found = {**defaults, **found}
        return found

    def _list(
        self, session: Session, operation: str, service: str, *, applied: bool = False
    ) -> dict[str, InForce | JarkkitError]:
        kind = "applied" if applied else "default"
        answer = session.remembered(
            f"{kind} quotas of {service}",
            _VALUES_GOOD_FOR,
            lambda: self._values(session, operation, service),
        )
        asked = _said(answer)
        return {
            code: _not_told(code)
            if value is None
            else InForce(value=value, applied=applied, asked=asked)
            for code, value in answer.value.items()
        }

    def _values(self, session: Session, operation: str, service: str) -> dict[str, float | None]:
        try:
            pages = self._pages(session, operation, self._lists, ServiceCode=service)
            listed = [item for page in pages for item in page["Quotas"]]
            # One that its service did not tell has the reason in the place of the value.
            return {item["QuotaCode"]: item.get("Value") for item in listed}
        except JarkkitError as error:
            # The service has no quotas here, or none was ever applied.
            if client_error_code(error) == "NoSuchResourceException":
                return {}
            raise

    def _history(self, session: Session) -> Answer:
        operation = "list_requested_service_quota_change_history"
        return session.remembered(
            "requests to raise quotas",
            _REQUESTS_GOOD_FOR,
            lambda: [
                _request(item)
                for page in self._pages(session, operation, self._requests)
                for item in page["RequestedQuotas"]
            ],
        )

    def _pages(
        self, session: Session, operation: str, pace: Pace, **arguments: Any
    ) -> Iterator[Mapping[str, Any]]:
        client = session.client("service-quotas")
        name = client.meta.method_to_api_mapping[operation]
        token: dict[str, str] = {}
        while True:
            pace.wait()
            try:
                with translated(f"service-quotas {name}"):
                    page = getattr(client, operation)(MaxResults=100, **arguments, **token)
            except JarkkitError as error:
                if error.code == "JK-AWS-THROTTLED":
                    pace.slower()
                raise
            yield page
            if not page.get("NextToken"):
                return
            token = {"NextToken": page["NextToken"]}


_REFUSED = {
    "ResourceAlreadyExistsException": "a request is open already",
    "IllegalArgumentException": "the value is not more than what is in force, or cannot be raised",
    "QuotaExceededException": "too many requests are open in this account or Region",
    "DependencyAccessDeniedException": "the service does not allow it with these credentials",
}


def _worldwide(code: str) -> bool:
    return code in QUOTAS and QUOTAS[code].worldwide


def _not_told(code: str) -> JarkkitError:
    return JarkkitError(
        "JK-AWS-FAILED",
        f"Service Quotas lists {code} without its value.",
        "Ask again later, or look it up in the Service Quotas console.",
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


def _said(answer: Answer) -> str:
    return answer.asked.isoformat(timespec="seconds").replace("+00:00", "Z")
