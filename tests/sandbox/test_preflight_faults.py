"""Preflight when the account refuses, is too busy or is not there: always a whole report, soon."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from jarkkit.checks import Report
from jarkkit.errors import JarkkitError
from jarkkit.kit import Kit
from jarkkit.sandbox import control
from jarkkit.steps.preflight.asking import failed
from tests.conftest import pointed_at

# A call is tried four times, with pauses of up to 1, 2 and 4 s; some questions make several calls
# one after the other.
THROTTLED_SECONDS = 60.0
REFUSED_SECONDS = 15.0

Ask = Callable[..., tuple[Report, float]]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[control.Running]:
    """A sandbox whose faults disturb nobody else."""
    home = tmp_path_factory.mktemp("refusing")
    yield control.start(home, account_only=True)
    control.stop(home)


@pytest.fixture
def ask(running: control.Running, tmp_path: Path) -> Iterator[Ask]:
    """Preflight under some faults, by an account of which nothing is remembered; and how long it
    took."""

    def asked(*faults: str) -> tuple[Report, float]:
        control.set_faults(running.home, faults)
        nothing_known = {"JARKKIT_ACCOUNT_CACHE": str(tmp_path / f"answers {faults}")}
        environ = {**pointed_at(running), **nothing_known}
        kit = Kit.create("refused", rehearsal=True, home=tmp_path, environ=environ, exist_ok=True)
        began = time.monotonic()
        return kit.preflight(), time.monotonic() - began

    yield asked
    control.set_faults(running.home, ())


@pytest.fixture(scope="module")
def undisturbed(
    running: control.Running, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, str]:
    """Every question's answer when nothing is wrong."""
    home = tmp_path_factory.mktemp("undisturbed")
    kit = Kit.create("refused", rehearsal=True, home=home, environ=pointed_at(running))
    return {check.name: check.status for check in kit.preflight().checks}


def changed(report: Report, before: dict[str, str]) -> set[tuple[str, str]]:
    """Status and code of the answers that are other than before."""
    other = (check for check in report.checks if before.get(check.name) != check.status)
    return {(check.status, check.code) for check in other if check.code}


def test_undisturbed_nothing_is_unknown(undisturbed: dict[str, str]) -> None:
    open_ = {name for name, status in undisturbed.items() if status in ("fail", "unknown")}
    # Nobody can be asked about service control policies.
    assert open_ <= {"Limits of the organization"}


def test_expired_credentials_are_one_finding_and_the_rest_is_unknown(
    ask: Ask, undisturbed: dict[str, str]
) -> None:
    report, seconds = ask("expired-credentials")
    assert [check.name for check in report.failures()] == ["AWS credentials"]
    expired = {(status, "JK-AWS-EXPIRED") for status in ("fail", "unknown")}
    assert changed(report, undisturbed) == expired, report.text()
    assert seconds < REFUSED_SECONDS


@pytest.mark.parametrize(
    "service",
    [
        "sts", "ec2", "eks", "iam", "kms", "logs", "sqs", "events", "elasticfilesystem", "s3",
        "elasticloadbalancing", "servicequotas",
    ],
)  # fmt: skip
def test_what_one_service_denies_is_unknown_and_the_rest_as_before(
    service: str, ask: Ask, undisturbed: dict[str, str]
) -> None:
    report, seconds = ask(f"access-denied:{service}")
    assert report.ok, report.text()
    assert changed(report, undisturbed) == {("unknown", "JK-AWS-DENIED")}, report.text()
    assert seconds < REFUSED_SECONDS


def test_everything_is_denied(ask: Ask, undisturbed: dict[str, str]) -> None:
    report, seconds = ask("access-denied")
    assert report.ok, report.text()
    assert changed(report, undisturbed) == {("unknown", "JK-AWS-DENIED")}, report.text()
    assert seconds < REFUSED_SECONDS


@pytest.mark.parametrize("fault", ["throttled", "throttled:ec2"])
def test_throttled_is_unknown_and_does_not_last_for_minutes(
    fault: str, ask: Ask, undisturbed: dict[str, str]
) -> None:
    report, seconds = ask(fault)
    assert report.ok, report.text()
    assert changed(report, undisturbed) == {("unknown", "JK-AWS-THROTTLED")}, report.text()
    assert seconds < THROTTLED_SECONDS


def test_a_region_that_is_not_enabled_is_told_from_expired_credentials(
    running: control.Running, tmp_path: Path
) -> None:
    environ = {**pointed_at(running), "JARKKIT_ACCOUNT_CACHE": str(tmp_path / "answers")}
    values = {"region": "af-south-1"}
    kit = Kit.create("closed", rehearsal=True, home=tmp_path, environ=environ, values=values)
    report = kit.preflight()
    codes = {check.name: check.code for check in report.failures()}
    assert codes["The Region"] == "JK-REGION-UNKNOWN", report.text()
    assert set(codes) == {"AWS credentials", "The Region"}
    said = next(check for check in report.checks if check.name == "AWS credentials").found
    assert "af-south-1" in said
    assert "not enabled" in said


def test_what_fails_for_another_reason_is_unknown() -> None:
    error = JarkkitError("JK-AWS-FAILED", "ec2 DescribeVpcs failed (InternalError).", "Try again.")
    assert failed(error).status == "unknown"


def test_nobody_answers(ask: Ask, undisturbed: dict[str, str]) -> None:
    report, seconds = ask("api-unreachable")
    assert [check.name for check in report.failures()] == ["AWS credentials"]
    silent = {(status, "JK-AWS-UNREACHABLE") for status in ("fail", "unknown")}
    assert changed(report, undisturbed) == silent, report.text()
    assert seconds < REFUSED_SECONDS + 10


@pytest.mark.parametrize("service", ["ec2", "eks", "iam"])
def test_one_service_does_not_answer(service: str, ask: Ask, undisturbed: dict[str, str]) -> None:
    report, seconds = ask(f"api-unreachable:{service}")
    assert report.ok, report.text()
    assert changed(report, undisturbed) == {("unknown", "JK-AWS-UNREACHABLE")}, report.text()
    assert seconds < THROTTLED_SECONDS
