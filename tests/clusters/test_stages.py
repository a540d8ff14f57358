"""What nothing real runs for moves as it would on a real cluster."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from cryptography import x509

from jarkkit.sandbox import control
from tests.clusters.conftest import World, fresh_world, wait_for, world_of

pytestmark = pytest.mark.usefixtures("node")
NODE = "stages-node"
MARK = "sandbox.jarkkit.io"
STAGES = "/apis/kwok.x-k8s.io/v1alpha1/stages"
HERE = {"nodeSelector": {"test": "stages"}}
SETUP = {"name": "setup", "image": "example.com/setup"}


@pytest.fixture(scope="module")
def node(world: World) -> Iterator[None]:
    """A node made by hand; pods must ask for it."""
    make_node(world)
    yield
    world.api.delete(f"/api/v1/nodes/{NODE}")


def make_node(world: World) -> None:
    """A node without an instance; returns when it is Ready."""
    room = {"cpu": "1000", "memory": "1000Gi", "pods": "1000"}
    made = {
        "metadata": {"name": NODE, "labels": {"test": "stages"}},
        "status": {"capacity": room, "allocatable": room},
    }
    world.api.create("/api/v1/nodes", made)
    world.api.patch(f"/api/v1/nodes/{NODE}/status", kubelet(world))
    wait_for(lambda: node_ready(world)["status"] == "True")


def kubelet(world: World) -> dict[str, Any]:
    """Where KWOK answers for the node."""
    words = (world.folder / "clusters" / "cluster" / "kwok.yaml").read_text()
    port = int(re.search(r"kwokControllerPort: (\d+)", words)[1])  # type: ignore[index]
    return {
        "status": {
            "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": port}},
        }
    }


def node_ready(world: World) -> dict[str, Any]:
    """The node's condition."""
    conditions = world.api.get(f"/api/v1/nodes/{NODE}")["status"].get("conditions", ())
    return next((c for c in conditions if c["type"] == "Ready"), {"status": ""})


def kubectl(world: World, *words: str, check: bool = True) -> str:
    """What it says, on both streams."""
    command = ["kubectl", "--kubeconfig", str(world.kubeconfig), *words]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ})
    assert not check or done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def pod(name: str = "it", annotations: dict[str, str] | None = None, **spec: Any) -> dict[str, Any]:
    """A pod for the node."""
    notes = {f"{MARK}/{key}": value for key, value in (annotations or {}).items()}
    containers = [{"name": "app", "image": "example.com/app:1"}]
    return {
        "metadata": {"name": name, "annotations": notes},
        "spec": {"nodeSelector": {"test": "stages"}, "containers": containers, **spec},
    }


class Pods:
    """Pods of a namespace."""

    def __init__(self, world: World, namespace: str) -> None:
        self.world = world
        self.namespace = namespace
        self.path = f"/api/v1/namespaces/{namespace}/pods"

    def create(self, *given: Any, **more: Any) -> None:
        self.world.api.create(self.path, pod(*given, **more))

    def get(self, name: str = "it") -> dict[str, Any]:
        return self.world.api.get(f"{self.path}/{name}")

    def status(self, name: str = "it") -> dict[str, Any]:
        found: dict[str, Any] = self.get(name)["status"]
        return found

    def container(self, name: str = "it", number: int = 0) -> dict[str, Any]:
        found: dict[str, Any] = (self.status(name).get("containerStatuses") or [{}])[number]
        return found

    def waits(self, name: str = "it") -> str:
        """Why its first container waits."""
        return str(self.container(name).get("state", {}).get("waiting", {}).get("reason", ""))

    def condition(self, kind: str, name: str = "it") -> dict[str, Any]:
        found = self.status(name).get("conditions", ())
        return next((c for c in found if c["type"] == kind), {"status": ""})

    def ready(self, name: str = "it") -> bool:
        return bool(self.condition("Ready", name)["status"] == "True")

    def mark(self, name: str = "it", **notes: str | None) -> None:
        """Set or take away annotations."""
        change = {f"{MARK}/{key}": value for key, value in notes.items()}
        path = f"{self.path}/{name}"
        self.world.api.patch(path, {"metadata": {"annotations": change}}, kind="merge")

    def would_be_marked(self, name: str = "it") -> bool:
        """True when a named fault is in force for such a pod."""
        made = self.world.api.create(f"{self.path}?dryRun=All", pod(name))
        return f"{MARK}/fault" in made["metadata"].get("annotations", {})

    def said(self, reason: str, name: str = "it") -> list[str]:
        """Messages of its events of that reason."""
        events = self.world.api.list(f"/api/v1/namespaces/{self.namespace}/events")
        return [
            event["message"]
            for event in events
            if event["involvedObject"]["name"] == name and event["reason"] == reason
        ]


