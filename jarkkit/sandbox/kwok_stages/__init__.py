"""KWOK's Stages: data that defines how simulated objects change.

The files are Stages of KWOK in a shorthand: node.yaml describes nodes, pod.yaml describes pods; in
scripted/, `make` is an object that the resource owns, and `needs` another kind whose CRD must
exist. Delays are those at speed 1.
"""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import yaml

_FOLDER = Path(__file__).parent
_STAGES = "kwok.x-k8s.io/v1alpha1"
# At speed 0 everything is immediate; stages that would then loop without end use this speed.
_FASTEST = 100.0
# Objects made for a custom resource are deleted with it.
_OWNER = (
    "ownerReferences: [{apiVersion: {{ .apiVersion }}, kind: {{ .kind }},"
    " name: {{ .metadata.name | Quote }}, uid: {{ .metadata.uid | Quote }},"
    " controller: true, blockOwnerDeletion: true}]"
)


def base_stages(speed: float) -> list[dict[str, Any]]:
    """Return the stages of nodes and pods, which KWOK needs from the start."""
    return [stage for name in ("node", "pod") for stage in _load(_FOLDER / f"{name}.yaml", speed)]


class ScriptedStage(NamedTuple):
    """A stage of a resource whose operator does not run.

    Attributes:
        required_kind: `group/version` and kind that the API server must serve before KWOK gets
            the stage.
    """

    required_kind: tuple[str, str]
    stage: dict[str, Any]


@cache
def scripted_stages(speed: float) -> tuple[ScriptedStage, ...]:
    """Return the stages of custom resources, and of what they own; callers must not change them.

    KWOK discovers a resource only when a stage changes, so apply each once its CRD exists.
    """
    found: list[ScriptedStage] = []
    for file in sorted((_FOLDER / "scripted").glob("*.yaml")):
        for item in yaml.safe_load(file.read_text())["items"]:
            needs = item.get("needs") or item["spec"]["resourceRef"]
            found.append(ScriptedStage((needs["apiGroup"], needs["kind"]), _stage(item, speed)))
    return tuple(found)


def _load(file: Path, speed: float) -> list[dict[str, Any]]:
    items = yaml.safe_load(file.read_text())["items"]
    return [_stage(item, speed) for item in items if speed or not item.get("slow")]


def _stage(item: dict[str, Any], speed: float) -> dict[str, Any]:
    """Return a Stage from the shorthand."""
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


def _event(event: dict[str, str]) -> str:
    """Return a template with this content; equal events of a pod have the same key."""
    template = _text("pod-event")
    key = hashlib.sha256(repr(event).encode()).hexdigest()
    for word, value in {**event, "key": key}.items():
        template = template.replace(f"${word}", value)
    return template


def _text(name: str) -> str:
    return (_FOLDER / f"{name}.gotmpl").read_text()
