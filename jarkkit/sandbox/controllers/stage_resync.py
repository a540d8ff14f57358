"""Makes KWOK match stages again for objects that stay unchanged before they are done.

KWOK follows changes only: it matches a stage when an object changes, and drops it when a step fails
with anything but an API server that is busy or down (a webhook that is not ready, discovery of an
aggregated API that is not available, a stage that its cache does not contain yet). The object then
waits for its next change, which may never come. This controller makes that change: an annotation,
with growing pauses. Real operators do the same with their periodic resync.
"""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Iterable
from dataclasses import dataclass

from jarkkit.sandbox import kwok_stages
from jarkkit.sandbox.clock import CLOCK
from jarkkit.sandbox.controllers.base_controller import Controller
from jarkkit.sandbox.controllers.objects import has_ended, is_ready
from jarkkit.sandbox.controllers.process_admission import PROCESS_ANNOTATION
from jarkkit.sandbox.kubernetes.api import ApiError, Object, key_of

RESYNC_ANNOTATION = "sandbox.jarkkit.io/resync"
# A change restarts a stage's delay, so none may come before the longest delay has passed.
LONGEST_DELAY_SECONDS = 30.0
_FIRST_SECONDS = 2.0
_ATTEMPTS = 6
_AT_ONCE = 20
_ROUND_SECONDS, _IDLE_SECONDS = 1.0, 10.0


@dataclass
class _Watched:
    """An object since its last change.

    Attributes:
        content: the object without this controller's own annotation.
        since: time of the last change or attempt, in seconds.
    """

    content: str
    since: float
    attempts: int = 0


class ResyncSchedule:
    """Decides which objects to change, from what they looked like and when.

    Args:
        first_seconds: how long an object stays unchanged before the first attempt; every further
            pause is twice as long.
    """

    def __init__(self, first_seconds: float) -> None:
        self._first = first_seconds
        self._watched: dict[str, _Watched] = {}

    def due(self, objects: Iterable[Object], now: float) -> list[Object]:
        """Return up to 20 objects to change now.

        Args:
            objects: all objects that are not done.
            now: seconds on a monotonic clock.
        """
        found = {str(obj["metadata"]["uid"]): obj for obj in objects}
        self._watched = {uid: seen for uid, seen in self._watched.items() if uid in found}
        due = (obj for uid, obj in found.items() if self._is_due(uid, _content(obj), now))
        return list(itertools.islice(due, _AT_ONCE))

    @property
    def is_idle(self) -> bool:
        """True when no object has attempts left."""
        return all(seen.attempts >= _ATTEMPTS for seen in self._watched.values())

    def _is_due(self, uid: str, content: str, now: float) -> bool:
        seen = self._watched.get(uid)
        if seen is None or seen.content != content:
            self._watched[uid] = _Watched(content, now)
            return False
        pause = self._first * 2**seen.attempts
        if seen.attempts >= _ATTEMPTS or now - seen.since < pause:
            return False
        seen.since, seen.attempts = now, seen.attempts + 1
        return True


class StageResyncController(Controller):
    """Changes the annotation of pods that do not become ready, and of scripted custom resources."""

    name = "stage-resync"

    def start(self) -> None:
        """Start without knowledge of any object."""
        first = _FIRST_SECONDS + LONGEST_DELAY_SECONDS * CLOCK.time_scale
        self._schedule = ResyncSchedule(first)
        stages = kwok_stages.scripted_stages(CLOCK.speed)
        references = (scripted.stage["spec"]["resourceRef"] for scripted in stages)
        kinds = {(ref["apiGroup"], ref["kind"]) for ref in references}
        self._kinds = sorted(kinds - {("v1", "Pod")})
        super().start()

    def reconcile(self) -> float | None:
        """Annotate the objects that are due."""
        now = time.monotonic()
        pods = ({"apiVersion": "v1", "kind": "Pod", **pod} for pod in self.cluster.pods())
        objects = [*filter(is_waiting, pods), *self._custom_resources()]
        for obj in self._schedule.due(objects, now):
            self._annotate(obj, now)
        return _IDLE_SECONDS if self._schedule.is_idle else _ROUND_SECONDS

    def _custom_resources(self) -> list[Object]:
        found: list[Object] = []
        for version, kind in self._kinds:
            try:
                listed = self.cluster.api.list(self.cluster.api.collection_path(version, kind))
            except ApiError as error:
                if error.status != 404:
                    raise
                continue  # no add-on has brought the kind
            found += ({"apiVersion": version, "kind": kind, **item} for item in listed)
        return found

    def _annotate(self, obj: Object, now: float) -> None:
        change = {"metadata": {"annotations": {RESYNC_ANNOTATION: f"{now:.3f}"}}}
        try:
            self.cluster.api.patch(self.cluster.api.path_of(obj), change)
        except ApiError as error:
            if error.status != 404:
                raise
            return  # deleted since
        self.cluster.log(f"{self.name}: {obj['kind']} {key_of(obj)} has not changed for a while")


def is_waiting(pod: Object) -> bool:
    """Return True for a bound, simulated pod that is neither ready nor finished, or is deleted."""
    meta = pod["metadata"]
    if not pod["spec"]["nodeName"] or PROCESS_ANNOTATION in meta.get("annotations", {}):
        return False
    done = is_ready(pod) or has_ended(pod)
    return "deletionTimestamp" in meta or not done


def _content(obj: Object) -> str:
    """Return the object as text, without what every write changes."""
    meta = obj["metadata"]
    own = {RESYNC_ANNOTATION: None, **(meta.get("annotations") or {})}
    del own[RESYNC_ANNOTATION]
    ignored = ("managedFields", "resourceVersion", "annotations")
    kept = {name: value for name, value in meta.items() if name not in ignored}
    return json.dumps({**obj, "metadata": {**kept, "annotations": own}}, sort_keys=True)
