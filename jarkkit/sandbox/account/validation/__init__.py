"""Validation of every call to the account, as AWS' services validate their parameters.

What the API models say (`violations`, over `decoding`), then what they do not say (`rules`,
`tags`). SDKs check names, types and required parameters only: patterns, lengths, ranges and enums
are checked by the service.
"""

from __future__ import annotations

from typing import Any

from botocore.model import OperationNotFoundError
from werkzeug.datastructures import EnvironHeaders

from jarkkit.sandbox.account.validation.api_models import model_of, moto_parameters, protocol_of
from jarkkit.sandbox.account.validation.decoding import Decoded, Incoming, decode
from jarkkit.sandbox.account.validation.rules import error_in_rules
from jarkkit.sandbox.account.validation.tags import error_in_tags
from jarkkit.sandbox.account.validation.violations import Violation, violations
from jarkkit.sandbox.account.validation.wording import ParameterError, error_of, unknown_operation
from jarkkit.sandbox.api_calls import Call

__all__ = ["ParameterError", "error_in", "violations_in"]


def error_in(call: Call, environ: dict[str, Any]) -> ParameterError | None:
    """Return the service's error for a call whose parameters it rejects; None for others.

    Calls of services without an API model are left to the account.
    """
    model = model_of(call, environ)
    if model is None or not call.operation:
        return None
    try:
        operation = model.operation_model(call.operation)
    except OperationNotFoundError:
        return unknown_operation(call)
    decoded = _decoded(model, operation, environ)
    if found := _in_model(operation, decoded):
        return error_of(call.service, call.xml, found)
    given = decoded.parameters
    return error_in_rules(call.service, call.operation, given) or error_in_tags(
        call.service, call.operation, given, xml=call.xml
    )


def violations_in(call: Call, environ: dict[str, Any]) -> tuple[Violation, ...]:
    """Return what the API model of a known operation rejects in a call."""
    model = model_of(call, environ)
    operation = model.operation_model(call.operation)
    return _in_model(operation, _decoded(model, operation, environ))


def _in_model(operation: Any, decoded: Decoded) -> tuple[Violation, ...]:
    shape = operation.input_shape
    if decoded.violations or shape is None or decoded.unread:
        return decoded.violations
    return tuple(violations(shape, decoded.parameters))


def _decoded(model: Any, operation: Any, environ: dict[str, Any]) -> Decoded:
    """Return the call's parameters; unread for a protocol without a decoder."""
    protocol = protocol_of(model, environ.get("CONTENT_TYPE", ""))
    if protocol == "rest-xml":
        parameters = moto_parameters(operation, protocol, environ)
        return Decoded(parameters or {}, (), unread=parameters is None)
    if not protocol:
        return Decoded({}, (), unread=True)
    incoming = Incoming(
        environ["jarkkit.body"],
        environ.get("QUERY_STRING", ""),
        EnvironHeaders(environ).get,
        environ.get("jarkkit.labels", {}),
    )
    return decode(operation, protocol, incoming)
