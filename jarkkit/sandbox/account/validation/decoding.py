"""A call's parameters by their names in the API model, and what cannot be read into the model.

moto's own parsers ignore what the model does not have, and fail on a wrong type; here both are
violations. Values keep the type of the model: numbers, booleans, text, bytes; a timestamp stays as
it was sent.

Sources: the protocols of Smithy (https://smithy.io/2.0/aws/protocols/), wording of wrong types as
users published it.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from jarkkit.sandbox.account.validation.violations import Path, Violation

# Parameters of the query protocols that belong to no operation.
_PROTOCOL = re.compile(
    r"Action|Version|Timestamp|AWSAccessKeyId|SecurityToken|Signature\w*|X-Amz-[\w-]+|x-id"
)
_INTEGER = re.compile(r"[+-]?\d{1,30}")
_POSITION = re.compile(r"\d{1,9}")
_INTEGERS = frozenset(("integer", "long", "short", "byte"))
_FLOATS = frozenset(("float", "double"))


class Incoming(NamedTuple):
    """The parts of an HTTP request that hold parameters.

    Attributes:
        header: returns the value of a header by its name.
        labels: the parameters in the path, by name.
    """

    body: bytes
    query: str
    header: Callable[[str], str | None]
    labels: Mapping[str, str]


@dataclass
class _Reader:
    """Parameters as they are read, with what is wrong with them."""

    found: list[Violation] = field(default_factory=list)

    def reject(self, kind: Any, path: Path, value: Any, constraint: str) -> None:
        self.found.append(Violation(kind, path, value, constraint))


class Decoded(NamedTuple):
    """The parameters of a call, and what of it could not be read.

    Attributes:
        unread: no decoder reads this request; there are no parameters.
    """

    parameters: dict[str, Any]
    violations: tuple[Violation, ...]
    unread: bool = False


def decode(operation: Any, protocol: str, incoming: Incoming) -> Decoded:
    """Return the parameters of a call.

    Args:
        operation: botocore's model of the operation.
        protocol: the protocol of the request, by botocore's name; `rest-xml` is not decoded here.
    """
    reader = _Reader()
    shape = operation.input_shape
    if shape is None:
        return Decoded({}, ())
    if protocol in ("query", "ec2"):
        tree = _tree(incoming)
        parameters = _Form(reader, protocol == "ec2").structure(shape, tree, ())
    elif protocol == "json":
        parameters = _body(reader, shape, incoming)
    else:
        parameters = _rest(reader, shape, incoming)
    return Decoded(parameters, tuple(reader.found))


# -- text: query strings, headers, labels of paths -------------------------------------------------


def _scalar_of_text(reader: _Reader, shape: Any, text: str, path: Path) -> Any:
    """Return the value of a text, or None with a violation."""
    kind = shape.type_name
    value: float | bool | None
    if kind in _INTEGERS:
        value, expected = int(text) if _INTEGER.fullmatch(text) else None, "an Integer"
    elif kind in _FLOATS:
        value, expected = _float(text), "a Double"
    elif kind == "boolean":
        value, expected = {"true": True, "false": False}.get(text.lower()), "a Boolean"
    elif kind == "blob":
        return _blob(reader, shape, text, path)
    else:
        return text
    if value is None:
        reader.reject("type", path, text, f"STRING_VALUE can not be converted to {expected}")
    return value


def _float(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _blob(reader: _Reader, shape: Any, text: str, path: Path) -> bytes | None:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        reader.reject("type", path, text, "STRING_VALUE can not be converted to a Blob")
        return None


# -- the query protocols ---------------------------------------------------------------------------


@dataclass
class _Node:
    """A part of a dotted parameter name, with its value or what follows."""

    name: str
    text: str | None = None
    children: dict[str, _Node] = field(default_factory=dict)


def _tree(incoming: Incoming) -> _Node:
    """Return the parameters of a form as a tree, by the parts of their names."""
    root = _Node("")
    for part in (incoming.query, incoming.body.decode("utf-8", "replace")):
        for key, value in parse_qsl(part, keep_blank_values=True):
            node = root
            for word in key.split("."):
                prefix = f"{node.name}." if node.name else ""
                node = node.children.setdefault(word, _Node(prefix + word))
            node.text = value
    return root


@dataclass
class _Form:
    """Decoder of the query protocol, and of EC2's variant of it."""

    reader: _Reader
    ec2: bool

    def structure(self, shape: Any, node: _Node, path: Path) -> dict[str, Any]:
        names = {self._name(member, name): name for name, member in shape.members.items()}
        parameters: dict[str, Any] = {}
        for word, child in node.children.items():
            name = names.get(word)
            if name is not None:
                value = self._value(shape.members[name], child, (*path, name))
                if value is not None:
                    parameters[name] = value
            elif path or not _PROTOCOL.fullmatch(word):
                self._unknown(child)
        return parameters

    def _value(self, shape: Any, node: _Node, path: Path) -> Any:
        if shape.type_name == "structure":
            return self.structure(shape, node, path)
        if shape.type_name == "list":
            return self._list(shape, node, path)
        if shape.type_name == "map":
            return self._map(shape, node, path)
        for child in node.children.values():
            self._unknown(child)
        return None if node.text is None else _scalar_of_text(self.reader, shape, node.text, path)

    def _list(self, shape: Any, node: _Node, path: Path) -> list[Any]:
        flat = self.ec2 or shape.serialization.get("flattened")
        items = node if flat else self._below(node, shape.member, "member")
        values = [self._value(shape.member, n, (*path, i)) for i, n in self._numbered(items)]
        return [value for value in values if value is not None]

    def _map(self, shape: Any, node: _Node, path: Path) -> dict[str, Any]:
        entries = node if shape.serialization.get("flattened") else self._below(node, None, "entry")
        key = shape.key.serialization.get("name", "key")
        value = shape.value.serialization.get("name", "value")
        parameters: dict[str, Any] = {}
        for number, entry in self._numbered(entries):
            for word, child in entry.children.items():
                if word not in (key, value):
                    self._unknown(child)
            name = entry.children[key].text if key in entry.children else None
            if name is not None and value in entry.children:
                child = entry.children[value]
                parameters[name] = self._value(shape.value, child, (*path, number))
        return parameters

    def _below(self, node: _Node, member: Any, default: str) -> _Node:
        """Return the node that holds a collection's elements."""
        word = member.serialization.get("name", default) if member is not None else default
        for other, child in node.children.items():
            if other != word:
                self._unknown(child)
        return node.children.get(word, _Node(node.name))

    def _numbered(self, node: _Node) -> Iterable[tuple[int, _Node]]:
        numbered = []
        for word, child in node.children.items():
            if _POSITION.fullmatch(word):
                numbered.append((int(word), child))
            else:
                self._unknown(child)
        return enumerate((child for _, child in sorted(numbered, key=lambda pair: pair[0])), 1)

    def _name(self, shape: Any, default: str) -> str:
        serialization = shape.serialization
        if self.ec2:
            return wire_name(shape, default)
        if shape.type_name == "list" and serialization.get("flattened"):
            return str(shape.member.serialization.get("name", serialization.get("name", default)))
        compatible = serialization.get("locationNameForQueryCompatibility")
        return str(compatible or serialization.get("name", default))

    def _unknown(self, node: _Node) -> None:
        """Report every parameter of a subtree that the model does not have."""
        nodes = [node]  # no recursion: a name has as many parts as its sender likes
        while nodes:
            each = nodes.pop()
            if each.text is not None or not each.children:
                self.reader.reject("unknown", (each.name,), each.text, "")
            nodes += reversed(each.children.values())


