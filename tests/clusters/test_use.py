"""The example workloads and verify, on a real control plane with the real controllers."""

from __future__ import annotations

import dataclasses
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from jarkkit.catalog.examples import NAMESPACE, ExampleWorkload, example_workload, example_workloads
from jarkkit.decisions.addons.node_pools import node_pools
from jarkkit.decisions.examples import manifests
from jarkkit.model.errors import JarkkitError
from jarkkit.model.events import stamp_all
from jarkkit.model.records import Event
from jarkkit.model.step_generators import run_to_end
from jarkkit.ports.kube import Kube
from jarkkit.sandbox import daemon_client
from jarkkit.settings import Settings
from jarkkit.steps import use
from jarkkit.steps.cluster import web_uis
from jarkkit.steps.cluster.volume_probe import NAMESPACE as PROBE
from jarkkit.steps.cluster.volume_probe import probe_volume
from jarkkit.steps.stack_checks.cluster import ClusterCheckContext, check_cluster_layer
from tests.support import karpenter, operators
from tests.support.cluster_clients import kube_client
from tests.support.cluster_objects import create_node_group, node_group_status, running_pod
from tests.support.clusters import NAME, RehearsalCluster, sandbox_with_cluster
from tests.support.karpenter import device_plugin
from tests.support.poll import wait_for
from tests.support.stacks import resolved

