"""Drills: sandbox faults for practice, as data (`drills.yaml`). Pure.

The sandbox defines the names of the faults; the views, which can reach it, switch them on.
`steps/drill` does the cluster's part of a drill.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any

import yaml
from pydantic import Field

from jarkkit.model.errors import CODES, JarkkitError
from jarkkit.model.records import Record

NAMESPACE = "jarkkit-drill"


class PodSelector(Record):
    """A selection of pods: a namespace and a label selector."""

    namespace: str
    labels: str


class Drill(Record):
    """One drill.

    Attributes:
        faults: in the sandbox's syntax.
        switched_on, see, look, fix: for the reader, in this order: the fault, its symptoms, where
            to look, the fix.
        code: the code of the finding that `diagnose` should report.
        needs: add-ons that must be enabled; `spot`: CPU nodes with Spot capacity.
        restart: pods to restart, so that the fault affects them.
        objects: objects to create for it, in the drills' namespace.
        by_hand: commands for the reader; jarkkit does not run such a drill.
    """

    name: str
    title: str
    faults: tuple[str, ...] = Field(min_length=1)
    switched_on: str
    see: str
    look: str
    code: str
    fix: str
    needs: tuple[str, ...] = ()
    restart: PodSelector | None = None
    objects: tuple[dict[str, Any], ...] = ()
    by_hand: str = ""

    @property
    def needs_cluster(self) -> bool:
        """True when the drill needs a cluster."""
        return bool(self.restart or self.objects or self.name.startswith("node-"))


@cache
def drills() -> Mapping[str, Drill]:
    """Load all drills by name, in the order of the file."""
    text = (resources.files(__package__) / "drills.yaml").read_text(encoding="utf-8")
    found = [Drill.model_validate(item) for item in yaml.safe_load(text)]
    unknown = [drill.code for drill in found if drill.code not in CODES]
    if unknown:
        raise ValueError(f"drills.yaml: unknown codes: {', '.join(unknown)}")
    return {drill.name: drill for drill in found}


def drill(name: str) -> Drill:
    """Return the drill of that name. Raises JK-DRILL-UNKNOWN."""
    found = drills().get(name)
    if found is None:
        raise JarkkitError(
            "JK-DRILL-UNKNOWN",
            f"There is no drill {name!r}.",
            f"Choose one of: {', '.join(drills())}.",
        )
    return found
