"""Preflight with denied, throttled or unreachable calls: always a complete report, in time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from jarkkit.deployment import Deployment
from jarkkit.model.checks import Report
from jarkkit.model.errors import JarkkitError
from jarkkit.render.text import text as text_of
from jarkkit.sandbox import daemon_client
from jarkkit.steps.check_engine import check_of_error
from tests.support.account import sandbox_environment

# A call is tried four times, with pauses of up to 1, 2 and 4 s; some checks make several calls
# one after the other.
THROTTLED_SECONDS = 180.0
REFUSED_SECONDS = 60.0

PreflightWithFaults = Callable[..., tuple[Report, float]]


@pytest.fixture(scope="module")
def faulty_sandbox(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[daemon_client.RunningSandbox]:
    """A separate sandbox, so that its faults affect no other tests."""
    home = tmp_path_factory.mktemp("refusing")
    yield daemon_client.start(home, account_only=True)
    daemon_client.stop(home)


@pytest.fixture
def preflight_with_faults(
    faulty_sandbox: daemon_client.RunningSandbox, tmp_path: Path
) -> Iterator[PreflightWithFaults]:
    """Run preflight with faults and an empty cache; return the report and the seconds it took."""

    def run_preflight(*faults: str) -> tuple[Report, float]:
        daemon_client.set_faults(faulty_sandbox.home, faults)
        empty_cache = {"JARKKIT_ACCOUNT_CACHE": str(tmp_path / f"answers {faults}")}
        environ = {**sandbox_environment(faulty_sandbox), **empty_cache}
        deployment = Deployment.create(
            "refused", rehearsal=True, home=tmp_path, environ=environ, exist_ok=True
        )
        began = time.monotonic()
        return deployment.preflight(), time.monotonic() - began

    yield run_preflight
    daemon_client.set_faults(faulty_sandbox.home, ())


@pytest.fixture(scope="module")
def baseline(
    faulty_sandbox: daemon_client.RunningSandbox, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, str]:
    """The status of every check without faults."""
    home = tmp_path_factory.mktemp("undisturbed")
    deployment = Deployment.create(
        "refused", rehearsal=True, home=home, environ=sandbox_environment(faulty_sandbox)
    )
    return {check.name: check.status for check in deployment.preflight().checks}


def changed_checks(report: Report, baseline: dict[str, str]) -> set[tuple[str, str]]:
    """Return status and code of the checks that differ from the baseline."""
    other = (check for check in report.checks if baseline.get(check.name) != check.status)
    return {(check.status, check.code) for check in other if check.code}


def test_no_check_is_unknown_without_faults(baseline: dict[str, str]) -> None:
    unanswered = {name for name, status in baseline.items() if status in ("fail", "unknown")}
    # No API shows service control policies to a member account.
    assert unanswered <= {"Service control policies"}


def test_expired_credentials_are_one_failure_and_the_rest_is_unknown(
    preflight_with_faults: PreflightWithFaults, baseline: dict[str, str]
) -> None:
    report, seconds = preflight_with_faults("expired-credentials")
    assert [check.name for check in report.failures()] == ["AWS credentials"]
    expected = {(status, "JK-AWS-EXPIRED") for status in ("fail", "unknown")}
    assert changed_checks(report, baseline) == expected, text_of(report)
    assert seconds < REFUSED_SECONDS


@pytest.mark.parametrize(
    "service",
    [
        "sts", "ec2", "eks", "iam", "kms", "logs", "sqs", "events", "elasticfilesystem", "s3",
        "elasticloadbalancing", "servicequotas",
    ],
)  # fmt: skip
def test_checks_of_a_denied_service_are_unknown_and_the_rest_unchanged(
    service: str, preflight_with_faults: PreflightWithFaults, baseline: dict[str, str]
) -> None:
    report, seconds = preflight_with_faults(f"access-denied:{service}")
    assert report.ok, text_of(report)
    assert changed_checks(report, baseline) == {("unknown", "JK-AWS-DENIED")}, text_of(report)
    assert seconds < REFUSED_SECONDS


def test_all_affected_checks_are_unknown_when_every_call_is_denied(
    preflight_with_faults: PreflightWithFaults, baseline: dict[str, str]
) -> None:
    report, seconds = preflight_with_faults("access-denied")
    assert report.ok, text_of(report)
    assert changed_checks(report, baseline) == {("unknown", "JK-AWS-DENIED")}, text_of(report)
    assert seconds < REFUSED_SECONDS


@pytest.mark.parametrize("fault", ["throttled", "throttled:ec2"])
def test_throttled_checks_are_unknown_within_a_minute(
    fault: str, preflight_with_faults: PreflightWithFaults, baseline: dict[str, str]
) -> None:
    report, seconds = preflight_with_faults(fault)
    assert report.ok, text_of(report)
    assert changed_checks(report, baseline) == {("unknown", "JK-AWS-THROTTLED")}, text_of(report)
    assert seconds < THROTTLED_SECONDS


def test_a_disabled_region_is_distinguished_from_expired_credentials(
    faulty_sandbox: daemon_client.RunningSandbox, tmp_path: Path
) -> None:
    environ = {
        **sandbox_environment(faulty_sandbox),
        "JARKKIT_ACCOUNT_CACHE": str(tmp_path / "answers"),
    }
    values = {"region": "af-south-1"}
    deployment = Deployment.create(
        "closed", rehearsal=True, home=tmp_path, environ=environ, values=values
    )
    report = deployment.preflight()
    codes = {check.name: check.code for check in report.failures()}
    assert codes["Region"] == "JK-REGION-UNKNOWN", text_of(report)
    assert set(codes) == {"AWS credentials", "Region"}
    finding = next(check for check in report.checks if check.name == "AWS credentials").found
    assert "af-south-1" in finding
    assert "not enabled" in finding


def test_a_check_that_fails_for_another_reason_is_unknown() -> None:
    error = JarkkitError("JK-AWS-FAILED", "ec2 DescribeVpcs failed (InternalError).", "Try again.")
    assert check_of_error(error).status == "unknown"


def test_an_unreachable_account_is_one_failure_and_the_rest_is_unknown(
    preflight_with_faults: PreflightWithFaults, baseline: dict[str, str]
) -> None:
    report, seconds = preflight_with_faults("api-unreachable")
    assert [check.name for check in report.failures()] == ["AWS credentials"]
    unreachable = {(status, "JK-AWS-UNREACHABLE") for status in ("fail", "unknown")}
    assert changed_checks(report, baseline) == unreachable, text_of(report)
    assert seconds < REFUSED_SECONDS + 10


@pytest.mark.parametrize("service", ["ec2", "eks", "iam"])
def test_checks_of_an_unreachable_service_are_unknown(
    service: str, preflight_with_faults: PreflightWithFaults, baseline: dict[str, str]
) -> None:
    report, seconds = preflight_with_faults(f"api-unreachable:{service}")
    assert report.ok, text_of(report)
    assert changed_checks(report, baseline) == {("unknown", "JK-AWS-UNREACHABLE")}, text_of(report)
    assert seconds < THROTTLED_SECONDS
