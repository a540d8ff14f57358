"""Which AWS call a request is."""

from __future__ import annotations

import io
from typing import Any, NamedTuple
from urllib.parse import parse_qs

# Operations of the query and JSON protocols that only look.
LOOKING = ("Describe", "List", "Get", "Lookup", "BatchGet", "Simulate", "Head")

# Where the name in the signature is not the SDK's name of the service.
_SDK_NAMES = {
    "aps": "amp",
    "elasticfilesystem": "efs",
    "elasticloadbalancing": "elbv2",
    "monitoring": "cloudwatch",
    "servicequotas": "service-quotas",
    "tagging": "resourcegroupstaggingapi",
}


def sdk_name(service: str) -> str:
    """The SDK's name of a service, by that in the signature."""
    return _SDK_NAMES.get(service, service)


def buffer_body(environ: dict[str, Any]) -> None:
    """Read the whole body first, so that a slow client holds up nobody."""
    length = int(environ.get("CONTENT_LENGTH") or 0)
    chunked = environ.get("wsgi.input_terminated")
    body = environ["wsgi.input"].read(length) if length or not chunked else b""
    if not length and chunked:
        body = environ["wsgi.input"].read()
    environ["wsgi.input"] = io.BytesIO(body)
    environ["jarkkit.body"] = body


def scope_of(environ: dict[str, Any]) -> tuple[str, str, str]:
    """Access key, Region and service, from the signature's credential scope."""
    words = environ.get("HTTP_AUTHORIZATION", "").split("Credential=", 1)
    scope = words[1].split(",")[0].split("/") if len(words) == 2 else []
    return (scope[0], scope[2], scope[3]) if len(scope) == 5 else ("", "", "s3")


def is_narrowed(environ: dict[str, Any]) -> bool:
    """True for a query that asks for a page or has a filter."""
    body = environ["jarkkit.body"]
    return b"Filter.1." in body or b"MaxResults=" in body


def named_operation(environ: dict[str, Any]) -> str:
    """The operation where the request names it (query and JSON protocols); else empty."""
    if target := environ.get("HTTP_X_AMZ_TARGET"):
        return str(target).rsplit(".", 1)[-1]
    if "x-www-form-urlencoded" in environ.get("CONTENT_TYPE", ""):
        return _action(environ["jarkkit.body"].decode())
    return _action(environ.get("QUERY_STRING", ""))


class Call(NamedTuple):
    """A call by the service's signing name and the operation's name in the API.

    Attributes:
        xml: whether it is answered in XML; JSON otherwise. SDKs change over (SQS did), so this is
            the request's to say and not the service's.
        region: where it is signed for; empty when it is not signed.
        key_id: the access key that signed it; empty when it is not signed.
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
    """Service and operation; the operation is empty where it cannot be told."""
    key_id, region, service = scope_of(environ)
    named = named_operation(environ)
    xml = service == "s3" or (bool(named) and "HTTP_X_AMZ_TARGET" not in environ)
    return Call(service, named or _routed(service, environ), xml, region, key_id)


def changes_something(environ: dict[str, Any], operation: str) -> bool:
    """False for calls that certainly only look."""
    if operation:
        return not operation.startswith(LOOKING)
    return environ["REQUEST_METHOD"] not in ("GET", "HEAD")


def _routed(service: str, environ: dict[str, Any]) -> str:
    """The operation of a REST request, by its method and path."""
    from moto.core.request import Request
    from moto.core.routing import get_service_router
    from werkzeug.exceptions import NotFound

    try:
        operation, _ = get_service_router(sdk_name(service)).match(Request(environ.copy()))
    except (NotFound, NotImplementedError, KeyError, ValueError):
        return ""
    environ["wsgi.input"] = io.BytesIO(environ["jarkkit.body"])
    return str(operation.name)
