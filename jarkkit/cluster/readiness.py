"""Whether a workload is ready, from what the API says of it. Pure.

https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#deployment-status
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple, get_args

from jarkkit.addons.catalogue import Addon, Kind, Workload

Object = Mapping[str, Any]
Key = tuple[str, str, str]

# A pod that crashes again and again is Ready for moments. Two or three restarts are usual while
# what a program needs comes up; after that it has to stay up this long to count.
_OFTEN = 3
_STEADY = timedelta(seconds=10)


class Standing(NamedTuple):
    """How many pods of a workload are ready, of how many that it should have."""

    ready: int
    wanted: int
    current: bool = True

    @property
    def is_ready(self) -> bool:
        """True when all are, of what was asked for last."""
        return self.current and self.ready >= self.wanted

    def __str__(self) -> str:
        return f"{self.ready}/{self.wanted}"


def key(addon: Addon, workload: Workload) -> Key:
    """Kind, namespace and name of one of an add-on's workloads."""
    return (workload.kind, addon.namespace, workload.name)


def standing(kind: str, thing: Object) -> Standing:
    """How a Deployment, StatefulSet or DaemonSet does."""
    status = thing.get("status", {})
    current = status.get("observedGeneration", 0) >= thing["metadata"].get("generation", 0)
    if kind == "DaemonSet":
        wanted = status.get("desiredNumberScheduled", 0)
        ready = min(status.get("numberReady", 0), status.get("updatedNumberScheduled", 0))
        return Standing(ready, wanted, current)
    wanted = thing.get("spec", {}).get("replicas", 1)
    updated = status.get("updatedReplicas", 0) if kind == "Deployment" else wanted
    return Standing(min(status.get("readyReplicas", 0), updated), wanted, current)


def standings(kind: str, things: Iterable[Object]) -> dict[Key, Standing]:
    """By kind, namespace and name."""
    return {
        (kind, t["metadata"]["namespace"], t["metadata"]["name"]): standing(kind, t) for t in things
    }


def all_standings(listed: Callable[[str], Iterable[Object]]) -> dict[Key, Standing]:
    """Those of every kind of workload; `listed` gives the objects of one."""
    found: dict[Key, Standing] = {}
    for kind in get_args(Kind):
        found |= standings(kind, listed(kind))
    return found


def missing(
    addon: Addon, workloads: Iterable[Workload], there: Mapping[Key, Standing]
) -> list[Workload]:
    """Those that are not there or not ready, or have fewer pods than the add-on should."""
    return [w for w in workloads if not is_up(w, there.get(key(addon, w)))]


def is_up(workload: Workload, found: Standing | None) -> bool:
    """True when it has all the pods that the add-on should have, ready."""
    if found is None:
        return False
    return found.is_ready and found.wanted >= (workload.replicas or 0)


def is_unsteady(pod: Object, at: datetime) -> bool:
    """True when one of its containers was started again often, and has not stayed up since. Not of
    pods that have ended: an evicted one lies beside the one that took its place."""
    status = pod.get("status", {})
    if status.get("phase") != "Running" or pod["metadata"].get("deletionTimestamp"):
        return False
    containers = status.get("containerStatuses") or ()
    often = (c for c in containers if c.get("restartCount", 0) >= _OFTEN)
    return any(_is_down_or_new(container.get("state", {}), at) for container in often)


def _is_down_or_new(state: Object, at: datetime) -> bool:
    began = state.get("running", {}).get("startedAt")
    return not began or at - datetime.fromisoformat(began) < _STEADY
