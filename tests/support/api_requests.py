"""Requests of AWS APIs as SDKs send them, without the checks that an SDK does first.

Inputs are generated from the API models: valid ones, and some with exactly one mistake.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any, NamedTuple
from urllib.parse import urlencode

import botocore.session
from botocore.serialize import create_serializer
from hypothesis import find
from hypothesis import strategies as st
from werkzeug.test import EnvironBuilder

from jarkkit.sandbox.account.validation.patterns import compiled

REGION = "us-west-2"
# The services of the account whose requests `decoding` reads.
SERVICES = (
    "amp", "autoscaling", "budgets", "cloudwatch", "ec2", "efs", "eks", "elb", "elbv2", "events",
    "iam", "kms", "logs", "pricing", "resourcegroupstaggingapi", "service-quotas", "sqs", "ssm",
    "sts",
)  # fmt: skip
_DEPTH = 2


@cache
def service_model(name: str) -> Any:
    """Return botocore's model of a service."""
    return botocore.session.get_session().get_service_model(name)


@dataclass(frozen=True)
class ApiRequest:
    """An HTTP request of an API.

    Attributes:
        path: path and query string.
    """

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    def environ(self) -> dict[str, Any]:
        """Return the request as the sandbox's server passes it on."""
        path, _, query = self.path.partition("?")
        builder = EnvironBuilder(
            path=path,
            query_string=query,
            method=self.method,
            headers=list(self.headers.items()),
            data=self.body,
        )
        environ = builder.get_environ()
        environ["RAW_URI"] = self.path
        environ["jarkkit.body"] = self.body
        return environ


def api_request(service: str, operation: str, parameters: dict[str, Any]) -> ApiRequest:
    """Return the request for a call, with an unsigned credential scope.

    Raises KeyError, ValueError or TypeError for parameters that have no form in the protocol.
    """
    model = service_model(service)
    protocols = model.metadata["protocols"]
    protocol = "json" if "json" in protocols else protocols[0]  # moto does not read CBOR
    serializer = create_serializer(protocol, include_validation=False)
    request = serializer.serialize_to_request(parameters, model.operation_model(operation))
    query = urlencode(request["query_string"] or {}, doseq=True)
    path = request["url_path"]
    if query:
        path += f"{'&' if '?' in path else '?'}{query}"
    body: Any = request["body"]
    if isinstance(body, dict):
        body = urlencode(body)
    scope = f"AKIDEXAMPLE/20260101/{REGION}/{model.signing_name}/aws4_request"
    headers = {
        **request["headers"],
        "Authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=00",
    }
    return ApiRequest(
        request["method"], path, headers, body.encode() if isinstance(body, str) else body or b""
    )


# -- valid inputs ----------------------------------------------------------------------------------


def valid_input(service: str, operation: str) -> dict[str, Any]:
    """Return an input with every parameter, down to a depth, that the model allows."""
    shape = service_model(service).operation_model(operation).input_shape
    return {} if shape is None else _structure(shape, 0)


def _value(shape: Any, depth: int) -> Any:
    kind = shape.type_name
    metadata = shape.metadata
    if kind == "structure":
        return {} if shape.is_document_type else _structure(shape, depth + 1)
    if kind == "list":
        return [_value(shape.member, depth)] * max(metadata.get("min", 1), 1)
    if kind == "map":
        return {_value(shape.key, depth): _value(shape.value, depth)}
    if kind in ("integer", "long", "float", "double"):
        return metadata.get("min", metadata.get("max", 1))
    if kind == "string":
        return _text(shape)
    if kind == "blob":
        return b"x" * max(metadata.get("min", 1), 1)
    return datetime(2026, 1, 1, tzinfo=UTC) if kind == "timestamp" else True


def _structure(shape: Any, depth: int) -> dict[str, Any]:
    required = set(shape.required_members)
    members = list(shape.members.items())
    if getattr(shape, "is_tagged_union", False):
        members = members[:1]
    optional = [name for name, member in members if name not in required and _is_easy(member)]
    if depth >= _DEPTH:  # the query protocol cannot send a structure without parameters
        optional = [] if required or depth > _DEPTH + 2 else optional[:1]
    return {
        name: _value(member, depth)
        for name, member in members
        if name in required or name in optional
    }


def _is_easy(shape: Any) -> bool:
    """Return True unless only a search would find a valid value; that takes seconds."""
    if shape.type_name == "list":
        return _is_easy(shape.member)
    if shape.type_name == "map":
        return shape.metadata.get("min", 1) <= 1 and _is_easy(shape.key) and _is_easy(shape.value)
    return shape.type_name != "string" or bool(_easy_text(shape))


def _text(shape: Any) -> str:
    return _easy_text(shape) or _searched_text(shape.metadata["pattern"], *_lengths(shape))


def _lengths(shape: Any) -> tuple[int, int]:
    high = shape.metadata.get("max", 10_000)
    return min(max(shape.metadata.get("min", 1), 1), high), high


def _easy_text(shape: Any) -> str:
    """Return an enum's first value or one of a few common texts; empty if none is valid."""
    if values := shape.metadata.get("enum"):
        return str(values[0])
    low, high = _lengths(shape)
    if pattern := shape.metadata.get("pattern"):
        return _common_text(pattern, low, high)
    return "a" * low


@cache
def _common_text(pattern: str, low: int, high: int) -> str:
    for candidate in _CANDIDATES:
        for text in (candidate, candidate * low):
            if low <= len(text) <= high and compiled(pattern).fullmatch(text):
                return text
    return ""


