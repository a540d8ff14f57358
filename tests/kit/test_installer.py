"""Installing and removing add-ons, on fakes."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from jarkkit.addons.catalogue import Addon
from jarkkit.cluster import installer, removal
from jarkkit.cluster.installer import install
from jarkkit.cluster.layer import ClusterLayer
from jarkkit.cluster.memory import ClusterMemory
from jarkkit.cluster.readiness import is_unsteady
from jarkkit.cluster.removal import remove_all
from jarkkit.errors import JarkkitError
from jarkkit.helm import Release
from jarkkit.records import ClusterState, Event
from jarkkit.settings import Settings
from jarkkit.workspace import Workspace
from tests.kit.cluster_fakes import OUTPUTS, FakeHelm, FakeKube, cluster_layer, workload_object

CRASHED = {"terminated": {"exitCode": 1, "reason": "Error"}}


def addon(name: str, **more: Any) -> Addon:
    """A Helm add-on with one Deployment of its name."""
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


pytestmark = pytest.mark.timeout(30)

NODES = addon("nodes", core=True)
JOBS = addon("jobs", needs=["queue"])
QUEUE = addon("queue")
WEB = addon("web")


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    for module in (installer, removal):
        monkeypatch.setattr(module, "_LOOK_SECONDS", 0.01)
    monkeypatch.setattr(installer, "_PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(removal, "_GONE_SECONDS", 0.05)
    made = Workspace(tmp_path / "deployments" / "demo")
    made.create(Settings(), rehearsal=True)
    return made


class Ports:
    """One cluster over several runs."""

    def __init__(self, workspace: Workspace, *known: Addon) -> None:
        self.workspace, self.known = workspace, {a.name: a for a in known}
        self.kube = FakeKube()
        releases = {a.chart.release: a for a in known if a.chart}
        self.helm = FakeHelm(self.kube, releases)

    def layer(self, *addons: Addon, **settings: Any) -> ClusterLayer:
        self.known |= {a.name: a for a in addons}
        known = self.known
        self.helm.by_release = {a.chart.release: a for a in known.values() if a.chart}
        return cluster_layer(
            self.workspace,
            addons,
            settings=Settings(**settings),
            known=known,
            kube=self.kube,
            helm=self.helm,
            secret=lambda reference: f"<{reference}>",
        )

    def install(self, *addons: Addon, **settings: Any) -> list[Event]:
        self.helm.calls.clear()
        self.kube.calls.clear()
        return list(install(self.layer(*addons, **settings)))

    @property
    def state(self) -> ClusterState:
        found = self.workspace.load("cluster", ClusterState)
        assert found is not None
        return found


@pytest.fixture
def ports(workspace: Workspace) -> Ports:
    return Ports(workspace, NODES, JOBS, QUEUE, WEB)


def test_each_is_installed_when_what_it_needs_is_ready(ports: Ports) -> None:
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


def test_only_what_changed_is_changed(ports: Ports) -> None:
    ports.install(NODES, QUEUE, WEB)
    changed = WEB.model_copy(update={"values": {"replicas": 2}})
    events = ports.install(NODES, QUEUE, changed)
    assert ports.helm.calls == ["apply web"]
    assert [e.action for e in events if e.subject == "web" and e.status == "done"] == ["update"]


def test_switching_one_off_and_one_on_changes_exactly_those(ports: Ports) -> None:
    ports.install(NODES, QUEUE)
    ports.install(NODES, WEB)
    assert ports.helm.calls == ["uninstall queue", "apply web"]
    assert sorted(ports.state.addons) == ["nodes", "web"]


def test_one_that_fails_holds_up_only_what_needs_it(ports: Ports) -> None:
    ports.helm.failing["queue"] = [JarkkitError("JK-HELM-FAILED", "It broke.", "Mend it.")]
    with pytest.raises(JarkkitError, match="Add-on queue: It broke") as caught:
        ports.install(JOBS, NODES, QUEUE, WEB)
    assert caught.value.code == "JK-HELM-FAILED"
    assert "not begun: jobs" in caught.value.evidence
    assert "apply web" in ports.helm.calls
    ports.install(JOBS, NODES, QUEUE, WEB)
    assert ports.helm.calls == ["apply queue", "apply jobs"]


def test_what_passes_by_itself_is_tried_again(ports: Ports) -> None:
    busy = JarkkitError("JK-HELM-FAILED", "no endpoints available for service x", "Wait.")
    ports.helm.failing["web"] = [busy, busy]
    ports.install(WEB)
    assert ports.helm.calls == ["apply web"] * 3


def test_a_pod_that_cannot_start_is_the_reason(ports: Ports) -> None:
    ports.helm.idle.add("web")
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
    ports.helm.idle.clear()
    ports.install(WEB)


def crashing(state: dict[str, Any], restarts: int = 3) -> dict[str, Any]:
    """A pod of the Deployment `web` that was started again."""
    container = {"name": "web", "restartCount": restarts, "state": state, "lastState": CRASHED}
    return {
        "kind": "Pod",
        "metadata": {"name": "web-1", "namespace": "web"},
        "spec": {"nodeName": "a", "containers": [{"name": "web", "image": "web:1"}]},
        "status": {"phase": "Running", "containerStatuses": [container]},
    }


def test_a_pod_that_crashed_often_has_to_stay_up_first(ports: Ports) -> None:
    began = datetime.now(UTC).replace(microsecond=0) - timedelta(seconds=8)
    ports.kube.put(crashing({"running": {"startedAt": began.isoformat()}}))
    ports.install(WEB)
    assert datetime.now(UTC) - began >= timedelta(seconds=10)


def test_a_pod_that_crashes_again_and_again_is_not_ready_in_between(ports: Ports) -> None:
    """The Deployment says 1/1, as it does for moments."""
    ports.kube.put(crashing({"waiting": {"reason": "CrashLoopBackOff"}}))
    with pytest.raises(JarkkitError, match="JK-ADDON-CRASH"):
        ports.install(WEB.model_copy(update={"timeout_seconds": 0}))


@pytest.mark.parametrize(
    ("restarts", "state", "unsteady"),
    [
        (3, {"running": {"startedAt": "2026-11-01T12:00:00Z"}}, True),
        (3, {"running": {"startedAt": "2026-11-01T11:59:00Z"}}, False),
        (2, {"running": {"startedAt": "2026-11-01T12:00:00Z"}}, False),
        (3, {"waiting": {"reason": "CrashLoopBackOff"}}, True),
        (2, {"waiting": {"reason": "CrashLoopBackOff"}}, False),
    ],
)
def test_only_what_was_started_often_and_lately_is_unsteady(
    restarts: int, state: dict[str, Any], unsteady: bool
) -> None:
    at = datetime(2026, 11, 1, 12, 0, 5, tzinfo=UTC)
    assert is_unsteady(crashing(state, restarts), at) is unsteady


def test_an_evicted_pod_beside_one_that_runs_is_in_nobodys_way(ports: Ports) -> None:
    evicted = crashing({"terminated": {"exitCode": 137, "reason": "Error"}})
    evicted["status"]["phase"] = "Failed"
    ports.kube.put(evicted)
    ports.install(WEB.model_copy(update={"timeout_seconds": 0}))


def test_a_workload_that_is_just_not_ready_is_named(ports: Ports) -> None:
    ports.helm.idle.add("web")
    with pytest.raises(JarkkitError, match="Deployment web 0/1") as caught:
        ports.install(WEB.model_copy(update={"timeout_seconds": 0}))
    assert caught.value.code == "JK-ADDON-TIMEOUT"


def test_an_interrupted_run_is_taken_up(ports: Ports) -> None:
    ports.helm.gate = threading.Event()
    run = install(ports.layer(WEB))
    while next(run).status != "started" or not ports.helm.calls:
        pass
    run.close()
    assert ports.helm.cancelled
    assert ports.state.addons["web"].digest == ""
    ports.helm.gate = None
    ports.install(WEB)
    assert ports.state.addons["web"].digest


def test_a_release_that_is_not_sound_is_repaired(ports: Ports) -> None:
    ports.install(WEB)
    ports.helm.there["web"] = Release("web", "web", "web", "1.0.0", "failed", 2)
    ports.install(WEB)
    assert ports.helm.calls == ["apply web"]


def test_a_stand_in_gives_way_to_the_real_chart_with_its_definitions(ports: Ports) -> None:
    defined = {"group": "x.io", "version": "v1", "kind": "Made", "plural": "mades"}
    web = addon("web", definitions=[defined])
    ports.helm.calls.clear()
    ports.kube.put(owned("CustomResourceDefinition", "mades.x.io"))
    for real in (False, True):
        layer = ports.layer(web)
        layer.charts.real = real  # type: ignore[attr-defined]
        list(install(layer))
    assert ports.helm.calls == ["apply web", "uninstall web", "apply web"]
    assert "patch CustomResourceDefinition mades.x.io" in ports.kube.calls


def test_custom_resources_come_when_the_workloads_are_ready(ports: Ports) -> None:
    operator = {"kind": "Deployment", "name": "by-operator", "replicas": 1, "by": "operator"}
    web = addon("web", after=[made("it")], workloads=[*_workloads(WEB), operator])
    ports.kube.makes["Made"] = workload_object("web", web.workloads[1])
    ports.install(web)
    assert ports.kube.calls[-1] == "apply Made it"
    assert ports.state.addons["web"].after[0].kind == "Made"
    ports.install()
    assert ports.kube.calls == ["delete Made it", "uninstall web"]


def made(name: str) -> dict[str, Any]:
    meta = {"name": name, "namespace": "web"}
    return {"apiVersion": "x/v1", "kind": "Made", "metadata": meta}


def test_what_somebody_has_deleted_is_there_again(ports: Ports) -> None:
    web = addon("web", after=[made("it")])
    ports.install(web)
    ports.kube.objects.pop(("Made", "web", "it"))
    ports.install(web)
    assert ports.kube.calls == ["apply Made it"]
    assert ports.helm.calls == []


def test_a_custom_resource_that_is_no_longer_wanted_goes(ports: Ports) -> None:
    ports.install(addon("web", after=[made("one"), made("two")]))
    ports.install(addon("web", after=[made("two")]))
    assert ("Made", "web", "one") not in ports.kube.objects
    assert [thing.name for thing in ports.state.addons["web"].after] == ["two"]


def test_definitions_are_renewed_also_after_a_run_that_did_not_end(ports: Ports) -> None:
    ports.install(WEB)
    assert "apply CustomResourceDefinition mades.web" not in ports.kube.calls
    ports.helm.failing["web"] = [JarkkitError("JK-HELM-FAILED", "It broke.", "Mend it.")]
    with pytest.raises(JarkkitError):
        ports.install(WEB.model_copy(update={"values": {"a": 1}}))
    ports.install(WEB.model_copy(update={"values": {"a": 1}}))
    assert "apply CustomResourceDefinition mades.web" in ports.kube.calls


def test_what_is_known_of_another_cluster_counts_for_nothing(ports: Ports) -> None:
    ports.install(WEB)
    other = {**OUTPUTS, "cluster_certificate_authority": "b3RoZXI="}
    assert ClusterMemory(ports.workspace, other).load().addons == {}
    assert ClusterMemory(ports.workspace, OUTPUTS).load().addons.keys() == {"web"}


def test_what_a_setting_refers_to_may_change(ports: Ports) -> None:
    recipe = {"name": "login", "data": {"token": "setting:huggingface_token", "own": "random"}}
    web = addon("web", secrets=[recipe])
    ports.install(web, huggingface_token="env:ONE")
    first = ports.kube.objects["Secret", "web", "login"]["stringData"]["own"]
    ports.install(web, huggingface_token="env:TWO")
    assert ports.kube.objects["Secret", "web", "login"]["stringData"] == {"token": "<env:TWO>"}
    assert first


def test_secrets_are_made_once(ports: Ports) -> None:
    web = addon("web", secrets=[{"name": "login", "data": {"password": "random"}}])
    ports.install(web)
    first = ports.kube.objects["Secret", "web", "login"]["stringData"]
    ports.install(web.model_copy(update={"values": {"a": 1}}))
    assert ports.kube.objects["Secret", "web", "login"]["stringData"] == first


def test_the_image_version_stays_as_it_was(ports: Ports) -> None:
    ports.install(WEB)
    assert ports.state.ami_version == "v20261101"
    ports.install(WEB, ami_version="v20261015")
    assert ports.state.ami_version == "v20261015"


# -- switching off -----------------------------------------------------------------------------


def test_what_users_have_made_stays_and_is_named(ports: Ports) -> None:
    mine = made("mine")
    web = addon("web", after=[mine], leaves=["x/v1/Made"])
    ports.install(NODES, web)
    ports.kube.put(made("theirs"))
    ports.kube.put(owned("PersistentVolumeClaim", "data", "web"))
    events = ports.install(NODES)
    assert ("Made", "web", "mine") not in ports.kube.objects
    assert ("Made", "web", "theirs") in ports.kube.objects
    assert ("PersistentVolumeClaim", "web", "data") in ports.kube.objects
    (warning,) = [event.message for event in events if event.kind == "warning"]
    assert warning.endswith("web/theirs")


def test_karpenter_is_not_removed_while_it_has_instances(ports: Ports) -> None:
    karpenter = addon("karpenter", core=True)
    ports.install(karpenter, WEB)
    ports.kube.put(owned("NodePool", "cpu"))
    ports.kube.put(owned("NodeClaim", "cpu-1"))
    ports.kube.stuck.add("NodeClaim")
    with pytest.raises(JarkkitError, match="Karpenter still has 1 instances"):
        ports.install(WEB)
    assert "uninstall karpenter" not in ports.helm.calls
    del ports.kube.objects["NodeClaim", "", "cpu-1"]
    ports.install(WEB)
    assert ports.helm.calls == ["uninstall karpenter"]


def test_pods_that_nobody_would_end_are_ended(ports: Ports) -> None:
    hub = addon("hub", leaves_pods="component=server")
    ports.install(hub)
    ports.kube.put(owned("Pod", "jupyter-ada", "hub"))
    ports.install()
    assert "delete Pod jupyter-ada" in ports.kube.calls


# -- taking it all down ------------------------------------------------------------------------


def owned(kind: str, name: str, namespace: str = "", **spec: Any) -> dict[str, Any]:
    meta = {"name": name, **({"namespace": namespace} if namespace else {})}
    return {"apiVersion": "v1", "kind": kind, "metadata": meta, "spec": spec}


def test_everything_goes_in_the_order_that_leaves_nothing(ports: Ports) -> None:
    balancer = addon("aws-load-balancer-controller", namespace="kube-system")
    cluster = addon("data", leaves=["x.io/v1/DataCluster"])
    karpenter = addon("karpenter", core=True, leaves=["karpenter.sh/v1/NodePool"])
    ports.install(karpenter, balancer, cluster, WEB)
    ports.kube.calls.clear()
    for thing in (
        owned("DataCluster", "d", "data"),
        owned("Service", "front", "web", type="LoadBalancer"),
        owned("Service", "inside", "web", type="ClusterIP"),
        owned("PersistentVolumeClaim", "disk", "default"),
        owned("PersistentVolume", "pv", persistentVolumeReclaimPolicy="Retain"),
        owned("NodePool", "cpu"),
        owned("EC2NodeClass", "cpu"),
        owned("Namespace", "kube-system"),
    ):
        ports.kube.put(thing)
    list(remove_all(ports.layer(karpenter, balancer, cluster, WEB), "cleanup"))
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


def test_one_that_cannot_be_removed_does_not_keep_the_nodes(ports: Ports) -> None:
    karpenter = addon("karpenter", core=True)
    ports.install(karpenter, WEB)
    ports.kube.put(owned("NodePool", "cpu"))
    broken = JarkkitError("JK-HELM-FAILED", "It broke.", "Mend it.")
    ports.helm.not_removed["web"] = broken
    events = list(remove_all(ports.layer(karpenter, WEB), "cleanup"))
    assert "web: It broke." in [event.message for event in events if event.kind == "warning"]
    assert "delete NodePool cpu" in ports.kube.calls


def test_a_pod_that_may_not_be_disrupted_does_not_keep_its_node(ports: Ports) -> None:
    karpenter = addon("karpenter", core=True)
    ports.install(karpenter)
    node = owned("Node", "a")
    node["metadata"]["labels"] = {"karpenter.sh/nodepool": "cpu"}
    ports.kube.put(node)
    for name, owner in (("stubborn", "StatefulSet"), ("agent", "DaemonSet")):
        pod = owned("Pod", name, "kube-system", nodeName="a")
        pod["metadata"]["ownerReferences"] = [{"kind": owner}]
        ports.kube.put(pod)
    list(remove_all(ports.layer(karpenter), "cleanup"))
    assert "delete Pod stubborn" in ports.kube.calls
    assert "delete Pod agent" not in ports.kube.calls


def test_what_does_not_go_is_named_and_the_rest_goes_on(ports: Ports) -> None:
    ports.install(WEB)
    ports.kube.put(owned("Service", "front", "web", type="LoadBalancer"))
    ports.kube.stuck.add("Service")
    events = list(remove_all(ports.layer(WEB), "cleanup"))
    assert [e.message for e in events if e.kind == "warning"] == [
        "load balancers: 1 do not go: web/front"
    ]
    assert "uninstall web" in ports.helm.calls


def _workloads(one: Addon) -> list[dict[str, Any]]:
    return [workload.model_dump() for workload in one.workloads]
