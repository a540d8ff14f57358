"""What is wrong with a call's parameters, by the constraints of the API model. Pure.

Sources: the constraint traits of Smithy (https://smithy.io/2.0/spec/constraint-traits.html), which
botocore's models contain, and responses of AWS that users published.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from jarkkit.sandbox.account.validation.patterns import compiled

Kind = Literal["unknown", "type", "required", "length", "range", "pattern", "enum"]
Path = tuple[str | int, ...]

# Enums that the account decides on itself: EC2 offers types before an SDK's model lists them, and
# has an error code of its own for them.
_OPEN_ENUMS = frozenset(("InstanceType",))
_NUMBERS = frozenset(("integer", "long", "short", "byte", "float", "double"))
_SCALARS = _NUMBERS | {"string", "boolean", "blob", "timestamp", "character"}


@dataclass(frozen=True)
class Violation:
    """One violated constraint.

    Attributes:
        path: names of members as the model has them, and the positions of list items from 1.
        value: the value in the call; None when it is missing.
        constraint: what the value must be, in AWS' words.
        shown: False for values that AWS does not repeat: structures, blobs, secrets.
    """

    kind: Kind
    path: Path
    value: Any
    constraint: str
    shown: bool = True


def violations(shape: Any, given: Any, path: Path = ()) -> Iterator[Violation]:
    """Yield the violations in a parameter, decoded as `decoding` does it.

    Args:
        shape: botocore's shape of the parameter.
        path: the path of the parameter; empty for the whole input.
    """
    kind = shape.type_name
    if kind in _SCALARS:
        yield from _of_scalar(shape, given, path)
    elif kind == "structure":
        yield from _of_structure(shape, given, path)
    elif kind == "list":
        yield from _of_list(shape, given, path)
    elif kind == "map":
        yield from _of_map(shape, given, path)


def _of_structure(shape: Any, given: Mapping[str, Any], path: Path) -> Iterator[Violation]:
    if getattr(shape, "is_document_type", False):
        return
    for name in shape.required_members:
        if given.get(name) is None:
            yield Violation("required", (*path, name), None, "Member must not be null")
    members = shape.members
    for name, value in given.items():
        if value is not None:
            yield from violations(members[name], value, (*path, name))


def _of_list(shape: Any, given: list[Any], path: Path) -> Iterator[Violation]:
    member = shape.member
    scalars = member.type_name in _SCALARS
    yield from _of_length(shape, given, path, shown=scalars)
    if scalars:
        yield from _of_elements(member, given, given, path, "Member")
        return
    for number, item in enumerate(given, 1):
        yield from violations(member, item, (*path, number))


def _of_map(shape: Any, given: Mapping[str, Any], path: Path) -> Iterator[Violation]:
    scalars = shape.value.type_name in _SCALARS
    yield from _of_length(shape, given, path, shown=scalars)
    yield from _of_elements(shape.key, given, given, path, "Map keys", shown=scalars)
    if scalars:
        yield from _of_elements(shape.value, given.values(), given, path, "Map value")
        return
    for key, value in given.items():
        yield from violations(shape.value, value, (*path, key))


def _of_elements(
    shape: Any, elements: Iterable[Any], given: Any, path: Path, who: str, *, shown: bool = True
) -> Iterator[Violation]:
    """Yield one violation when an element violates a constraint: AWS reports the collection."""
    for element in elements:
        for found in _of_scalar(shape, element, path):
            needs = f"{who} must satisfy constraint: [{', '.join(_constraints(shape))}]"
            yield Violation(found.kind, path, given, needs, shown and not _is_secret(shape))
            return


def _of_scalar(shape: Any, given: Any, path: Path) -> Iterator[Violation]:
    metadata = shape.metadata
    if not metadata:
        return
    if shape.type_name in _NUMBERS:
        yield from _of_range(shape, given, path)
    elif shape.type_name in ("string", "blob", "character"):
        yield from _of_length(shape, given, path, shown=shape.type_name != "blob")
        yield from _of_text(shape, given, path)


def _of_text(shape: Any, given: Any, path: Path) -> Iterator[Violation]:
    metadata = shape.metadata
    if (pattern := metadata.get("pattern")) and not compiled(pattern).fullmatch(given):
        yield Violation("pattern", path, given, _pattern(pattern), not _is_secret(shape))
    values = () if shape.name in _OPEN_ENUMS else metadata.get("enum")
    if values and given not in values:
        yield Violation("enum", path, given, _enum(values), not _is_secret(shape))


def _of_length(shape: Any, given: Any, path: Path, *, shown: bool) -> Iterator[Violation]:
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    shown = shown and not _is_secret(shape)
    if high is not None and len(given) > high:
        yield Violation("length", path, given, _longest(high), shown)
    if low is not None and len(given) < low:
        yield Violation("length", path, given, _shortest(low), shown)


def _of_range(shape: Any, given: float, path: Path) -> Iterator[Violation]:
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    if high is not None and given > high:
        yield Violation("range", path, given, _largest(high))
    if low is not None and given < low:
        yield Violation("range", path, given, _smallest(low))


# -- AWS' words ------------------------------------------------------------------------------------


def _constraints(shape: Any) -> Iterator[str]:
    """Yield all constraints of a scalar shape, in AWS' order."""
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    number = shape.type_name in _NUMBERS
    if high is not None:
        yield _largest(high) if number else _longest(high)
    if low is not None:
        yield _smallest(low) if number else _shortest(low)
    if pattern := shape.metadata.get("pattern"):
        yield _pattern(pattern)
    if values := shape.metadata.get("enum"):
        yield _enum(values)


def _longest(length: int) -> str:
    return f"Member must have length less than or equal to {length}"


def _shortest(length: int) -> str:
    return f"Member must have length greater than or equal to {length}"


def _largest(value: float) -> str:
    return f"Member must have value less than or equal to {value}"


def _smallest(value: float) -> str:
    return f"Member must have value greater than or equal to {value}"


def _pattern(pattern: str) -> str:
    return f"Member must satisfy regular expression pattern: {pattern}"


def _enum(values: Iterable[str]) -> str:
    return f"Member must satisfy enum value set: [{', '.join(values)}]"


def _is_secret(shape: Any) -> bool:
    return bool(shape.metadata.get("sensitive"))
