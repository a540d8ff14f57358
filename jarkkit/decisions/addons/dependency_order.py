"""What the add-ons depend on, and the order that follows. Pure. `steps/cluster/installer`
installs in this order, `steps/cluster/uninstaller` removes in reverse, with its own exceptions.

Every add-on that is not `core` depends on all core add-ons: otherwise its pods could fill the core
nodes before Karpenter can add others. An add-on that fits on the current nodes does not wait for
Karpenter, only for the other core add-ons.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from graphlib import CycleError, TopologicalSorter

from jarkkit.catalog.addons import Addon
from jarkkit.model.errors import JarkkitError

Dependencies = Mapping[str, frozenset[str]]

# How many add-ons the installer works on at the same time. Measured on two cores: more at a time
# only wait for each other (docs/architecture.md).
ADDONS_AT_A_TIME = 5

_ADDS_NODES = frozenset({"karpenter"})


def dependencies(addons: Iterable[Addon], schedulable: Collection[str] = ()) -> Dependencies:
    """Return by add-on the enabled add-ons that must be ready first.

    Args:
        schedulable: names of the add-ons that fit on the current nodes.

    Raises JK-ADDON-INVALID for a dependency cycle, and for a dependency that is disabled.
    """
    enabled = {addon.name: addon for addon in addons}
    graph = {name: set(addon.needs) for name, addon in enabled.items()}
    for name, needed in graph.items():
        if missing := sorted(needed - enabled.keys()):
            raise JarkkitError(
                "JK-ADDON-INVALID",
                f"The add-on {name} needs {', '.join(missing)}, which is disabled.",
                f"Enable {missing[0]}, or disable {name}, in the setting `addons`.",
            )
    core = {name for name, addon in enabled.items() if addon.core}
    first = _with_dependencies(core, graph)
    for name, needed in graph.items():
        if name not in first:
            needed |= core - _ADDS_NODES if name in schedulable else core
    if cycle := names_in_cycle(graph):
        raise JarkkitError(
            "JK-ADDON-INVALID",
            f"These add-ons form a dependency cycle: {', '.join(cycle)}.",
            "Remove one `needs` from their files in jarkkit/catalog/addons/.",
        )
    return {name: frozenset(needed) for name, needed in graph.items()}


def startable(order: Dependencies, ready: Iterable[str], begun: Iterable[str]) -> list[str]:
    """Return the add-ons that can start now, because all their dependencies are ready."""
    done, taken = set(ready), set(begun)
    return [name for name in order if name not in taken and order[name] <= done]


def dependent_depth(order: Dependencies) -> dict[str, int]:
    """Return by add-on the length of the longest chain of add-ons that depends on it.

    The installer starts the add-ons with the longest chains first.
    """
    rounds = enumerate(_removal_rounds(order), 1)
    return {name: length for length, names in rounds for name in names}


def removal_order(order: Dependencies) -> list[str]:
    """Return all names so that each comes after everything that depends on it."""
    return [name for names in _removal_rounds(order) for name in sorted(names)]


def _removal_rounds(order: Dependencies) -> Iterator[tuple[str, ...]]:
    """Yield the names in rounds: each is in the first round after all that depend on it."""
    sorter = TopologicalSorter(
        {name: [other for other, needed in order.items() if name in needed] for name in order}
    )
    sorter.prepare()
    while sorter.is_active():
        yield (names := sorter.get_ready())
        sorter.done(*names)


def _with_dependencies(names: set[str], graph: Mapping[str, set[str]]) -> set[str]:
    """Return the names and all their direct and indirect dependencies."""
    found: set[str] = set()
    rest = set(names)
    while rest:
        name = rest.pop()
        if name not in found:
            found.add(name)
            rest |= graph.get(name, set())
    return found


def names_in_cycle(graph: Mapping[str, Collection[str]]) -> list[str]:
    """Return the names of one dependency cycle, sorted; none if there is no cycle."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return sorted(set(error.args[1]))
    return []
