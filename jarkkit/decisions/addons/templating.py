"""Renders `${…}` references in the catalog's values and objects. Pure.

A text that consists of one reference becomes the value itself, of whatever type; inside a longer
text a reference must be a scalar. `$${` is a literal `${`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from jarkkit.model.errors import JarkkitError
from jarkkit.settings import Settings

_REFERENCE = re.compile(r"\$?\$\{([A-Za-z_][A-Za-z0-9_.]*)\}")

# Outputs of terraform/outputs.tf that references may name; a dot leads into a nested output.
OUTPUTS = (
    "account_id",
    "region",
    "partition",
    "vpc_id",
    "cluster_name",
    "cluster_arn",
    "cluster_endpoint",
    "cluster_version",
    "node_role_name",
    "node_instance_profile_name",
    "node_security_group_id",
    "artifact_bucket",
    "karpenter.queue_name",
    "efs.file_system_id",
    "efs.home_access_point_id",
    "efs.shared_access_point_id",
    "prometheus.endpoint",
    "prometheus.workspace_id",
)
# Follow from the settings alone, so that Terraform's plan can have them, too.
FROM_SETTINGS = ("tags", "tags_json")
GENERATED = ("node_pools", "node_classes", "jupyterhub_profiles", *FROM_SETTINGS)


def is_known_reference(name: str) -> bool:
    """Return True for a name that a reference may use."""
    if name.startswith("settings."):
        return name.removeprefix("settings.") in Settings.model_fields
    return name in OUTPUTS or name in GENERATED


def output_values(outputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of the references to Terraform's outputs."""
    return {name: _output(outputs, name) for name in OUTPUTS}


def settings_values(settings: Settings) -> dict[str, Any]:
    """Return the values of the references that need no outputs."""
    tags = {**settings.tags, "jarkkit:deployment": settings.name}
    return {
        **{f"settings.{k}": v for k, v in settings.model_dump(mode="json").items()},
        "tags": tags,
        "tags_json": json.dumps(tags, ensure_ascii=False, sort_keys=True),
    }


def render(template: Any, values: Mapping[str, Any]) -> Any:
    """Replace every reference in a value. Raises JK-ADDON-INVALID for an unknown one."""
    if isinstance(template, dict):
        return {render(key, values): render(value, values) for key, value in template.items()}
    if isinstance(template, list | tuple):
        return [render(item, values) for item in template]
    return _text(template, values) if isinstance(template, str) else template


def render_objects(templates: Iterable[Any], values: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Render objects; a reference among them may be a list of objects."""
    rendered = [render(each, values) for each in templates]
    return [o for each in rendered for o in (each if isinstance(each, list) else [each])]


def references(template: Any) -> set[str]:
    """Return the names of all references in a value."""
    if isinstance(template, dict):
        return references([*template.keys(), *template.values()])
    if isinstance(template, list | tuple):
        return {name for item in template for name in references(item)}
    if not isinstance(template, str):
        return set()
    return {m.group(1) for m in _REFERENCE.finditer(template) if not m.group().startswith("$$")}


def _text(text: str, values: Mapping[str, Any]) -> Any:
    whole = _REFERENCE.fullmatch(text)
    if whole and not text.startswith("$$"):
        return _value(whole.group(1), values)
    return _REFERENCE.sub(lambda match: _within(match, values), text)


def _within(match: re.Match[str], values: Mapping[str, Any]) -> str:
    if match.group().startswith("$$"):
        return match.group()[1:]
    value = _value(match.group(1), values)
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, str | int | float):
        raise _invalid(match.group(1), "is not a scalar and cannot be part of a text")
    return str(value)


def _value(name: str, values: Mapping[str, Any]) -> Any:
    if name not in values:
        raise _invalid(name, "does not exist")
    return values[name]


def _invalid(name: str, why: str) -> JarkkitError:
    return JarkkitError(
        "JK-ADDON-INVALID",
        f"The catalog refers to ${{{name}}}, which {why}.",
        "Use a reference that docs/addons.md lists, or write $${…} for a literal ${…}.",
    )


def _output(outputs: Mapping[str, Any], name: str) -> Any:
    value: Any = outputs
    for part in name.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def leaf_paths(values: Mapping[str, Any], above: str = "") -> tuple[str, ...]:
    """Return the names of all values that are not mappings, as `outer.inner`."""
    return tuple(
        path
        for key, value in values.items()
        for path in (
            leaf_paths(value, f"{above}{key}.")
            if isinstance(value, dict) and value
            else (f"{above}{key}",)
        )
    )
