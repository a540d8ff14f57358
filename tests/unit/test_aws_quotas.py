"""Rare responses of Service Quotas, which the simulated account never gives."""

from __future__ import annotations

from typing import cast

from jarkkit.decisions.quotas.models import AppliedQuota
from jarkkit.decisions.quotas.quota_codes import QUOTAS
from jarkkit.model.unknown import Unknown
from jarkkit.ports.aws.quotas import ServiceQuotas
from jarkkit.ports.aws.session import AwsSession
from tests.support.fakes.session import FakeSession

STANDARD, GPU = "L-1216C47A", "L-DB2E81BA"


def test_a_quota_that_is_listed_without_a_value_is_unknown_and_has_no_default() -> None:
    reason = {"ErrorCode": "DEPENDENCY_SERVICE_ERROR"}
    applied = [{"QuotaCode": STANDARD, "ErrorReason": reason}, {"QuotaCode": GPU, "Value": 8.0}]
    session = FakeSession(
        list_service_quotas={"Quotas": applied},
        list_aws_default_service_quotas={"Quotas": [{"QuotaCode": STANDARD, "Value": 5.0}]},
    )
    quotas = ServiceQuotas(cast("AwsSession", session))
    found = quotas.applied_quotas([QUOTAS[STANDARD], QUOTAS[GPU]])
    assert isinstance(found[STANDARD], Unknown)
    assert isinstance(found[GPU], AppliedQuota)
