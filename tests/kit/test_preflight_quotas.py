"""Quotas of a deployment: preflight's checks, the table, increase requests."""

from __future__ import annotations

from dataclasses import replace

import pytest

from jarkkit.decisions.quotas.models import QuotaUsage, RequestedQuotaIncrease, RunningInstances
from jarkkit.model.checks import Check
from jarkkit.model.errors import JarkkitError
from jarkkit.model.unknown import Unknown
from jarkkit.render.pictures import quota_bars
from jarkkit.render.text import text as text_of
from jarkkit.steps.quotas import QuotaIncreaseRequest, quota_increase_requests
from tests.support.fakes.deployment import DeploymentHarness

STANDARD, G, EIPS, VPCS = "L-1216C47A", "L-DB2E81BA", "L-0263D0A3", "L-F678F1CE"
DENIED = JarkkitError("JK-AWS-DENIED", "not allowed", "allow it")


def quota_checks(harness: DeploymentHarness) -> list[Check]:
    return [check for check in harness.deployment.preflight().checks if check.group == "Quotas"]


def status_of(harness: DeploymentHarness, code: str) -> str:
    return next(check.status for check in quota_checks(harness) if code in check.name)


def running(vcpus: int, *, own: bool = False, kind: str = "m5.xlarge") -> RunningInstances:
    return RunningInstances(
        instance_type=kind, purchase="on-demand", count=vcpus // 4, vcpus=vcpus, own=own
    )


def test_quotas_that_fit_are_one_check(harness: DeploymentHarness) -> None:
    assert [check.status for check in quota_checks(harness)] == ["pass"]


def test_core_nodes_above_the_quota_fail(harness: DeploymentHarness) -> None:
    harness.account.quotas.values = {STANDARD: 5.0}
    assert not harness.deployment.preflight().ok
    assert status_of(harness, STANDARD) == "fail"


def test_usage_of_others_is_subtracted_and_own_usage_is_not(
    harness: DeploymentHarness,
) -> None:
    harness.account.quotas.values = {STANDARD: 88.0}
    harness.account.usage.instances = (running(8, own=True),)
    assert harness.deployment.quota_table().row(STANDARD).fits == "yes"
    harness.account.usage.instances = (
        running(8, own=True),
        running(8),
        running(40, kind="g6.xlarge"),
    )
    assert harness.deployment.quota_table().row(STANDARD).fits == "yes"
    harness.account.usage.instances = (running(8, own=True), running(12))
    assert harness.deployment.quota_table().row(STANDARD).fits == "at the start"


def test_networks_and_addresses_fail_as_well(harness: DeploymentHarness) -> None:
    harness.account.quotas.values = {VPCS: 5.0, EIPS: 5.0}
    harness.account.usage.by_quota = {VPCS: QuotaUsage(total=5), EIPS: QuotaUsage(total=5, own=1)}
    assert status_of(harness, VPCS) == "fail"
    assert harness.deployment.quota_table().row(EIPS).fits == "yes"


def test_unknown_quotas_neither_pass_nor_fail(harness: DeploymentHarness) -> None:
    harness.account.quotas.values = {STANDARD: Unknown(DENIED)}
    harness.account.usage.by_quota = {VPCS: Unknown(DENIED)}
    statuses = {check.status for check in quota_checks(harness)}
    assert statuses == {"unknown", "pass"}
    assert harness.deployment.quota_table().row(VPCS).fits == "unknown"


def test_without_instance_types_vcpus_are_unknown(harness: DeploymentHarness) -> None:
    harness.account.instance_types.error = DENIED
    rows = {row.code: row.fits for row in harness.deployment.quota_table().rows}
    assert (rows[STANDARD], rows[G], rows[VPCS]) == ("unknown", "unknown", "yes")


def test_pool_limits_and_free_addresses_are_checked(harness: DeploymentHarness) -> None:
    own = {"vpc_id": "vpc-12345678", "private_subnet_ids": ["subnet-11111111", "subnet-22222222"]}
    harness.deployment.configure({**own, "attendees": 40})
    harness.account.usage.free = {"subnet-11111111": 4000, "subnet-22222222": 3}
    found = {check.name: check.status for check in quota_checks(harness)}
    assert found["Capacity for all attendees"] == "warn"
    assert found["Free addresses in the subnets"] == "fail"


