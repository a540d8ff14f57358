"""AWS' API models, and the protocol of a request."""

from __future__ import annotations

import io
from functools import lru_cache
from typing import Any

from jarkkit.sandbox.api_calls import Call, sdk_name

# Services that share a signing name, by the version of their API in the request.
_VERSIONS = {("elasticloadbalancing", b"2012-06-01"): "elb"}
# S3 Control has S3's signing name; its paths begin with its version.
_S3_CONTROL = "/v20180820/"


def model_of(call: Call, environ: dict[str, Any]) -> Any:
    """Return botocore's model of the call's service; None without one."""
    if call.service == "s3" and environ["PATH_INFO"].startswith(_S3_CONTROL):
        return None
    name = sdk_name(call.service)
    for (service, version), other in _VERSIONS.items():
        if call.service == service and b"Version=" + version in environ["jarkkit.body"]:
            name = other
    return _model(name)


@lru_cache(maxsize=64)
def _model(name: str) -> Any:
    from botocore.exceptions import UnknownServiceError
    from moto.core.utils import get_service_model

    try:
        return get_service_model(name)
    except UnknownServiceError:
        return None


def protocol_of(model: Any, content_type: str) -> str:
    """Return the protocol of a request by its content type; empty for binary ones (CBOR)."""
    own = str(model.protocol)
    if own.startswith("rest-"):
        return own
    if "x-www-form-urlencoded" in content_type:
        return "ec2" if own == "ec2" else "query"
    if "json" in content_type:
        return "json"
    return "" if "cbor" in content_type else own


def moto_parameters(
    operation: Any, protocol: str, environ: dict[str, Any]
) -> dict[str, Any] | None:
    """Return the parameters as moto reads them; None if it cannot."""
    from moto.core.parse import PROTOCOL_PARSERS, RequestParserError
    from moto.core.request import Request

    if operation.input_shape is None:
        return None
    request = Request({**environ, "wsgi.input": io.BytesIO(environ["jarkkit.body"])})
    try:
        return dict(
            PROTOCOL_PARSERS[protocol](operation).parse(
                {
                    "method": request.method,
                    "values": request.values,
                    "headers": request.headers,
                    "body": environ["jarkkit.body"],
                    "url_path": request.path,
                    "url_params": environ.get("jarkkit.labels", {}),
                }
            )
        )
    except (RequestParserError, ValueError, KeyError, TypeError, AttributeError):
        return None