SETTINGS = Settings(name=NAME)
EBS = {"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "gp3"}}


@pytest.fixture(scope="module")
def cluster() -> Iterator[RehearsalCluster]:
    """A separate cluster: other tests install the same add-ons in the shared one."""
    with sandbox_with_cluster() as made:
        yield made


@pytest.fixture(scope="module")
def kube(cluster: RehearsalCluster) -> Iterator[Kube]:
    """jarkkit's client for a cluster with operators, Karpenter and jarkkit's node pools."""
    create_node_group(cluster, "for-use", 3)
    wait_for(lambda: node_group_status(cluster, "for-use") == "ACTIVE", 120)
    for name in operators.OPERATORS:
        operators.install(cluster, name)
    karpenter.install(cluster)
    device_plugin(cluster)
    client = kube_client(cluster)
    for pool in node_pools(SETTINGS):
        pool["spec"]["template"]["spec"]["nodeClassRef"]["name"] = "default"
        client.apply(pool)
    yield client
    for name in ("cpu", "gpu", "g6"):
        client.delete("karpenter.sh/v1", "NodePool", name)
    wait_for(lambda: not list(client.list("karpenter.sh/v1", "NodeClaim")), 120)


@pytest.fixture(autouse=True)
def without_addon_requirements(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drop the examples' add-on requirements: the tests install the operators directly."""

    def example_without_needs(name: str) -> ExampleWorkload:
        return example_workload(name).model_copy(update={"needs": ()})

    monkeypatch.setattr(use, "example_workload", example_without_needs)


def run_workload(kube: Kube, name: str, **options: Any) -> tuple[list[Event], use.WorkloadResult]:
    events: list[Event] = []
    work = use.run_example(kube, resolved(SETTINGS), name, rehearsal=True, **options)
    result = run_to_end(stamp_all(work, "use"), events.append)
    return events, result


@pytest.mark.parametrize("name", ["hello-workflow", "ray-job"])
def test_an_example_runs_through_its_real_controller(kube: Kube, name: str) -> None:
    events, result = run_workload(kube, name)
    assert result.status == "pass"
    assert result.lines, events
    assert "simulated" in result.note
    assert result.node
    assert kube.get("v1", "Namespace", NAMESPACE) is None


def test_the_progress_of_all_three_steps_is_reported(kube: Kube) -> None:
    events, result = run_workload(kube, "hello-workflow")
    assert result.message == "Succeeded 3/3"
    assert any(e.message.startswith("Workflow: Running") for e in events)


def test_a_gpu_pod_runs_on_a_node_that_karpenter_launches(kube: Kube) -> None:
    before = {n["metadata"]["name"] for n in kube.list("v1", "Node")}
    events, result = run_workload(kube, "gpu-smoke")
    assert result.node not in before
    assert result.instance_type.startswith("g6.")
    assert any("waits for a node" in e.message for e in events)


def test_objects_of_the_examples_match_the_real_crds(
    kube: Kube, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Check the Neuron example, too, although its node pool is not in the default settings."""
    settings = SETTINGS.with_changes({"accelerators": ["g6", "inf2"]})
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
    kube.create(namespace)
    try:
        for example in example_workloads().values():
            for made in manifests(example, settings):
                made["metadata"]["name"] += "-checked"
                kube.apply(made)
                kube.delete(made["apiVersion"], made["kind"], made["metadata"]["name"], NAMESPACE)
    finally:
        kube.delete("v1", "Namespace", NAMESPACE)
        wait_for(lambda: kube.get("v1", "Namespace", NAMESPACE) is None)


def failing_example(name: str, **annotations: str) -> ExampleWorkload:
    """Return the example with annotations that make it fail in the sandbox."""
    example = example_workload(name)
    marked = {f"sandbox.jarkkit.io/{k}": v for k, v in annotations.items()}
    changed = tuple(
        {**o, "metadata": {**o["metadata"], "annotations": marked}} for o in example.objects
    )
    return example.model_copy(update={"objects": changed, "needs": ()})


class TestFailures:
    def run(
        self, kube: Kube, monkeypatch: pytest.MonkeyPatch, example: ExampleWorkload
    ) -> JarkkitError:
        monkeypatch.setattr(use, "example_workload", lambda name: example)
        with pytest.raises(JarkkitError) as caught:
            run_workload(kube, example.name)
        is_gone = lambda: kube.get("v1", "Namespace", NAMESPACE) is None  # noqa: E731
        wait_for(is_gone)
        return caught.value

    def test_a_failed_job_is_an_error_with_its_exit_code(
        self, kube: Kube, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        error = self.run(kube, monkeypatch, failing_example("ray-job", **{"exit-code": "3"}))
        assert error.code == "JK-USE-FAILED"
        assert "FAILED" in error.message
        assert "exit code 3" in error.message

    def test_an_image_that_cannot_be_pulled_is_an_error(
        self, kube: Kube, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(use, "_FATAL_SECONDS", 1.0)
        monkeypatch.setattr(use, "_FIRST_CHECK_SECONDS", 0.5)
        monkeypatch.setattr(use, "_CHECK_SECONDS", 0.5)
        error = self.run(kube, monkeypatch, failing_example("gpu-smoke", fault="image-pull"))
        assert error.code == "JK-USE-FAILED"
        assert "cannot pull the image" in error.message

    def test_an_example_past_its_timeout_is_an_error(
        self, kube: Kube, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        example = failing_example("storage").model_copy(update={"timeout_seconds": 1})
        error = self.run(kube, monkeypatch, example)  # the cluster has no storage class
        assert error.code == "JK-USE-TIMEOUT"

    def test_missing_capacity_is_reported_while_the_pod_waits(
        self, kube: Kube, cluster: RehearsalCluster, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The same steps as in the exercise of notebook 06."""
        example = example_workload("gpu-smoke").model_copy(
            update={"needs": (), "timeout_seconds": 30}
        )
        monkeypatch.setattr(use, "example_workload", lambda name: example)
        for claim in kube.list("karpenter.sh/v1", "NodeClaim"):  # left by an earlier test
            kube.delete("karpenter.sh/v1", "NodeClaim", claim["metadata"]["name"])
        wait_for(lambda: not list(kube.list("karpenter.sh/v1", "NodeClaim")), 120)
        daemon_client.set_faults(cluster.running.home, ["insufficient-capacity:g6"])
        events: list[Event] = []
        work = use.run_example(kube, resolved(SETTINGS), "gpu-smoke")
        try:
            with pytest.raises(JarkkitError) as caught:
                run_to_end(stamp_all(work, "use"), events.append)
        finally:
            daemon_client.set_faults(cluster.running.home, [])
        assert caught.value.code == "JK-USE-TIMEOUT"
        assert "AWS has no capacity for an instance that fits" in caught.value.message
        assert "JK-AWS-CAPACITY" in [event.code for event in events]
        wait_for(lambda: kube.get("v1", "Namespace", NAMESPACE) is None)

    def test_an_interrupted_run_leaves_no_namespace(self, kube: Kube) -> None:
        work = stamp_all(use.run_example(kube, resolved(SETTINGS), "hello-workflow"), "use")
        while "Workflow" not in next(work).message:
            pass
        work.close()
        wait_for(lambda: kube.get("v1", "Namespace", NAMESPACE) is None, 120)


class TestVerify:
    def context(self, kube: Kube, folder: Path, **more: Any) -> ClusterCheckContext:
        return ClusterCheckContext(kube, resolved(SETTINGS), folder, rehearsal=True, **more)

    def test_verify_passes_and_fails_checks_as_the_cluster_is(
        self, kube: Kube, tmp_path: Path
    ) -> None:
        (tmp_path / "mine.yaml").write_text(
            "title: Karpenter runs\n"
            "object:\n"
            "  {apiVersion: apps/v1, kind: Deployment, name: karpenter, namespace: karpenter}\n"
            "field: status.readyReplicas\nat_least: 1\n"
        )
        (tmp_path / "broken.yaml").write_text("title: nothing\nobject: 3\n")
        found = {c.name: c for c in check_cluster_layer(self.context(kube, tmp_path))}
        assert found["Kubernetes API"].status == "pass"
        assert found["Nodes of for-use"].status == "pass"
        assert found["Nodes of for-use"].found.startswith("3/3 Ready")
        assert found["Karpenter runs"].status == "pass"
        assert found["checks/broken.yaml"].status == "fail"
        assert found["Node pool g6"].status == "pass"
        assert found["Default storage class"].status == "fail"

    def test_a_denied_call_makes_its_checks_unknown(self, kube: Kube, tmp_path: Path) -> None:
        def denied(*_: object, **__: object) -> Any:
            raise JarkkitError("JK-KUBE-DENIED", "list Node: 403.", "Get the permission.")

        client = cast(Kube, KubeWithoutNodes(kube, denied))
        context = dataclasses.replace(self.context(kube, tmp_path), kube=client)
        found = {c.name: c.status for c in check_cluster_layer(context)}
        assert found["Nodes"] == "unknown"
        assert found["Node pool cpu"] == "pass"


class KubeWithoutNodes:
    """A client that is denied to list nodes."""

    def __init__(self, kube: Kube, denied: Any) -> None:
        self._kube, self._denied = kube, denied

    def __getattr__(self, name: str) -> Any:
        return getattr(self._kube, name)

    def list(self, api_version: str, kind: str, *rest: Any, **more: Any) -> Any:
        if kind == "Node":
            return self._denied()
        return self._kube.list(api_version, kind, *rest, **more)


def test_a_web_ui_answers_through_a_port_forward(
    kube: Kube, cluster: RehearsalCluster, namespace: str
) -> None:
    """In a sandbox a simulated pod answers, and the answer is marked as simulated."""
    at = web_uis.WebEndpoint("page", "A page", "none", namespace, "page", 80)
    ports = [{"port": 80, "targetPort": 8000}]
    meta = {"name": "page", "namespace": namespace}
    spec = {"selector": {"app": "page"}, "ports": ports}
    kube.apply({"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": spec})
    with pytest.raises(JarkkitError, match="no pod behind"):
        web_uis.get_endpoint(kube, at)
    path = f"/api/v1/namespaces/{namespace}/pods"
    with running_pod(cluster, path, "page", labels={"app": "page"}):
        answer = web_uis.get_endpoint(kube, at)
        assert (answer.status, answer.simulated) == (200, True)
        with web_uis.open_endpoint(kube, at) as url, urllib.request.urlopen(url) as page:
            assert page.status == 200


def test_the_volume_probe_creates_and_deletes_a_volume(
    kube: Kube, cluster: RehearsalCluster
) -> None:
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
        with running_pod(cluster, path, "ebs-csi", labels=labels):
            check = probe_volume(kube)
            assert check.status == "pass", check
            wait_for(lambda: kube.get("v1", "Namespace", PROBE) is None)
            wait_for(lambda: not list(kube.list("v1", "PersistentVolume")))
    finally:
        kube.delete("storage.k8s.io/v1", "StorageClass", "gp3")