def test_refreshing_ignores_the_cache(harness: DeploymentHarness) -> None:
    harness.deployment.preflight()
    harness.deployment.quota_table()
    assert harness.account.cache_resets == 0
    harness.deployment.preflight(refresh=True)
    harness.deployment.quota_table(refresh=True)
    assert harness.account.cache_resets == 2


# -- increase requests ----------------------------------------------------------------------------


def requests_by_code(harness: DeploymentHarness) -> dict[str, QuotaIncreaseRequest]:
    return {
        request.code: request
        for request in quota_increase_requests(harness.deployment.quota_table())
    }


def test_a_request_shows_exactly_what_is_sent(harness: DeploymentHarness) -> None:
    harness.account.quotas.values = {STANDARD: 5.0}
    harness.account.usage.instances = (running(4),)
    request = requests_by_code(harness)[STANDARD]
    assert (request.service, request.region, request.desired, request.in_force) == (
        "ec2",
        "us-west-2",
        84,
        5,
    )
    for word in ("ec2", STANDARD, "us-west-2", "84", "now 5"):
        assert word in text_of(request)
    assert "--desired-value 84" in request.command


def test_quotas_that_fit_or_are_unknown_need_no_request(harness: DeploymentHarness) -> None:
    harness.account.quotas.values = {G: Unknown(DENIED)}
    assert requests_by_code(harness) == {}


def test_preflight_and_the_table_send_no_request(harness: DeploymentHarness) -> None:
    harness.account.quotas.values = {STANDARD: 5.0}
    harness.deployment.preflight()
    harness.deployment.quota_table()
    assert harness.account.quotas.requests == []


def test_a_request_is_sent_once_and_shown_afterwards(harness: DeploymentHarness) -> None:
    harness.account.quotas.values = {STANDARD: 5.0}
    request = requests_by_code(harness)[STANDARD]
    first, again = (
        harness.deployment.request_quota_increase(request),
        harness.deployment.request_quota_increase(request),
    )
    assert (first.before, again.before) == (False, True)
    assert [request.desired for request in harness.account.quotas.requests] == [80]
    assert requests_by_code(harness) == {}
    (check,) = (check for check in quota_checks(harness) if STANDARD in check.name)
    assert "a request for 80 is open (PENDING)" in check.fix


def test_a_denied_request_is_not_open(harness: DeploymentHarness) -> None:
    harness.account.quotas.values = {STANDARD: 5.0}
    denied = RequestedQuotaIncrease(
        id="1", service="ec2", code=STANDARD, desired=80, status="DENIED"
    )
    harness.account.quotas.requests = [denied]
    assert STANDARD in requests_by_code(harness)


def test_a_rejected_request_is_in_the_result(harness: DeploymentHarness) -> None:
    harness.account.quotas.values = {STANDARD: 5.0}
    harness.account.quotas.request_error = JarkkitError("JK-AWS-QUOTA", "too many open", "wait")
    result = harness.deployment.request_quota_increase(requests_by_code(harness)[STANDARD])
    assert result.increase is None
    assert result.error
    assert result.error["code"] == "JK-AWS-QUOTA"


def test_requests_that_cannot_be_listed_are_unknown(harness: DeploymentHarness) -> None:
    harness.account.quotas = replace(harness.account.quotas, error=DENIED)
    names = {check.name: check.code for check in quota_checks(harness)}
    assert names["Quota increase requests"] == "JK-AWS-DENIED"


# -- picture ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("values", [{}, {STANDARD: 5.0, G: 0.0}, {STANDARD: Unknown(DENIED)}])
def test_the_picture_names_short_quotas_in_words(
    harness: DeploymentHarness, values: dict[str, float | Unknown | None]
) -> None:
    harness.account.quotas.values = values
    picture = quota_bars(harness.deployment.quota_table())
    assert picture.svg.startswith("<svg")
    short = [code for code, value in values.items() if isinstance(value, float)]
    assert all(code in picture.caption for code in short)
