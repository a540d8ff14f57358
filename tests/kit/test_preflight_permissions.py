"""Preflight's checks of permissions, on fakes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jarkkit.decisions.permissions import applied_permissions
from jarkkit.decisions.permissions.simulation import SimulationResult
from jarkkit.model.checks import Check
from jarkkit.model.errors import JarkkitError
from jarkkit.model.records import Caller
from jarkkit.ports.workspace import Workspace
from jarkkit.settings import Settings
from jarkkit.steps.aws_layer import APPLIED_PERMISSIONS
from jarkkit.steps.check_engine import run_checks
from jarkkit.steps.preflight.context import CheckContext
from jarkkit.steps.preflight.permissions import CHECKS
from tests.support.fakes.account import FakeAccount
from tests.support.fakes.identity import FakeIdentity
from tests.support.stacks import resolved

DENIED = JarkkitError("JK-AWS-DENIED", "not allowed", "ask")
Checker = Callable[..., dict[str, Check]]


class _Caller(FakeAccount):
    """An account whose caller the test sets."""

    arn = "arn:aws:iam::111122223333:user/learner"

    def caller(self) -> Caller:
        return Caller(account_id=self.account_id, arn=self.arn)


@pytest.fixture
def check_caller(tmp_path: Path) -> Checker:
    """Return a function that checks a caller with the given permissions."""

    def checks(arn: str = _Caller.arn, settings: Settings | None = None, **identity: Any) -> Any:
        account = _Caller(identity=FakeIdentity(**identity))
        account.arn = arn
        context = CheckContext(
            resolved(settings or Settings()),
            account,  # type: ignore[arg-type]
            terraform=None,  # type: ignore[arg-type]
            workspace=Workspace(tmp_path),
        )
        return {check.name: check for check in run_checks(CHECKS, context)}

    return checks


def test_a_caller_with_all_permissions(check_caller: Checker) -> None:
    results = check_caller(in_organization=True)
    assert {check.status for check in results.values()} == {"pass"}
    assert list(results) == [
        "Permissions of the steps", "Service control policies", "Service-linked roles",
    ]  # fmt: skip


def test_the_removal_of_what_earlier_settings_created(
    check_caller: Checker, tmp_path: Path
) -> None:
    workspace = Workspace(tmp_path)
    before = Settings(budget_usd_per_month=100, budget_emails=("a@example.org",))
    workspace.save(APPLIED_PERMISSIONS, applied_permissions(resolved(before), None))
    denied = SimulationResult("budgets:ModifyBudget", "*", "implicitDeny")
    check = check_caller(denied={denied.action: denied})["Permissions of the steps"]
    assert check.status == "fail"
    assert "budgets:ModifyBudget" in check.found


def test_the_root_user(check_caller: Checker) -> None:
    results = check_caller("arn:aws:iam::111122223333:root")
    refused = results["Permissions of the steps"]
    assert (refused.status, refused.code) == ("fail", "JK-AWS-ROOT-USER")
    assert results["Service-linked roles"].status == "pass"


class TestAdministrators:
    TEAM = "arn:aws:iam::111122223333:role/team"
    ANN = "arn:aws:iam::111122223333:user/ann"
    FOREIGN = "arn:aws:iam::444455556666:role/partner"

    def check(self, check_caller: Checker, *arns: str, **identity: Any) -> Check:
        results = check_caller(settings=Settings(admin_principals=arns), **identity)
        return results["Additional administrators"]

    def test_those_that_exist_pass(self, check_caller: Checker) -> None:
        assert self.check(check_caller, self.TEAM, self.ANN).status == "pass"

    def test_one_that_does_not_exist_fails(self, check_caller: Checker) -> None:
        missing = frozenset({self.ANN})
        check = self.check(check_caller, self.TEAM, self.ANN, missing_principals=missing)
        assert (check.status, check.code) == ("fail", "JK-SETTINGS-INVALID")
        assert "user/ann" in check.found
        assert "team" not in check.found
        assert "111122223333" not in check.found
        assert "admin_principals" in check.fix

    def test_without_permission_or_in_another_account_it_is_unknown(
        self, check_caller: Checker
    ) -> None:
        assert self.check(check_caller, self.TEAM, failing=DENIED).status == "unknown"
        assert self.check(check_caller, self.TEAM, self.FOREIGN).status == "unknown"


def test_a_federated_user_is_unknown(check_caller: Checker) -> None:
    results = check_caller(
        "arn:aws:sts::111122223333:federated-user/ann",
        missing_roles=frozenset({"eks.amazonaws.com"}),
    )
    assert results["Permissions of the steps"].status == "unknown"
    assert results["Service-linked roles"].status == "unknown"
    assert "--aws-service-name eks.amazonaws.com" in results["Service-linked roles"].fix


def test_a_denied_simulation_is_reported_once(check_caller: Checker) -> None:
    results = check_caller(failing=DENIED)
    check = results.pop("Permissions of the steps")
    assert (check.status, check.code) == ("unknown", "JK-AWS-DENIED")
    assert "iam:SimulatePrincipalPolicy" in check.fix
    assert "Service control policies" not in results


def test_a_missing_role_is_created_at_first_use(check_caller: Checker) -> None:
    results = check_caller(missing_roles=frozenset({"eks.amazonaws.com"}))["Service-linked roles"]
    assert results.status == "pass"
    assert "at first use" in results.found


def test_a_missing_role_that_cannot_be_created_fails(check_caller: Checker) -> None:
    denied = SimulationResult("iam:CreateServiceLinkedRole", "*", "implicitDeny")
    results = check_caller(
        missing_roles=frozenset({"eks.amazonaws.com"}), denied={denied.action: denied}
    )["Service-linked roles"]
    assert (results.status, results.code) == ("fail", "JK-SERVICE-ROLE")


@pytest.mark.parametrize(
    ("settings", "status"),
    [
        (Settings(), "pass"),
        (Settings(cpu_capacity=("spot", "on-demand")), "fail"),
        (Settings(cpu_capacity=("spot",), karpenter=False, accelerators=()), "pass"),
    ],
)
def test_the_spot_role_is_needed_only_with_spot_capacity(
    check_caller: Checker, settings: Settings, status: str
) -> None:
    denied = SimulationResult("iam:CreateServiceLinkedRole", "*", "implicitDeny")
    results = check_caller(
        settings=settings,
        missing_roles=frozenset({"spot.amazonaws.com"}),
        denied={denied.action: denied},
    )
    assert results["Service-linked roles"].status == status
