"""A deployment on fakes, for the tests of the journey's logic."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from jarkkit.kit import Kit
from jarkkit.settings import Settings
from jarkkit.workspace import Workspace
from tests.kit.fake_machine import FakeMachine
from tests.kit.fakes import FakeAccount, FakeTerraform


@dataclass
class World:
    """A kit and the fakes it works with."""

    kit: Kit
    account: FakeAccount
    terraform: FakeTerraform

    def plan(self) -> None:
        list(self.kit.plan())

    def deploy(self) -> None:
        self.plan()
        list(self.kit.deploy())


@pytest.fixture
def world(tmp_path: Path) -> World:
    workspace = Workspace(tmp_path / "deployments" / "demo")
    workspace.create(Settings(), rehearsal=False)
    account, terraform = FakeAccount(), FakeTerraform(workspace.folder)
    kit = Kit(
        workspace,
        {"JARKKIT_SANDBOX_ACCOUNT_ONLY": "1"},
        account=account,  # type: ignore[arg-type]
        terraform=terraform,  # type: ignore[arg-type]
        machine=FakeMachine(),
    )
    return World(kit, account, terraform)
