"""The account as the kit sees it, and as an SDK does, in the Region that a module names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from jarkkit.aws import Account
from jarkkit.sandbox import control
from tests.conftest import pointed_at
from tests.sandbox.test_account import make_client


@pytest.fixture
def account(sandbox: control.Running, request: pytest.FixtureRequest) -> Account:
    return Account(request.module.REGION, pointed_at(sandbox))


@pytest.fixture
def client(sandbox: control.Running, request: pytest.FixtureRequest) -> Callable[[str], Any]:
    return lambda service: make_client(sandbox, service, request.module.REGION)
