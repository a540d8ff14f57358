"""Switching add-ons: what goes on and off together, and what one should know. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from jarkkit.addons.catalogue import GROUPS, Addon, Group, catalogue
from jarkkit.addons.choice import is_on
from jarkkit.addons.pools import maker
from jarkkit.errors import JarkkitError
from jarkkit.settings import Settings

# What only makes sense on nodes of one maker.
_ONLY_ON = {
    "neuron": "neuron",
    "nvidia-device-plugin": "nvidia",
    "dcgm-exporter": "nvidia",
    "gpu-operator": "nvidia",
}


@dataclass(frozen=True)
class Switched:
    """What a switch brings about.

    Attributes:
        changes: settings by name; empty where it is refused.
        said: what happened besides, or why it was refused, in sentences.
    """

    changes: Mapping[str, Any] = field(default_factory=dict)
    said: tuple[str, ...] = ()
    refused: bool = False


def grouped() -> dict[Group, tuple[Addon, ...]]:
    """The catalogue by group."""
    every = catalogue().values()
    return {group: tuple(a for a in every if a.group == group) for group in GROUPS}


def switch(settings: Settings, name: str, on: bool) -> Switched:
    """Switch an add-on on with all that it needs, or off with all that needs it."""
    known = catalogue()
    others = _needed(name) if on else _needing(name)
    also = [n for n in others if is_on(known[n], settings) is not on]
    changes = _changes(settings, [name, *also], on)
    try:
        settings.changed(changes)
    except JarkkitError as error:
        return Switched(said=(_refusal(error, known[name], on),), refused=True)
    return Switched(changes, tuple(_told(known[name], [known[n] for n in also], on)))


def notes(addon: Addon, settings: Settings) -> tuple[str, ...]:
    """What one should know of an add-on as things are."""
    on = is_on(addon, settings)
    said = [addon.notice] if addon.notice else []
    if not on and addon.before_compute:
        said.append("Nodes do not become Ready without it.")
    if on and (wanted := _ONLY_ON.get(addon.name)) and not _has_nodes(settings, wanted):
        said.append("No node here has devices for it: choose such a family in Accelerators.")
    missing = [catalogue()[n].title for n in addon.needs if not is_on(catalogue()[n], settings)]
    if on and missing:
        said.append(f"It needs {', '.join(missing)}, which is switched off: it cannot start.")
    return tuple(said)


def _changes(settings: Settings, names: Iterable[str], on: bool) -> dict[str, Any]:
    """Only what differs from the catalogue's default is written down."""
    switches = dict(settings.addons)
    changes: dict[str, Any] = {}
    for name in names:
        if name == "karpenter":  # it has a setting of its own
            changes["karpenter"] = on
            switches.pop(name, None)
        elif catalogue()[name].default is on:
            switches.pop(name, None)
        else:
            switches[name] = on
    return {**changes, "addons": switches}


def _needed(name: str) -> list[str]:
    return _reached(name, lambda n: catalogue()[n].needs)


def _needing(name: str) -> list[str]:
    return _reached(name, lambda n: [a.name for a in catalogue().values() if n in a.needs])


def _reached(name: str, step: Any) -> list[str]:
    """All that can be reached, near and far, the nearest first."""
    found: list[str] = []
    rest = [name]
    while rest:
        rest = [n for here in rest for n in step(here) if n not in (name, *found)]
        rest = list(dict.fromkeys(rest))
        found += rest
    return found


def _told(addon: Addon, also: list[Addon], on: bool) -> Iterator[str]:
    if not also:
        return
    names = ", ".join(other.title for other in also)
    if on:
        yield f"{addon.title} needs {names}: switched on, too."
    else:
        verb = "needs" if len(also) == 1 else "need"
        yield f"{names} {verb} {addon.title}: switched off, too."


def _refusal(error: JarkkitError, addon: Addon, on: bool) -> str:
    reason = error.message.partition(": ")[2] or error.message
    return f"{addon.title} stays {'off' if on else 'on'}: {reason}"


def _has_nodes(settings: Settings, wanted: str) -> bool:
    families: list[str] = [pool.family for pool in settings.accelerators]
    if settings.static_gpu_nodes:
        families.append(settings.static_gpu_instance_type)
    return any(maker(family) == wanted for family in families)
