"""Identification of AWS API calls from HTTP requests."""

from __future__ import annotations

import io
from typing import Any, NamedTuple
from urllib.parse import parse_qs

# Prefixes of read-only operations in the query and JSON protocols.
READ_ONLY_PREFIXES = ("Describe", "List", "Get", "Lookup", "BatchGet", "Simulate", "Head")

# SDK names of services whose signing name differs.
_SDK_NAMES = {
    "aps": "amp",
    "elasticfilesystem": "efs",
    "elasticloadbalancing": "elbv2",
    "monitoring": "cloudwatch",
    "servicequotas": "service-quotas",
    "tagging": "resourcegroupstaggingapi",
}


def sdk_name(service: str) -> str:
    """Return the SDK's name of the service with this signing name."""
    return _SDK_NAMES.get(service, service)


def buffer_body(environ: dict[str, Any]) -> None:
    """Read the whole body first, so that a slow client does not block other clients."""
    length = int(environ.get("CONTENT_LENGTH") or 0)
    chunked = environ.get("wsgi.input_terminated")
    body = environ["wsgi.input"].read(length) if length or not chunked else b""
    if not length and chunked:
        body = environ["wsgi.input"].read()
    environ["wsgi.input"] = io.BytesIO(body)
    environ["jarkkit.body"] = body


def credential_scope(environ: dict[str, Any]) -> tuple[str, str, str]:
    """Return access key, Region and service from the signature's credential scope."""
    words = environ.get("HTTP_AUTHORIZATION", "").split("Credential=", 1)
    scope = words[1].split(",")[0].split("/") if len(words) == 2 else []
    return (scope[0], scope[2], scope[3]) if len(scope) == 5 else ("", "", "s3")


def is_filtered(environ: dict[str, Any]) -> bool:
    """Return True for a query that has a filter or asks for a single page."""
    body = environ["jarkkit.body"]
    return b"Filter.1." in body or b"MaxResults=" in body


def operation_in_request(environ: dict[str, Any]) -> str:
    """Return the operation that the request names (query and JSON protocols); else empty."""
    if target := environ.get("HTTP_X_AMZ_TARGET"):
        return str(target).rsplit(".", 1)[-1]
    if "x-www-form-urlencoded" in environ.get("CONTENT_TYPE", ""):
        return _action(environ["jarkkit.body"].decode("utf-8", "replace"))
    return _action(environ.get("QUERY_STRING", ""))


class Call(NamedTuple):
    """An AWS API call: the service's signing name and the operation's name in the API.

    Attributes:
        xml: True when the response is XML, False for JSON. SDKs switch protocols (SQS did), so
            the request decides, not the service.
        region: the Region in the signature; empty when the request is unsigned.
        key_id: the access key in the signature; empty when the request is unsigned.
    """

    service: str
    operation: str
    xml: bool = False
    region: str = ""
    key_id: str = ""

    def __str__(self) -> str:
        return f"{self.service}:{self.operation}"


def _action(query: str) -> str:
    return parse_qs(query).get("Action", [""])[0]


def identify(environ: dict[str, Any]) -> Call:
    """Return the call of a request; the operation is empty when it cannot be identified."""
    key_id, region, service = credential_scope(environ)
    named = operation_in_request(environ)
    xml = service == "s3" or (bool(named) and "HTTP_X_AMZ_TARGET" not in environ)
    return Call(service, named or _routed(service, environ), xml, region, key_id)


def is_mutating(environ: dict[str, Any], operation: str) -> bool:
    """Return False for calls that are certainly read-only."""
    if operation:
        return not operation.startswith(READ_ONLY_PREFIXES)
    return environ["REQUEST_METHOD"] not in ("GET", "HEAD")


def _routed(service: str, environ: dict[str, Any]) -> str:
    """Return the operation of a REST request, from its method and path.

    The parameters in the path are kept as `jarkkit.labels` of the environment.
    """
    from moto.core.request import Request
    from moto.core.routing import get_service_router
    from werkzeug.exceptions import NotFound

    try:
        operation, labels = get_service_router(sdk_name(service)).match(Request(environ.copy()))
    except (NotFound, NotImplementedError, KeyError, ValueError):
        return ""
    environ["wsgi.input"] = io.BytesIO(environ["jarkkit.body"])
    environ["jarkkit.labels"] = labels
    return str(operation.name)
