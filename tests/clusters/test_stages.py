"""Simulated pods, nodes and custom resources change their status as on a real cluster."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from cryptography import x509

from jarkkit.sandbox import daemon_client
from jarkkit.sandbox.controllers.stage_resync import RESYNC_ANNOTATION
from jarkkit.sandbox.kubernetes.api import ApiError
from tests.support.clusters import RehearsalCluster, rehearsal_cluster, sandbox_with_cluster
from tests.support.poll import wait_for

pytestmark = pytest.mark.usefixtures("node")
NODE = "stages-node"
MARK = "sandbox.jarkkit.io"
STAGES = "/apis/kwok.x-k8s.io/v1alpha1/stages"
ON_THE_NODE = {"nodeSelector": {"test": "stages"}}
SETUP = {"name": "setup", "image": "example.com/setup"}


@pytest.fixture(scope="module")
def node(cluster: RehearsalCluster) -> Iterator[None]:
    """A node without an instance; pods select it by its label."""
    make_node(cluster)
    yield
    cluster.api.delete(f"/api/v1/nodes/{NODE}")


def make_node(cluster: RehearsalCluster) -> None:
    """Create a node without an instance and wait until it is Ready."""
    capacity = {"cpu": "1000", "memory": "1000Gi", "pods": "1000"}
    made = {
        "metadata": {"name": NODE, "labels": {"test": "stages"}},
        "status": {"capacity": capacity, "allocatable": capacity},
    }
    cluster.api.create("/api/v1/nodes", made)
    cluster.api.patch(f"/api/v1/nodes/{NODE}/status", kubelet_status(cluster))
    wait_for(lambda: ready_condition(cluster)["status"] == "True")


def kubelet_status(cluster: RehearsalCluster) -> dict[str, Any]:
    """Return the status that sends kubelet requests for the node to KWOK."""
    config = (cluster.folder / "clusters" / "cluster" / "kwok.yaml").read_text()
    port = int(re.search(r"kwokControllerPort: (\d+)", config)[1])  # type: ignore[index]
    return {
        "status": {
            "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": port}},
        }
    }


def ready_condition(cluster: RehearsalCluster) -> dict[str, Any]:
    """Return the node's Ready condition."""
    conditions = cluster.api.get(f"/api/v1/nodes/{NODE}")["status"].get("conditions", ())
    return next((c for c in conditions if c["type"] == "Ready"), {"status": ""})


def kubectl(cluster: RehearsalCluster, *args: str, check: bool = True) -> str:
    """Run kubectl; return its stdout and stderr."""
    command = ["kubectl", "--kubeconfig", str(cluster.kubeconfig), *args]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ})
    assert not check or done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def pod(name: str = "it", annotations: dict[str, str] | None = None, **spec: Any) -> dict[str, Any]:
    """Return a pod that selects the node."""
    notes = {f"{MARK}/{key}": value for key, value in (annotations or {}).items()}
    containers = [{"name": "app", "image": "example.com/app:1"}]
    return {
        "metadata": {"name": name, "annotations": notes},
        "spec": {"nodeSelector": {"test": "stages"}, "containers": containers, **spec},
    }


class Pods:
    """Pods of a namespace."""

    def __init__(self, cluster: RehearsalCluster, namespace: str) -> None:
        self.cluster = cluster
        self.namespace = namespace
        self.path = f"/api/v1/namespaces/{namespace}/pods"

    def create(self, *given: Any, **more: Any) -> None:
        self.cluster.api.create(self.path, pod(*given, **more))

    def get(self, name: str = "it") -> dict[str, Any]:
        return self.cluster.api.get(f"{self.path}/{name}")

    def status(self, name: str = "it") -> dict[str, Any]:
        found: dict[str, Any] = self.get(name)["status"]
        return found

    def container(self, name: str = "it", number: int = 0) -> dict[str, Any]:
        found: dict[str, Any] = (self.status(name).get("containerStatuses") or [{}])[number]
        return found

    def waiting_reason(self, name: str = "it") -> str:
        """Return why the first container waits."""
        return str(self.container(name).get("state", {}).get("waiting", {}).get("reason", ""))

    def condition(self, kind: str, name: str = "it") -> dict[str, Any]:
        found = self.status(name).get("conditions", ())
        return next((c for c in found if c["type"] == kind), {"status": ""})

    def ready(self, name: str = "it") -> bool:
        return bool(self.condition("Ready", name)["status"] == "True")

    def mark(self, name: str = "it", **notes: str | None) -> None:
        """Set annotations, or remove them (None)."""
        change = {f"{MARK}/{key}": value for key, value in notes.items()}
        path = f"{self.path}/{name}"
        self.cluster.api.patch(path, {"metadata": {"annotations": change}}, kind="merge")

    def would_be_marked(self, name: str = "it") -> bool:
        """Return whether a named fault would annotate such a pod."""
        made = self.cluster.api.create(f"{self.path}?dryRun=All", pod(name))
        return f"{MARK}/fault" in made["metadata"].get("annotations", {})

    def event_messages(self, reason: str, name: str = "it") -> list[str]:
        """Return the messages of the pod's events with that reason."""
        events = self.cluster.api.list(f"/api/v1/namespaces/{self.namespace}/events")
        return [
            event["message"]
            for event in events
            if event["involvedObject"]["name"] == name and event["reason"] == reason
        ]


