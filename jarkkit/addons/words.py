"""Fills `${…}` in the catalogue's values and objects. Pure.

A text that is nothing but a reference becomes the value itself, of whatever type; inside a longer
text a reference must be a scalar. `$${` stands for a literal `${`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from jarkkit.addons.pools import node_classes, node_pools
from jarkkit.addons.profiles import profiles
from jarkkit.errors import JarkkitError
from jarkkit.settings import Settings

_REFERENCE = re.compile(r"\$?\$\{([A-Za-z_][A-Za-z0-9_.]*)\}")

# Outputs of terraform/outputs.tf that may be referred to; one below another with a dot.
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
MADE = ("node_pools", "node_classes", "jupyterhub_profiles")


def known(name: str) -> bool:
    """True for a name that may be referred to."""
    if name.startswith("settings."):
        return name.removeprefix("settings.") in Settings.model_fields
    return name in OUTPUTS or name in MADE


def words(settings: Settings, outputs: Mapping[str, Any], ami_version: str) -> dict[str, Any]:
    """What references stand for.

    Args:
        outputs: Terraform's.
        ami_version: of the machine images that Karpenter launches, `v20261101`.
    """
    pools = settings.karpenter  # without it Terraform knows nothing that they need
    return {
        **{name: _output(outputs, name) for name in OUTPUTS},
        **{f"settings.{k}": v for k, v in settings.model_dump(mode="json").items()},
        "node_classes": node_classes(settings, outputs, ami_version) if pools else [],
        "node_pools": node_pools(settings) if pools else [],
        "jupyterhub_profiles": profiles(settings),
    }


def fill(thing: Any, meaning: Mapping[str, Any]) -> Any:
    """The thing with every reference filled in. Raises JK-ADDON-INVALID for an unknown one."""
    if isinstance(thing, dict):
        return {fill(key, meaning): fill(value, meaning) for key, value in thing.items()}
    if isinstance(thing, list | tuple):
        return [fill(item, meaning) for item in thing]
    return _text(thing, meaning) if isinstance(thing, str) else thing


def fill_objects(things: Iterable[Any], meaning: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Objects, where a reference among them stands for a list of objects."""
    filled = [fill(thing, meaning) for thing in things]
    return [o for thing in filled for o in (thing if isinstance(thing, list) else [thing])]


def references(thing: Any) -> set[str]:
    """The names that it refers to."""
    if isinstance(thing, dict):
        return references([*thing.keys(), *thing.values()])
    if isinstance(thing, list | tuple):
        return {name for item in thing for name in references(item)}
    if not isinstance(thing, str):
        return set()
    return {m.group(1) for m in _REFERENCE.finditer(thing) if not m.group().startswith("$$")}


def _text(text: str, meaning: Mapping[str, Any]) -> Any:
    whole = _REFERENCE.fullmatch(text)
    if whole and not text.startswith("$$"):
        return _meaning(whole.group(1), meaning)
    return _REFERENCE.sub(lambda match: _within(match, meaning), text)


def _within(match: re.Match[str], meaning: Mapping[str, Any]) -> str:
    if match.group().startswith("$$"):
        return match.group()[1:]
    value = _meaning(match.group(1), meaning)
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, str | int | float):
        raise _invalid(match.group(1), "has no value to put into a text")
    return str(value)


def _meaning(name: str, meaning: Mapping[str, Any]) -> Any:
    if name not in meaning:
        raise _invalid(name, "is not known")
    return meaning[name]


def _invalid(name: str, why: str) -> JarkkitError:
    return JarkkitError(
        "JK-ADDON-INVALID",
        f"The catalogue refers to ${{{name}}}, which {why}.",
        "docs/addons.md lists what may be referred to; a literal is written $${…}.",
    )


def _output(outputs: Mapping[str, Any], name: str) -> Any:
    value: Any = outputs
    for part in name.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value