@cache
def _searched_text(pattern: str, low: int, high: int) -> str:
    texts = st.from_regex(compiled(pattern), fullmatch=True)
    return find(texts, lambda text: low <= len(text) <= high)


# Texts that match most patterns of the models; a search takes about a second for each other one.
_ACCOUNT = "us-west-2:123456789012"
_CANDIDATES = (
    "a", "1", "ab-1", "/", "fs-0123abcd", "fsap-0123abcd", "fsmt-0123abcd", "subnet-0123abcd",
    "sg-0123abcd", "123456789012", "12345678-1234-1234-1234-123456789012", "0700", "1.36", "v1",
    "10.0.0.1", "a@example.com", "{}", "us-west-2", "arn:aws:iam::123456789012:role/a", "200", "A",
    f"arn:aws:elasticfilesystem:{_ACCOUNT}:file-system/fs-0123abcd", "AAA", "AWS:", "Name", "ad-0",
    f"arn:aws:kms:{_ACCOUNT}:key/1", f"arn:aws:logs:{_ACCOUNT}:log-group:a:*", "aws.partner/a/a",
    f"arn:aws:eks:{_ACCOUNT}:cluster/a", f"arn:aws:aps:{_ACCOUNT}:workspace/a", "s3://bucket",
    f"arn:aws:es:{_ACCOUNT}:domain/a", "arn:aws:iam::aws:policy/a/a", "p-00000000", "default",
    "fcap-00000000000000000", "fcapassoc-00000000000000000", "o-0000000000/r-0000",
    f"arn:aws:events:{_ACCOUNT}:connection/a/a", f"arn:aws:events:{_ACCOUNT}:event-bus/a",
    f"arn:aws:vpc-lattice:{_ACCOUNT}:resourceconfiguration/rcfg-00000000000000000",
    "arn:aws:route53:::healthcheck/a", "arn:aws:pricing:::price-list/a", "oi-000000000000",
    "mw-00000000000000000", "mi-00000000000000000", "i-00000000", "2026-10-30T20:35:05Z",
    f"arn:aws:ssm:{_ACCOUNT}:opsmetadata/a",
)  # fmt: skip


# -- inputs with one mistake -----------------------------------------------------------------------


class Mistake(NamedTuple):
    """An input with one mistake, and the kind of violation that it is."""

    operation: str
    kind: str
    where: str
    parameters: dict[str, Any]


def mistakes(service: str, operation: str, at_most: int) -> Iterator[Mistake]:
    """Yield inputs with one mistake each, for constraints spread over all parameters."""
    shape = service_model(service).operation_model(operation).input_shape
    if shape is None:
        return
    valid = _structure(shape, 0)
    changes = [
        (path, kind, change)
        for path, member in _sites(shape, valid, ())
        for kind, change in _changes(member, path)
    ]
    for path, kind, change in changes[:: len(changes) // at_most + 1]:
        broken = copy.deepcopy(valid)
        target = broken
        for step in path[:-1]:
            target = target[step]
        change(target, path[-1])
        yield Mistake(operation, kind, ".".join(map(str, path)), broken)


def _sites(shape: Any, value: Any, path: tuple[Any, ...]) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Yield the path and shape of every parameter in a value."""
    if path:
        yield path, shape
    if shape.type_name == "structure" and not shape.is_document_type:
        for name, member in shape.members.items():
            if name in value:
                yield from _sites(member, value[name], (*path, name))
    elif shape.type_name == "list":
        yield from _sites(shape.member, value[0], (*path, 0))


Change = Callable[[Any, Any], None]
# SDKs cannot send most mistakes there.
_NOT_BROKEN = ("uri", "header", "headers")


def _changes(shape: Any, path: tuple[Any, ...]) -> Iterator[tuple[str, Change]]:
    """Yield what to change in a parameter's container, with the kind of the violation."""
    metadata, kind = shape.metadata, shape.type_name
    low, high = metadata.get("min"), metadata.get("max")
    if shape.serialization.get("location") in _NOT_BROKEN:
        return
    if metadata.get("enum") and shape.name != "InstanceType":
        yield "enum", _set("no-such-value")
    if kind in ("integer", "long") and high is not None and high < 2**31 - 1:
        yield "range", _set(high + 1)
    if kind in ("integer", "long") and low is not None:
        yield "range", _set(low - 1)
    if kind == "string" and high is not None and high < 20_000:
        yield "length", _set("a" * (high + 1))
    if kind == "string" and (pattern := metadata.get("pattern")):
        texts = ("\x7f", "!", " ", "\u2603", "a b")
        fitting = (t * max(low or 1, 1) for t in texts)
        if wrong := next((t for t in fitting if not compiled(pattern).fullmatch(t)), None):
            yield "pattern", _set(wrong)
    if kind == "list" and high is not None and high <= 200:
        yield "length", lambda holder, key: holder.update({key: holder[key][:1] * (high + 1)})


def _set(value: Any) -> Change:
    def change(holder: Any, key: Any) -> None:
        holder[key] = value

    return change


def without_required(service: str, operation: str) -> Iterator[Mistake]:
    """Yield inputs that lack one required parameter, except those in the path."""
    shape = service_model(service).operation_model(operation).input_shape
    for name in shape.required_members if shape else ():
        if "location" in shape.members[name].serialization:
            continue  # then it is another operation, or none
        valid = _structure(shape, 0)
        del valid[name]
        yield Mistake(operation, "required", name, valid)
