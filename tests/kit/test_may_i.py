"""What preflight says of the caller, on fakes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jarkkit.checks import Check
from jarkkit.errors import JarkkitError
from jarkkit.permissions.questions import Decision
from jarkkit.records import Caller
from jarkkit.settings import Settings
from jarkkit.steps.preflight.asking import Look, ask
from jarkkit.steps.preflight.permissions import QUESTIONS
from jarkkit.workspace import Workspace
from tests.kit.fake_identity import FakeIdentity
from tests.kit.fakes import FakeAccount

DENIED = JarkkitError("JK-AWS-DENIED", "not allowed", "ask")
Say = Callable[..., dict[str, Check]]


class _Caller(FakeAccount):
    """An account that is called by somebody else."""

    arn = "arn:aws:iam::111122223333:user/learner"

    def caller(self) -> Caller:
        return Caller(account_id=self.account_id, arn=self.arn)


@pytest.fixture
def say(tmp_path: Path) -> Say:
    """The answers by name, for a caller with these permissions."""

    def asked(arn: str = _Caller.arn, settings: Settings | None = None, **identity: Any) -> Any:
        account = _Caller(identity=FakeIdentity(**identity))
        account.arn = arn
        look = Look(
            settings or Settings(),
            account,  # type: ignore[arg-type]
            terraform=None,  # type: ignore[arg-type]
            workspace=Workspace(tmp_path),
        )
        return {check.name: check for check in ask({"": QUESTIONS}, look)}

    return asked


def test_a_caller_who_may_do_everything(say: Say) -> None:
    found = say(in_organization=True)
    assert {check.status for check in found.values()} == {"pass"}
    assert list(found) == [
        "What the steps may do", "Limits of the organization", "Service-linked roles",
    ]  # fmt: skip


def test_the_root_user(say: Say) -> None:
    found = say("arn:aws:iam::111122223333:root")
    assert found["What the steps may do"].status == "warn"
    assert found["Service-linked roles"].status == "pass"


def test_a_federated_user_and_roles_that_nobody_knows_of(say: Say) -> None:
    found = say(
        "arn:aws:sts::111122223333:federated-user/ann",
        missing_roles=frozenset({"eks.amazonaws.com"}),
    )
    assert found["What the steps may do"].status == "unknown"
    assert found["Service-linked roles"].status == "unknown"
    assert "--aws-service-name eks.amazonaws.com" in found["Service-linked roles"].fix


def test_who_may_not_ask_is_told_so_once(say: Say) -> None:
    found = say(failing=DENIED)
    check = found.pop("What the steps may do")
    assert (check.status, check.code) == ("unknown", "JK-AWS-DENIED")
    assert "iam:SimulatePrincipalPolicy" in check.fix
    assert "Limits of the organization" not in found


def test_a_role_that_is_missing_is_made_at_first_use(say: Say) -> None:
    found = say(missing_roles=frozenset({"eks.amazonaws.com"}))["Service-linked roles"]
    assert found.status == "pass"
    assert "at first use" in found.found


def test_a_role_that_is_missing_and_cannot_be_made(say: Say) -> None:
    refused = Decision("iam:CreateServiceLinkedRole", "*", "implicitDeny")
    found = say(missing_roles=frozenset({"eks.amazonaws.com"}), refused={refused.action: refused})[
        "Service-linked roles"
    ]
    assert (found.status, found.code) == ("fail", "JK-SERVICE-ROLE")


@pytest.mark.parametrize(
    ("settings", "status"),
    [
        (Settings(), "pass"),
        (Settings(cpu_capacity=("spot", "on-demand")), "fail"),
        (Settings(cpu_capacity=("spot",), karpenter=False, accelerators=()), "pass"),
    ],
)
def test_the_role_for_spot_matters_where_spot_is_bought(
    say: Say, settings: Settings, status: str
) -> None:
    refused = Decision("iam:CreateServiceLinkedRole", "*", "implicitDeny")
    found = say(
        settings=settings,
        missing_roles=frozenset({"spot.amazonaws.com"}),
        refused={refused.action: refused},
    )
    assert found["Service-linked roles"].status == status
