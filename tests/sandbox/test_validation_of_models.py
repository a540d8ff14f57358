"""Every call of every service that the account has, against the constraints of its API model."""

from __future__ import annotations

from typing import Any

import pytest

from jarkkit.sandbox import api_calls
from jarkkit.sandbox.account import validation
from tests.support.api_requests import (
    SERVICES,
    ApiRequest,
    api_request,
    mistakes,
    service_model,
    valid_input,
    without_required,
)


def found(request: ApiRequest) -> tuple[Any, ...]:
    environ = request.environ()
    call = api_calls.identify(environ)
    assert call.operation, request.path
    return validation.violations_in(call, environ)


@pytest.mark.parametrize("service", SERVICES)
def test_every_valid_input_of_an_api_is_accepted(service: str) -> None:
    for operation in service_model(service).operation_names:
        request = api_request(service, operation, valid_input(service, operation))
        assert found(request) == (), operation


@pytest.mark.parametrize("service", SERVICES)
def test_every_mistake_that_a_model_knows_is_found(service: str) -> None:
    count = 0
    for operation in service_model(service).operation_names:
        broken = (*mistakes(service, operation, 3), *without_required(service, operation))
        for mistake in broken:
            kinds = {v.kind for v in found(api_request(service, operation, mistake.parameters))}
            assert mistake.kind in kinds, (operation, mistake.where)
            count += 1
    assert count > 5
