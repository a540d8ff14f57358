"""Requests in, answers out."""

from __future__ import annotations

import json
from typing import Any, cast

from moto.core.exceptions import JsonRESTError
from moto.servicequotas.models import servicequotas_backends
from moto.servicequotas.responses import ServiceQuotasResponse

from jarkkit.sandbox.account.servicequotas.models import QuotasBackend

_PAGE = 100


class QuotasResponse(ServiceQuotasResponse):
    """All handlers: moto has two, without pages."""

    @property
    def backend(self) -> QuotasBackend:
        """The backend of the caller's account and Region; what is due happens before the answer."""
        backend = cast(QuotasBackend, servicequotas_backends[self.current_account][self.region])
        backend.later.catch_up(backend)
        return backend

    def _asked(self, name: str) -> str:
        return str(json.loads(self.body).get(name) or "")

    def _page(self, name: str, found: list[dict[str, Any]]) -> str:
        """As many as were asked for; the token for the rest is where it begins."""
        asked = json.loads(self.body)
        begin = _begin(asked.get("NextToken"))
        end = begin + int(asked.get("MaxResults") or _PAGE)
        more = {"NextToken": str(end)} if end < len(found) else {}
        return json.dumps({name: found[begin:end], **more})

    def list_services(self) -> str:
        """ListServices."""
        return self._page("Services", self.backend.services())

    def list_service_quotas(self) -> str:
        """ListServiceQuotas: applied values."""
        found = self.backend.list_service_quotas(self._asked("ServiceCode"))
        code = self._asked("QuotaCode")
        return self._page("Quotas", [q for q in found if code in ("", q["QuotaCode"])])

    def list_aws_default_service_quotas(self) -> str:
        """ListAWSDefaultServiceQuotas."""
        asked = self._asked("ServiceCode")
        return self._page("Quotas", self.backend.list_aws_default_service_quotas(asked))

    def get_service_quota(self) -> str:
        """GetServiceQuota: one applied value."""
        asked = self._asked("ServiceCode"), self._asked("QuotaCode")
        return json.dumps({"Quota": self.backend.get_service_quota(*asked)})

    def get_aws_default_service_quota(self) -> str:
        """GetAWSDefaultServiceQuota."""
        asked = self._asked("ServiceCode"), self._asked("QuotaCode")
        return json.dumps({"Quota": self.backend.default_quota(*asked)})

    def request_service_quota_increase(self) -> str:
        """RequestServiceQuotaIncrease."""
        asked = json.loads(self.body)
        requested = self.backend.request_increase(
            self._asked("ServiceCode"),
            self._asked("QuotaCode"),
            float(asked["DesiredValue"]),
            self._caller(),
        )
        return json.dumps({"RequestedQuota": requested})

    def get_requested_service_quota_change(self) -> str:
        """GetRequestedServiceQuotaChange."""
        return json.dumps({"RequestedQuota": self.backend.request(self._asked("RequestId"))})

    def list_requested_service_quota_change_history(self) -> str:
        """ListRequestedServiceQuotaChangeHistory."""
        found = self.backend.history(self._asked("ServiceCode"), status=self._asked("Status"))
        return self._page("RequestedQuotas", found)

    def list_requested_service_quota_change_history_by_quota(self) -> str:
        """ListRequestedServiceQuotaChangeHistoryByQuota."""
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