@pytest.fixture
def pods(cluster: RehearsalCluster, namespace: str) -> Pods:
    return Pods(cluster, namespace)


# -- pods that run -----------------------------------------------------------------------------


def test_twenty_replicas_are_ready_together(cluster: RehearsalCluster, namespace: str) -> None:
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments"
    template = pod()
    template["metadata"] = {"labels": {"app": "web"}}
    spec = {"replicas": 20, "selector": {"matchLabels": {"app": "web"}}, "template": template}
    began = time.monotonic()
    cluster.api.create(path, {"metadata": {"name": "web"}, "spec": spec})
    wait_for(lambda: cluster.api.get(f"{path}/web")["status"].get("readyReplicas") == 20)
    # 0.8 s on two idle cores; the rest is for cores on which other tests run.
    assert time.monotonic() - began < 20


def test_a_pod_gets_the_status_that_kubelet_would_report(
    cluster: RehearsalCluster, pods: Pods
) -> None:
    pods.create(
        initContainers=[
            {"name": "setup", "image": "setup"},
            {"name": "sidecar", "image": "sidecar", "restartPolicy": "Always"},
        ]
    )
    wait_for(pods.ready)
    status = pods.status()
    setup, sidecar = status["initContainerStatuses"]
    assert setup["state"]["terminated"]["reason"] == "Completed"
    assert "running" in sidecar["state"]
    assert sidecar["ready"]
    assert status["hostIP"] == "127.0.0.1"
    assert status["podIP"] not in ("", "127.0.0.1")
    assert status["qosClass"] == "BestEffort"
    wait_for(lambda: pods.event_messages("Started"))
    assert wait_for(lambda: pods.event_messages("Pulled")) == [
        'Successfully pulled image "example.com/app:1"'
    ]
    assert "2/2" in kubectl(cluster, "get", "pod", "it", "-n", pods.namespace)


def test_a_pod_on_the_host_network_has_the_hosts_address(pods: Pods) -> None:
    pods.create(hostNetwork=True)
    wait_for(pods.ready)
    assert pods.status()["podIP"] == pods.status()["hostIP"] == "127.0.0.1"


def test_a_pod_is_ready_only_with_its_readiness_gates(pods: Pods) -> None:
    pods.create(readinessGates=[{"conditionType": "example.com/balanced"}])
    wait_for(lambda: pods.condition("ContainersReady")["status"] == "True")
    assert pods.condition("Ready")["reason"] == "ReadinessGatesNotReady"
    balanced = {"type": "example.com/balanced", "status": "True"}
    pods.cluster.api.patch(
        f"{pods.path}/it/status", {"status": {"conditions": [balanced]}}, kind="strategic"
    )
    wait_for(pods.ready)
    balanced["status"] = "False"
    pods.cluster.api.patch(
        f"{pods.path}/it/status", {"status": {"conditions": [balanced]}}, kind="strategic"
    )
    wait_for(lambda: not pods.ready())


def test_a_daemon_set_runs_on_the_node(cluster: RehearsalCluster, namespace: str) -> None:
    path = f"/apis/apps/v1/namespaces/{namespace}/daemonsets"
    template = pod()
    template["metadata"] = {"labels": {"app": "agent"}}
    spec = {"selector": {"matchLabels": {"app": "agent"}}, "template": template}
    cluster.api.create(path, {"metadata": {"name": "agent"}, "spec": spec})
    wait_for(lambda: cluster.api.get(f"{path}/agent")["status"].get("numberReady") == 1)


def test_a_pod_with_a_local_process_is_not_simulated(pods: Pods) -> None:
    pods.create("real", {"process": "nothing-of-that-name"})
    pods.create("other")
    wait_for(lambda: pods.ready("other"))
    assert pods.status("real")["phase"] == "Pending"
    for name in ("real", "other"):
        pods.cluster.api.delete(f"{pods.path}/{name}")
    wait_for(lambda: pods.cluster.api.find(f"{pods.path}/other") is None)
    assert pods.get("real")["metadata"]["deletionTimestamp"]
    pods.cluster.api.delete(f"{pods.path}/real", gracePeriodSeconds=0)


# -- pods that end -----------------------------------------------------------------------------


def test_a_job_completes(cluster: RehearsalCluster, pods: Pods) -> None:
    path = f"/apis/batch/v1/namespaces/{pods.namespace}/jobs"
    spec = pod(restartPolicy="OnFailure")["spec"]
    cluster.api.create(path, {"metadata": {"name": "sum"}, "spec": {"template": {"spec": spec}}})
    wait_for(lambda: cluster.api.get(f"{path}/sum")["status"].get("succeeded") == 1)
    kubectl(cluster, "wait", "--for=condition=complete", "job/sum", "-n", pods.namespace)


def test_a_job_fails_with_the_annotated_exit_code(cluster: RehearsalCluster, pods: Pods) -> None:
    path = f"/apis/batch/v1/namespaces/{pods.namespace}/jobs"
    template = pod(annotations={"exit-code": "3"}, restartPolicy="Never")
    del template["metadata"]["name"]
    spec = {"template": template, "backoffLimit": 0}
    cluster.api.create(path, {"metadata": {"name": "sum"}, "spec": spec})
    wait_for(lambda: cluster.api.get(f"{path}/sum")["status"].get("failed") == 1)
    (failed,) = cluster.api.list(pods.path)
    assert failed["status"]["phase"] == "Failed"
    ended = failed["status"]["containerStatuses"][0]["state"]["terminated"]
    assert (ended["exitCode"], ended["reason"]) == (3, "Error")
    assert "sandbox.jarkkit.io" in ended["message"]