@pytest.fixture
def pods(world: World, namespace: str) -> Pods:
    return Pods(world, namespace)


# -- pods that run -----------------------------------------------------------------------------


def test_twenty_replicas_are_ready_within_two_seconds(world: World, namespace: str) -> None:
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments"
    template = pod()
    template["metadata"] = {"labels": {"app": "web"}}
    spec = {"replicas": 20, "selector": {"matchLabels": {"app": "web"}}, "template": template}
    began = time.monotonic()
    world.api.create(path, {"metadata": {"name": "web"}, "spec": spec})
    wait_for(lambda: world.api.get(f"{path}/web")["status"].get("readyReplicas") == 20)
    # 0.8 s on two idle cores; the rest is for those on which other tests run.
    assert time.monotonic() - began < 5


def test_a_pod_becomes_what_kubelet_would_make_of_it(world: World, pods: Pods) -> None:
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
    wait_for(lambda: pods.said("Started"))
    assert wait_for(lambda: pods.said("Pulled")) == [
        'Successfully pulled image "example.com/app:1"'
    ]
    assert "2/2" in kubectl(world, "get", "pod", "it", "-n", pods.namespace)


def test_a_pod_in_the_hosts_network_has_the_hosts_address(pods: Pods) -> None:
    pods.create(hostNetwork=True)
    wait_for(pods.ready)
    assert pods.status()["podIP"] == pods.status()["hostIP"] == "127.0.0.1"


def test_a_readiness_gate_is_waited_for(pods: Pods) -> None:
    pods.create(readinessGates=[{"conditionType": "example.com/balanced"}])
    wait_for(lambda: pods.condition("ContainersReady")["status"] == "True")
    assert pods.condition("Ready")["reason"] == "ReadinessGatesNotReady"
    balanced = {"type": "example.com/balanced", "status": "True"}
    pods.world.api.patch(
        f"{pods.path}/it/status", {"status": {"conditions": [balanced]}}, kind="strategic"
    )
    wait_for(pods.ready)
    balanced["status"] = "False"
    pods.world.api.patch(
        f"{pods.path}/it/status", {"status": {"conditions": [balanced]}}, kind="strategic"
    )
    wait_for(lambda: not pods.ready())


def test_a_daemon_set_runs_on_the_node(world: World, namespace: str) -> None:
    path = f"/apis/apps/v1/namespaces/{namespace}/daemonsets"
    template = pod()
    template["metadata"] = {"labels": {"app": "agent"}}
    spec = {"selector": {"matchLabels": {"app": "agent"}}, "template": template}
    world.api.create(path, {"metadata": {"name": "agent"}, "spec": spec})
    wait_for(lambda: world.api.get(f"{path}/agent")["status"].get("numberReady") == 1)


def test_a_pod_of_a_process_is_left_alone(pods: Pods) -> None:
    pods.create("real", {"process": "nothing-of-that-name"})
    pods.create("other")
    wait_for(lambda: pods.ready("other"))
    assert pods.status("real")["phase"] == "Pending"
    for name in ("real", "other"):
        pods.world.api.delete(f"{pods.path}/{name}")
    wait_for(lambda: pods.world.api.find(f"{pods.path}/other") is None)
    assert pods.get("real")["metadata"]["deletionTimestamp"]
    pods.world.api.delete(f"{pods.path}/real", gracePeriodSeconds=0)


# -- pods that end -----------------------------------------------------------------------------


def test_a_job_completes(world: World, pods: Pods) -> None:
    path = f"/apis/batch/v1/namespaces/{pods.namespace}/jobs"
    spec = pod(restartPolicy="OnFailure")["spec"]
    world.api.create(path, {"metadata": {"name": "sum"}, "spec": {"template": {"spec": spec}}})
    wait_for(lambda: world.api.get(f"{path}/sum")["status"].get("succeeded") == 1)
    kubectl(world, "wait", "--for=condition=complete", "job/sum", "-n", pods.namespace)


