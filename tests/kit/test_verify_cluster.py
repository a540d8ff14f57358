"""The verify step on a cluster that is a dictionary."""

from __future__ import annotations

import base64
import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from jarkkit.catalog.addons import AddonWorkload
from jarkkit.model import records
from jarkkit.model.checks import Check
from jarkkit.model.errors import JarkkitError
from jarkkit.model.records import AddonState, ClusterState
from jarkkit.ports.kube import Kube
from jarkkit.steps import verify
from jarkkit.steps.cluster import web_uis
from jarkkit.steps.cluster.cluster_layer import Connect
from jarkkit.steps.cluster.volume_probe import NAMESPACE, probe_volume
from jarkkit.steps.stack_checks.cluster import ClusterCheckContext, check_cluster_layer
from tests.support.fakes.cluster import FakeKube, Object, workload_object
from tests.support.fakes.deployment import (
    DeploymentHarness,
    active_components,
    protected_cluster,
)
from tests.support.fakes.healthy_cluster import SETTINGS, HealthyCluster
from tests.support.stacks import resolved


def run_checks(kube: FakeKube, folder: Path = Path("/nowhere"), **more: Any) -> dict[str, Check]:
    context = ClusterCheckContext(cast(Kube, kube), resolved(SETTINGS), folder, **more)
    return {check.name: check for check in check_cluster_layer(context)}


def failures(found: dict[str, Check]) -> dict[str, str]:
    return {c.name: c.code or c.status for c in found.values() if c.status in ("fail", "unknown")}


def test_a_healthy_cluster_passes_with_a_row_per_workload(kube: HealthyCluster) -> None:
    found = run_checks(kube)
    assert failures(found) == {}
    rows = [name for name in found if name.split()[0] in ("Deployment", "StatefulSet", "DaemonSet")]
    assert len(rows) == len(resolved(SETTINGS).workloads)
    assert found["Deployment kube-system/coredns"].found == "2/2"


def test_a_workload_that_is_not_ready_is_explained_by_its_pods(kube: HealthyCluster) -> None:
    workload = AddonWorkload(kind="Deployment", name="coredns", replicas=2)
    kube.put(workload_object("kube-system", workload, ready=False))
    state = {"waiting": {"reason": "ImagePullBackOff", "message": "coredns:9 not found"}}
    kube.put(
        {
            "kind": "Pod",
            "metadata": {"name": "coredns-1", "namespace": "kube-system"},
            "spec": {"nodeName": "n1", "containers": []},
            "status": {"containerStatuses": [{"name": "c", "image": "coredns:9", "state": state}]},
        }
    )
    found = run_checks(kube)
    assert failures(found) == {"Deployment kube-system/coredns": "JK-ADDON-IMAGE"}
    assert "coredns:9 not found" in found["Deployment kube-system/coredns"].why


def test_a_missing_workload_is_reported(kube: HealthyCluster) -> None:
    del kube.objects["Deployment", "kube-system", "coredns"]
    assert run_checks(kube)["Deployment kube-system/coredns"].found == "does not exist"


def test_credentials_that_the_cluster_does_not_admit_fail(kube: HealthyCluster) -> None:
    kube.failing = {"version": "JK-KUBE-DENIED"}
    found = run_checks(kube)
    assert failures(found) == {"Kubernetes API": "JK-KUBE-DENIED"}
    assert found["Kubernetes API"].status == "fail"


def test_karpenter_scaled_to_zero_is_named(kube: HealthyCluster) -> None:
    karpenter = kube.objects["Deployment", "karpenter", "karpenter"]
    kube.put({**karpenter, "spec": {**karpenter["spec"], "replicas": 0}})
    check = run_checks(kube)["Deployment karpenter/karpenter"]
    assert (check.status, "scaled to 0" in check.why) == ("fail", True)
    assert "--replicas=2" in check.fix


def test_a_denied_call_is_unknown_and_the_other_checks_run(kube: HealthyCluster) -> None:
    kube.failing = {"Node": "JK-KUBE-DENIED"}
    found = run_checks(kube)
    assert failures(found) == {"Nodes": "JK-KUBE-DENIED"}
    assert found["Nodes"].status == "unknown"
    assert found["Deployment kube-system/coredns"].status == "pass"


def test_an_unreachable_api_ends_the_verification(kube: HealthyCluster) -> None:
    kube.failing = {"version": "JK-KUBE-UNREACHABLE"}
    assert failures(run_checks(kube)) == {"Kubernetes API": "JK-KUBE-UNREACHABLE"}


def test_a_web_ui_without_a_pod_fails(kube: HealthyCluster) -> None:
    endpoint = web_uis.endpoints(resolved(SETTINGS))[0]
    del kube.objects["Pod", endpoint.namespace, f"{endpoint.service}-1"]
    assert failures(run_checks(kube))[f"Web UI of {endpoint.title}"] == "JK-USE-FAILED"


def test_custom_checks_of_a_user(kube: HealthyCluster, tmp_path: Path) -> None:
    kube.add("ConfigMap", "mine", "team", data={"size": 3})
    text = "title: {}\nobject: {{apiVersion: v1, kind: ConfigMap, name: {}, namespace: team}}\n"
    field = "field: data.size\nequals: 3\n"
    (tmp_path / "a.yaml").write_text(text.format("There", "mine") + field)
    (tmp_path / "b.yaml").write_text(text.format("Absent", "other") + field)
    (tmp_path / "c.yaml").write_text("title: Off\nwhen: {karpenter: false}\n" + text[10:] + field)
    found = run_checks(kube, tmp_path)
    assert found["There"].status == "pass"
    assert found["Absent"].status == "fail"


