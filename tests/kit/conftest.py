"""A deployment on fakes, which the tests of the steps use."""

from __future__ import annotations

from pathlib import Path

import pytest

from jarkkit.deployment import Deployment
from jarkkit.ports.workspace import Workspace
from jarkkit.settings import Settings
from tests.support.fakes.account import FakeAccount, FakeTerraform
from tests.support.fakes.deployment import DeploymentHarness
from tests.support.fakes.machine import FakeMachine


@pytest.fixture
def harness(tmp_path: Path) -> DeploymentHarness:
    workspace = Workspace(tmp_path / "deployments" / "demo")
    workspace.create(Settings(), rehearsal=False)
    account, terraform = FakeAccount(), FakeTerraform(workspace.folder)
    deployment = Deployment(
        workspace,
        {"JARKKIT_SANDBOX_ACCOUNT_ONLY": "1", "JARKKIT_SANDBOX_SPEED": "0"},
        account=account,  # type: ignore[arg-type]
        terraform=terraform,  # type: ignore[arg-type]
        machine=FakeMachine(),
    )
    return DeploymentHarness(deployment, account, terraform)
