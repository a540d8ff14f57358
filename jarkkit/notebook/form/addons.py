"""Add-on switches: which add-ons go on and off together, and notes about them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from jarkkit.catalog.addons import GROUPS, Addon, Group
from jarkkit.decisions.addons.node_pools import accelerator_vendor
from jarkkit.decisions.stack import ResolvedStack
from jarkkit.model.errors import JarkkitError
from jarkkit.settings import Settings

# Add-ons that make sense only on nodes with this maker's accelerators.
_ONLY_ON = {
    "neuron": "neuron",
    "nvidia-device-plugin": "nvidia",
    "dcgm-exporter": "nvidia",
    "gpu-operator": "nvidia",
}


@dataclass(frozen=True)
class SwitchResult:
    """The result of a switch.

    Attributes:
        changes: settings by name; empty if the switch is rejected.
        messages: side effects, or why the switch was rejected, in sentences.
    """

    changes: Mapping[str, Any] = field(default_factory=dict)
    messages: tuple[str, ...] = ()
    rejected: bool = False


def addons_by_group(catalog: Mapping[str, Addon]) -> dict[Group, tuple[Addon, ...]]:
    """Return the catalog by group."""
    addons = catalog.values()
    return {group: tuple(a for a in addons if a.group == group) for group in GROUPS}


def switch(stack: ResolvedStack, name: str, on: bool) -> SwitchResult:
    """Turn an add-on on with all its dependencies, or off with all its dependents."""
    catalog = stack.catalog
    others = _dependencies(catalog, name) if on else _dependents(catalog, name)
    also = [n for n in others if stack.is_enabled(n) is not on]
    changes = _changes(stack, [name, *also], on)
    try:
        stack.settings.with_changes(changes)
    except JarkkitError as error:
        return SwitchResult(messages=(_refusal(error, catalog[name], on),), rejected=True)
    return SwitchResult(
        changes, tuple(_side_effects(catalog[name], [catalog[n] for n in also], on))
    )


def notes(addon: Addon, stack: ResolvedStack) -> tuple[str, ...]:
    """Return notes about an add-on of the catalog in this stack."""
    on = stack.is_enabled(addon.name)
    found = [addon.notice] if addon.notice else []
    if not on and addon.before_compute:
        found.append("Without it, nodes do not become Ready.")
    if on and (vendor := _ONLY_ON.get(addon.name)) and not _has_nodes(stack.settings, vendor):
        found.append("No node here has devices for it. Choose a matching family in Accelerators.")
    missing = [stack.catalog[n].title for n in addon.needs if not stack.is_enabled(n)]
    if on and missing:
        found.append(f"It needs {', '.join(missing)}, which is off, so it cannot start.")
    return tuple(found)


def _changes(stack: ResolvedStack, names: Iterable[str], on: bool) -> dict[str, Any]:
    """Return the changed settings; store only switches that differ from the catalog's default."""
    switches = dict(stack.settings.addons)
    changes: dict[str, Any] = {}
    for name in names:
        if name == "karpenter":  # it has its own setting
            changes["karpenter"] = on
            switches.pop(name, None)
        elif stack.catalog[name].default is on:
            switches.pop(name, None)
        else:
            switches[name] = on
    return {**changes, "addons": switches}


def _dependencies(catalog: Mapping[str, Addon], name: str) -> list[str]:
    return _reachable(name, lambda n: catalog[n].needs)


def _dependents(catalog: Mapping[str, Addon], name: str) -> list[str]:
    return _reachable(name, lambda n: [a.name for a in catalog.values() if n in a.needs])


def _reachable(name: str, step: Any) -> list[str]:
    """Return everything reachable by `step`, the nearest first."""
    found: list[str] = []
    rest = [name]
    while rest:
        rest = [n for here in rest for n in step(here) if n not in (name, *found)]
        rest = list(dict.fromkeys(rest))
        found += rest
    return found


def _side_effects(addon: Addon, also: list[Addon], on: bool) -> Iterator[str]:
    if not also:
        return
    names = ", ".join(other.title for other in also)
    if on:
        yield f"{addon.title} needs {names}: turned on as well."
    else:
        verb = "needs" if len(also) == 1 else "need"
        yield f"{names} {verb} {addon.title}: turned off as well."


def _refusal(error: JarkkitError, addon: Addon, on: bool) -> str:
    reason = error.message.partition(": ")[2] or error.message
    return f"{addon.title} stays {'off' if on else 'on'}: {reason}"


def _has_nodes(settings: Settings, vendor: str) -> bool:
    families: list[str] = [pool.family for pool in settings.accelerators]
    if settings.static_gpu_nodes:
        families.append(settings.static_gpu_instance_type)
    return any(accelerator_vendor(family) == vendor for family in families)