def test_a_job_fails_with_the_code_that_was_asked_for(world: World, pods: Pods) -> None:
    path = f"/apis/batch/v1/namespaces/{pods.namespace}/jobs"
    template = pod(annotations={"exit-code": "3"}, restartPolicy="Never")
    del template["metadata"]["name"]
    spec = {"template": template, "backoffLimit": 0}
    world.api.create(path, {"metadata": {"name": "sum"}, "spec": spec})
    wait_for(lambda: world.api.get(f"{path}/sum")["status"].get("failed") == 1)
    (failed,) = world.api.list(pods.path)
    assert failed["status"]["phase"] == "Failed"
    ended = failed["status"]["containerStatuses"][0]["state"]["terminated"]
    assert (ended["exitCode"], ended["reason"]) == (3, "Error")
    assert "sandbox.jarkkit.io" in ended["message"]


def test_only_pods_that_mean_to_end_do(pods: Pods) -> None:
    pods.create("ends", restartPolicy="Never")
    pods.create("notebook", restartPolicy="OnFailure")
    worker = pod("worker", restartPolicy="Never")
    worker["metadata"]["labels"] = {"ray.io/node-type": "worker"}
    pods.world.api.create(pods.path, worker)
    wait_for(lambda: pods.status("ends")["phase"] == "Succeeded")
    assert pods.condition("Ready", "ends")["reason"] == "PodCompleted"
    wait_for(lambda: pods.ready("notebook") and pods.ready("worker"))
    time.sleep(0.5)
    for name in ("notebook", "worker"):
        assert pods.status(name)["phase"] == "Running"


def test_a_step_of_a_workflow_fails_beside_a_wait_that_does_not(pods: Pods) -> None:
    names = [{"name": name, "image": "argo"} for name in ("wait", "main")]
    pods.create("it", {"exit-code": "137"}, restartPolicy="Never", containers=names)
    wait_for(lambda: pods.status()["phase"] == "Failed")
    wait, main = (pods.container(number=n)["state"]["terminated"] for n in (0, 1))
    assert (wait["exitCode"], wait["reason"]) == (0, "Completed")
    assert (main["exitCode"], main["reason"]) == (137, "OOMKilled")


def test_how_long_a_pod_runs_can_be_said(pods: Pods) -> None:
    pods.create("it", {"seconds": "2s"}, restartPolicy="Never")
    wait_for(pods.ready)
    began = time.monotonic()
    wait_for(lambda: pods.status()["phase"] == "Succeeded")
    assert time.monotonic() - began > 1


def test_a_finalizer_keeps_a_deleted_pod(pods: Pods) -> None:
    kept = pod()
    kept["metadata"]["finalizers"] = ["example.com/kept"]
    pods.world.api.create(pods.path, kept)
    wait_for(pods.ready)
    pods.world.api.delete(f"{pods.path}/it")
    wait_for(lambda: pods.get()["metadata"]["deletionGracePeriodSeconds"] == 0)
    assert pods.status()["phase"] == "Failed"
    assert pods.container()["state"]["terminated"]["exitCode"] == 143
    version = pods.get()["metadata"]["resourceVersion"]
    time.sleep(1)
    assert pods.get()["metadata"]["resourceVersion"] == version
    pods.world.api.patch(f"{pods.path}/it", {"metadata": {"finalizers": None}})
    wait_for(lambda: pods.world.api.find(f"{pods.path}/it") is None)


def test_pods_go_with_their_namespace(world: World) -> None:
    path = "/api/v1/namespaces/goes"
    world.api.create("/api/v1/namespaces", {"metadata": {"name": "goes"}})
    wait_for(lambda: world.api.find(f"{path}/serviceaccounts/default"))
    pods = Pods(world, "goes")
    pods.create()
    wait_for(pods.ready)
    world.api.delete(path)
    wait_for(lambda: world.api.find(path) is None)


def test_a_pod_that_is_deleted_is_told_so(pods: Pods) -> None:
    pods.create()
    wait_for(pods.ready)
    pods.world.api.delete(f"{pods.path}/it")
    wait_for(lambda: pods.said("Killing"))
    wait_for(lambda: pods.world.api.find(f"{pods.path}/it") is None)


# -- faults of pods ----------------------------------------------------------------------------


