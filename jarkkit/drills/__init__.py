"""Drills: faults of the sandbox to practise on, as data (`drills.yaml`). Pure.

The names of the faults are the sandbox's; switching them on is the business of the views, which
reach it. What the cluster has to do with a drill is in `steps/drill`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any

import yaml
from pydantic import Field

from jarkkit.addons import choice
from jarkkit.addons.catalogue import catalogue
from jarkkit.errors import CODES, JarkkitError
from jarkkit.records import Record
from jarkkit.settings import Settings

NAMESPACE = "jarkkit-drill"


class Pods(Record):
    """Which pods: a namespace and a label selector."""

    namespace: str
    labels: str


class Drill(Record):
    """One drill.

    Attributes:
        faults: as the sandbox takes them.
        switched_on, see, look, mend: for the reader, in this order: what is done, what one notices,
            where to look, what helps.
        code: of the finding that `diagnose` should come to.
        needs: add-ons that must be on; `spot`: CPU nodes of capacity Spot.
        restart: pods that are made anew to feel it.
        objects: what is made for it, in a namespace of its own.
        by_hand: commands; such a drill is not done for the reader.
    """

    name: str
    title: str
    faults: tuple[str, ...] = Field(min_length=1)
    switched_on: str
    see: str
    look: str
    code: str
    mend: str
    needs: tuple[str, ...] = ()
    restart: Pods | None = None
    objects: tuple[dict[str, Any], ...] = ()
    by_hand: str = ""

    @property
    def in_cluster(self) -> bool:
        """True when a cluster has to be there to feel it."""
        return bool(self.restart or self.objects or self.name.startswith("node-"))


@cache
def drills() -> Mapping[str, Drill]:
    """All of them by name, in the order of the file."""
    text = (resources.files(__package__) / "drills.yaml").read_text(encoding="utf-8")
    found = [Drill.model_validate(item) for item in yaml.safe_load(text)]
    unknown = [drill.code for drill in found if drill.code not in CODES]
    if unknown:
        raise ValueError(f"drills.yaml: no such codes: {', '.join(unknown)}")
    return {drill.name: drill for drill in found}


def drill(name: str) -> Drill:
    """One of them. Raises JK-DRILL-UNKNOWN."""
    found = drills().get(name)
    if found is None:
        raise JarkkitError(
            "JK-DRILL-UNKNOWN", f"There is no drill {name!r}.", f"There are: {', '.join(drills())}."
        )
    return found


def faults(thing: Drill, outputs: Mapping[str, Any]) -> tuple[str, ...]:
    """The words for the sandbox, with the deployment's first zone filled in."""
    zones = outputs.get("availability_zones")
    zone = str(zones[0]) if isinstance(zones, list) and zones else ""
    return tuple(word.replace("${zone}", zone) for word in thing.faults)


def hindrance(thing: Drill, settings: Settings, *, deployed: bool, clusters: bool) -> str:
    """Why it cannot be done here; empty when it can.

    Args:
        deployed: something is.
        clusters: clusters have an API here.
    """
    if thing.by_hand:
        return f"it is done by hand: {thing.by_hand}"
    if thing.in_cluster and not clusters:
        return "this sandbox has an account alone, and no clusters"
    if thing.in_cluster and not deployed:
        return "it needs a cluster, and nothing is deployed yet"
    if "spot" in thing.needs and "spot" not in settings.cpu_capacity:
        return "it needs CPU nodes of capacity spot (the setting `cpu_capacity`)"
    on = {addon.name for addon in choice.chosen(settings)} | {"spot"}
    if off := [name for name in thing.needs if name not in on]:
        titles = (catalogue()[name].title for name in off)
        return f"it needs {' and '.join(titles)}, switched off in the settings"
    return ""
