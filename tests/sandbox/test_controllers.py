"""Controllers of a cluster, with fakes of its API server and its informers."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from jarkkit.sandbox import kwok_stages
from jarkkit.sandbox.clock import CLOCK
from jarkkit.sandbox.controllers.base_controller import Controller
from jarkkit.sandbox.controllers.file_system_mounts import MOUNT_DENIED, MountController
from jarkkit.sandbox.controllers.objects import PODS, has_ended, instance_id_of, pod_path
from jarkkit.sandbox.controllers.pod_faults import FAULT_ANNOTATION
from jarkkit.sandbox.controllers.scripted_stages import ScriptedStageController
from jarkkit.sandbox.controllers.volume_model import zone_of
from jarkkit.sandbox.kubernetes.api import Object
from jarkkit.sandbox.kubernetes.informer import Listener
from tests.support.fakes.http_client import FakeHttpClient
from tests.support.poll import wait_for

DENIED_VOLUME = "sandbox.jarkkit.io/denied-volume"


class FakeInformer:
    """Objects that the test sets."""

    def __init__(self) -> None:
        self.objects: list[Object] = []
        self.listeners: list[Listener] = []

    def all(self) -> list[Object]:
        return self.objects

    def listen(self, listener: Listener) -> None:
        self.listeners.append(listener)

    def add(self, obj: Object) -> None:
        self.objects.append(obj)
        for listener in self.listeners:
            listener("key", obj)


class FakeApi:
    """An API server that serves CRDs only, and records what is applied and patched."""

    def __init__(self, crds: Sequence[Object]) -> None:
        # The client of an informer: one list, then nothing.
        self.calls = FakeHttpClient({"items": [*crds], "metadata": {"resourceVersion": "1"}})
        self.applied: list[Object] = []
        self.patched: dict[str, Object] = {}

    def find(self, path: str) -> Object | None:
        return {}

    def list(self, path: str, **query: str) -> list[Object]:
        return []

    def apply(self, obj: Object) -> Object:
        self.applied.append(obj)
        return obj

    def patch(self, path: str, change: Object) -> Object:
        self.patched[path] = change
        return change


class FakeCluster:
    """What these controllers use of a cluster; its account is empty."""

    name = "c"

    def __init__(self, crds: Sequence[Object]) -> None:
        self.api = FakeApi(crds)
        self.informers: dict[str, FakeInformer] = {}

    def informer(self, path: str) -> FakeInformer:
        return self.informers.setdefault(path, FakeInformer())

    def pods(self) -> list[Object]:
        return self.informer(PODS).all()

    @contextlib.contextmanager
    def read_account(self) -> Iterator[SimpleNamespace]:
        yield SimpleNamespace()

    def log(self, line: str) -> None:
        pass


@contextlib.contextmanager
def running(kind: type[Controller], *crds: Object) -> Iterator[FakeCluster]:
    """Run a controller of this kind."""
    cluster: Any = FakeCluster(crds)
    controller = kind(cluster)
    controller.start()
    try:
        yield cluster
    finally:
        controller.stop()


def test_a_pod_that_was_marked_after_the_volume_became_mountable_is_released() -> None:
    marks = {FAULT_ANNOTATION: MOUNT_DENIED, DENIED_VOLUME: "home"}
    pod = {"metadata": {"name": "p", "namespace": "n", "annotations": marks}}
    with running(MountController) as cluster:
        wait_for(lambda: cluster.api.applied)  # no volume is denied
        cluster.informer(PODS).add(pod)
        wait_for(lambda: cluster.api.patched)
    removed = {"metadata": {"annotations": dict.fromkeys(marks)}}
    assert cluster.api.patched == {"/api/v1/namespaces/n/pods/p": removed}


def test_stages_are_parsed_once_and_not_changed_when_they_are_applied(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(CLOCK, "speed", 0.0)
    stages = kwok_stages.scripted_stages(0.0)
    crd = {
        "metadata": {"name": "applications.argoproj.io"},
        "spec": {
            "group": "argoproj.io",
            "names": {"kind": "Application"},
            "versions": [{"name": "v1alpha1", "served": True}],
        },
        "status": {"conditions": [{"type": "Established", "status": "True"}]},
    }
    with running(ScriptedStageController, crd) as cluster:
        wait_for(lambda: cluster.api.applied)
    applied = cluster.api.applied[0]["metadata"]
    assert applied["labels"] == {"sandbox.jarkkit.io/scripted": "true"}
    assert kwok_stages.scripted_stages(0.0) is stages
    assert applied["name"] in {scripted.stage["metadata"]["name"] for scripted in stages}
    assert all("labels" not in scripted.stage["metadata"] for scripted in stages)


@pytest.mark.parametrize(
    ("provider", "instance", "zone"),
    [("aws:///us-west-2a/i-1", "i-1", "us-west-2a"), ("kwok://node", "", ""), (None, "", "")],
)
def test_the_instance_and_the_zone_of_a_node(
    provider: str | None, instance: str, zone: str
) -> None:
    node = {"metadata": {}, "spec": {"providerID": provider} if provider else {}}
    assert (instance_id_of(node), zone_of(node)) == (instance, zone)


@pytest.mark.parametrize(
    ("phase", "ended"),
    [("Pending", False), ("Running", False), ("Succeeded", True), ("Failed", True)],
)
def test_a_pod_has_ended(phase: str, ended: bool) -> None:
    pod = {"metadata": {"name": "p", "namespace": "n"}, "status": {"phase": phase}}
    assert has_ended(pod) is ended
    assert not has_ended({"metadata": pod["metadata"]})
    assert pod_path(pod) == "/api/v1/namespaces/n/pods/p"
