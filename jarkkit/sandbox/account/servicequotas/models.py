"""The Service Quotas backend."""

from __future__ import annotations

from typing import Any, ClassVar

from moto.servicequotas.exceptions import NoSuchResource
from moto.servicequotas.models import ServiceQuotasBackend

from jarkkit.sandbox.account.servicequotas import facts


class QuotasBackend(ServiceQuotasBackend):
    """Quotas of one account and Region.

    Attributes:
        profile: whose applied values hold; the daemon sets it when it starts.
    """

    profile: ClassVar[str] = "workshop"

    def list_aws_default_service_quotas(self, service_code: str) -> list[dict[str, Any]]:
        """The defaults of a service."""
        return [self.default_quota(service_code, code) for code in _of(service_code)]

    def list_service_quotas(self, service_code: str) -> list[dict[str, Any]]:
        """The applied values of a service."""
        return [self.get_service_quota(service_code, code) for code in _of(service_code)]

    def get_service_quota(self, service_code: str, quota_code: str) -> dict[str, Any]:
        """One applied value. A fresh account has none: NoSuchResource, as on AWS."""
        _one(service_code, quota_code)
        value = facts.applied(self.profile, service_code, quota_code)
        if value is None:
            raise NoSuchResource
        return self._quota(service_code, quota_code, value)

    def in_force(self, service_code: str, quota_code: str) -> float:
        """The value that holds: the applied one, else the default."""
        _, default, _ = _one(service_code, quota_code)
        value = facts.applied(self.profile, service_code, quota_code)
        return default if value is None else value

    def default_quota(self, service_code: str, quota_code: str) -> dict[str, Any]:
        """One default."""
        _, default, _ = _one(service_code, quota_code)
        return self._quota(service_code, quota_code, default)

    def _quota(self, service: str, code: str, value: float) -> dict[str, Any]:
        place = f"{self.region_name}:{self.account_id}"
        return {
            "ServiceCode": service,
            "ServiceName": service,
            "QuotaArn": f"arn:aws:servicequotas:{place}:{service}/{code}",
            "QuotaCode": code,
            "QuotaName": _one(service, code)[0],
            "Value": float(value),
            "Unit": "None",
            "Adjustable": True,
            "GlobalQuota": False,
        }


def _of(service: str) -> dict[str, tuple[str, float, float]]:
    if service not in facts.QUOTAS:
        raise NoSuchResource
    return facts.QUOTAS[service]


def _one(service: str, code: str) -> tuple[str, float, float]:
    if code not in _of(service):
        raise NoSuchResource
    return facts.QUOTAS[service][code]