def test_only_pods_that_run_to_completion_complete(pods: Pods) -> None:
    pods.create("ends", restartPolicy="Never")
    pods.create("notebook", restartPolicy="OnFailure")
    worker = pod("worker", restartPolicy="Never")
    worker["metadata"]["labels"] = {"ray.io/node-type": "worker"}
    pods.cluster.api.create(pods.path, worker)
    wait_for(lambda: pods.status("ends")["phase"] == "Succeeded")
    assert pods.condition("Ready", "ends")["reason"] == "PodCompleted"
    wait_for(lambda: pods.ready("notebook") and pods.ready("worker"))
    time.sleep(0.5)
    for name in ("notebook", "worker"):
        assert pods.status(name)["phase"] == "Running"


def test_a_failed_workflow_step_fails_only_in_its_main_container(pods: Pods) -> None:
    names = [{"name": name, "image": "argo"} for name in ("wait", "main")]
    pods.create("it", {"exit-code": "137"}, restartPolicy="Never", containers=names)
    wait_for(lambda: pods.status()["phase"] == "Failed")
    wait, main = (pods.container(number=n)["state"]["terminated"] for n in (0, 1))
    assert (wait["exitCode"], wait["reason"]) == (0, "Completed")
    assert (main["exitCode"], main["reason"]) == (137, "OOMKilled")


def test_an_annotation_sets_how_long_a_pod_runs(pods: Pods) -> None:
    pods.create("it", {"seconds": "2s"}, restartPolicy="Never")
    wait_for(pods.ready)
    began = time.monotonic()
    wait_for(lambda: pods.status()["phase"] == "Succeeded")
    assert time.monotonic() - began > 1


def test_a_finalizer_keeps_a_deleted_pod(pods: Pods) -> None:
    kept = pod()
    kept["metadata"]["finalizers"] = ["example.com/kept"]
    pods.cluster.api.create(pods.path, kept)
    wait_for(pods.ready)
    pods.cluster.api.delete(f"{pods.path}/it")
    wait_for(lambda: pods.get()["metadata"]["deletionGracePeriodSeconds"] == 0)
    assert pods.status()["phase"] == "Failed"
    assert pods.container()["state"]["terminated"]["exitCode"] == 143
    status = pods.status()
    time.sleep(1)
    assert pods.status() == status
    pods.cluster.api.patch(f"{pods.path}/it", {"metadata": {"finalizers": None}})
    wait_for(lambda: pods.cluster.api.find(f"{pods.path}/it") is None)


def test_pods_are_deleted_with_their_namespace(cluster: RehearsalCluster) -> None:
    path = "/api/v1/namespaces/goes"
    cluster.api.create("/api/v1/namespaces", {"metadata": {"name": "goes"}})
    wait_for(lambda: cluster.api.find(f"{path}/serviceaccounts/default"))
    pods = Pods(cluster, "goes")
    pods.create()
    wait_for(pods.ready)
    cluster.api.delete(path)
    wait_for(lambda: cluster.api.find(path) is None)


def test_a_deleted_pod_gets_a_killing_event(pods: Pods) -> None:
    pods.create()
    wait_for(pods.ready)
    pods.cluster.api.delete(f"{pods.path}/it")
    wait_for(lambda: pods.event_messages("Killing"))
    wait_for(lambda: pods.cluster.api.find(f"{pods.path}/it") is None)


# -- faults of pods ----------------------------------------------------------------------------


def test_an_image_pull_fails_until_the_fault_is_removed(
    cluster: RehearsalCluster, pods: Pods
) -> None:
    pods.create("it", {"fault": "image-pull"})
    wait_for(lambda: pods.waiting_reason() == "ImagePullBackOff")
    message = pods.container()["state"]["waiting"]["message"]
    assert message.startswith('Back-off pulling image "example.com/app:1": ErrImagePull: ')
    assert pods.status()["phase"] == "Pending"
    wait_for(lambda: len(pods.event_messages("Failed")) == 3)
    assert {"Error: ErrImagePull", "Error: ImagePullBackOff"} <= {*pods.event_messages("Failed")}
    assert pods.event_messages("BackOff") == ['Back-off pulling image "example.com/app:1"']
    assert "ImagePullBackOff" in kubectl(cluster, "get", "pods", "-n", pods.namespace)
    pods.mark(fault=None)
    wait_for(pods.ready)


