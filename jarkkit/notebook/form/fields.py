"""Settings as form inputs: the kind of input, and its value. Pure."""

from __future__ import annotations

import json
import re
from typing import Any, Literal, get_args, get_origin

from jarkkit.model.errors import JarkkitError
from jarkkit.settings import Settings, field_metadata

Kind = Literal["switch", "choice", "number", "several", "list", "pairs", "text", "own"]

# Settings with custom inputs.
_OWN = frozenset({"region", "cluster_version", "addons", "accelerators"})
# Units that the title already names.
_COUNTED = frozenset({"nodes", "zones", "people"})


def input_kind(name: str) -> Kind:
    """Return the kind of input for a setting."""
    annotation = Settings.model_fields[name].annotation
    if name in _OWN:
        return "own"
    if annotation is bool:
        return "switch"
    if annotation is int:
        return "number"
    if get_origin(annotation) is Literal:
        return "choice"
    if get_origin(annotation) is tuple:
        return "several" if get_origin(get_args(annotation)[0]) is Literal else "list"
    return "pairs" if get_origin(annotation) is dict else "text"


def choices(name: str) -> tuple[Any, ...]:
    """Return the allowed values of a setting of kind `choice` or `several`."""
    annotation = Settings.model_fields[name].annotation
    return get_args(get_args(annotation)[0] if input_kind(name) == "several" else annotation)


def label(name: str) -> str:
    """Return a setting's title with its unit."""
    field = Settings.model_fields[name]
    unit = field_metadata(field)["unit"]
    return f"{field.title}{f' ({unit})' if unit and unit not in _COUNTED else ''}"


def description(name: str) -> str:
    """Return what a setting does, and why you would change it."""
    return Settings.model_fields[name].description or ""


def is_secret(name: str) -> bool:
    """Return True if a setting refers to a secret."""
    return name.endswith(("_token", "_secret"))


def placeholder(name: str) -> str:
    """Return the placeholder of an empty input."""
    if is_secret(name):
        return "env:VARIABLE_NAME, or the ARN of a secret"
    return {"list": "first, second, …", "pairs": "key=value, key2=value2"}.get(input_kind(name), "")


def to_input(name: str, value: Any) -> Any:
    """Convert a setting's value for its input: lists and tags become one line of text."""
    if input_kind(name) == "list":
        return ", ".join(value)
    if input_kind(name) == "pairs":
        return ", ".join(f"{key}={tag}" for key, tag in value.items())
    return tuple(value) if input_kind(name) == "several" else value


def to_number(text: str) -> int | str:
    """Return the whole number that the text is; the text itself if it is none."""
    plain = text.strip()
    return int(plain) if re.fullmatch(r"[+-]?[0-9]{1,9}", plain) else plain


def from_input(name: str, given: Any) -> Any:
    """Convert an input's value for the setting. Raises JK-SETTINGS-INVALID for malformed tags
    and for what is no whole number where one is needed."""
    if input_kind(name) == "list":
        return _parts(given)
    if input_kind(name) == "pairs":
        return _pairs(name, _parts(given))
    if input_kind(name) == "number" and isinstance(given, str):
        raise JarkkitError(
            "JK-SETTINGS-INVALID",
            f"In the form: {label(name)}: {given!r} is not a whole number.",
            "Type digits only, such as 3.",
            subjects=(name,),
        )
    return given.strip() if isinstance(given, str) else given


def _parts(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _pairs(name: str, parts: tuple[str, ...]) -> dict[str, str]:
    if wrong := [part for part in parts if "=" not in part]:
        raise JarkkitError(
            "JK-SETTINGS-INVALID",
            f"In the form: {name}: {wrong[0]!r} is not of the form key=value.",
            "Write it like this: team=research, cost-center=4711",
            subjects=(name,),
        )
    split = (part.partition("=") for part in parts)
    return {key.strip(): value.strip() for key, _, value in split}


def display_text(name: str, settings: Settings) -> str:
    """Return a setting's value as one line of text."""
    if name == "accelerators":
        return ", ".join(pool_text(pool) for pool in settings.accelerators) or "none"
    if name == "addons":
        return ", ".join(f"{n} {'on' if on else 'off'}" for n, on in settings.addons.items())
    value = to_input(name, getattr(settings, name))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def pool_text(pool: Any) -> str:
    """Return a pool as short text."""
    return f"{pool.family} ({' or '.join(pool.capacity)}, up to {pool.max_vcpus} vCPUs)"


def is_same(one: Any, other: Any) -> bool:
    """Return True if two values are the same setting; a list equals a tuple."""
    return _canonical(one) == _canonical(other)


def _canonical(value: Any) -> str:
    def plain(item: Any) -> Any:
        return item.model_dump(mode="json") if hasattr(item, "model_dump") else str(item)

    return json.dumps(value, default=plain, sort_keys=True)
