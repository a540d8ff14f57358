"""What must be ready before what. Pure.

Add-ons that are not `core` wait for those that are: pods that need room must not fill the core
nodes before Karpenter can add others. What fits onto the nodes that are there waits for the others
of the core alone.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from jarkkit.addons.catalogue import Addon
from jarkkit.errors import JarkkitError

Needs = Mapping[str, frozenset[str]]

_MAKES_ROOM = frozenset({"karpenter"})


def needs(addons: Iterable[Addon], fitting: Collection[str] = ()) -> Needs:
    """By add-on those of the chosen ones that must be ready first.

    Args:
        fitting: names of those that have room without Karpenter.

    Raises JK-ADDON-INVALID for a circle, and for something needed that is switched off.
    """
    chosen = {addon.name: addon for addon in addons}
    named = {name: set(addon.needs) for name, addon in chosen.items()}
    for name, wanted in named.items():
        if missing := sorted(wanted - chosen.keys()):
            raise JarkkitError(
                "JK-ADDON-INVALID",
                f"The add-on {name} needs {', '.join(missing)}, which is switched off.",
                f"Switch {missing[0]} on, or {name} off, in the setting `addons`.",
            )
    core = {name for name, addon in chosen.items() if addon.core}
    first = _all_below(core, named)
    for name, wanted in named.items():
        if name not in first:
            wanted |= core - _MAKES_ROOM if name in fitting else core
    if circle := in_circles(named):
        raise JarkkitError(
            "JK-ADDON-INVALID",
            f"These add-ons need each other in a circle: {', '.join(circle)}.",
            "Take one `needs` out of their files in jarkkit/addons/catalog/.",
        )
    return {name: frozenset(wanted) for name, wanted in named.items()}


def startable(order: Needs, ready: Iterable[str], begun: Iterable[str]) -> list[str]:
    """What can begin now: everything that it needs is ready."""
    done, taken = set(ready), set(begun)
    return [name for name in order if name not in taken and order[name] <= done]


def depth(order: Needs) -> dict[str, int]:
    """By add-on how many others are on the longest way up to it: what many wait for goes first."""
    above: dict[str, int] = {}

    def height(name: str) -> int:
        if name not in above:
            users = [user for user, wanted in order.items() if name in wanted]
            above[name] = 1 + max((height(user) for user in users), default=0)
        return above[name]

    for name in order:
        height(name)
    return above


def reversed_order(order: Needs) -> list[str]:
    """One after the other, so that nothing goes before what needs it."""
    gone: list[str] = []
    left = dict(order)
    while left:
        free = [name for name in left if not any(name in wanted for wanted in left.values())]
        gone += sorted(free)
        for name in free:
            del left[name]
    return gone


def _all_below(names: set[str], named: Mapping[str, set[str]]) -> set[str]:
    """The names and everything that they need, near and far."""
    found: set[str] = set()
    rest = set(names)
    while rest:
        name = rest.pop()
        if name not in found:
            found.add(name)
            rest |= named.get(name, set())
    return found


def in_circles(named: Mapping[str, set[str]]) -> list[str]:
    """Those that would wait for themselves in the end, or for one that does."""
    left = dict(named)
    while free := [name for name, wanted in left.items() if not wanted & left.keys()]:
        for name in free:
            del left[name]
    return sorted(left)
