"""The Service Quotas backend: applied values and quota increase requests.

The states of requests follow "Requesting a quota increase" in the Service Quotas user guide. AWS
approves small requests automatically. Others become an AWS Support case, which stays open here.
"""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass, field
from typing import Any, ClassVar

from moto.core.exceptions import JsonRESTError
from moto.servicequotas.exceptions import NoSuchResource
from moto.servicequotas.models import ServiceQuotasBackend

from jarkkit.sandbox import account_profiles
from jarkkit.sandbox.account.deferred import DeferredCalls
from jarkkit.sandbox.account.servicequotas import reference_data
from jarkkit.sandbox.clock import CLOCK

_OPEN = ("PENDING", "CASE_OPENED")

# Requests for up to this multiple of the default are approved without a case. This excludes
# accelerators, whose defaults are 0. AWS publishes no figure.
_SMALL = 10


@dataclass
class RequestedQuotaChange:
    """A quota increase request.

    Attributes:
        created, updated: seconds since the epoch.
        case_id: id of the AWS Support case; empty while there is none.
    """

    service: str
    code: str
    desired: float
    requester: str
    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    status: str = "PENDING"
    case_id: str = ""
    created: float = field(default_factory=CLOCK.now)
    updated: float = field(default_factory=CLOCK.now)

    def set_status(self, status: str) -> None:
        """Set the status and the time of the update."""
        self.status, self.updated = status, CLOCK.now()