def wire_name(shape: Any, default: str) -> str:
    """Return the name of a member in EC2's requests."""
    serialization = shape.serialization
    if "queryName" in serialization:
        return str(serialization["queryName"])
    name = str(serialization.get("name", default))
    return name[0].upper() + name[1:]


# -- JSON ------------------------------------------------------------------------------------------


def _body(reader: _Reader, shape: Any, incoming: Incoming) -> dict[str, Any]:
    """Return the parameters in a JSON body."""
    try:
        given = json.loads(incoming.body) if incoming.body.strip() else {}
    except (ValueError, RecursionError):
        reader.reject("type", (), None, "Could not parse the request body as JSON")
        return {}
    if not isinstance(given, dict):
        reader.reject("type", (), given, "Start of structure expected")
        return {}
    return _object(reader, shape, given, ())


def _json_value(reader: _Reader, shape: Any, given: Any, path: Path) -> Any:
    kind = shape.type_name
    if kind not in _JSON or getattr(shape, "is_document_type", False):
        return given
    types, read, name = _JSON[kind]
    if isinstance(given, types) and (kind == "boolean" or not isinstance(given, bool)):
        return read(reader, shape, given, path)
    reader.reject("type", path, given, _wrong_type(given, name))
    return None


def _wrong_type(given: Any, expected: str) -> str:
    """Return what AWS says about a JSON value that is not of the expected type."""
    if isinstance(given, list):
        return "Start of list found where not expected"
    if isinstance(given, dict):
        return "Start of structure or map found where not expected."
    if expected in ("list", "map", "structure"):
        return f"Expected {expected} or null"
    return f"{_json_type(given)} can not be converted to {expected}"


