"""JSON schemas of add-on configuration values, and the errors that EKS finds with them.

The schemas are data, in `addon_schemas.yaml`, with their sources.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

_TYPES: dict[str, type] = {
    "array": list,
    "boolean": bool,
    "integer": int,
    "null": type(None),
    "number": float,
    "object": dict,
    "string": str,
}


@cache
def _schemas() -> Mapping[str, dict[str, Any]]:
    text = (Path(__file__).parent / "addon_schemas.yaml").read_text()
    return {name: found for name, found in yaml.safe_load(text).items() if name[0] != "_"}


def schema(name: str) -> dict[str, Any]:
    """Return the JSON schema of an add-on's configuration values. Raises KeyError if unknown."""
    return {"$schema": "https://json-schema.org/draft/2019-09/schema", **_schemas()[name]}


def validation_errors(value: Any, wanted: Mapping[str, Any], path: str = "$") -> list[str]:
    """Return why the values do not match the schema, in EKS' wording."""
    types = wanted.get("type", [])
    allowed = [types] if isinstance(types, str) else types
    found = next((name for name, kind in _TYPES.items() if type(value) is kind), "string")
    if allowed and found not in allowed:
        return [f"{path}: {found} found, {' or '.join(allowed)} expected"]
    if isinstance(value, dict):
        return list(_members(value, wanted, path))
    if isinstance(value, list):
        items = wanted.get("items", {})
        return [
            error
            for index, item in enumerate(value)
            for error in validation_errors(item, items, f"{path}[{index}]")
        ]
    return list(_scalar(value, wanted, path))


def _members(value: Mapping[str, Any], wanted: Mapping[str, Any], path: str) -> Iterator[str]:
    other = wanted.get("additionalProperties", True)
    for key, inner in value.items():
        rule = wanted.get("properties", {}).get(key, other)
        if rule is False:
            yield (
                f"{path}.{key}: is not defined in the schema and the schema does not allow "
                "additional properties"
            )
        elif isinstance(rule, dict):
            yield from validation_errors(inner, rule, f"{path}.{key}")


def _scalar(value: Any, wanted: Mapping[str, Any], path: str) -> Iterator[str]:
    if "enum" in wanted and value not in wanted["enum"]:
        yield f"{path}: does not have a value in the enumeration {wanted['enum']}"
    pattern = wanted.get("pattern")
    if pattern and isinstance(value, str) and not re.search(pattern, value):
        yield f"{path}: does not match the regex pattern {pattern}"
    limit = wanted.get("maxLength")
    if limit and isinstance(value, str) and len(value) > limit:
        yield f"{path}: may only be {limit} characters long"
