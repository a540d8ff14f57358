"""Deployments in a sandbox that the tests work on through the command line, as a user does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from jarkkit.sandbox import daemon_client
from tests.support.account import sandbox_environment
from tests.support.deployments import CliDeployment


@pytest.fixture
def new_cli_deployment(
    tmp_path: Path, sandbox: daemon_client.RunningSandbox, terraform: str
) -> Callable[[str], CliDeployment]:
    """Return a new deployment in the shared sandbox. Names must differ from test to test."""

    def make(name: str) -> CliDeployment:
        return CliDeployment(tmp_path, name, sandbox_environment(sandbox))

    return make


@pytest.fixture
def new_slow_cli_deployment(
    tmp_path: Path, slow_sandbox: daemon_client.RunningSandbox, terraform: str
) -> Callable[[str], CliDeployment]:
    """Return a new deployment in the sandbox where creating a cluster takes seconds."""

    def make(name: str) -> CliDeployment:
        return CliDeployment(tmp_path, name, sandbox_environment(slow_sandbox))

    return make