def test_a_volume_is_created_only_in_a_deep_verification(kube: HealthyCluster) -> None:
    class Bound(HealthyCluster):
        def apply(self, manifest: Object) -> Object:
            return super().apply({**manifest, "status": {"phase": "Running"}})

    deep = Bound(objects=kube.objects, port=kube.port)
    assert "A volume can be created and used" not in run_checks(deep)
    assert run_checks(deep, deep=True)["A volume can be created and used"].status == "pass"
    assert not [key for key in deep.objects if NAMESPACE in key]


def test_a_volume_that_cannot_be_created_fails_and_is_deleted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("jarkkit.steps.cluster.volume_probe._TIMEOUT_SECONDS", 0.01)
    kube = HealthyCluster()
    check = probe_volume(cast(Kube, kube), sleep=lambda _: None)
    assert check.status == "fail"
    assert check.fix
    assert not [key for key in kube.objects if NAMESPACE in key]


def test_the_step_reports_both_layers(harness: DeploymentHarness, kube: HealthyCluster) -> None:
    harness.deploy()
    arn = "arn:aws:eks:us-west-2:111122223333:cluster/demo"
    version = SETTINGS.cluster_version
    cluster = records.EksCluster(
        name="demo", arn=arn, status="ACTIVE", version=version, endpoint="x"
    )
    harness.account.clusters = {"demo": cluster}
    layer = harness.deployment._reachable_layer()
    connect = cast(Connect, lambda _: SimpleNamespace(kube=kube))
    names = [check.name for check in verify.verify(layer, connect).checks]
    assert "Cluster" in names
    assert "Deployment kube-system/coredns" in names
    assert "Kubernetes API" not in [check.name for check in verify.verify(layer, None).checks]


def test_a_failed_check_points_to_its_diagnosis(
    harness: DeploymentHarness, kube: HealthyCluster
) -> None:
    harness.deploy()
    harness.account.clusters = {"demo": protected_cluster()}
    harness.account.components = tuple(p for p in active_components() if p.name != "coredns")
    kube.failing = {"APIService": "JK-KUBE-FAILED"}
    hub = kube.objects["Deployment", "jupyterhub", "hub"]
    kube.put({**hub, "spec": {**hub["spec"], "replicas": 0}})
    connect = cast(Connect, lambda _: SimpleNamespace(kube=kube))
    report = verify.verify(harness.deployment._reachable_layer(), connect)
    failed = {check.name: check.fix for check in report.failures()}
    assert failed["EKS add-on coredns"] == (
        "To find the cause, run `jarkkit diagnose demo`. "
        "Deploy again: jarkkit plan, then jarkkit deploy"
    )
    assert "diagnose" not in failed["Aggregated APIs answer"]
    scale = "kubectl -n jupyterhub scale deployment hub --replicas=1"
    assert failed["Deployment jupyterhub/hub"] == scale


def test_a_rehearsal_notes_what_was_simulated(kube: HealthyCluster) -> None:
    context = ClusterCheckContext(
        cast(Kube, kube), resolved(SETTINGS), Path("/nowhere"), rehearsal=True
    )
    installed = AddonState(namespace="a", release="a", chart="a 1", real=False)
    real, charts = verify._notes(context, ClusterState(addons={"argo-cd": installed}))
    assert "simulated" in real
    assert "stub charts from the catalog for argo-cd" in charts
    account = dataclasses.replace(context, rehearsal=False)
    assert verify._notes(account, ClusterState()) == ()


class TestLogin:
    def endpoint(self) -> web_uis.WebEndpoint:
        return web_uis.find_endpoint(resolved(SETTINGS), "grafana")

    def test_a_login_is_read_and_its_password_is_not_in_its_repr(
        self, kube: HealthyCluster
    ) -> None:
        endpoint = self.endpoint()
        data = {endpoint.user_key: "admin", endpoint.password_key: "s3cret"}
        coded = {k: base64.b64encode(v.encode()).decode() for k, v in data.items()}
        kube.add("Secret", endpoint.secret, endpoint.namespace, data=coded)
        login = web_uis.login(cast(Kube, kube), endpoint)
        assert (login.user, login.password) == ("admin", "s3cret")
        assert "s3cret" not in repr(login)
        assert "s3cret" not in str(login)

    def test_a_login_without_a_secret_is_an_error(self, kube: HealthyCluster) -> None:
        with pytest.raises(JarkkitError) as caught:
            web_uis.login(cast(Kube, kube), self.endpoint())
        assert caught.value.code == "JK-USE-UNKNOWN"

    def test_names_may_be_shortened(self) -> None:
        assert web_uis.find_endpoint(resolved(SETTINGS), "graf").title == "Grafana"
        with pytest.raises(JarkkitError, match="no web UI"):
            web_uis.find_endpoint(resolved(SETTINGS), "argo")

    def test_opening_a_web_ui_yields_its_url(self, kube: HealthyCluster) -> None:
        with web_uis.open_endpoint(cast(Kube, kube), self.endpoint()) as url:
            assert url.startswith(f"http://localhost:{kube.port}/")
