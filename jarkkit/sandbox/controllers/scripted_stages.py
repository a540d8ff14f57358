"""Applies KWOK's stages for custom resources without a running operator, once their CRD exists."""

from __future__ import annotations

import time

from jarkkit.sandbox import kwok_stages
from jarkkit.sandbox.clock import CLOCK
from jarkkit.sandbox.controllers.base_controller import Controller
from jarkkit.sandbox.kubernetes.api import Object
from jarkkit.sandbox.kubernetes.informer import Informer

_KINDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
_STAGES = "/apis/kwok.x-k8s.io/v1alpha1/stages"
_SCRIPTED = "sandbox.jarkkit.io/scripted"
_LOOKED = "sandbox.jarkkit.io/looked"
# KWOK discovers a resource only when a stage changes, and may see a new CRD late.
_NUDGE_SECONDS = 2.0
_NUDGES = 5


def served_kinds(crd: Object) -> set[tuple[str, str]]:
    """Return `group/version` and kind of everything that a CRD serves."""
    conditions = crd.get("status", {}).get("conditions") or ()
    if not any(c["type"] == "Established" and c["status"] == "True" for c in conditions):
        return set()
    spec = crd["spec"]
    served = (version["name"] for version in spec["versions"] if version["served"])
    return {(f"{spec['group']}/{name}", spec["names"]["kind"]) for name in served}


class ScriptedStageController(Controller):
    """Applies a stage while its resource's CRD exists, and deletes it otherwise."""

    name = "scripted-stages"
    rest = 0.5

    def start(self) -> None:
        """Start without known CRDs."""
        self._there: set[tuple[str, str]] | None = None
        self._nudges = 0
        super().start()

    def watched(self) -> tuple[Informer, ...]:
        """Return an informer of CRDs, which keeps little of each: CRDs are large."""
        self._crds = Informer(self.cluster.api, _KINDS, transform=_slim)
        self._crds.start()
        self._crds.wait_until_synced(30.0)
        return (self._crds,)

    def stop(self) -> None:
        """Stop the controller and its informer."""
        super().stop()
        self._crds.stop()

    def reconcile(self) -> float | None:
        """Apply and delete stages, then touch one a few times so that KWOK discovers resources."""
        there = set().union(*map(served_kinds, self._crds.all()))
        desired = [
            s.stage for s in kwok_stages.scripted_stages(CLOCK.speed) if s.required_kind in there
        ]
        if there != self._there:
            self._keep(desired)
            self._there, self._nudges = there, _NUDGES
        elif desired and self._nudges:
            self._nudge(desired[0])
        return _NUDGE_SECONDS if self._nudges else None

    def _keep(self, desired: list[Object]) -> None:
        for stage in desired:
            labeled = {**stage["metadata"], "labels": {_SCRIPTED: "true"}}
            self.cluster.api.apply({**stage, "metadata": labeled})
        names = {stage["metadata"]["name"] for stage in desired}
        for stage in self.cluster.api.list(_STAGES, labelSelector=_SCRIPTED):
            if stage["metadata"]["name"] not in names:
                self.cluster.api.delete(f"{_STAGES}/{stage['metadata']['name']}")

    def _nudge(self, stage: Object) -> None:
        self._nudges -= 1
        mark = {"metadata": {"annotations": {_LOOKED: f"{time.time():.3f}"}}}
        self.cluster.api.patch(f"{_STAGES}/{stage['metadata']['name']}", mark)


def _slim(crd: Object) -> Object:
    spec, status = crd["spec"], crd.get("status", {})
    return {
        "metadata": {"name": crd["metadata"]["name"]},
        "spec": {
            "group": spec["group"],
            "names": {"kind": spec["names"]["kind"]},
            "versions": [{"name": v["name"], "served": v["served"]} for v in spec["versions"]],
        },
        "status": {"conditions": status.get("conditions")},
    }
