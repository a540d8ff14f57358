"""How a setting stands in the form: what kind of input it has, and its value there. Pure."""

from __future__ import annotations

import json
import re
from html import escape
from typing import Any, Literal, get_args, get_origin

from jarkkit.errors import JarkkitError
from jarkkit.settings import Settings, field_extra

Kind = Literal["switch", "choice", "number", "several", "list", "pairs", "text", "own"]

# Those with inputs of their own.
_OWN = frozenset({"region", "cluster_version", "addons", "accelerators"})
# The title names them already.
_COUNTED = frozenset({"nodes", "zones", "people"})


def kind(name: str) -> Kind:
    """The kind of input that a setting has."""
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
    """What a setting of the kinds `choice` and `several` may be."""
    annotation = Settings.model_fields[name].annotation
    return get_args(get_args(annotation)[0] if kind(name) == "several" else annotation)


def label(name: str) -> str:
    """A setting's title with its unit."""
    field = Settings.model_fields[name]
    unit = field_extra(field)["unit"]
    return f"{field.title}{f' ({unit})' if unit and unit not in _COUNTED else ''}"


def why(name: str) -> str:
    """What a setting is, and why one would change it."""
    return Settings.model_fields[name].description or ""


def is_secret(name: str) -> bool:
    """Whether a setting refers to a secret."""
    return name.endswith(("_token", "_secret"))


def hint(name: str) -> str:
    """What an empty input says."""
    if is_secret(name):
        return "env:VARIABLE_NAME, or the ARN of a secret"
    return {"list": "one, another, …", "pairs": "key=value, another=value"}.get(kind(name), "")


def written(name: str, value: Any) -> Any:
    """A setting's value as its input has it: lists and tags as one line of text."""
    if kind(name) == "list":
        return ", ".join(value)
    if kind(name) == "pairs":
        return ", ".join(f"{key}={tag}" for key, tag in value.items())
    return tuple(value) if kind(name) == "several" else value


def read(name: str, given: Any) -> Any:
    """The value that stands in an input. Raises JK-SETTINGS-INVALID for what is no list of tags."""
    if kind(name) == "list":
        return _parts(given)
    if kind(name) == "pairs":
        return _pairs(name, _parts(given))
    return given.strip() if isinstance(given, str) else given


def _parts(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _pairs(name: str, parts: tuple[str, ...]) -> dict[str, str]:
    if wrong := [part for part in parts if "=" not in part]:
        raise JarkkitError(
            "JK-SETTINGS-INVALID",
            f"In the form: {name}: {wrong[0]!r} is not key=value.",
            "Write for example: team=research, cost-center=4711",
        )
    split = (part.partition("=") for part in parts)
    return {key.strip(): value.strip() for key, _, value in split}


def plainly(name: str, settings: Settings) -> str:
    """A setting's value in a line, for people."""
    if name == "accelerators":
        return ", ".join(pool_words(pool) for pool in settings.accelerators) or "none"
    if name == "addons":
        return ", ".join(f"{n} {'on' if on else 'off'}" for n, on in settings.addons.items())
    value = written(name, getattr(settings, name))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def pool_words(pool: Any) -> str:
    """A pool in a few words."""
    return f"{pool.family} ({' or '.join(pool.capacity)}, up to {pool.max_vcpus} vCPUs)"


def prose(text: str) -> str:
    """Plain text with `code` as HTML."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text, quote=False))


def same(one: Any, other: Any) -> bool:
    """Whether two values mean the same setting: a list is as good as a tuple."""
    return _canonical(one) == _canonical(other)


def _canonical(value: Any) -> str:
    def plain(item: Any) -> Any:
        return item.model_dump(mode="json") if hasattr(item, "model_dump") else str(item)

    return json.dumps(value, default=plain, sort_keys=True)
