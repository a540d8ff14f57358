"""Which objects KWOK is made to look at again, and when."""

from __future__ import annotations

from typing import Any

import pytest

from jarkkit.sandbox import kwok_stages
from jarkkit.sandbox.controllers.process_admission import PROCESS_ANNOTATION
from jarkkit.sandbox.controllers.stage_resync import (
    LONGEST_DELAY_SECONDS,
    RESYNC_ANNOTATION,
    ResyncSchedule,
    is_waiting,
)


def custom_resource(uid: str = "a", **status: Any) -> dict[str, Any]:
    """Return a custom resource."""
    return {"metadata": {"name": uid, "uid": uid, "resourceVersion": "1"}, "status": status}


def moments(schedule: ResyncSchedule, obj: dict[str, Any], end: int) -> list[int]:
    """Return the seconds at which the object is due."""
    return [second for second in range(end) if schedule.due([obj], float(second))]


class TestSchedule:
    def test_pauses_double_and_end(self) -> None:
        schedule = ResyncSchedule(2.0)
        assert moments(schedule, custom_resource(), 1000) == [2, 6, 14, 30, 62, 126]
        assert schedule.is_idle

    def test_a_changed_object_is_waited_for_again(self) -> None:
        schedule = ResyncSchedule(2.0)
        assert moments(schedule, custom_resource(), 5) == [2]
        assert moments(schedule, custom_resource(phase="RUNNING"), 5) == [2]

    def test_its_own_changes_do_not_count(self) -> None:
        schedule = ResyncSchedule(2.0)
        schedule.due([custom_resource()], 0.0)
        assert schedule.due([custom_resource()], 2.0)
        touched = custom_resource()
        touched["metadata"] |= {"resourceVersion": "2", "annotations": {RESYNC_ANNOTATION: "2"}}
        assert not schedule.due([touched], 3.0)
        assert schedule.due([touched], 6.0)

    def test_a_deleted_object_is_forgotten(self) -> None:
        schedule = ResyncSchedule(2.0)
        schedule.due([custom_resource()], 0.0)
        assert not schedule.is_idle
        schedule.due([], 1.0)
        assert schedule.is_idle

    def test_many_objects_are_spread(self) -> None:
        schedule = ResyncSchedule(2.0)
        objects = [custom_resource(str(number)) for number in range(50)]
        schedule.due(objects, 0.0)
        rounds = [len(schedule.due(objects, 2.0 + number / 10)) for number in range(4)]
        assert rounds == [20, 20, 10, 0]


def pod(node: str = "n", phase: str = "Pending", **metadata: Any) -> dict[str, Any]:
    """Return a pod as controllers see it."""
    return {
        "metadata": {"name": "p", "namespace": "n", "uid": "u", **metadata},
        "spec": {"nodeName": node},
        "status": {"phase": phase, "conditions": []},
    }


@pytest.mark.parametrize(
    ("given", "waits"),
    [
        (pod(), True),
        (pod(node=""), False),
        (pod(phase="Succeeded"), False),
        (pod(phase="Succeeded", deletionTimestamp="2026-01-01T00:00:00Z"), True),
        (pod(annotations={PROCESS_ANNOTATION: "karpenter"}), False),
    ],
)
def test_pods_that_wait(given: dict[str, Any], waits: bool) -> None:
    assert is_waiting(given) is waits


def test_a_ready_pod_does_not_wait() -> None:
    ready = pod(phase="Running")
    ready["status"]["conditions"] = [{"type": "Ready", "status": "True"}]
    assert not is_waiting(ready)


def test_no_stage_has_a_longer_delay_than_the_first_pause() -> None:
    stages = [*kwok_stages.base_stages(1.0), *(s.stage for s in kwok_stages.scripted_stages(1.0))]
    delays = [stage["spec"].get("delay", {}).get("durationMilliseconds", 0) for stage in stages]
    assert 0 < max(delays) / 1000 <= LONGEST_DELAY_SECONDS