def test_a_crashing_container_is_restarted_until_the_fault_is_removed(
    cluster: RehearsalCluster, pods: Pods
) -> None:
    pods.create("it", {"fault": "crash-loop"})

    def crashed_three_times() -> dict[str, Any]:
        found = pods.container()
        waits = found.get("state", {}).get("waiting", {}).get("reason") == "CrashLoopBackOff"
        return found if waits and found["restartCount"] >= 3 else {}

    container = wait_for(crashed_three_times)
    ended = container["lastState"]["terminated"]
    assert (ended["exitCode"], ended["reason"]) == (1, "Error")
    assert "restarting failed container=app" in container["state"]["waiting"]["message"]
    uid = pods.get()["metadata"]["uid"]
    expected = f"Back-off restarting failed container app in pod it_{pods.namespace}({uid})"
    assert wait_for(lambda: pods.event_messages("BackOff")) == [expected]
    assert pods.status()["phase"] == "Running"
    pods.mark(fault=None)
    wait_for(pods.ready)
    assert pods.container()["restartCount"] >= 3


def test_a_container_without_enough_memory_is_oom_killed(pods: Pods) -> None:
    pods.create("it", {"fault": "oom"})
    wait_for(lambda: pods.waiting_reason() == "CrashLoopBackOff")
    ended = pods.container()["lastState"]["terminated"]  # kept while the container runs again
    assert (ended["exitCode"], ended["reason"]) == (137, "OOMKilled")


def test_a_running_pod_is_not_ready_until_the_fault_is_removed(pods: Pods) -> None:
    pods.create()
    wait_for(pods.ready)
    started = pods.container()["state"]
    pods.mark(fault="not-ready")
    wait_for(lambda: not pods.ready())
    assert pods.condition("Ready")["message"] == "containers with unready status: [app]"
    assert wait_for(lambda: pods.event_messages("Unhealthy"))
    pods.mark(fault=None)
    wait_for(pods.ready)
    assert pods.container()["state"] == started
    assert pods.container()["restartCount"] == 0


def test_a_pod_with_a_readiness_fault_is_not_ready(pods: Pods) -> None:
    pods.create("it", {"fault": "not-ready"})
    wait_for(lambda: pods.status()["phase"] == "Running")
    assert not pods.ready()
    assert wait_for(lambda: pods.event_messages("Unhealthy"))


def test_a_pod_gets_no_network_until_the_fault_is_removed(pods: Pods) -> None:
    pods.create("it", {"fault": "stuck-creating"})
    wait_for(lambda: pods.waiting_reason() == "ContainerCreating")
    assert (
        "failed to assign an IP address"
        in wait_for(lambda: pods.event_messages("FailedCreatePodSandBox"))[0]
    )
    pods.mark(fault=None)
    wait_for(pods.ready)


# -- faults by name ----------------------------------------------------------------------------


@contextlib.contextmanager
def faults(cluster: RehearsalCluster, *names: str) -> Iterator[None]:
    """Set the named faults while the block runs."""
    daemon_client.set_faults(cluster.running.home, names)
    try:
        yield
    finally:
        daemon_client.set_faults(cluster.running.home, ())


def test_a_named_fault_affects_only_pods_created_while_it_is_on(
    cluster: RehearsalCluster, pods: Pods
) -> None:
    pods.create("hub-before")
    wait_for(lambda: pods.ready("hub-before"))
    with faults(cluster, f"image-pull:{pods.namespace}/hub"):
        wait_for(lambda: pods.would_be_marked("hub-probe"))
        pods.create("hub-1")
        pods.create("proxy-1")
        wait_for(lambda: pods.waiting_reason("hub-1") == "ImagePullBackOff")
        wait_for(lambda: pods.ready("proxy-1"))
        assert pods.ready("hub-before")
    wait_for(lambda: pods.ready("hub-1"))
    pods.create("hub-2")
    wait_for(lambda: pods.ready("hub-2"))


def test_a_named_fault_matches_images_and_keeps_a_users_annotation(
    cluster: RehearsalCluster, pods: Pods
) -> None:
    other = [{"name": "app", "image": "example.com/other:1"}]
    with faults(cluster, "crash-loop:com/app", "helm-timeout:com/other"):
        wait_for(pods.would_be_marked)
        pods.create("by-user", {"fault": "oom"})
        pods.create("by-name")
        pods.create("slow", containers=other)
        wait_for(lambda: pods.waiting_reason("by-name") == "CrashLoopBackOff")
        wait_for(lambda: pods.status("slow")["phase"] == "Running")
        assert not pods.ready("slow")
    wait_for(lambda: pods.ready("by-name") and pods.ready("slow"))
    wait_for(lambda: pods.waiting_reason("by-user") == "CrashLoopBackOff")
    annotations = pods.get("by-user")["metadata"]["annotations"]
    annotations.pop(RESYNC_ANNOTATION, None)  # if the machine is slow
    assert annotations == {f"{MARK}/fault": "oom"}


@pytest.mark.parametrize(
    ("image", "program"),
    [
        ("public.ecr.aws/karpenter/controller:1.8.0", "karpenter"),
        ("quay.io/argoproj/workflow-controller:v3.7.4", "workflow-controller"),
        ("quay.io/kuberay/operator:v1.6.2", "kuberay-operator"),
        ("example.com/app:1", None),
    ],
)
def test_a_pod_with_a_local_process_is_annotated_at_its_creation(
    pods: Pods, image: str, program: str | None
) -> None:
    asked = pod(containers=[{"name": "controller", "image": image}])
    made = pods.cluster.api.create(f"{pods.path}?dryRun=All", asked)
    assert made["metadata"].get("annotations", {}).get(f"{MARK}/process") == program


# -- requests to simulated pods ----------------------------------------------------------------


