"""A pod's failure as a value, and what is read from pods and events to find it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from jarkkit.model.errors import (
    CapacityUnavailable,
    JarkkitError,
    QuotaExceeded,
    Unschedulable,
)

Object = dict[str, Any]

_LONGEST = 600


@dataclass(frozen=True)
class PodFailure:
    """The reason why pods are not ready.

    Attributes:
        code: one of `jarkkit.model.errors.CODES`.
        message: what is wrong, with the pod's name; without a full stop.
        fix: what to do next.
        evidence: lines that show it, cut to a readable length.
        follows: keys of the findings that it may be a symptom of, beside those of every pod.
    """

    code: str
    message: str
    fix: str
    evidence: str = ""
    follows: frozenset[str] = frozenset()

    @property
    def lacks_supply(self) -> bool:
        """True if AWS launches no node for the pod."""
        return QuotaExceeded.has_code(self.code) or CapacityUnavailable.has_code(self.code)

    @property
    def is_unscheduled(self) -> bool:
        """True if the pod waits for a node, or for a volume; waiting may help."""
        return self.lacks_supply or Unschedulable.has_code(self.code)

    def to_error(self, subject: str) -> JarkkitError:
        """Return the error to raise; `subject` names what failed because of it."""
        return JarkkitError(
            self.code, f"{subject}: {self.message}.", self.fix, evidence=self.evidence
        )


class PodOwner(NamedTuple):
    """The workload that owns pods; a bare pod is its own owner."""

    namespace: str
    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}"


def owner_of(pod: Mapping[str, Any]) -> PodOwner:
    """Return the workload that owns it; for a ReplicaSet, its Deployment."""
    meta = pod["metadata"]
    owner = next((o for o in meta.get("ownerReferences") or () if o.get("controller")), None)
    if owner is None:
        return PodOwner(meta["namespace"], "Pod", meta["name"])
    hashed = (meta.get("labels") or {}).get("pod-template-hash")
    if owner["kind"] == "ReplicaSet" and hashed:
        name = str(owner["name"]).removesuffix(f"-{hashed}")
        return PodOwner(meta["namespace"], "Deployment", name)
    return PodOwner(meta["namespace"], owner["kind"], owner["name"])


def pod_name(pod: Object) -> str:
    """Return `pod namespace/name`."""
    return f"pod {pod['metadata']['namespace']}/{pod['metadata']['name']}"


def pod_condition(pod: Object, kind: str) -> Object:
    """Return the condition of that type; empty where there is none."""
    conditions = pod.get("status", {}).get("conditions") or ()
    return next((c for c in conditions if c["type"] == kind), {})


def claim_names(pod: Object) -> list[str]:
    """Return the names of the volume claims that the pod uses."""
    return [
        volume["persistentVolumeClaim"]["claimName"]
        for volume in pod["spec"].get("volumes") or ()
        if "persistentVolumeClaim" in volume
    ]


def is_about(event: Object, pod: Object) -> bool:
    """Return True for an event about this pod."""
    about = event.get("involvedObject", {})
    return bool(about.get("kind") == "Pod" and about.get("name") == pod["metadata"]["name"])


def event_text(event: Object) -> str:
    """Return the event's reason and message."""
    return f"{event.get('reason', '')}: {event.get('message', '')}"


def last_event(pod: Object, events: Sequence[Object], *reasons: str) -> str:
    """Return the latest event about the pod, with one of these reasons if there are any."""
    about = (event for event in events if is_about(event, pod))
    found = [event_text(e) for e in about if not reasons or e.get("reason") in reasons]
    return found[-1] if found else ""


def time_of(text: str | None) -> datetime | None:
    """Return the moment that a field of Kubernetes names; None where it is empty."""
    return datetime.fromisoformat(text) if text else None


def joined(texts: Iterable[str]) -> str:
    """Join the texts by lines, without repetitions."""
    return "\n".join(dict.fromkeys(text for text in texts if text))


def as_evidence(*texts: str) -> str:
    """Join the texts, cut to a readable length."""
    whole = joined(texts)
    return whole if len(whole) <= _LONGEST else f"{whole[: _LONGEST - 1]}…"