class QuotasBackend(ServiceQuotasBackend):
    """Quotas of one account and Region.

    Attributes:
        profile: the profile that sets the applied values; the daemon sets it at startup.
        granted: values approved by request, by service and code.
    """

    profile: ClassVar[str] = account_profiles.DEFAULT

    def __init__(self, region_name: str, account_id: str) -> None:
        super().__init__(region_name, account_id)
        self.later = DeferredCalls()
        self.requests: dict[str, RequestedQuotaChange] = {}
        self.granted: dict[tuple[str, str], float] = {}

    # -- values --------------------------------------------------------------------------------

    def services(self) -> list[dict[str, Any]]:
        """Return the services with known quotas."""
        return [
            {"ServiceCode": code, "ServiceName": name}
            for code, name in sorted(reference_data.SERVICES.items())
            if reference_data.quotas_of(code, self.region_name)
        ]

    def list_aws_default_service_quotas(self, service_code: str) -> list[dict[str, Any]]:
        """Return the default values of a service's quotas."""
        return [self.default_quota(service_code, code) for code in self._of(service_code)]

    def list_service_quotas(self, service_code: str) -> list[dict[str, Any]]:
        """Return the applied values of a service; like AWS, without values never applied."""
        found = {code: self.applied(service_code, code) for code in self._of(service_code)}
        return [
            self._described(service_code, code, value)
            for code, value in found.items()
            if value is not None
        ]

    def get_service_quota(self, service_code: str, quota_code: str) -> dict[str, Any]:
        """Return one applied value. Raises NoSuchResource, as on AWS, if none was applied."""
        value = self.applied(service_code, quota_code)
        if value is None:
            raise _unknown(service_code, quota_code)
        return self._described(service_code, quota_code, value)

    def default_quota(self, service_code: str, quota_code: str) -> dict[str, Any]:
        """Return one default value."""
        default = self._one(service_code, quota_code).default
        return self._described(service_code, quota_code, default)

    def applied(self, service_code: str, quota_code: str) -> float | None:
        """Return the value applied by a request or the profile; None if there is none."""
        quota = self._one(service_code, quota_code)
        if granted := self.granted.get((service_code, quota_code)):
            return granted
        return reference_data.applied(self.profile, quota_code, quota)

    def in_force(self, service_code: str, quota_code: str) -> float:
        """Return the value in force: the applied one, else the default."""
        self.later.catch_up(self)
        value = self.applied(service_code, quota_code)
        return self._one(service_code, quota_code).default if value is None else value

    def _of(self, service: str) -> dict[str, reference_data.ListedQuota]:
        found = reference_data.quotas_of(service, self.region_name)
        if not found:
            raise NoSuchResource
        return found

    def _one(self, service: str, code: str) -> reference_data.ListedQuota:
        found = self._of(service).get(code)
        if found is None:
            raise _unknown(service, code)
        return found

    def _described(self, service: str, code: str, value: float) -> dict[str, Any]:
        quota = self._one(service, code)
        return {
            **self._named(service, code, quota),
            "Value": float(value),
            "Adjustable": quota.adjustable,
            "QuotaAppliedAtLevel": "ACCOUNT",
            **({"UsageMetric": _usage_metric(quota.usage)} if quota.usage else {}),
        }

    def _named(self, service: str, code: str, quota: reference_data.ListedQuota) -> dict[str, Any]:
        region = "" if quota.is_global else self.region_name
        arn = f"arn:{self.partition}:servicequotas:{region}:{self.account_id}:{service}/{code}"
        return {
            "ServiceCode": service,
            "ServiceName": reference_data.SERVICES[service],
            "QuotaArn": arn,
            "QuotaCode": code,
            "QuotaName": quota.name,
            "Unit": "None",
            "GlobalQuota": quota.is_global,
        }

    # -- requests ------------------------------------------------------------------------------

    def request_increase(
        self, service: str, code: str, desired: float, requester: str
    ) -> dict[str, Any]:
        """Handle RequestServiceQuotaIncrease.

        Raises IllegalArgumentException for a quota that is not adjustable, or an invalid value;
        ResourceAlreadyExistsException while another request for the quota is open.
        """
        quota = self._one(service, code)
        self._check_increase(quota, desired, self.in_force(service, code))
        if any(r.status in _OPEN for r in self._about(service, code)):
            raise JsonRESTError(
                "ResourceAlreadyExistsException",
                "Only one open service quota increase request is allowed per quota.",
            )
        request = RequestedQuotaChange(service, code, desired, requester)
        self.requests[request.id] = request
        answer = self._request(
            request
        )  # before it is approved, which at speed 0 happens immediately
        if desired <= _SMALL * quota.default:
            self.later.add(self, "quota increase approve", "approve", request.id)
        else:
            self.later.add(self, "quota increase case", "open_case", request.id)
        return answer

    def _check_increase(
        self, quota: reference_data.ListedQuota, desired: float, current: float
    ) -> None:
        wrong = ""
        if not quota.adjustable:
            wrong = "The request failed because the specified quota is not adjustable."
        elif desired <= current:
            wrong = (
                f"You must provide a quota value greater than the current quota value of {current}"
            )
        if wrong:
            raise JsonRESTError("IllegalArgumentException", wrong)

    def approve(self, request_id: str) -> None:
        """Approve the request."""
        request = self.requests[request_id]
        request.set_status("APPROVED")
        self.granted[request.service, request.code] = request.desired

    def open_case(self, request_id: str) -> None:
        """Open an AWS Support case for the request."""
        request = self.requests[request_id]
        request.set_status("CASE_OPENED")
        request.case_id = str(int(request.id[:10], 16))

    def request(self, request_id: str) -> dict[str, Any]:
        """Handle GetRequestedServiceQuotaChange."""
        if request_id not in self.requests:
            raise JsonRESTError(
                "NoSuchResourceException",
                "The request failed because the specified quota increase request does not exist.",
            )
        return self._request(self.requests[request_id])

    def history(self, service: str = "", code: str = "", status: str = "") -> list[dict[str, Any]]:
        """Return requests, newest first; empty arguments match any."""
        found = [r for r in self._about(service, code) if status in ("", r.status)]
        return [self._request(r) for r in sorted(found, key=lambda r: -r.created)]

    def _about(self, service: str, code: str) -> list[RequestedQuotaChange]:
        return [
            r for r in self.requests.values() if service in ("", r.service) and code in ("", r.code)
        ]

    def _request(self, request: RequestedQuotaChange) -> dict[str, Any]:
        quota = self._one(request.service, request.code)
        case = {"CaseId": request.case_id} if request.case_id else {}
        who = {"accountId": self.account_id, "callerArn": request.requester}
        return {
            **self._named(request.service, request.code, quota),
            "Id": request.id,
            **case,
            "DesiredValue": request.desired,
            "Status": request.status,
            "Created": request.created,
            "LastUpdated": request.updated,
            "Requester": json.dumps(who),
            "QuotaRequestedAtLevel": "ACCOUNT",
        }


def _unknown(service: str, code: str) -> JsonRESTError:
    return JsonRESTError(
        "NoSuchResourceException",
        f"The request failed because the specified quota {code} does not exist for service "
        f"{service}.",
    )


def _usage_metric(usage: str) -> dict[str, Any]:
    return {
        "MetricNamespace": "AWS/Usage",
        "MetricName": "ResourceCount",
        "MetricDimensions": reference_data.usage_dimensions(usage),
        "MetricStatisticRecommendation": "Maximum",
    }