def test_kubectl_shows_that_a_pod_is_simulated(cluster: RehearsalCluster, pods: Pods) -> None:
    pods.create()
    wait_for(pods.ready)
    logs = wait_for(lambda: kubectl(cluster, "logs", "it", "-n", pods.namespace))
    assert "simulated by jarkkit's sandbox" in logs
    refused = kubectl(cluster, "exec", "it", "-n", pods.namespace, "--", "id", check=False)
    assert "no exec found" in refused


def test_a_forwarded_port_answers_that_it_is_simulated(
    cluster: RehearsalCluster, pods: Pods
) -> None:
    pods.create()
    wait_for(pods.ready)
    command = ["kubectl", "--kubeconfig", str(cluster.kubeconfig), "-n", pods.namespace]
    with subprocess.Popen(
        [*command, "port-forward", "pod/it", ":8080"], stdout=subprocess.PIPE, text=True
    ) as forward:
        try:
            assert forward.stdout is not None
            port = int(forward.stdout.readline().split(":")[1].split()[0])
            url = f"http://127.0.0.1:{port}/hub/health"
            with urllib.request.urlopen(url, timeout=10) as response:
                answer = json.load(response)
        finally:
            forward.terminate()
    assert answer["simulated"]
    assert answer["path"] == "/hub/health"


# -- nodes -------------------------------------------------------------------------------------


def test_a_node_breaks_and_recovers(cluster: RehearsalCluster) -> None:
    path = f"/api/v1/nodes/{NODE}"
    mark = {f"{MARK}/fault": "not-ready"}
    cluster.api.patch(path, {"metadata": {"annotations": mark}})
    wait_for(lambda: ready_condition(cluster)["status"] == "False")
    assert ready_condition(cluster)["reason"] == "KubeletNotReady"
    cluster.api.patch(path, {"metadata": {"annotations": {f"{MARK}/fault": None}}})
    wait_for(lambda: ready_condition(cluster)["status"] == "True")


def test_a_nodes_lease_does_not_outlast_the_grace_period(cluster: RehearsalCluster) -> None:
    """The node would become Unknown without a lease that is renewed in time."""
    path = f"/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/{NODE}"
    lease = wait_for(lambda: cluster.api.get(path))
    assert lease["metadata"]["ownerReferences"][0]["name"] == NODE
    config = (cluster.folder / "clusters" / "cluster" / "kwok.yaml").read_text()
    grace = re.search(r"node-monitor-grace-period=(?:(\d+)m)?(\d+)s", config)
    assert grace
    seconds = 60 * int(grace[1] or 0) + int(grace[2])
    assert lease["spec"]["leaseDurationSeconds"] <= seconds


# -- custom resources whose operator does not run ----------------------------------------------