def test_an_image_cannot_be_pulled_and_then_can(world: World, pods: Pods) -> None:
    pods.create("it", {"fault": "image-pull"})
    wait_for(lambda: pods.waits() == "ImagePullBackOff")
    message = pods.container()["state"]["waiting"]["message"]
    assert message.startswith('Back-off pulling image "example.com/app:1": ErrImagePull: ')
    assert pods.status()["phase"] == "Pending"
    wait_for(lambda: len(pods.said("Failed")) == 3)
    assert {"Error: ErrImagePull", "Error: ImagePullBackOff"} <= {*pods.said("Failed")}
    assert pods.said("BackOff") == ['Back-off pulling image "example.com/app:1"']
    assert "ImagePullBackOff" in kubectl(world, "get", "pods", "-n", pods.namespace)
    pods.mark(fault=None)
    wait_for(pods.ready)


def test_a_container_that_crashes_is_started_again_and_again(world: World, pods: Pods) -> None:
    pods.create("it", {"fault": "crash-loop"})

    def crashed() -> dict[str, Any]:
        found = pods.container()
        waits = found.get("state", {}).get("waiting", {}).get("reason") == "CrashLoopBackOff"
        return found if waits and found["restartCount"] >= 3 else {}

    container = wait_for(crashed)
    ended = container["lastState"]["terminated"]
    assert (ended["exitCode"], ended["reason"]) == (1, "Error")
    assert "restarting failed container=app" in container["state"]["waiting"]["message"]
    uid = pods.get()["metadata"]["uid"]
    expected = f"Back-off restarting failed container app in pod it_{pods.namespace}({uid})"
    assert wait_for(lambda: pods.said("BackOff")) == [expected]
    assert pods.status()["phase"] == "Running"
    pods.mark(fault=None)
    wait_for(pods.ready)
    assert pods.container()["restartCount"] >= 3


def test_a_container_that_has_too_little_memory_is_killed(pods: Pods) -> None:
    pods.create("it", {"fault": "oom"})
    wait_for(lambda: pods.waits() == "CrashLoopBackOff")
    ended = pods.container()["lastState"]["terminated"]  # also while it runs again
    assert (ended["exitCode"], ended["reason"]) == (137, "OOMKilled")


def test_a_pod_that_runs_stops_being_ready(pods: Pods) -> None:
    pods.create()
    wait_for(pods.ready)
    started = pods.container()["state"]
    pods.mark(fault="not-ready")
    wait_for(lambda: not pods.ready())
    assert pods.condition("Ready")["message"] == "containers with unready status: [app]"
    assert wait_for(lambda: pods.said("Unhealthy"))
    pods.mark(fault=None)
    wait_for(pods.ready)
    assert pods.container()["state"] == started
    assert pods.container()["restartCount"] == 0


def test_a_pod_is_never_ready(pods: Pods) -> None:
    pods.create("it", {"fault": "not-ready"})
    wait_for(lambda: pods.status()["phase"] == "Running")
    assert not pods.ready()
    assert wait_for(lambda: pods.said("Unhealthy"))


def test_a_pod_gets_no_network_and_then_does(pods: Pods) -> None:
    pods.create("it", {"fault": "stuck-creating"})
    wait_for(lambda: pods.waits() == "ContainerCreating")
    assert (
        "failed to assign an IP address" in wait_for(lambda: pods.said("FailedCreatePodSandBox"))[0]
    )
    pods.mark(fault=None)
    wait_for(pods.ready)


# -- faults by name ----------------------------------------------------------------------------


@contextlib.contextmanager
def fault(world: World, *names: str) -> Iterator[None]:
    """These are on meanwhile."""
    control.set_faults(world.running.home, names)
    try:
        yield
    finally:
        control.set_faults(world.running.home, ())


def test_a_named_fault_hits_pods_that_are_created_meanwhile(world: World, pods: Pods) -> None:
    pods.create("hub-before")
    wait_for(lambda: pods.ready("hub-before"))
    with fault(world, f"image-pull:{pods.namespace}/hub"):
        wait_for(lambda: pods.would_be_marked("hub-probe"))
        pods.create("hub-1")
        pods.create("proxy-1")
        wait_for(lambda: pods.waits("hub-1") == "ImagePullBackOff")
        wait_for(lambda: pods.ready("proxy-1"))
        assert pods.ready("hub-before")
    wait_for(lambda: pods.ready("hub-1"))
    pods.create("hub-2")
    wait_for(lambda: pods.ready("hub-2"))


