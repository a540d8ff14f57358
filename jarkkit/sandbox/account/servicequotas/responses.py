"""Requests in, answers out."""

from __future__ import annotations

import json

from moto.servicequotas.models import servicequotas_backends
from moto.servicequotas.responses import ServiceQuotasResponse


class QuotasResponse(ServiceQuotasResponse):
    """moto's handlers, and those that it has not."""

    def list_service_quotas(self) -> str:
        """Applied quotas of a service."""
        backend = servicequotas_backends[self.current_account][self.region]
        code = str(json.loads(self.body).get("ServiceCode"))
        return json.dumps({"Quotas": backend.list_service_quotas(code)})  # type: ignore[attr-defined]

    def get_aws_default_service_quota(self) -> str:
        """The default of one quota."""
        backend = servicequotas_backends[self.current_account][self.region]
        asked = json.loads(self.body)
        found = backend.default_quota(asked.get("ServiceCode"), asked.get("QuotaCode"))  # type: ignore[attr-defined]
        return json.dumps({"Quota": found})