def _json_type(given: Any) -> str:
    """Return AWS' name of the type of a scalar in JSON."""
    if isinstance(given, bool):
        return "TRUE_VALUE" if given else "FALSE_VALUE"
    return "STRING_VALUE" if isinstance(given, str) else "NUMBER_VALUE"


def _object(reader: _Reader, shape: Any, given: dict[str, Any], path: Path) -> dict[str, Any]:
    names = {member.serialization.get("name", n): n for n, member in shape.members.items()}
    parameters = {}
    for key, value in given.items():
        name = names.get(key)
        if name is None:
            reader.reject("unknown", (*path, key), value, "")
        elif value is not None:
            decoded = _json_value(reader, shape.members[name], value, (*path, name))
            if decoded is not None:
                parameters[name] = decoded
    return parameters


def _array(reader: _Reader, shape: Any, given: list[Any], path: Path) -> list[Any]:
    items = (i for i in given if i is not None)
    values = [_json_value(reader, shape.member, v, (*path, n)) for n, v in enumerate(items, 1)]
    return [value for value in values if value is not None]


def _pairs(reader: _Reader, shape: Any, given: dict[str, Any], path: Path) -> dict[str, Any]:
    decoded = {
        key: _json_value(reader, shape.value, value, (*path, key))
        for key, value in given.items()
        if value is not None
    }
    return {key: value for key, value in decoded.items() if value is not None}


def _same(reader: _Reader, shape: Any, given: Any, path: Path) -> Any:
    return given


def _number(reader: _Reader, shape: Any, given: float, path: Path) -> Any:
    if isinstance(given, int) or math.isfinite(given):
        return int(given)
    reader.reject("type", path, given, _wrong_type(given, "an Integer"))
    return None


# By type of the shape: types in JSON, decoder, AWS' name of what was expected.
_JSON: dict[str, tuple[Any, Callable[..., Any], str]] = {
    "structure": (dict, _object, "structure"),
    "list": (list, _array, "list"),
    "map": (dict, _pairs, "map"),
    "string": (str, _same, "a String"),
    "character": (str, _same, "a String"),
    "boolean": (bool, _same, "a Boolean"),
    "blob": (str, _blob, "a Blob"),
    "timestamp": ((int, float, str), _same, "a Timestamp"),
    **dict.fromkeys(_INTEGERS, ((int, float), _number, "an Integer")),
    **dict.fromkeys(_FLOATS, ((int, float, str), _same, "a Double")),
}


# -- REST ------------------------------------------------------------------------------------------


def _rest(reader: _Reader, shape: Any, incoming: Incoming) -> dict[str, Any]:
    """Return the parameters in path, query string, headers and a JSON body."""
    payload = shape.serialization.get("payload")
    if payload is None:
        parameters = _body(reader, shape, incoming)
    else:
        parameters = _payload(reader, shape.members[payload], payload, incoming)
    query = parse_qsl(incoming.query, keep_blank_values=True)
    _unknown_in_query(reader, shape, query)
    for name, member in shape.members.items():
        if member.serialization.get("location") in ("uri", "querystring", "header"):
            value = _located(reader, name, member, incoming, query)
            if value is not None:
                parameters[name] = value
    return parameters


def _payload(reader: _Reader, shape: Any, name: str, incoming: Incoming) -> dict[str, Any]:
    if shape.type_name in ("blob", "string"):
        return {name: incoming.body} if incoming.body and shape.type_name == "blob" else {}
    given = _body(reader, shape, incoming)
    return {name: given} if incoming.body.strip() else {}


def _unknown_in_query(reader: _Reader, shape: Any, query: list[tuple[str, str]]) -> None:
    located = [
        m for m in shape.members.values() if m.serialization.get("location") == "querystring"
    ]
    if any(member.type_name == "map" for member in located):
        return
    names = {member.serialization["name"] for member in located}
    for key, text in query:
        if key not in names and not _PROTOCOL.fullmatch(key):
            reader.reject("unknown", (key,), text, "")


def _located(
    reader: _Reader, name: str, shape: Any, incoming: Incoming, query: list[tuple[str, str]]
) -> Any:
    """Return the parameter in path, query string or headers; None if it is not there."""
    wire, location = shape.serialization.get("name", name), shape.serialization["location"]
    if location == "querystring":
        texts = [text for key, text in query if key == wire]
    else:
        text = incoming.labels.get(wire) if location == "uri" else incoming.header(wire)
        texts = [] if text is None else [text]
    if shape.type_name == "list":
        values = [_scalar_of_text(reader, shape.member, text, (name,)) for text in texts]
        return values or None
    if shape.type_name == "map" or not texts:
        return None
    return _scalar_of_text(reader, shape, texts[0], (name,))