def test_a_named_fault_goes_by_image_and_leaves_what_a_user_has_marked(
    world: World, pods: Pods
) -> None:
    other = [{"name": "app", "image": "example.com/other:1"}]
    with fault(world, "crash-loop:com/app", "helm-timeout:com/other"):
        wait_for(pods.would_be_marked)
        pods.create("by-user", {"fault": "oom"})
        pods.create("by-name")
        pods.create("slow", containers=other)
        wait_for(lambda: pods.waits("by-name") == "CrashLoopBackOff")
        wait_for(lambda: pods.status("slow")["phase"] == "Running")
        assert not pods.ready("slow")
    wait_for(lambda: pods.ready("by-name") and pods.ready("slow"))
    wait_for(lambda: pods.waits("by-user") == "CrashLoopBackOff")
    assert pods.get("by-user")["metadata"]["annotations"] == {f"{MARK}/fault": "oom"}


@pytest.mark.parametrize(
    ("image", "program"),
    [
        ("public.ecr.aws/karpenter/controller:1.8.0", "karpenter"),
        ("quay.io/argoproj/workflow-controller:v3.7.4", "workflow-controller"),
        ("quay.io/kuberay/operator:v1.6.2", "kuberay-operator"),
        ("example.com/app:1", None),
    ],
)
def test_pods_that_processes_play_are_known_when_they_are_created(
    pods: Pods, image: str, program: str | None
) -> None:
    asked = pod(containers=[{"name": "controller", "image": image}])
    made = pods.world.api.create(f"{pods.path}?dryRun=All", asked)
    assert made["metadata"].get("annotations", {}).get(f"{MARK}/process") == program


# -- what is behind simulated pods -------------------------------------------------------------


def test_kubectl_shows_that_a_pod_is_simulated(world: World, pods: Pods) -> None:
    pods.create()
    wait_for(pods.ready)
    logs = wait_for(lambda: kubectl(world, "logs", "it", "-n", pods.namespace))
    assert "simulated by jarkkit's sandbox" in logs
    refused = kubectl(world, "exec", "it", "-n", pods.namespace, "--", "id", check=False)
    assert "no exec found" in refused


def test_a_forwarded_port_answers_that_it_is_simulated(world: World, pods: Pods) -> None:
    pods.create()
    wait_for(pods.ready)
    command = ["kubectl", "--kubeconfig", str(world.kubeconfig), "-n", pods.namespace]
    with subprocess.Popen(
        [*command, "port-forward", "pod/it", ":8080"], stdout=subprocess.PIPE, text=True
    ) as forward:
        try:
            assert forward.stdout is not None
            port = int(forward.stdout.readline().split(":")[1].split()[0])
            url = f"http://127.0.0.1:{port}/hub/health"
            with urllib.request.urlopen(url, timeout=10) as answer:
                said = json.load(answer)
        finally:
            forward.terminate()
    assert said["simulated"]
    assert said["path"] == "/hub/health"


# -- nodes -------------------------------------------------------------------------------------


def test_a_node_breaks_and_recovers(world: World) -> None:
    path = f"/api/v1/nodes/{NODE}"
    mark = {f"{MARK}/fault": "not-ready"}
    world.api.patch(path, {"metadata": {"annotations": mark}})
    wait_for(lambda: node_ready(world)["status"] == "False")
    assert node_ready(world)["reason"] == "KubeletNotReady"
    world.api.patch(path, {"metadata": {"annotations": {f"{MARK}/fault": None}}})
    wait_for(lambda: node_ready(world)["status"] == "True")


def test_a_node_has_a_lease_that_lasts_as_long_as_it_is_waited_for(world: World) -> None:
    """Without a lease that is renewed the node would be Unknown after a while."""
    path = f"/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/{NODE}"
    lease = wait_for(lambda: world.api.get(path))
    assert lease["metadata"]["ownerReferences"][0]["name"] == NODE
    words = (world.folder / "clusters" / "cluster" / "kwok.yaml").read_text()
    grace = re.search(r"node-monitor-grace-period=(?:(\d+)m)?(\d+)s", words)
    assert grace
    seconds = 60 * int(grace[1] or 0) + int(grace[2])
    assert lease["spec"]["leaseDurationSeconds"] <= seconds


# -- custom resources whose operator does not run ----------------------------------------------


