"""Preflight's checks of what settings name by ARN, on fakes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jarkkit.model.checks import Check
from jarkkit.model.errors import AccessDenied
from jarkkit.model.records import Certificate
from jarkkit.ports.workspace import Workspace
from jarkkit.settings import Settings
from jarkkit.steps.check_engine import run_checks
from jarkkit.steps.preflight import named_resources
from jarkkit.steps.preflight.context import CheckContext
from tests.support.fakes.account import FakeAccount
from tests.support.fakes.machine import FakeMachine
from tests.support.fakes.named_resources import FakeNamedResources
from tests.support.stacks import resolved

OWN = "111122223333"
DENIED = AccessDenied("JK-AWS-DENIED", "iam GetPolicy: AWS denied the call.", "ask")
HOST = "hub.example.com"
ID = "01234567-89ab-cdef-0123-456789abcdef"
CERTIFICATE = f"arn:aws:acm:us-west-2:{OWN}:certificate/{ID}"
SECRET = f"arn:aws:secretsmanager:us-west-2:{OWN}:secret:hub-AbCdEf"
LOGIN = {
    "jupyterhub_auth": "oidc",
    "jupyterhub_oidc_issuer": "https://id.example.org",
    "jupyterhub_oidc_client_id": "hub",
}
Checker = Callable[..., list[Check]]


@pytest.fixture
def run(tmp_path: Path) -> Checker:
    """Return a function that runs the checks in an account that has these resources."""

    def checks(
        settings: dict[str, Any], environ: dict[str, str] | None = None, **there: Any
    ) -> list[Check]:
        context = CheckContext(
            resolved(Settings.from_values(settings)),
            FakeAccount(named_resources=FakeNamedResources(**there)),  # type: ignore[arg-type]
            terraform=None,  # type: ignore[arg-type]
            workspace=Workspace(tmp_path),
            machine=FakeMachine(environ=environ or {}),
        )
        return list(run_checks(named_resources.CHECKS, context))

    return checks


def test_settings_that_name_nothing_have_no_check(run: Checker) -> None:
    assert run({}, failing=DENIED) == []


class TestPermissionsBoundary:
    POLICY = f"arn:aws:iam::{OWN}:policy/team/boundary"

    def check(self, run: Checker, arn: str, **there: Any) -> Check:
        (check,) = run({"permissions_boundary_arn": arn}, **there)
        assert check.name == "Permissions boundary"
        return check

    @pytest.mark.parametrize("arn", [POLICY, "arn:aws:iam::aws:policy/PowerUserAccess"])
    def test_one_that_exists_passes(self, run: Checker, arn: str) -> None:
        check = self.check(run, arn, policies=frozenset({arn}))
        assert (check.status, OWN in check.found) == ("pass", False)

    @pytest.mark.parametrize("arn", [POLICY, "arn:aws:iam::aws:policy/NoSuchPolicy"])
    def test_one_that_does_not_exist_fails(self, run: Checker, arn: str) -> None:
        check = self.check(run, arn)
        assert (check.status, check.code) == ("fail", "JK-SETTINGS-INVALID")
        assert "does not exist" in check.found
        assert "permissions_boundary_arn" in check.fix
        assert OWN not in check.model_dump_json()

    @pytest.mark.parametrize(
        "arn", ["arn:aws:iam::444455556666:policy/b", f"arn:aws-cn:iam::{OWN}:policy/b"]
    )
    def test_one_of_another_account_fails_without_a_call(self, run: Checker, arn: str) -> None:
        check = self.check(run, arn, failing=DENIED)
        assert (check.status, check.code) == ("fail", "JK-SETTINGS-INVALID")
        assert "another account" in check.found

    def test_without_permission_it_is_not_checked(self, run: Checker) -> None:
        check = self.check(run, self.POLICY, failing=DENIED)
        assert (check.status, check.code) == ("unknown", "JK-AWS-DENIED")


class TestCertificate:
    def check(self, run: Checker, arn: str = CERTIFICATE, **there: Any) -> Check:
        named = {"jupyterhub_domain": HOST, "jupyterhub_certificate_arn": arn}
        (check,) = run(named, **there)
        assert check.name == "Certificate of JupyterHub's host name"
        return check

    def of(self, *names: str, status: str = "ISSUED") -> dict[str, Certificate]:
        return {CERTIFICATE: Certificate(status=status, names=names)}

    @pytest.mark.parametrize(
        ("names", "status"),
        [
            ((HOST,), "pass"),
            (("example.com", "HUB.example.com"), "pass"),
            (("*.example.com",), "pass"),
            (("example.com",), "fail"),
            (("*.hub.example.com",), "fail"),
            (("*.com",), "fail"),
            (("other.example.com", "*.example.org"), "fail"),
        ],
    )
    def test_it_is_for_the_host_name(
        self, run: Checker, names: tuple[str, ...], status: str
    ) -> None:
        check = self.check(run, certificates=self.of(*names))
        assert check.status == status
        assert all(name in check.found for name in names)
        assert check.code == ("JK-SETTINGS-INVALID" if status == "fail" else "")
        for setting in ("jupyterhub_domain", "jupyterhub_certificate_arn"):
            assert (setting in check.fix) == (status == "fail")

    @pytest.mark.parametrize("status", ["PENDING_VALIDATION", "EXPIRED", "REVOKED", "FAILED"])
    def test_one_that_is_not_issued_fails(self, run: Checker, status: str) -> None:
        check = self.check(run, certificates=self.of(HOST, status=status))
        assert (check.status, check.code) == ("fail", "JK-SETTINGS-INVALID")
        assert status in check.found
        assert "jupyterhub_certificate_arn" in check.fix
        assert ("DNS record" in check.fix) == (status == "PENDING_VALIDATION")

    def test_one_that_does_not_exist_fails(self, run: Checker) -> None:
        check = self.check(run)
        assert (check.status, check.code) == ("fail", "JK-SETTINGS-INVALID")
        assert "does not exist in us-west-2" in check.found
        assert "jupyterhub_certificate_arn" in check.fix
        assert OWN not in check.model_dump_json()

    def test_one_of_another_account_fails_without_a_call(self, run: Checker) -> None:
        check = self.check(run, CERTIFICATE.replace(OWN, "444455556666"), failing=DENIED)
        assert (check.status, check.code) == ("fail", "JK-SETTINGS-INVALID")
        assert "another account" in check.found

    def test_without_permission_it_is_not_checked(self, run: Checker) -> None:
        assert self.check(run, failing=DENIED).status == "unknown"


class TestSecrets:
    NAME = "Secret of jupyterhub_oidc_client_secret"

    def check(self, run: Checker, reference: str, **given: Any) -> Check:
        (check,) = run({**LOGIN, "jupyterhub_oidc_client_secret": reference}, **given)
        assert check.name == self.NAME
        return check

    def test_one_that_exists_passes(self, run: Checker) -> None:
        assert self.check(run, SECRET, secrets=frozenset({SECRET})).status == "pass"

    def test_one_that_does_not_exist_fails(self, run: Checker) -> None:
        check = self.check(run, SECRET)
        assert (check.status, check.code) == ("fail", "JK-SETTINGS-INVALID")
        assert "jupyterhub_oidc_client_secret" in check.fix
        assert OWN not in check.model_dump_json()

    def test_without_permission_it_is_not_checked(self, run: Checker) -> None:
        check = self.check(run, SECRET, failing=DENIED)
        assert (check.status, check.code) == ("unknown", "JK-AWS-DENIED")

    def test_a_variable_that_is_not_set_here_is_a_warning(self, run: Checker) -> None:
        check = self.check(run, "env:HUB_SECRET")
        assert (check.status, check.code) == ("warn", "JK-SETTINGS-MISSING")
        assert "export HUB_SECRET=" in check.fix
        there = self.check(run, "env:HUB_SECRET", environ={"HUB_SECRET": "s3cr3t"})
        assert (there.status, "s3cr3t" in there.model_dump_json()) == ("pass", False)

    def test_a_secret_that_no_add_on_gets_is_not_checked(self, run: Checker) -> None:
        assert run({"huggingface_token": SECRET}) == []
        off = {**LOGIN, "jupyterhub_oidc_client_secret": SECRET, "addons": {"jupyterhub": False}}
        assert run(off) == []
