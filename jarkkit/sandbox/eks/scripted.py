"""Custom resources whose operator does not run here move by stages, once their kind is there."""

from __future__ import annotations

import time

from jarkkit.sandbox import stages
from jarkkit.sandbox.clock import CLOCK
from jarkkit.sandbox.cluster.api import Object
from jarkkit.sandbox.cluster.informer import Informer
from jarkkit.sandbox.eks.controller import Controller

_KINDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
_STAGES = "/apis/kwok.x-k8s.io/v1alpha1/stages"
_SCRIPTED = "sandbox.jarkkit.io/scripted"
_LOOKED = "sandbox.jarkkit.io/looked"
# KWOK looks for a resource only when a stage changes, and may be told of a new one late.
_NUDGE_SECONDS = 2.0
_NUDGES = 5


def kinds(definition: Object) -> set[tuple[str, str]]:
    """The `group/version` and kind of everything that it serves."""
    conditions = definition.get("status", {}).get("conditions") or ()
    if not any(c["type"] == "Established" and c["status"] == "True" for c in conditions):
        return set()
    spec = definition["spec"]
    served = (version["name"] for version in spec["versions"] if version["served"])
    return {(f"{spec['group']}/{name}", spec["names"]["kind"]) for name in served}


class ScriptedStages(Controller):
    """Keeps a stage where its resource is, and none where it is not."""

    name = "scripted-stages"
    rest = 0.5

    def start(self) -> None:
        """Begin."""
        self._there: set[tuple[str, str]] | None = None
        self._nudges = 0
        super().start()

    def watched(self) -> tuple[Informer, ...]:
        """Definitions are large: little of each is kept."""
        self._definitions = Informer(self.cluster.api, _KINDS, keep=_slim)
        self._definitions.start()
        self._definitions.wait(30.0)
        return (self._definitions,)

    def stop(self) -> None:
        """End."""
        super().stop()
        self._definitions.stop()

    def reconcile(self) -> float | None:
        """Apply, delete, and then nudge KWOK for a while."""
        there = set().union(*map(kinds, self._definitions.all()))
        wanted = [s.stage for s in stages.scripted(CLOCK.speed) if s.needs in there]
        if there != self._there:
            self._keep(wanted)
            self._there, self._nudges = there, _NUDGES
        elif wanted and self._nudges:
            self._nudge(wanted[0])
        return _NUDGE_SECONDS if self._nudges else None

    def _keep(self, wanted: list[Object]) -> None:
        for stage in wanted:
            stage["metadata"]["labels"] = {_SCRIPTED: "true"}
            self.cluster.api.apply(stage)
        names = {stage["metadata"]["name"] for stage in wanted}
        for stage in self.cluster.api.list(_STAGES, labelSelector=_SCRIPTED):
            if stage["metadata"]["name"] not in names:
                self.cluster.api.delete(f"{_STAGES}/{stage['metadata']['name']}")

    def _nudge(self, stage: Object) -> None:
        self._nudges -= 1
        mark = {"metadata": {"annotations": {_LOOKED: f"{time.time():.3f}"}}}
        self.cluster.api.patch(f"{_STAGES}/{stage['metadata']['name']}", mark)


def _slim(definition: Object) -> Object:
    spec, status = definition["spec"], definition.get("status", {})
    return {
        "metadata": {"name": definition["metadata"]["name"]},
        "spec": {
            "group": spec["group"],
            "names": {"kind": spec["names"]["kind"]},
            "versions": [{"name": v["name"], "served": v["served"]} for v in spec["versions"]],
        },
        "status": {"conditions": status.get("conditions")},
    }
