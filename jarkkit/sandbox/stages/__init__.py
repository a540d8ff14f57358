"""KWOK's stages: how what nothing real runs for moves on, as data.

The files are Stages of KWOK in a shorthand: pod.yaml describes that of pods; in scripted/, `make`
is an object that belongs to the resource, and `needs` another kind that must be there. A delay is
what it takes at speed 1.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, NamedTuple

import yaml

_FOLDER = Path(__file__).parent
_STAGES = "kwok.x-k8s.io/v1alpha1"
# What must not be done at once, because it would go round and round, is done at this speed.
_FASTEST = 100.0
# What is made for a custom resource goes with it.
_OWNER = (
    "ownerReferences: [{apiVersion: {{ .apiVersion }}, kind: {{ .kind }},"
    " name: {{ .metadata.name | Quote }}, uid: {{ .metadata.uid | Quote }},"
    " controller: true, blockOwnerDeletion: true}]"
)


def objects(speed: float) -> list[dict[str, Any]]:
    """Stages of nodes and pods, for KWOK to have from the beginning."""
    return [stage for name in ("node", "pod") for stage in _load(_FOLDER / f"{name}.yaml", speed)]


class Scripted(NamedTuple):
    """A stage of something whose operator does not run.

    Attributes:
        needs: `group/version` and kind of what must be there before KWOK is told of it.
    """

    needs: tuple[str, str]
    stage: dict[str, Any]


def scripted(speed: float) -> list[Scripted]:
    """Stages of custom resources, and of what belongs to them.

    KWOK looks for a resource only when a stage changes, so each is to be applied when it is there.
    """
    found: list[Scripted] = []
    for file in sorted((_FOLDER / "scripted").glob("*.yaml")):
        for item in yaml.safe_load(file.read_text())["items"]:
            needs = item.get("needs") or item["spec"]["resourceRef"]
            found.append(Scripted((needs["apiGroup"], needs["kind"]), _stage(item, speed)))
    return found


def _load(file: Path, speed: float) -> list[dict[str, Any]]:
    items = yaml.safe_load(file.read_text())["items"]
    return [_stage(item, speed) for item in items if speed or not item.get("slow")]


def _stage(item: dict[str, Any], speed: float) -> dict[str, Any]:
    """A Stage from the shorthand."""
    spec = {**item["spec"], "steps": [_step(step) for step in item["spec"]["steps"]]}
    if "delay" in spec:
        spec["delay"] = _delay(spec["delay"], speed)
    return {"apiVersion": _STAGES, "kind": "Stage", "metadata": item["metadata"], "spec": spec}


def _delay(delay: dict[str, Any], speed: float) -> dict[str, Any]:
    milliseconds = int(delay.get("durationMilliseconds", 0) / speed) if speed else 0
    made: dict[str, Any] = {
        "durationMilliseconds": max(milliseconds, delay.get("leastMilliseconds", 0))
    }
    words = delay.get("durationFrom", {}).get("expressionFrom", "")
    if words and (speed or "$speed" not in words):
        words = words.replace("$speed", f"{speed:g}").replace("$pace", f"{speed or _FASTEST:g}")
        made["durationFrom"] = {"expressionFrom": words}
    return made


def _step(step: dict[str, Any]) -> dict[str, Any]:
    if "become" in step:
        template = f'{{{{ $to := "{step["become"]}" }}}}{_text("pod-status")}'
        return {"patch": {"subresource": "status", "template": template}}
    if "say" in step:
        return {"apply": {"template": _event(step["say"])}}
    if "make" in step:
        return {"apply": {"template": step["make"].replace("$owner", _OWNER)}}
    return step


def _event(said: dict[str, str]) -> str:
    """A template with these words; the key is the same for all events of a pod that say so."""
    template = _text("pod-event")
    key = hashlib.sha256(repr(said).encode()).hexdigest()
    for word, value in {**said, "key": key}.items():
        template = template.replace(f"${word}", value)
    return template


def _text(name: str) -> str:
    return (_FOLDER / f"{name}.gotmpl").read_text()