class Kind:
    """A kind that accepts everything, with or without the status apart as in the real one."""

    definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"

    def __init__(self, world: World, group: str, version: str, kind: str, *, apart: bool) -> None:
        self.world = world
        self.api_version, self.kind = f"{group}/{version}", kind
        self.plural = f"{kind.lower()}s"
        self.name = f"{self.plural}.{group}"
        anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
        served = {
            "name": version,
            "served": True,
            "storage": True,
            "schema": {"openAPIV3Schema": anything},
            "subresources": {"status": {}} if apart else {},
        }
        names = {"plural": self.plural, "singular": kind.lower(), "kind": kind}
        spec = {"group": group, "scope": "Namespaced", "names": names, "versions": [served]}
        world.api.create(self.definitions, {"metadata": {"name": self.name}, "spec": spec})

    def remove(self) -> None:
        """Take the kind away, with all that is of it."""
        path = f"{self.definitions}/{self.name}"
        self.world.api.delete(path)
        wait_for(lambda: self.world.api.find(path) is None)

    def path(self, namespace: str, name: str = "") -> str:
        root = f"/apis/{self.api_version}/namespaces/{namespace}/{self.plural}"
        return f"{root}/{name}" if name else root

    def create(self, namespace: str, name: str, spec: dict[str, Any], **meta: Any) -> None:
        thing = {
            "apiVersion": self.api_version,
            "kind": self.kind,
            "metadata": {"name": name, **meta},
            "spec": spec,
        }
        wait_for(lambda: self.world.api.create(self.path(namespace), thing))

    def get(self, namespace: str, name: str) -> dict[str, Any]:
        return self.world.api.get(self.path(namespace, name))

    def status(self, namespace: str, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.get(namespace, name).get("status", {})
        return found

    def condition(self, namespace: str, name: str, kind: str) -> str:
        found = self.status(namespace, name).get("conditions", ())
        return next((str(c["status"]) for c in found if c["type"] == kind), "")

    def mark(self, namespace: str, name: str, fault: str | None) -> None:
        change = {"metadata": {"annotations": {f"{MARK}/fault": fault}}}
        self.world.api.patch(self.path(namespace, name), change)


@contextlib.contextmanager
def defined(world: World, *words: str, apart: bool = True) -> Iterator[Kind]:
    """The kind is there meanwhile."""
    kind = Kind(world, *words, apart=apart)
    try:
        yield kind
    finally:
        kind.remove()


def ready_pods(world: World, namespace: str, plural: str, name: str) -> int:
    """How many of a workload's pods are Ready; ApiError where there is none."""
    status = world.api.get(f"/apis/apps/v1/namespaces/{namespace}/{plural}/{name}")["status"]
    return int(status.get("readyReplicas", status.get("numberReady", 0)))


def test_an_application_is_synced_fails_and_is_deleted(world: World, namespace: str) -> None:
    source = {"repoURL": "https://example.com/it.git", "targetRevision": "main"}
    spec = {"source": source, "syncPolicy": {"automated": {}}}
    finalizer = "resources-finalizer.argocd.argoproj.io"
    with defined(world, "argoproj.io", "v1alpha1", "Application", apart=False) as kind:

        def health() -> str:
            return str(kind.status(namespace, "it").get("health", {}).get("status"))

        kind.create(namespace, "it", spec, finalizers=[finalizer])
        wait_for(lambda: health() == "Healthy")
        assert len(kind.status(namespace, "it")["sync"]["revision"]) == 40
        kind.mark(namespace, "it", "failed")
        wait_for(lambda: health() == "Degraded")
        kind.mark(namespace, "it", None)
        wait_for(lambda: health() == "Healthy")
        world.api.delete(kind.path(namespace, "it"))
        wait_for(lambda: world.api.find(kind.path(namespace, "it")) is None)


def test_an_application_that_is_synced_by_hand_waits(world: World, namespace: str) -> None:
    spec = {"source": {"repoURL": "https://example.com", "chart": "it", "targetRevision": "1.2"}}
    with defined(world, "argoproj.io", "v1alpha1", "Application", apart=False) as kind:

        def sync() -> dict[str, Any]:
            found: dict[str, Any] = kind.status(namespace, "it").get("sync", {})
            return found

        kind.create(namespace, "it", spec)
        wait_for(lambda: sync() == {"status": "OutOfSync"})
        world.api.patch(kind.path(namespace, "it"), {"operation": {"sync": {}}})
        wait_for(lambda: sync() == {"status": "Synced", "revision": "1.2"})
        assert "operation" not in kind.get(namespace, "it")


def test_an_opensearch_cluster_gets_its_nodes_and_dashboards(world: World, namespace: str) -> None:
    def pool(name: str, replicas: int) -> dict[str, Any]:
        kept = {"persistence": {"emptyDir": {}}, "roles": ["data"]}
        return {"component": name, "replicas": replicas, **kept, **HERE}

    spec = {
        "general": {"serviceName": "search", "version": "2.14.0"},
        "dashboards": {"enable": True, "replicas": 2, "version": "2.14.0", **HERE},
        "nodePools": [pool("masters", 2), pool("more", 1)],
    }
    dashboards = ("deployments", "opensearch-dashboards")
    with defined(world, "opensearch.opster.io", "v1", "OpenSearchCluster") as kind:
        kind.create(namespace, "opensearch", spec)
        wait_for(lambda: ready_pods(world, namespace, "statefulsets", "opensearch-masters") == 2)
        wait_for(lambda: ready_pods(world, namespace, "statefulsets", "opensearch-more") == 1)
        wait_for(lambda: ready_pods(world, namespace, *dashboards) == 2)
        wait_for(lambda: kind.status(namespace, "opensearch").get("phase") == "RUNNING")
        assert kind.status(namespace, "opensearch")["availableNodes"] == 3
        services = world.api.list(f"/api/v1/namespaces/{namespace}/services")
        assert {"search", "search-dashboards"} <= {s["metadata"]["name"] for s in services}
        more = {"spec": {"dashboards": {"replicas": 3}}}
        world.api.patch(kind.path(namespace, "opensearch"), more)
        wait_for(lambda: ready_pods(world, namespace, *dashboards) == 3)
        world.api.delete(kind.path(namespace, "opensearch"))
        path = f"/apis/apps/v1/namespaces/{namespace}/deployments/opensearch-dashboards"
        wait_for(lambda: world.api.find(path) is None)


def test_an_opensearch_cluster_has_volumes_unless_it_is_told_otherwise(
    world: World, namespace: str
) -> None:
    pools = [{"component": "nodes", "replicas": 1, "diskSize": "7Gi", **HERE}]
    spec = {"general": {"serviceName": "search"}, "nodePools": pools}
    with defined(world, "opensearch.opster.io", "v1", "OpenSearchCluster") as kind:
        kind.create(namespace, "it", spec)
        path = f"/api/v1/namespaces/{namespace}/persistentvolumeclaims/data-it-nodes-0"
        claim = wait_for(lambda: world.api.get(path))
        assert claim["spec"]["resources"]["requests"]["storage"] == "7Gi"


@pytest.mark.parametrize("word", ["Prometheus", "Alertmanager"])
def test_a_prometheus_gets_its_stateful_set(world: World, namespace: str, word: str) -> None:
    with defined(world, "monitoring.coreos.com", "v1", word) as kind:
        kind.create(namespace, "stack", {"replicas": 2, **HERE})
        name = f"{word.lower()}-stack"
        wait_for(lambda: ready_pods(world, namespace, "statefulsets", name) == 2)
        wait_for(lambda: kind.condition(namespace, "stack", "Available") == "True")
        kind.mark(namespace, "stack", "failed")
        wait_for(lambda: kind.condition(namespace, "stack", "Available") == "False")
        kind.mark(namespace, "stack", None)
        wait_for(lambda: kind.condition(namespace, "stack", "Available") == "True")


def test_fluent_bit_gets_its_daemon_set(world: World, namespace: str) -> None:
    with defined(world, "fluentbit.fluent.io", "v1alpha2", "FluentBit", apart=False) as kind:
        spec = {"image": "fluent-bit", **HERE}
        kind.create(namespace, "fluent-bit", spec, labels={"app": "fluent-bit"})
        wait_for(lambda: ready_pods(world, namespace, "daemonsets", "fluent-bit") == 1)


@pytest.mark.parametrize("name", ["first", "again"])
def test_a_certificate_is_issued_whenever_its_kind_comes(
    world: World, namespace: str, name: str
) -> None:
    with defined(world, "cert-manager.io", "v1", "Certificate") as kind:
        spec = {"secretName": f"{name}-tls", "dnsNames": ["it.example.com"]}
        kind.create(namespace, name, spec)
        wait_for(lambda: kind.condition(namespace, name, "Ready") == "True")
        secret = world.api.get(f"/api/v1/namespaces/{namespace}/secrets/{name}-tls")
        made = x509.load_pem_x509_certificate(base64.b64decode(secret["data"]["tls.crt"]))
        names = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert names.get_values_for_type(x509.DNSName) == ["it.example.com"]
        kind.create(namespace, "not", spec, annotations={f"{MARK}/fault": "failed"})
        wait_for(lambda: kind.condition(namespace, "not", "Ready") == "False")
    wait_for(lambda: world.api.find(f"{STAGES}/certificate-issue") is None)


def step_of(flow: dict[str, Any], notes: dict[str, str], **spec: Any) -> dict[str, Any]:
    """A pod as the workflow controller makes it."""
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


def test_a_step_of_a_workflow_reports_outputs(world: World, pods: Pods) -> None:
    words = ("argoproj.io", "v1alpha1")
    with (
        defined(world, *words, "Workflow", apart=False) as flows,
        defined(world, *words, "WorkflowTaskResult", apart=False) as results,
    ):
        flows.create(pods.namespace, "flow", {})
        flow = flows.get(pods.namespace, "flow")
        wait_for(lambda: world.api.find(f"{STAGES}/workflow-outputs"))
        world.api.create(pods.path, step_of(flow, {"outputs": '{"result": "42"}'}))
        wait_for(lambda: pods.status("step")["phase"] == "Succeeded")
        assert results.get(pods.namespace, "node-1")["outputs"] == {"result": "42"}


def test_a_resource_step_of_a_workflow_makes_its_resource(world: World, pods: Pods) -> None:
    manifest = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: made}\ndata: {a: b}\n"
    template = json.dumps({"resource": {"action": "create", "manifest": manifest}})
    given = [{"name": "ARGO_TEMPLATE", "value": template}]
    command = ["/var/run/argo/argoexec", "emissary", "--", "argoexec", "resource", "create"]
    with defined(world, "argoproj.io", "v1alpha1", "Workflow", apart=False) as flows:
        flows.create(pods.namespace, "flow", {})
        wait_for(lambda: world.api.find(f"{STAGES}/workflow-resource"))
        made = step_of(
            flows.get(pods.namespace, "flow"),
            {},
            initContainers=[{"name": "init", "image": "argoexec", "env": given}],
            containers=[{"name": "main", "image": "argoexec", "command": command}],
        )
        world.api.create(pods.path, made)
        wait_for(lambda: pods.status("step")["phase"] == "Succeeded")
        found = world.api.get(f"/api/v1/namespaces/{pods.namespace}/configmaps/made")
        assert found["data"] == {"a": "b"}


