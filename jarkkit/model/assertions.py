"""Assertions about a field of a Kubernetes object, written as data. Pure.

A field is a JMESPath expression (https://jmespath.org): `status.phase`, `spec.containers[0].image`,
`metadata.labels."a/b"`, `status.conditions[?type=='Ready'].status`, `spec.containers[].image` (each
of them), `length(spec.containers)`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Self

import jmespath
from jmespath.exceptions import ArityError, JMESPathError, UnknownFunctionError
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

_OPERATORS = ("equals", "one_of", "at_least", "matches", "exists")


def values_at(root: Any, expression: str) -> list[Any]:
    """Return what the expression finds in an object: the items of a list; empty for nothing.

    Raises JMESPathError if a function of the expression gets a value of another type.
    """
    found = jmespath.search(expression, root)
    if isinstance(found, list):
        return found
    return [] if found is None else [found]


def _expression(text: str) -> str:
    try:
        jmespath.search(text, {})  # a function's name and arity are checked when it is called
    except (UnknownFunctionError, ArityError) as error:
        raise _invalid(text, error) from None
    except JMESPathError as error:
        if _compiles(text):
            return text
        raise _invalid(text, error) from None
    return text


def _invalid(text: str, error: Exception) -> PydanticCustomError:
    why = str(error).splitlines()[0].rstrip(" :")
    new = _from_path(text)
    hint = f" Since jarkkit 0.2, write {new}" if text.startswith(".") and _compiles(new) else ""
    return PydanticCustomError(
        "jmespath", "{problem}", {"problem": f"{text} is not a JMESPath expression: {why}.{hint}"}
    )


def _compiles(text: str) -> bool:
    try:
        jmespath.compile(text)
    except JMESPathError:
        return False
    return True


def _from_path(text: str) -> str:
    """Translate a path of jarkkit 0.1: `.a[*].b`, `.a[type=Ready].b` and `.a["b/c"]`."""
    numbers = re.sub(r"\[(\w+)=(\d+)\]", r"[?\1==`\2`]", text.removeprefix("."))
    texts = re.sub(r"\[(\w+)=([^\]]+)\]", r"[?\1=='\2']", numbers)
    return re.sub(r'\[("[^"]+")\]', r".\1", texts).replace("[*]", "[]")


Expression = Annotated[str, AfterValidator(_expression)]


def _pattern(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        problem = f"{text} is not a regular expression: {error}"
        raise PydanticCustomError("regex", "{problem}", {"problem": problem}) from None
    return text


Pattern = Annotated[str, Field(max_length=200), AfterValidator(_pattern)]


class FieldAssertion(BaseModel):
    """What a field should be. Exactly one of the operators below must be set.

    When the expression finds a list, each of its items must be as expected.

    Attributes:
        equals: this value; a list is compared with the whole list.
        one_of: one of these values.
        at_least: a number not smaller than this.
        matches: a text in which this regular expression is found.
        exists: present (true) or absent (false).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    field: Expression
    equals: Any = None
    one_of: tuple[Any, ...] = ()
    at_least: float | None = None
    matches: Pattern = ""
    exists: bool | None = None

    @model_validator(mode="after")
    def _has_one_operator(self) -> Self:
        operators = [name for name in _OPERATORS if name in self.model_fields_set]
        if len(operators) != 1:
            raise ValueError(f"{self.field}: needs exactly one of {', '.join(_OPERATORS)}")
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
        try:
            found = values_at(manifest, self.field)
        except JMESPathError:
            return False
        if self.exists is not None:
            return bool(found) is self.exists
        if isinstance(self.equals, list):
            return found == self.equals
        return bool(found) and all(map(self._accepts, found))

    def actual(self, manifest: Mapping[str, Any]) -> str:
        """Return the actual values as text, or why the expression has none."""
        try:
            values = values_at(manifest, self.field)
        except JMESPathError as error:
            return str(error)[:200]
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
