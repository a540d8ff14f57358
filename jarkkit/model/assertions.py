"""Assertions about a field of a Kubernetes object, written as data. Pure.

A field is a path: `.status.phase`, `.spec.containers[0].image`, `.metadata.labels["a/b"]`,
`.status.conditions[type=Ready].status`, `.spec.containers[*].image` (each of them).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

_STEP = re.compile(
    r"\.(?P<key>[A-Za-z_][\w-]*)"
    r'|\["(?P<quoted>[^"]+)"\]'
    r"|\[(?P<index>\d+)\]"
    r"|\[(?P<all>\*)\]"
    r"|\[(?P<name>\w+)=(?P<value>[^\]]+)\]"
)
_OPERATORS = ("equals", "one_of", "at_least", "matches", "exists")


def values_at(root: Any, path: str) -> list[Any]:
    """Return the values at that path of an object; empty when there are none."""
    found = [root]
    for step in _STEP.finditer(path):
        found = [child for value in found for child in _children(value, step)]
    return found


def _children(value: Any, step: re.Match[str]) -> list[Any]:
    key = step["key"] or step["quoted"]
    if key:
        return [value[key]] if isinstance(value, Mapping) and key in value else []
    if not isinstance(value, list):
        return []
    if step["index"]:
        return value[int(step["index"]) : int(step["index"]) + 1]
    if step["all"]:
        return value
    return [
        v for v in value if isinstance(v, Mapping) and str(v.get(step["name"])) == step["value"]
    ]


def _path(text: str) -> str:
    if text and "".join(match.group() for match in _STEP.finditer(text)) == text:
        return text
    raise PydanticCustomError(
        "path", "is not a path such as .status.phase or .status.conditions[type=Ready].status"
    )


Path = Annotated[str, AfterValidator(_path)]


class FieldAssertion(BaseModel):
    """What a field should be. Exactly one of the operators below must be set.

    Attributes:
        equals: this value.
        one_of: one of these values.
        at_least: a number not smaller than this.
        matches: a text in which this regular expression is found.
        exists: present (true) or absent (false).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    field: Path
    equals: Any = None
    one_of: tuple[Any, ...] = ()
    at_least: float | None = None
    matches: str = Field(default="", max_length=200)
    exists: bool | None = None

    @model_validator(mode="after")
    def _has_one_operator(self) -> Self:
        operators = [name for name in _OPERATORS if name in self.model_fields_set]
        if len(operators) != 1:
            raise ValueError(f"{self.field}: needs exactly one of {', '.join(_OPERATORS)}")
        re.compile(self.matches)
        return self

    @property
    def expected(self) -> str:
        """The expected value as text."""
        if self.exists is not None:
            return "present" if self.exists else "absent"
        if self.at_least is not None:
            return f"at least {self.at_least:g}"
        if self.one_of:
            return " or ".join(map(str, self.one_of))
        return f"matches {self.matches}" if self.matches else str(self.equals)

    def is_met_by(self, manifest: Mapping[str, Any]) -> bool:
        """Return True when the field is present and all its values are as expected."""
        found = values_at(manifest, self.field)
        if self.exists is not None:
            return bool(found) is self.exists
        return bool(found) and all(map(self._accepts, found))

    def actual(self, manifest: Mapping[str, Any]) -> str:
        """Return the actual values as text."""
        values = values_at(manifest, self.field)
        if self.exists is not None:
            return "present" if values else "absent"
        return ", ".join(dict.fromkeys(map(str, values)))[:200] or "absent"

    def _accepts(self, value: Any) -> bool:
        if self.at_least is not None:
            return isinstance(value, int | float) and value >= self.at_least
        if self.one_of:
            return value in self.one_of
        if self.matches:
            return re.search(self.matches, str(value)) is not None
        return bool(value == self.equals)
