"""Installing and removing add-ons, on fakes."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from jarkkit.catalog.addons import Addon
from jarkkit.decisions.cluster.readiness import is_crash_looping
from jarkkit.model.errors import JarkkitError
from jarkkit.model.events import StepEvent, stamp_all, stamped
from jarkkit.model.records import ClusterState, Event
from jarkkit.model.step_generators import run_to_end
from jarkkit.ports.helm import Release
from jarkkit.ports.workspace import Workspace
from jarkkit.settings import Settings
from jarkkit.steps.cluster import cluster_layer, installer, retry, uninstaller
from jarkkit.steps.cluster.cluster_layer import ClusterLayer
from jarkkit.steps.cluster.install_state import InstallState
from jarkkit.steps.cluster.installer import install
from jarkkit.steps.cluster.uninstaller import remove_all
from tests.support.fakes.cluster import OUTPUTS, FakeHelm, FakeKube, workload_object
from tests.support.fakes.cluster import cluster_layer as fake_layer

CRASHED = {"terminated": {"exitCode": 1, "reason": "Error"}}


def addon(name: str, **more: Any) -> Addon:
    """Return a Helm add-on with one Deployment of its name."""
    return Addon.model_validate(
        {
            "name": name,
            "title": name.title(),
            "what": "A test.",
            "group": "Jobs",
            "install": "helm",
            "namespace": name,
            "chart": {
                "repository": "https://example.org/charts",
                "name": name,
                "version": "1.0.0",
                "release": name,
            },
            "workloads": [{"kind": "Deployment", "name": name, "replicas": 1}],
            "link": "https://example.org",
            **more,
        }
    )


pytestmark = pytest.mark.timeout(300)

NODES = addon("nodes", core=True)
JOBS = addon("jobs", needs=["queue"])
QUEUE = addon("queue")
WEB = addon("web")


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    for module in (installer, uninstaller):
        monkeypatch.setattr(module, "_POLL_SECONDS", 0.01)
    monkeypatch.setattr(retry, "_RETRY_SECONDS", 0.01)
    monkeypatch.setattr(uninstaller, "_DELETION_SECONDS", 0.05)
    made = Workspace(tmp_path / "deployments" / "demo")
    made.create(Settings(), rehearsal=True)
    return made


class Ports:
    """One cluster that several runs share."""

    def __init__(self, workspace: Workspace, *all_addons: Addon) -> None:
        self.workspace, self.all_addons = workspace, {a.name: a for a in all_addons}
        self.kube = FakeKube()
        releases = {a.chart.release: a for a in all_addons if a.chart}
        self.helm = FakeHelm(self.kube, releases)

    def layer(self, *addons: Addon, **settings: Any) -> ClusterLayer:
        self.all_addons |= {a.name: a for a in addons}
        all_addons = self.all_addons
        self.helm.by_release = {a.chart.release: a for a in all_addons.values() if a.chart}
        return fake_layer(
            self.workspace,
            addons,
            settings=Settings(**settings),
            all_addons=all_addons,
            kube=self.kube,
            helm=self.helm,
            resolve_secret=lambda reference: f"<{reference}>",
        )

    def install(self, *addons: Addon, **settings: Any) -> list[Event]:
        self.helm.calls.clear()
        self.kube.calls.clear()
        return [stamped(e, "deploy") for e in install(self.layer(*addons, **settings))]

    @property
    def state(self) -> ClusterState:
        found = self.workspace.load("cluster", ClusterState)
        assert found is not None
        return found


@pytest.fixture
def ports(workspace: Workspace) -> Ports:
    return Ports(workspace, NODES, JOBS, QUEUE, WEB)


def test_an_add_on_is_installed_when_its_dependencies_are_ready(ports: Ports) -> None:
    events = ports.install(JOBS, NODES, QUEUE, WEB)
    assert ports.helm.calls[0] == "apply nodes"
    assert ports.helm.calls.index("apply queue") < ports.helm.calls.index("apply jobs")
    done = [e.subject for e in events if e.kind == "addon" and e.status == "done"]
    assert sorted(done) == ["jobs", "nodes", "queue", "web"]
    assert events[-2].message == "4 add-ons ready, 4 of them changed"
    assert (events[-3].done, events[-3].total) == (4, 4)


def test_a_second_run_changes_nothing(ports: Ports) -> None:
    ports.install(NODES, WEB)
    events = ports.install(NODES, WEB)
    assert ports.helm.calls == ports.kube.calls == []
    assert [e.message for e in events if e.subject == "web"] == ["unchanged"]
    assert events[-2].message == "2 add-ons ready, 0 of them changed"


def test_only_changed_add_ons_are_updated(ports: Ports) -> None:
    ports.install(NODES, QUEUE, WEB)
    changed = WEB.model_copy(update={"values": {"replicas": 2}})
    events = ports.install(NODES, QUEUE, changed)
    assert ports.helm.calls == ["apply web"]
    assert [e.action for e in events if e.subject == "web" and e.status == "done"] == ["update"]


def test_disabling_and_enabling_an_add_on_changes_only_those(ports: Ports) -> None:
    ports.install(NODES, QUEUE)
    ports.install(NODES, WEB)
    assert ports.helm.calls == ["uninstall queue", "apply web"]
    assert sorted(ports.state.addons) == ["nodes", "web"]


def test_a_failed_add_on_blocks_only_its_dependents(ports: Ports) -> None:
    ports.helm.failing["queue"] = [JarkkitError("JK-HELM-FAILED", "It broke.", "Fix it.")]
    with pytest.raises(JarkkitError, match="Add-on queue: It broke") as caught:
        ports.install(JOBS, NODES, QUEUE, WEB)
    assert caught.value.code == "JK-HELM-FAILED"
    assert "not started: jobs" in caught.value.evidence
    assert caught.value.subjects == ("queue",)
    assert "apply web" in ports.helm.calls
    ports.install(JOBS, NODES, QUEUE, WEB)
    assert ports.helm.calls == ["apply queue", "apply jobs"]


def test_a_transient_error_is_retried(ports: Ports) -> None:
    busy = JarkkitError("JK-HELM-FAILED", "Not yet.", "Wait.", transient=True)
    ports.helm.failing["web"] = [busy, busy]
    ports.install(WEB)
    assert ports.helm.calls == ["apply web"] * 3


def test_another_error_is_not_retried(ports: Ports) -> None:
    ports.helm.failing["web"] = [JarkkitError("JK-HELM-FAILED", "Connection refused: EOF.", "Fix.")]
    with pytest.raises(JarkkitError, match="Connection refused"):
        ports.install(WEB)
    assert ports.helm.calls == ["apply web"]


def test_a_pod_that_cannot_start_is_the_reason(ports: Ports) -> None:
    ports.helm.never_ready.add("web")
    waiting = {"reason": "ImagePullBackOff", "message": 'Back-off pulling image "no/such:1"'}
    pod = {
        "kind": "Pod",
        "metadata": {"name": "web-1", "namespace": "web", "labels": {"app": "web"}},
        "spec": {"nodeName": "a", "containers": [{"name": "web", "image": "no/such:1"}]},
        "status": {
            "phase": "Pending",
            "containerStatuses": [{"name": "web", "ready": False, "state": {"waiting": waiting}}],
        },
    }
    ports.kube.put(pod)
    slow = WEB.model_copy(update={"timeout_seconds": 0})
    with pytest.raises(JarkkitError, match="JK-ADDON-IMAGE") as caught:
        ports.install(slow)
    assert "no/such:1" in str(caught.value) + caught.value.evidence
    ports.helm.never_ready.clear()
    ports.install(WEB)


def crashing(state: dict[str, Any], restarts: int = 3) -> dict[str, Any]:
    """Return a pod of the Deployment `web` that restarted."""
    container = {"name": "web", "restartCount": restarts, "state": state, "lastState": CRASHED}
    return {
        "kind": "Pod",
        "metadata": {"name": "web-1", "namespace": "web"},
        "spec": {"nodeName": "a", "containers": [{"name": "web", "image": "web:1"}]},
        "status": {"phase": "Running", "containerStatuses": [container]},
    }


def test_a_pod_that_crashed_often_must_stay_up_before_it_is_ready(ports: Ports) -> None:
    started = datetime.now(UTC).replace(microsecond=0) - timedelta(seconds=8)
    ports.kube.put(crashing({"running": {"startedAt": started.isoformat()}}))
    ports.install(WEB)
    assert datetime.now(UTC) - started >= timedelta(seconds=10)


def test_a_crash_looping_pod_is_never_ready(ports: Ports) -> None:
    """The Deployment has 1/1 replicas, as it does between two crashes."""
    ports.kube.put(crashing({"waiting": {"reason": "CrashLoopBackOff"}}))
    with pytest.raises(JarkkitError, match="JK-ADDON-CRASH"):
        ports.install(WEB.model_copy(update={"timeout_seconds": 0}))


@pytest.mark.parametrize(
    ("restarts", "state", "crash_looping"),
    [
        (3, {"running": {"startedAt": "2026-11-01T12:00:00Z"}}, True),
        (3, {"running": {"startedAt": "2026-11-01T11:59:00Z"}}, False),
        (2, {"running": {"startedAt": "2026-11-01T12:00:00Z"}}, False),
        (3, {"waiting": {"reason": "CrashLoopBackOff"}}, True),
        (2, {"waiting": {"reason": "CrashLoopBackOff"}}, False),
    ],
)
def test_crash_looping_means_several_recent_restarts(
    restarts: int, state: dict[str, Any], crash_looping: bool
) -> None:
    at = datetime(2026, 11, 1, 12, 0, 5, tzinfo=UTC)
    assert is_crash_looping(crashing(state, restarts), at) is crash_looping


def test_an_evicted_pod_next_to_a_running_one_is_ignored(ports: Ports) -> None:
    evicted = crashing({"terminated": {"exitCode": 137, "reason": "Error"}})
    evicted["status"]["phase"] = "Failed"
    ports.kube.put(evicted)
    ports.install(WEB.model_copy(update={"timeout_seconds": 0}))


def test_a_workload_that_is_not_ready_is_named(ports: Ports) -> None:
    ports.helm.never_ready.add("web")
    with pytest.raises(JarkkitError, match="Deployment web 0/1") as caught:
        ports.install(WEB.model_copy(update={"timeout_seconds": 0}))
    assert caught.value.code == "JK-ADDON-TIMEOUT"


def test_an_interrupted_run_is_resumed(ports: Ports) -> None:
    ports.helm.gate = threading.Event()
    run = stamp_all(install(ports.layer(WEB)), "deploy")
    while next(run).status != "started" or not ports.helm.calls:
        pass
    run.close()
    assert ports.helm.cancelled
    assert ports.state.addons["web"].digest == ""
    ports.helm.gate = None
    ports.install(WEB)
    assert ports.state.addons["web"].digest


def test_a_failed_release_is_repaired(ports: Ports) -> None:
    ports.install(WEB)
    ports.helm.installed["web"] = Release("web", "web", "web", "1.0.0", "failed", 2)
    ports.install(WEB)
    assert ports.helm.calls == ["apply web"]


def test_a_real_chart_replaces_a_stub_chart_and_its_crds(ports: Ports) -> None:
    custom_kind = {"group": "x.io", "version": "v1", "kind": "Made", "plural": "mades"}
    web = addon("web", definitions=[custom_kind])
    ports.helm.calls.clear()
    ports.kube.put(make_object("CustomResourceDefinition", "mades.x.io"))
    for real in (False, True):
        layer = ports.layer(web)
        layer.charts.real = real  # type: ignore[attr-defined]
        list(install(layer))
    assert ports.helm.calls == ["apply web", "uninstall web", "apply web"]
    assert "patch CustomResourceDefinition mades.x.io" in ports.kube.calls


def test_custom_resources_are_applied_when_the_workloads_are_ready(ports: Ports) -> None:
    operator = {"kind": "Deployment", "name": "by-operator", "replicas": 1, "by": "operator"}
    web = addon("web", after=[custom_resource("it")], workloads=[*_workloads(WEB), operator])
    ports.kube.creates_with["Made"] = workload_object("web", web.workloads[1])
    ports.install(web)
    assert ports.kube.calls[-1] == "apply Made it"
    assert ports.state.addons["web"].after[0].kind == "Made"
    ports.install()
    assert ports.kube.calls == ["delete Made it", "uninstall web"]


def custom_resource(name: str) -> dict[str, Any]:
    meta = {"name": name, "namespace": "web"}
    return {"apiVersion": "x/v1", "kind": "Made", "metadata": meta}


def test_a_deleted_custom_resource_is_recreated(ports: Ports) -> None:
    web = addon("web", after=[custom_resource("it")])
    ports.install(web)
    ports.kube.objects.pop(("Made", "web", "it"))
    ports.install(web)
    assert ports.kube.calls == ["apply Made it"]
    assert ports.helm.calls == []


def test_a_custom_resource_that_is_no_longer_listed_is_deleted(ports: Ports) -> None:
    ports.install(addon("web", after=[custom_resource("one"), custom_resource("two")]))
    ports.install(addon("web", after=[custom_resource("two")]))
    assert ("Made", "web", "one") not in ports.kube.objects
    assert [manifest.name for manifest in ports.state.addons["web"].after] == ["two"]


def test_crds_are_updated_also_after_an_unfinished_run(ports: Ports) -> None:
    ports.install(WEB)
    assert "apply CustomResourceDefinition mades.web" not in ports.kube.calls
    ports.helm.failing["web"] = [JarkkitError("JK-HELM-FAILED", "It broke.", "Fix it.")]
    with pytest.raises(JarkkitError):
        ports.install(WEB.model_copy(update={"values": {"a": 1}}))
    ports.install(WEB.model_copy(update={"values": {"a": 1}}))
    assert "apply CustomResourceDefinition mades.web" in ports.kube.calls


def test_the_install_state_of_another_cluster_is_ignored(ports: Ports) -> None:
    ports.install(WEB)
    other = {**OUTPUTS, "cluster_certificate_authority": "b3RoZXI="}
    assert InstallState(ports.workspace, other).load().addons == {}
    assert InstallState(ports.workspace, OUTPUTS).load().addons.keys() == {"web"}


def test_a_secret_follows_a_changed_setting(ports: Ports) -> None:
    recipe = {"name": "login", "data": {"token": "setting:huggingface_token", "own": "random"}}
    web = addon("web", secrets=[recipe])
    ports.install(web, huggingface_token="env:ONE")
    first = ports.kube.objects["Secret", "web", "login"]["stringData"]["own"]
    ports.install(web, huggingface_token="env:TWO")
    assert ports.kube.objects["Secret", "web", "login"]["stringData"] == {"token": "<env:TWO>"}
    assert first


def test_random_secrets_are_generated_once(ports: Ports) -> None:
    web = addon("web", secrets=[{"name": "login", "data": {"password": "random"}}])
    ports.install(web)
    first = ports.kube.objects["Secret", "web", "login"]["stringData"]
    ports.install(web.model_copy(update={"values": {"a": 1}}))
    assert ports.kube.objects["Secret", "web", "login"]["stringData"] == first


def test_the_ami_version_is_pinned(ports: Ports) -> None:
    ports.install(WEB)
    assert ports.state.ami_version == "v20261101"
    ports.install(WEB, ami_version="v20261015")
    assert ports.state.ami_version == "v20261015"


# -- disabling --------------------------------------------------------------------------------


def test_objects_of_users_are_kept_and_named(ports: Ports) -> None:
    mine = custom_resource("mine")
    web = addon("web", after=[mine], finalize_first=["x/v1/Made"])
    ports.install(NODES, web)
    ports.kube.put(custom_resource("theirs"))
    ports.kube.put(make_object("PersistentVolumeClaim", "data", "web"))
    events = ports.install(NODES)
    assert ("Made", "web", "mine") not in ports.kube.objects
    assert ("Made", "web", "theirs") in ports.kube.objects
    assert ("PersistentVolumeClaim", "web", "data") in ports.kube.objects
    (warning,) = [event.message for event in events if event.kind == "warning"]
    assert warning.endswith("web/theirs")


def test_karpenter_is_not_removed_while_it_has_instances(ports: Ports) -> None:
    karpenter = addon("karpenter", core=True)
    ports.install(karpenter, WEB)
    ports.kube.put(make_object("NodePool", "cpu"))
    ports.kube.put(make_object("NodeClaim", "cpu-1"))
    ports.kube.stuck.add("NodeClaim")
    with pytest.raises(JarkkitError, match="it still has 1 instances"):
        ports.install(WEB)
    assert "uninstall karpenter" not in ports.helm.calls
    del ports.kube.objects["NodeClaim", "", "cpu-1"]
    ports.install(WEB)
    assert ports.helm.calls == ["uninstall karpenter"]


def test_pods_that_an_add_on_leaves_are_deleted(ports: Ports) -> None:
    hub = addon("hub", leaves_pods="component=server")
    ports.install(hub)
    ports.kube.put(make_object("Pod", "jupyter-ada", "hub"))
    ports.install()
    assert "delete Pod jupyter-ada" in ports.kube.calls


# -- removing everything ----------------------------------------------------------------------


def make_object(kind: str, name: str, namespace: str = "", **spec: Any) -> dict[str, Any]:
    meta = {"name": name, **({"namespace": namespace} if namespace else {})}
    return {"apiVersion": "v1", "kind": kind, "metadata": meta, "spec": spec}


def test_everything_is_removed_in_an_order_without_leftovers(ports: Ports) -> None:
    balancer = addon("aws-load-balancer-controller", namespace="kube-system")
    cluster = addon("data", finalize_first=["x.io/v1/DataCluster"])
    karpenter = addon("karpenter", core=True, finalize_first=["karpenter.sh/v1/NodePool"])
    ports.install(karpenter, balancer, cluster, WEB)
    ports.kube.calls.clear()
    for manifest in (
        make_object("DataCluster", "d", "data"),
        make_object("Service", "front", "web", type="LoadBalancer"),
        make_object("Service", "inside", "web", type="ClusterIP"),
        make_object("PersistentVolumeClaim", "disk", "default"),
        make_object("PersistentVolume", "pv", persistentVolumeReclaimPolicy="Retain"),
        make_object("NodePool", "cpu"),
        make_object("EC2NodeClass", "cpu"),
        make_object("Namespace", "kube-system"),
    ):
        ports.kube.put(manifest)
    list(remove_all(ports.layer(karpenter, balancer, cluster, WEB)))
    order = [call for call in ports.kube.calls if not call.startswith("apply")]
    assert order.index("delete DataCluster d") < order.index("uninstall data")
    assert order.index("delete Service front") < order.index("uninstall web")
    assert order.index("uninstall data") < order.index("delete PersistentVolumeClaim disk")
    assert order.index("delete PersistentVolumeClaim disk") < order.index("delete NodePool cpu")
    assert order.index("delete NodePool cpu") < order.index("uninstall karpenter")
    assert order[-2:] == ["uninstall aws-load-balancer-controller", "uninstall karpenter"]
    assert "delete Service inside" not in order
    assert "delete Namespace kube-system" not in order
    assert ports.state.addons == {}


def test_an_add_on_that_cannot_be_removed_does_not_keep_the_nodes(ports: Ports) -> None:
    karpenter = addon("karpenter", core=True)
    ports.install(karpenter, WEB)
    ports.kube.put(make_object("NodePool", "cpu"))
    broken = JarkkitError("JK-HELM-FAILED", "It broke.", "Fix it.")
    ports.helm.uninstall_errors["web"] = broken
    events: list[StepEvent] = []
    left = run_to_end(remove_all(ports.layer(karpenter, WEB)), events.append)
    assert left == ()  # it owns nothing in the account
    assert "web: It broke." in [event.message for event in events if event.kind == "warning"]
    assert "delete NodePool cpu" in ports.kube.calls


def test_a_pod_that_may_not_be_disrupted_does_not_keep_its_node(ports: Ports) -> None:
    karpenter = addon("karpenter", core=True)
    ports.install(karpenter)
    node = make_object("Node", "a")
    node["metadata"]["labels"] = {"karpenter.sh/nodepool": "cpu"}
    ports.kube.put(node)
    for name, owner in (("stubborn", "StatefulSet"), ("agent", "DaemonSet")):
        pod = make_object("Pod", name, "kube-system", nodeName="a")
        pod["metadata"]["ownerReferences"] = [{"kind": owner, "name": name, "controller": True}]
        ports.kube.put(pod)
    list(remove_all(ports.layer(karpenter)))
    assert "delete Pod stubborn" in ports.kube.calls
    assert "delete Pod agent" not in ports.kube.calls


def test_an_object_that_stays_is_named_and_the_rest_is_removed(ports: Ports) -> None:
    ports.install(WEB)
    ports.kube.put(make_object("Service", "front", "web", type="LoadBalancer"))
    ports.kube.stuck.add("Service")
    events: list[StepEvent] = []
    left = run_to_end(remove_all(ports.layer(WEB)), events.append)
    assert left == ("load balancers: 1 not deleted in time: web/front",)
    assert tuple(e.message for e in events if e.kind == "warning") == left
    assert "uninstall web" in ports.helm.calls


def _workloads(one: Addon) -> list[dict[str, Any]]:
    return [workload.model_dump() for workload in one.workloads]


class TestImmutableObjects:
    """A new file system has a new ID, and a volume that names the old one cannot be changed."""

    @staticmethod
    def hub(handle: str) -> Addon:
        claim = {"namespace": "hub", "name": "home"}
        return addon(
            "hub",
            before=[
                {
                    "apiVersion": "v1",
                    "kind": "PersistentVolume",
                    "metadata": {"name": "home"},
                    "spec": {
                        "csi": {"driver": "efs.csi.aws.com", "volumeHandle": handle},
                        "persistentVolumeReclaimPolicy": "Retain",
                        "claimRef": claim,
                    },
                },
                {
                    "apiVersion": "v1",
                    "kind": "PersistentVolumeClaim",
                    "metadata": claim,
                    "spec": {"volumeName": "home"},
                },
            ],
        )

    def test_a_volume_of_another_file_system_is_made_again(self, ports: Ports) -> None:
        ports.install(self.hub("fs-1::ap-1"))
        events = ports.install(self.hub("fs-2::ap-2"))
        assert ports.kube.calls[:4] == [
            "delete PersistentVolumeClaim home",
            "delete PersistentVolume home",
            "apply PersistentVolume home",
            "apply PersistentVolumeClaim home",
        ]
        (note,) = [e.message for e in events if e.kind == "warning"]
        assert "was at fs-1::ap-1 and is now at fs-2::ap-2" in note
        assert "deleted no files" in note

    def test_an_unchanged_volume_stays(self, ports: Ports) -> None:
        ports.install(self.hub("fs-1::ap-1"))
        ports.install(self.hub("fs-1::ap-1"))
        assert not [call for call in ports.kube.calls if call.startswith("delete")]

    def test_a_volume_in_use_is_named(self, ports: Ports, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(cluster_layer, "_OBJECT_DELETION_SECONDS", 0.02)
        monkeypatch.setattr(cluster_layer, "_POLL_SECONDS", 0.01)
        ports.install(self.hub("fs-1::ap-1"))
        ports.kube.stuck = {"PersistentVolumeClaim"}
        with pytest.raises(JarkkitError, match="something still uses it") as caught:
            ports.install(self.hub("fs-2::ap-2"))
        assert "kubectl describe persistentvolumeclaim home -n hub" in caught.value.fix
