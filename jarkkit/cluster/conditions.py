"""Questions about a field of a Kubernetes object, written as data. Pure.

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
_WORDS = ("equals", "one_of", "at_least", "matches", "exists")


def values_at(thing: Any, path: str) -> list[Any]:
    """What the object has at that path; nothing where there is nothing."""
    found = [thing]
    for step in _STEP.finditer(path):
        found = [below for value in found for below in _below(value, step)]
    return found


def _below(value: Any, step: re.Match[str]) -> list[Any]:
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


class Condition(BaseModel):
    """What a field should be: exactly one of the words below.

    Attributes:
        equals: this value.
        one_of: one of these values.
        at_least: a number not smaller than this.
        matches: a text in which this regular expression is found.
        exists: there (true) or not there (false).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    field: Path
    equals: Any = None
    one_of: tuple[Any, ...] = ()
    at_least: float | None = None
    matches: str = Field(default="", max_length=200)
    exists: bool | None = None

    @model_validator(mode="after")
    def _one_question(self) -> Self:
        asked = [word for word in _WORDS if word in self.model_fields_set]
        if len(asked) != 1:
            raise ValueError(f"{self.field}: needs exactly one of {', '.join(_WORDS)}")
        re.compile(self.matches)
        return self

    @property
    def wanted(self) -> str:
        """In words."""
        if self.exists is not None:
            return "there" if self.exists else "absent"
        if self.at_least is not None:
            return f"at least {self.at_least:g}"
        if self.one_of:
            return " or ".join(map(str, self.one_of))
        return f"like {self.matches}" if self.matches else str(self.equals)

    def holds(self, thing: Mapping[str, Any]) -> bool:
        """True when the field is there and every value of it is as it should be."""
        found = values_at(thing, self.field)
        if self.exists is not None:
            return bool(found) is self.exists
        return bool(found) and all(map(self._fits, found))

    def found(self, thing: Mapping[str, Any]) -> str:
        """What there is, in words."""
        values = values_at(thing, self.field)
        if self.exists is not None:
            return "there" if values else "absent"
        return ", ".join(dict.fromkeys(map(str, values)))[:200] or "absent"

    def _fits(self, value: Any) -> bool:
        if self.at_least is not None:
            return isinstance(value, int | float) and value >= self.at_least
        if self.one_of:
            return value in self.one_of
        if self.matches:
            return re.search(self.matches, str(value)) is not None
        return bool(value == self.equals)