class CustomKind:
    """A CRD that accepts every field, with or without a status subresource like the real one."""

    definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"

    def __init__(
        self,
        cluster: RehearsalCluster,
        group: str,
        version: str,
        kind: str,
        *,
        status_subresource: bool,
    ) -> None:
        self.cluster = cluster
        self.api_version, self.kind = f"{group}/{version}", kind
        self.plural = f"{kind.lower()}s"
        self.name = f"{self.plural}.{group}"
        anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
        served = {
            "name": version,
            "served": True,
            "storage": True,
            "schema": {"openAPIV3Schema": anything},
            "subresources": {"status": {}} if status_subresource else {},
        }
        names = {"plural": self.plural, "singular": kind.lower(), "kind": kind}
        spec = {"group": group, "scope": "Namespaced", "names": names, "versions": [served]}
        cluster.api.create(self.definitions, {"metadata": {"name": self.name}, "spec": spec})

    def remove(self) -> None:
        """Delete the CRD and with it all its objects."""
        path = f"{self.definitions}/{self.name}"
        self.cluster.api.delete(path)
        wait_for(lambda: self.cluster.api.find(path) is None)

    def path(self, namespace: str, name: str = "") -> str:
        root = f"/apis/{self.api_version}/namespaces/{namespace}/{self.plural}"
        return f"{root}/{name}" if name else root

    def create(self, namespace: str, name: str, spec: dict[str, Any], **meta: Any) -> None:
        manifest = {
            "apiVersion": self.api_version,
            "kind": self.kind,
            "metadata": {"name": name, **meta},
            "spec": spec,
        }
        wait_for(lambda: self.cluster.api.create(self.path(namespace), manifest))

    def get(self, namespace: str, name: str) -> dict[str, Any]:
        return self.cluster.api.get(self.path(namespace, name))

    def status(self, namespace: str, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.get(namespace, name).get("status", {})
        return found

    def condition(self, namespace: str, name: str, kind: str) -> str:
        found = self.status(namespace, name).get("conditions", ())
        return next((str(c["status"]) for c in found if c["type"] == kind), "")

    def mark(self, namespace: str, name: str, faults: str | None) -> None:
        change = {"metadata": {"annotations": {f"{MARK}/fault": faults}}}
        self.cluster.api.patch(self.path(namespace, name), change)


@contextlib.contextmanager
def custom_kind(
    cluster: RehearsalCluster, *args: str, status_subresource: bool = True
) -> Iterator[CustomKind]:
    """Install the CRD while the block runs."""
    kind = CustomKind(cluster, *args, status_subresource=status_subresource)
    try:
        yield kind
    finally:
        kind.remove()


def ready_pods(cluster: RehearsalCluster, namespace: str, plural: str, name: str) -> int:
    """Return how many of a workload's pods are Ready. Raises ApiError without a workload."""
    status = cluster.api.get(f"/apis/apps/v1/namespaces/{namespace}/{plural}/{name}")["status"]
    return int(status.get("readyReplicas", status.get("numberReady", 0)))


def test_an_application_is_synced_degrades_and_is_deleted(
    cluster: RehearsalCluster, namespace: str
) -> None:
    source = {"repoURL": "https://example.com/it.git", "targetRevision": "main"}
    spec = {"source": source, "syncPolicy": {"automated": {}}}
    finalizer = "resources-finalizer.argocd.argoproj.io"
    with custom_kind(
        cluster, "argoproj.io", "v1alpha1", "Application", status_subresource=False
    ) as kind:

        def health() -> str:
            return str(kind.status(namespace, "it").get("health", {}).get("status"))

        kind.create(namespace, "it", spec, finalizers=[finalizer])
        wait_for(lambda: health() == "Healthy")
        assert len(kind.status(namespace, "it")["sync"]["revision"]) == 40
        kind.mark(namespace, "it", "failed")
        wait_for(lambda: health() == "Degraded")
        kind.mark(namespace, "it", None)
        wait_for(lambda: health() == "Healthy")
        cluster.api.delete(kind.path(namespace, "it"))
        wait_for(lambda: cluster.api.find(kind.path(namespace, "it")) is None)


def test_an_application_with_manual_sync_waits_for_it(
    cluster: RehearsalCluster, namespace: str
) -> None:
    spec = {"source": {"repoURL": "https://example.com", "chart": "it", "targetRevision": "1.2"}}
    with custom_kind(
        cluster, "argoproj.io", "v1alpha1", "Application", status_subresource=False
    ) as kind:

        def sync() -> dict[str, Any]:
            found: dict[str, Any] = kind.status(namespace, "it").get("sync", {})
            return found

        kind.create(namespace, "it", spec)
        wait_for(lambda: sync() == {"status": "OutOfSync"})
        cluster.api.patch(kind.path(namespace, "it"), {"operation": {"sync": {}}})
        wait_for(lambda: sync() == {"status": "Synced", "revision": "1.2"})
        assert "operation" not in kind.get(namespace, "it")


def test_an_opensearch_cluster_gets_its_nodes_and_dashboards(
    cluster: RehearsalCluster, namespace: str
) -> None:
    def pool(name: str, replicas: int) -> dict[str, Any]:
        kept = {"persistence": {"emptyDir": {}}, "roles": ["data"]}
        return {"component": name, "replicas": replicas, **kept, **ON_THE_NODE}

    spec = {
        "general": {"serviceName": "search", "version": "2.14.0"},
        "dashboards": {"enable": True, "replicas": 2, "version": "2.14.0", **ON_THE_NODE},
        "nodePools": [pool("masters", 2), pool("more", 1)],
    }
    dashboards = ("deployments", "opensearch-dashboards")
    with custom_kind(cluster, "opensearch.opster.io", "v1", "OpenSearchCluster") as kind:
        kind.create(namespace, "opensearch", spec)
        wait_for(lambda: ready_pods(cluster, namespace, "statefulsets", "opensearch-masters") == 2)
        wait_for(lambda: ready_pods(cluster, namespace, "statefulsets", "opensearch-more") == 1)
        wait_for(lambda: ready_pods(cluster, namespace, *dashboards) == 2)
        wait_for(lambda: kind.status(namespace, "opensearch").get("phase") == "RUNNING")
        assert kind.status(namespace, "opensearch")["availableNodes"] == 3
        services = cluster.api.list(f"/api/v1/namespaces/{namespace}/services")
        assert {"search", "search-dashboards"} <= {s["metadata"]["name"] for s in services}
        more = {"spec": {"dashboards": {"replicas": 3}}}
        cluster.api.patch(kind.path(namespace, "opensearch"), more)
        wait_for(lambda: ready_pods(cluster, namespace, *dashboards) == 3)
        cluster.api.delete(kind.path(namespace, "opensearch"))
        path = f"/apis/apps/v1/namespaces/{namespace}/deployments/opensearch-dashboards"
        wait_for(lambda: cluster.api.find(path) is None)


def search_cluster() -> dict[str, Any]:
    """Return the spec of an OpenSearchCluster with one node and dashboards."""
    pool = {"component": "nodes", "replicas": 1, "persistence": {"emptyDir": {}}, **ON_THE_NODE}
    dashboards = {"enable": True, "replicas": 1, "version": "2.14.0", **ON_THE_NODE}
    general = {"serviceName": "search", "version": "2.14.0"}
    return {"general": general, "dashboards": dashboards, "nodePools": [pool]}


@contextlib.contextmanager
def no_deployments(cluster: RehearsalCluster, namespace: str) -> Iterator[None]:
    """Make the API server reject new Deployments in the namespace."""
    selector = {"matchLabels": {"kubernetes.io/metadata.name": namespace}}
    deployments = {
        "apiGroups": ["apps"],
        "apiVersions": ["v1"],
        "operations": ["CREATE"],
        "resources": ["deployments"],
    }
    group, name = "admissionregistration.k8s.io/v1", "no-deployments"
    policy = {
        "matchConstraints": {"resourceRules": [deployments], "namespaceSelector": selector},
        "validations": [{"expression": "false"}],
    }
    binding = {"policyName": name, "validationActions": ["Deny"]}
    made = [
        {"apiVersion": group, "kind": kind, "metadata": {"name": name}, "spec": spec}
        for kind, spec in (
            ("ValidatingAdmissionPolicy", policy),
            ("ValidatingAdmissionPolicyBinding", binding),
        )
    ]
    labels = {"app": "probe"}
    template = {"metadata": {"labels": labels}, "spec": pod()["spec"]}
    probe = {
        "metadata": {"name": "probe"},
        "spec": {"selector": {"matchLabels": labels}, "template": template},
    }
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments?dryRun=All"
    for manifest in made:
        cluster.api.apply(manifest)
    try:
        wait_for(lambda: "no-deployments" in error_of(lambda: cluster.api.create(path, probe)))
        yield
    finally:
        for manifest in made:
            cluster.api.delete(cluster.api.path_of(manifest))


def error_of(call: Callable[[], Any]) -> str:
    """Return the API server's error message, empty without an error."""
    try:
        call()
    except ApiError as error:
        return str(error)
    return ""


def test_a_rejected_step_is_played_again(cluster: RehearsalCluster, namespace: str) -> None:
    with custom_kind(cluster, "opensearch.opster.io", "v1", "OpenSearchCluster") as kind:
        with no_deployments(cluster, namespace):
            kind.create(namespace, "opensearch", search_cluster())
            wait_for(lambda: kind.status(namespace, "opensearch").get("phase") == "RUNNING")
        wait_for(
            lambda: ready_pods(cluster, namespace, "deployments", "opensearch-dashboards") == 1
        )


def test_a_stage_that_arrives_after_the_last_change_is_played(
    cluster: RehearsalCluster, namespace: str
) -> None:
    with custom_kind(cluster, "opensearch.opster.io", "v1", "OpenSearchCluster") as kind:
        stage = wait_for(lambda: cluster.api.get(f"{STAGES}/opensearch-dashboards"))
        cluster.api.delete(f"{STAGES}/opensearch-dashboards")
        kind.create(namespace, "opensearch", search_cluster())
        wait_for(lambda: kind.status(namespace, "opensearch").get("phase") == "RUNNING")
        del stage["metadata"]["resourceVersion"], stage["metadata"]["uid"]
        del stage["metadata"]["managedFields"]
        cluster.api.apply(stage)
        wait_for(
            lambda: ready_pods(cluster, namespace, "deployments", "opensearch-dashboards") == 1
        )


def test_an_opensearch_cluster_has_volumes_unless_persistence_is_off(
    cluster: RehearsalCluster, namespace: str
) -> None:
    pools = [{"component": "nodes", "replicas": 1, "diskSize": "7Gi", **ON_THE_NODE}]
    spec = {"general": {"serviceName": "search"}, "nodePools": pools}
    with custom_kind(cluster, "opensearch.opster.io", "v1", "OpenSearchCluster") as kind:
        kind.create(namespace, "it", spec)
        path = f"/api/v1/namespaces/{namespace}/persistentvolumeclaims/data-it-nodes-0"
        claim = wait_for(lambda: cluster.api.get(path))
        assert claim["spec"]["resources"]["requests"]["storage"] == "7Gi"


@pytest.mark.parametrize("word", ["Prometheus", "Alertmanager"])
def test_a_prometheus_gets_its_stateful_set(
    cluster: RehearsalCluster, namespace: str, word: str
) -> None:
    with custom_kind(cluster, "monitoring.coreos.com", "v1", word) as kind:
        kind.create(namespace, "stack", {"replicas": 2, **ON_THE_NODE})
        name = f"{word.lower()}-stack"
        wait_for(lambda: ready_pods(cluster, namespace, "statefulsets", name) == 2)
        wait_for(lambda: kind.condition(namespace, "stack", "Available") == "True")
        kind.mark(namespace, "stack", "failed")
        wait_for(lambda: kind.condition(namespace, "stack", "Available") == "False")
        kind.mark(namespace, "stack", None)
        wait_for(lambda: kind.condition(namespace, "stack", "Available") == "True")


def test_fluent_bit_gets_its_daemon_set(cluster: RehearsalCluster, namespace: str) -> None:
    with custom_kind(
        cluster, "fluentbit.fluent.io", "v1alpha2", "FluentBit", status_subresource=False
    ) as kind:
        spec = {"image": "fluent-bit", **ON_THE_NODE}
        kind.create(namespace, "fluent-bit", spec, labels={"app": "fluent-bit"})
        wait_for(lambda: ready_pods(cluster, namespace, "daemonsets", "fluent-bit") == 1)


@pytest.mark.parametrize("name", ["first", "again"])
def test_a_certificate_is_issued_whenever_its_crd_is_installed(
    cluster: RehearsalCluster, namespace: str, name: str
) -> None:
    with custom_kind(cluster, "cert-manager.io", "v1", "Certificate") as kind:
        spec = {"secretName": f"{name}-tls", "dnsNames": ["it.example.com"]}
        kind.create(namespace, name, spec)
        wait_for(lambda: kind.condition(namespace, name, "Ready") == "True")
        secret = cluster.api.get(f"/api/v1/namespaces/{namespace}/secrets/{name}-tls")
        made = x509.load_pem_x509_certificate(base64.b64decode(secret["data"]["tls.crt"]))
        names = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert names.get_values_for_type(x509.DNSName) == ["it.example.com"]
        kind.create(namespace, "not", spec, annotations={f"{MARK}/fault": "failed"})
        wait_for(lambda: kind.condition(namespace, "not", "Ready") == "False")
    wait_for(lambda: cluster.api.find(f"{STAGES}/certificate-issue") is None)


def step_of(flow: dict[str, Any], notes: dict[str, str], **spec: Any) -> dict[str, Any]:
    """Return a pod as the workflow controller creates it."""
    made = pod("step", notes, restartPolicy="Never", **spec)
    meta = flow["metadata"]
    made["metadata"]["annotations"]["workflows.argoproj.io/node-id"] = "node-1"
    made["metadata"]["labels"] = {"workflows.argoproj.io/workflow": meta["name"]}
    made["metadata"]["ownerReferences"] = [
        {
            "apiVersion": flow["apiVersion"],
            "kind": flow["kind"],
            "name": meta["name"],
            "uid": meta["uid"],
        }
    ]
    return made


def test_a_step_of_a_workflow_reports_outputs(cluster: RehearsalCluster, pods: Pods) -> None:
    words = ("argoproj.io", "v1alpha1")
    with (
        custom_kind(cluster, *words, "Workflow", status_subresource=False) as flows,
        custom_kind(cluster, *words, "WorkflowTaskResult", status_subresource=False) as results,
    ):
        flows.create(pods.namespace, "flow", {})
        flow = flows.get(pods.namespace, "flow")
        wait_for(lambda: cluster.api.find(f"{STAGES}/workflow-outputs"))
        cluster.api.create(pods.path, step_of(flow, {"outputs": '{"result": "42"}'}))
        wait_for(lambda: pods.status("step")["phase"] == "Succeeded")
        assert results.get(pods.namespace, "node-1")["outputs"] == {"result": "42"}


def test_a_resource_step_of_a_workflow_creates_its_resource(
    cluster: RehearsalCluster, pods: Pods
) -> None:
    manifest = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: made}\ndata: {a: b}\n"
    template = json.dumps({"resource": {"action": "create", "manifest": manifest}})
    given = [{"name": "ARGO_TEMPLATE", "value": template}]
    command = ["/var/run/argo/argoexec", "emissary", "--", "argoexec", "resource", "create"]
    with custom_kind(
        cluster, "argoproj.io", "v1alpha1", "Workflow", status_subresource=False
    ) as flows:
        flows.create(pods.namespace, "flow", {})
        wait_for(lambda: cluster.api.find(f"{STAGES}/workflow-resource"))
        made = step_of(
            flows.get(pods.namespace, "flow"),
            {},
            initContainers=[{"name": "init", "image": "argoexec", "env": given}],
            containers=[{"name": "main", "image": "argoexec", "command": command}],
        )
        cluster.api.create(pods.path, made)
        wait_for(lambda: pods.status("step")["phase"] == "Succeeded")
        found = cluster.api.get(f"/api/v1/namespaces/{pods.namespace}/configmaps/made")
        assert found["data"] == {"a": "b"}


