"""The EBS volumes that add-ons claim, from their values and objects. Pure."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from typing import Any

from jarkkit.catalog.addons import Addon
from jarkkit.model.kubernetes_values import quantity_value

_SIZES = ("storage", "size", "diskSize", "storageRequest")


def claimed_gib(addon: Addon) -> float:
    """Return the GiB of volumes that a resolved add-on claims (storage class gp3)."""
    return sum(_claimed(item) for item in (addon.values, *addon.before, *addon.after))


def _claimed(item: Any) -> float:
    """Return the sum of sizes in the smallest parts that have both a size and the storage class."""
    parts = list(_parts(item))
    inside = sum(_claimed(part) for part in parts)
    if not inside and _names_class(item):
        inside = sum(_sizes(item))
    replicas = item.get("replicas", 1) if isinstance(item, dict) else 1
    return inside * (replicas if isinstance(replicas, int) else 1)


def _parts(item: Any) -> Iterable[Any]:
    if isinstance(item, dict):
        return item.values()
    return item if isinstance(item, list | tuple) else ()


def _names_class(item: Any) -> bool:
    return item == "gp3" or any(_names_class(part) for part in _parts(item))


def _sizes(item: Any) -> Iterator[float]:
    for part in _parts(item):
        yield from _sizes(part)
    if isinstance(item, dict):
        for key in _SIZES:
            with contextlib.suppress(ValueError):  # any other text under that key
                if isinstance(size := item.get(key), str):
                    yield quantity_value(size) / 2**30