# -- with time, and after a new start ----------------------------------------------------------


def test_images_take_time_and_nodes_are_played_on_after_a_new_start() -> None:
    with fresh_world(speed=100.0) as world:
        make_node(world)
        world.api.create("/api/v1/namespaces", {"metadata": {"name": "slow"}})
        wait_for(lambda: world.api.find("/api/v1/namespaces/slow/serviceaccounts/default"))
        pods = Pods(world, "slow")
        pods.create("stuck", {"fault": "stuck-creating"}, initContainers=[SETUP])
        pods.create("unpulled", {"fault": "image-pull"}, initContainers=[SETUP])
        large = [{"name": "app", "image": "docker.io/pytorch/pytorch:2.9"}]
        pods.create("large", containers=large, initContainers=[SETUP])
        wait_for(lambda: pods.said("Pulling", "large"))
        assert pods.status("large")["phase"] == "Pending"
        pods.create("small")
        wait_for(lambda: pods.ready("small"))
        assert not pods.ready("large")
        wait_for(lambda: pods.ready("large"))
        wait_for(lambda: pods.waits("unpulled") == "ImagePullBackOff")
        versions = [pods.get(n)["metadata"]["resourceVersion"] for n in ("stuck", "unpulled")]
        identity = world.folder.name
        control.stop(world.running.home)
        running = control.start(world.running.home, speed=100.0)
        pods = Pods(world_of(running, identity), "slow")
        pods.create("later")
        wait_for(lambda: pods.ready("later"))
        addresses = [pods.status(name)["podIP"] for name in ("small", "large", "later")]
        assert len({*addresses}) == 3
        # Nothing goes round in circles.
        assert versions == [
            pods.get(n)["metadata"]["resourceVersion"] for n in ("stuck", "unpulled")
        ]
