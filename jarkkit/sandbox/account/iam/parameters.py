"""A request's parameters by their names in the API, for every protocol."""

from __future__ import annotations

from typing import Any

from botocore.model import OperationNotFoundError

from jarkkit.sandbox.account.validation.api_models import model_of, moto_parameters, protocol_of
from jarkkit.sandbox.api_calls import Call


def parameters(call: Call, environ: dict[str, Any]) -> dict[str, Any]:
    """Return the call's parameters; empty if the request cannot be parsed."""
    model = model_of(call, environ)
    protocol = protocol_of(model, environ.get("CONTENT_TYPE", "")) if model else ""
    if not protocol:
        return {}
    try:
        operation = model.operation_model(call.operation)
    except OperationNotFoundError:
        return {}
    return moto_parameters(operation, protocol, environ) or {}
