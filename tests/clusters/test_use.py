"""The example workloads on a real control plane, with the real controllers; verify beside them."""

from __future__ import annotations

import dataclasses
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from jarkkit.addons.pools import node_pools
from jarkkit.cluster import places
from jarkkit.cluster.volume_probe import NAMESPACE as PROBE
from jarkkit.cluster.volume_probe import probe_volume
from jarkkit.errors import JarkkitError
from jarkkit.kube import Kube
from jarkkit.records import Event
from jarkkit.sandbox import control
from jarkkit.settings import Settings
from jarkkit.steps import use, verify
from jarkkit.streams import drain
from jarkkit.workloads import NAMESPACE, Workload, objects, workload, workloads
from tests.clusters import karpenter, operators
from tests.clusters.conftest import NAME, World, fresh_world, wait_for
from tests.clusters.doors import kube_of
from tests.clusters.test_karpenter import device_plugin
from tests.clusters.test_nodes import node_group, status
from tests.clusters.things import running

SETTINGS = Settings(name=NAME)
EBS = {"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "gp3"}}


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    """One of its own: it installs what other tests install in theirs."""
    with fresh_world() as made:
        yield made


@pytest.fixture(scope="module")
def kube(world: World) -> Iterator[Kube]:
    """The kit's own door, to a cluster with operators, Karpenter and a GPU pool of the kit's."""
    node_group(world, "for-use", 3)
    wait_for(lambda: status(world, "for-use") == "ACTIVE", 120)
    for name in operators.OPERATORS:
        operators.install(world, name)
    karpenter.install(world)
    device_plugin(world)
    door = kube_of(world)
    for pool in node_pools(SETTINGS):
        pool["spec"]["template"]["spec"]["nodeClassRef"]["name"] = "default"
        door.apply(pool)
    yield door
    for name in ("cpu", "gpu", "g6"):
        door.delete("karpenter.sh/v1", "NodePool", name)
    wait_for(lambda: not list(door.list("karpenter.sh/v1", "NodeClaim")), 120)


@pytest.fixture(autouse=True)
def needless(monkeypatch: pytest.MonkeyPatch) -> None:
    """The add-ons are there by other means than the kit's."""

    def without(name: str) -> Workload:
        return workload(name).model_copy(update={"needs": ()})

    monkeypatch.setattr(use, "workload", without)


def ran(kube: Kube, name: str, **options: Any) -> tuple[list[Event], use.Used]:
    events: list[Event] = []
    used = drain(use.run(kube, SETTINGS, name, rehearsal=True, **options), events.append)
    return events, used


@pytest.mark.parametrize("name", ["hello-workflow", "ray-job"])
def test_it_runs_through_its_real_controller(kube: Kube, name: str) -> None:
    events, used = ran(kube, name)
    assert used.status == "pass"
    assert used.lines, events
    assert "simulated" in used.note
    assert used.node
    assert kube.get("v1", "Namespace", NAMESPACE) is None


def test_all_three_steps_are_told(kube: Kube) -> None:
    events, used = ran(kube, "hello-workflow")
    assert used.message == "Succeeded 3/3"
    assert any(e.message.startswith("Workflow: Running") for e in events)


def test_a_gpu_pod_runs_on_a_node_that_karpenter_adds(kube: Kube) -> None:
    before = {n["metadata"]["name"] for n in kube.list("v1", "Node")}
    events, used = ran(kube, "gpu-smoke")
    assert used.node not in before
    assert used.instance_type.startswith("g6.")
    assert any("waits for a node" in e.message for e in events)


def test_objects_fit_the_real_definitions(kube: Kube, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also the Neuron one, whose pool is not chosen here."""
    settings = SETTINGS.changed({"accelerators": ["g6", "inf2"]})
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
    kube.create(namespace)
    try:
        for thing in workloads().values():
            for made in objects(thing, settings):
                made["metadata"]["name"] += "-checked"
                kube.apply(made)
                kube.delete(made["apiVersion"], made["kind"], made["metadata"]["name"], NAMESPACE)
    finally:
        kube.delete("v1", "Namespace", NAMESPACE)
        wait_for(lambda: kube.get("v1", "Namespace", NAMESPACE) is None)


def failing(name: str, **annotations: str) -> Workload:
    """The example with annotations that tell the sandbox to let it fail."""
    thing = workload(name)
    marked = {f"sandbox.jarkkit.io/{k}": v for k, v in annotations.items()}
    changed = tuple(
        {**o, "metadata": {**o["metadata"], "annotations": marked}} for o in thing.objects
    )
    return thing.model_copy(update={"objects": changed, "needs": ()})


class TestFailing:
    def run(self, kube: Kube, monkeypatch: pytest.MonkeyPatch, thing: Workload) -> JarkkitError:
        monkeypatch.setattr(use, "workload", lambda name: thing)
        with pytest.raises(JarkkitError) as caught:
            ran(kube, thing.name)
        gone = lambda: kube.get("v1", "Namespace", NAMESPACE) is None  # noqa: E731
        wait_for(gone)
        return caught.value

    def test_a_job_that_fails_says_so(self, kube: Kube, monkeypatch: pytest.MonkeyPatch) -> None:
        error = self.run(kube, monkeypatch, failing("ray-job", **{"exit-code": "3"}))
        assert error.code == "JK-USE-FAILED"
        assert "FAILED" in error.message
        assert "exit code 3" in error.message

    def test_an_image_that_is_not_there(self, kube: Kube, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(use, "_HOPELESS_SECONDS", 1.0)
        monkeypatch.setattr(use, "_FIRST_WORRY_SECONDS", 0.5)
        monkeypatch.setattr(use, "_WORRY_SECONDS", 0.5)
        error = self.run(kube, monkeypatch, failing("gpu-smoke", fault="image-pull"))
        assert error.code == "JK-USE-FAILED"
        assert "cannot pull the image" in error.message

    def test_no_time_left(self, kube: Kube, monkeypatch: pytest.MonkeyPatch) -> None:
        thing = failing("storage").model_copy(update={"timeout_seconds": 1})
        error = self.run(kube, monkeypatch, thing)  # no storage class here
        assert error.code == "JK-USE-TIMEOUT"

    def test_no_capacity_is_told_while_it_waits(
        self, kube: Kube, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As the exercise of notebook 06 has it."""
        thing = workload("gpu-smoke").model_copy(update={"needs": (), "timeout_seconds": 30})
        monkeypatch.setattr(use, "workload", lambda name: thing)
        for claim in kube.list("karpenter.sh/v1", "NodeClaim"):  # of an earlier test
            kube.delete("karpenter.sh/v1", "NodeClaim", claim["metadata"]["name"])
        wait_for(lambda: not list(kube.list("karpenter.sh/v1", "NodeClaim")), 120)
        control.set_faults(world.running.home, ["insufficient-capacity:g6"])
        told: list[Event] = []
        try:
            with pytest.raises(JarkkitError) as caught:
                drain(use.run(kube, SETTINGS, "gpu-smoke"), told.append)
        finally:
            control.set_faults(world.running.home, [])
        assert caught.value.code == "JK-USE-TIMEOUT"
        assert "AWS has no instance to give" in caught.value.message
        assert "JK-AWS-CAPACITY" in [event.code for event in told]
        wait_for(lambda: kube.get("v1", "Namespace", NAMESPACE) is None)

    def test_an_interrupt_leaves_nothing(self, kube: Kube) -> None:
        work = use.run(kube, SETTINGS, "hello-workflow")
        while "Workflow" not in next(work).message:
            pass
        work.close()
        wait_for(lambda: kube.get("v1", "Namespace", NAMESPACE) is None, 120)


class TestVerify:
    def look(self, kube: Kube, folder: Path, **more: Any) -> verify.Look:
        return verify.Look(kube, SETTINGS, folder, rehearsal=True, **more)

    def test_it_finds_what_is_there_and_what_is_not(self, kube: Kube, tmp_path: Path) -> None:
        (tmp_path / "mine.yaml").write_text(
            "title: Karpenter runs\n"
            "object:\n"
            "  {apiVersion: apps/v1, kind: Deployment, name: karpenter, namespace: karpenter}\n"
            "field: .status.readyReplicas\nat_least: 1\n"
        )
        (tmp_path / "broken.yaml").write_text("title: nothing\nobject: 3\n")
        found = {c.name: c for c in verify.cluster_checks(self.look(kube, tmp_path))}
        assert found["Kubernetes API"].status == "pass"
        assert found["Nodes of for-use"].status == "pass"
        assert found["Nodes of for-use"].found.startswith("3/3 Ready")
        assert found["Karpenter runs"].status == "pass"
        assert found["checks/broken.yaml"].status == "fail"
        assert found["Pool g6"].status == "pass"
        assert found["Default storage class"].status == "fail"

    def test_whoever_may_not_ask_gets_unknown(self, kube: Kube, tmp_path: Path) -> None:
        def denied(*_: object, **__: object) -> Any:
            raise JarkkitError("JK-KUBE-DENIED", "list Node: 403.", "Get the permission.")

        door = cast(Kube, _Denying(kube, denied))
        look = dataclasses.replace(self.look(kube, tmp_path), kube=door)
        found = {c.name: c.status for c in verify.cluster_checks(look)}
        assert found["Nodes"] == "unknown"
        assert found["Pool cpu"] == "pass"


class _Denying:
    """The door, with nodes that may not be listed."""

    def __init__(self, kube: Kube, denied: Any) -> None:
        self._kube, self._denied = kube, denied

    def __getattr__(self, name: str) -> Any:
        return getattr(self._kube, name)

    def list(self, api_version: str, kind: str, *rest: Any, **more: Any) -> Any:
        if kind == "Node":
            return self._denied()
        return self._kube.list(api_version, kind, *rest, **more)


def test_a_page_answers_through_a_port_forward(kube: Kube, world: World, namespace: str) -> None:
    """In a sandbox a simulated pod answers, and it is said that it does."""
    at = places.Place("page", "A page", "none", namespace, "page", 80)
    ports = [{"port": 80, "targetPort": 8000}]
    meta = {"name": "page", "namespace": namespace}
    spec = {"selector": {"app": "page"}, "ports": ports}
    kube.apply({"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": spec})
    with pytest.raises(JarkkitError, match="no pod behind"):
        places.ask(kube, at)
    path = f"/api/v1/namespaces/{namespace}/pods"
    with running(world, path, "page", labels={"app": "page"}):
        answer = places.ask(kube, at)
        assert (answer.status, answer.simulated) == (200, True)
        with places.opened(kube, at) as url, urllib.request.urlopen(url) as page:
            assert page.status == 200


def test_a_volume_is_made_and_goes(kube: Kube, world: World) -> None:
    labels = {"app": "ebs-csi-controller"}
    default = {"storageclass.kubernetes.io/is-default-class": "true"}
    kube.apply(
        {
            **EBS,
            "metadata": {"name": "gp3", "annotations": default},
            "provisioner": "ebs.csi.aws.com",
            "parameters": {"type": "gp3"},
            "volumeBindingMode": "WaitForFirstConsumer",
        }
    )
    path = "/api/v1/namespaces/kube-system/pods"
    try:
        with running(world, path, "ebs-csi", labels=labels):
            check = probe_volume(kube)
            assert check.status == "pass", check
            wait_for(lambda: kube.get("v1", "Namespace", PROBE) is None)
            wait_for(lambda: not list(kube.list("v1", "PersistentVolume")))
    finally:
        kube.delete("storage.k8s.io/v1", "StorageClass", "gp3")
