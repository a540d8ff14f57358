"""The sandbox account through jarkkit and through an SDK, in the Region that a module names."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from jarkkit.ports.aws import Account
from jarkkit.sandbox import daemon_client
from tests.support.account import make_client, sandbox_environment


@pytest.fixture
def account(sandbox: daemon_client.RunningSandbox, request: pytest.FixtureRequest) -> Account:
    return Account(request.module.REGION, sandbox_environment(sandbox))


@pytest.fixture
def client(
    sandbox: daemon_client.RunningSandbox, request: pytest.FixtureRequest
) -> Callable[[str], Any]:
    return lambda service: make_client(sandbox, service, request.module.REGION)


@pytest.fixture(scope="module")
def half_used(tmp_path_factory: pytest.TempPathFactory) -> Iterator[daemon_client.RunningSandbox]:
    """An account in which another user has used half of every quota."""
    home = tmp_path_factory.mktemp("half-used")
    yield daemon_client.start(home, profile="half-used", account_only=True)
    daemon_client.stop(home)
