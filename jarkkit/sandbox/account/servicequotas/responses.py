"""Request handlers of Service Quotas."""

from __future__ import annotations

import json
from typing import Any, cast

from moto.core.exceptions import JsonRESTError
from moto.servicequotas.models import servicequotas_backends
from moto.servicequotas.responses import ServiceQuotasResponse

from jarkkit.sandbox.account.servicequotas.models import QuotasBackend

_PAGE = 100


class QuotasResponse(ServiceQuotasResponse):
    """The handlers: moto has two, without pagination."""

    @property
    def backend(self) -> QuotasBackend:
        """Backend of the caller's account and Region, after its due work has run."""
        backend = cast(QuotasBackend, servicequotas_backends[self.current_account][self.region])
        backend.later.catch_up(backend)
        return backend

    def _asked(self, name: str) -> str:
        return str(json.loads(self.body).get(name) or "")

    def _page(self, name: str, found: list[dict[str, Any]]) -> str:
        """Return one page; the token of the next page is the index where it begins."""
        request = json.loads(self.body)
        begin = _begin(request.get("NextToken"))
        end = begin + int(request.get("MaxResults") or _PAGE)
        more = {"NextToken": str(end)} if end < len(found) else {}
        return json.dumps({name: found[begin:end], **more})

    def list_services(self) -> str:
        """Handle ListServices."""
        return self._page("Services", self.backend.services())

    def list_service_quotas(self) -> str:
        """Handle ListServiceQuotas: applied values."""
        found = self.backend.list_service_quotas(self._asked("ServiceCode"))
        code = self._asked("QuotaCode")
        return self._page("Quotas", [q for q in found if code in ("", q["QuotaCode"])])

    def list_aws_default_service_quotas(self) -> str:
        """Handle ListAWSDefaultServiceQuotas."""
        service = self._asked("ServiceCode")
        return self._page("Quotas", self.backend.list_aws_default_service_quotas(service))

    def get_service_quota(self) -> str:
        """Handle GetServiceQuota: one applied value."""
        requested = self._asked("ServiceCode"), self._asked("QuotaCode")
        return json.dumps({"Quota": self.backend.get_service_quota(*requested)})

    def get_aws_default_service_quota(self) -> str:
        """Handle GetAWSDefaultServiceQuota."""
        requested = self._asked("ServiceCode"), self._asked("QuotaCode")
        return json.dumps({"Quota": self.backend.default_quota(*requested)})

    def request_service_quota_increase(self) -> str:
        """Handle RequestServiceQuotaIncrease."""
        request = json.loads(self.body)
        requested = self.backend.request_increase(
            self._asked("ServiceCode"),
            self._asked("QuotaCode"),
            float(request["DesiredValue"]),
            self._caller(),
        )
        return json.dumps({"RequestedQuota": requested})

    def get_requested_service_quota_change(self) -> str:
        """Handle GetRequestedServiceQuotaChange."""
        return json.dumps({"RequestedQuota": self.backend.request(self._asked("RequestId"))})

    def list_requested_service_quota_change_history(self) -> str:
        """Handle ListRequestedServiceQuotaChangeHistory."""
        found = self.backend.history(self._asked("ServiceCode"), status=self._asked("Status"))
        return self._page("RequestedQuotas", found)

    def list_requested_service_quota_change_history_by_quota(self) -> str:
        """Handle ListRequestedServiceQuotaChangeHistoryByQuota."""
        found = self.backend.history(
            self._asked("ServiceCode"), self._asked("QuotaCode"), self._asked("Status")
        )
        return self._page("RequestedQuotas", found)

    def _caller(self) -> str:
        from moto.sts.models import sts_backends

        sts: Any = sts_backends[self.current_account][self.partition]
        _, arn, _ = sts.get_caller_identity(self.get_access_key(), self.region)
        return str(arn)


def _begin(token: str | None) -> int:
    if not (token or "0").isdigit():
        raise JsonRESTError("InvalidPaginationTokenException", "Invalid token.")
    return int(token or 0)