# -- time, and a restart of the sandbox --------------------------------------------------------


def test_image_pulls_take_time_and_pods_survive_a_restart_of_the_sandbox() -> None:
    with sandbox_with_cluster(speed=100.0) as cluster:
        make_node(cluster)
        cluster.api.create("/api/v1/namespaces", {"metadata": {"name": "slow"}})
        wait_for(lambda: cluster.api.find("/api/v1/namespaces/slow/serviceaccounts/default"))
        pods = Pods(cluster, "slow")
        pods.create("stuck", {"fault": "stuck-creating"}, initContainers=[SETUP])
        pods.create("unpulled", {"fault": "image-pull"}, initContainers=[SETUP])
        large = [{"name": "app", "image": "docker.io/pytorch/pytorch:2.9"}]
        pods.create("large", containers=large, initContainers=[SETUP])
        wait_for(lambda: pods.event_messages("Pulling", "large"))
        assert pods.status("large")["phase"] == "Pending"
        pods.create("small")
        wait_for(lambda: pods.ready("small"))
        assert not pods.ready("large")
        wait_for(lambda: pods.ready("large"))
        wait_for(lambda: pods.waiting_reason("unpulled") == "ImagePullBackOff")
        statuses = [pods.status(name) for name in ("stuck", "unpulled")]
        identity = cluster.folder.name
        daemon_client.stop(cluster.running.home)
        running = daemon_client.start(cluster.running.home, speed=100.0)
        pods = Pods(rehearsal_cluster(running, identity), "slow")
        pods.create("later")
        wait_for(lambda: pods.ready("later"))
        addresses = [pods.status(name)["podIP"] for name in ("small", "large", "later")]
        assert len({*addresses}) == 3
        # No pod's status changes over and over.
        assert statuses == [pods.status(name) for name in ("stuck", "unpulled")]
