"""A request's parameters by their names in the API, for every protocol."""

from __future__ import annotations

import io
from functools import lru_cache
from typing import Any

from jarkkit.sandbox.api_calls import Call, sdk_name


def parameters(call: Call, environ: dict[str, Any]) -> dict[str, Any]:
    """Return the call's parameters; empty if the request cannot be parsed."""
    from moto.core.parse import PROTOCOL_PARSERS, RequestParserError
    from moto.core.request import Request, determine_request_protocol
    from werkzeug.exceptions import NotFound

    service = sdk_name(call.service)
    try:
        model = _model(service)
        operation = model.operation_model(call.operation)
        request = Request({**environ, "wsgi.input": io.BytesIO(environ["jarkkit.body"])})
        protocol = determine_request_protocol(model, request.content_type)
        return dict(
            PROTOCOL_PARSERS[protocol](operation).parse(
                {
                    "method": request.method,
                    "values": request.values,
                    "headers": request.headers,
                    "body": request.data,
                    "url_path": request.path,
                    "url_params": _of_path(service, request) if "rest" in protocol else {},
                }
            )
        )
    except (NotFound, NotImplementedError, KeyError, ValueError, RequestParserError):
        return {}


@lru_cache(maxsize=64)
def _model(service: str) -> Any:
    from botocore.exceptions import UnknownServiceError
    from moto.core.utils import get_service_model

    try:
        return get_service_model(service)
    except UnknownServiceError as error:
        raise KeyError(service) from error


def _of_path(service: str, request: Any) -> dict[str, Any]:
    """Return the parameters in the path of a REST request."""
    from moto.core.routing import get_service_router

    return dict(get_service_router(service).match(request)[1])
