"""The step verify on a cluster that is a dictionary."""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import http.server
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from jarkkit import records
from jarkkit.addons.catalogue import Workload
from jarkkit.addons.pools import node_pools
from jarkkit.checks import Check
from jarkkit.cluster import checks as cluster_checks
from jarkkit.cluster import places
from jarkkit.cluster.layer import Connect
from jarkkit.cluster.volume_probe import NAMESPACE, probe_volume
from jarkkit.errors import JarkkitError
from jarkkit.kube import Kube
from jarkkit.records import ClusterState, Installed
from jarkkit.settings import Settings
from jarkkit.steps import verify
from tests.kit.cluster_fakes import FakeKube, Object, workload_object
from tests.kit.conftest import World

SETTINGS = Settings()
LONG_AGO = "2026-01-01T00:00:00Z"


@dataclass
class Cluster(FakeKube):
    """With a version, pages, and faults by the kind that is asked for."""

    failing: dict[str, str] = field(default_factory=dict)
    port: int = 0

    def version(self) -> str:
        self._maybe_fail("version")
        return f"v{SETTINGS.cluster_version}.3"

    def list(
        self, api_version: str, kind: str, namespace: str = "", **more: Any
    ) -> Iterator[Object]:
        self._maybe_fail(kind)
        return super().list(api_version, kind, namespace, **more)

    @contextlib.contextmanager
    def forward(self, namespace: str, pod: str, port: int) -> Iterator[int]:
        self._maybe_fail("forward")
        yield self.port

    def _maybe_fail(self, what: str) -> None:
        if code := self.failing.get(what):
            raise JarkkitError(code, f"{what}: no.", "Get the permission.")

    def of(self, kind: str, name: str, namespace: str = "", **more: Any) -> None:
        self.put({"kind": kind, "metadata": {"name": name, "namespace": namespace}, **more})


def healthy() -> Cluster:
    """A cluster with everything that the settings want."""
    kube = Cluster()
    for addon, workload in cluster_checks.expected(SETTINGS):
        kube.put(workload_object(addon.namespace, workload))
    ready = {"conditions": [{"type": "Ready", "status": "True"}]}
    for pool in node_pools(SETTINGS):
        kube.put({**pool, "status": ready})
    for name in ("cpu", "accelerator"):
        kube.of("EC2NodeClass", name, status=ready)
    for _, namespace, account in cluster_checks.identities(SETTINGS):
        kube.of("ServiceAccount", account, namespace)
    status = {**ready, "nodeInfo": {"kubeletVersion": kube.version()}}
    meta = {"name": "n1", "creationTimestamp": LONG_AGO, "labels": {}}
    kube.put({"kind": "Node", "metadata": meta, "spec": {}, "status": status})
    meta = {"name": "gp3", "annotations": {cluster_checks.DEFAULT_CLASS: "true"}}
    kube.put({"kind": "StorageClass", "metadata": meta, "provisioner": "ebs.csi.aws.com"})
    kube.of("APIService", "v1.", status={"conditions": [{"type": "Available", "status": "True"}]})
    for place in places.places(SETTINGS):
        ports = [{"port": place.port, "targetPort": 8000}]
        kube.of(
            "Service", place.service, place.namespace, spec={"selector": {"a": "b"}, "ports": ports}
        )
        kube.of("Pod", f"{place.service}-1", place.namespace, spec={"containers": []}, status=ready)
    return kube


@pytest.fixture
def page() -> Iterator[int]:
    """Answers every question with the path."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = b"Sign in"
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


@pytest.fixture
def kube(page: int, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    monkeypatch.setattr(places.Place, "scheme", "http")
    made = healthy()
    made.port = page
    return made


def looked(kube: FakeKube, folder: Path = Path("/nowhere"), **more: Any) -> dict[str, Check]:
    look = verify.Look(cast(Kube, kube), SETTINGS, folder, **more)
    return {check.name: check for check in verify.cluster_checks(look)}


def unwell(found: dict[str, Check]) -> dict[str, str]:
    return {c.name: c.code or c.status for c in found.values() if c.status in ("fail", "unknown")}


def test_a_healthy_cluster_passes_with_the_whole_table(kube: Cluster) -> None:
    found = looked(kube)
    assert unwell(found) == {}
    rows = [name for name in found if name.split()[0] in ("Deployment", "StatefulSet", "DaemonSet")]
    assert len(rows) == len(cluster_checks.expected(SETTINGS))
    assert found["Deployment kube-system/coredns"].found == "2/2"


def test_a_workload_that_is_not_ready_says_why_by_its_pods_alone(kube: Cluster) -> None:
    workload = Workload(kind="Deployment", name="coredns", replicas=2)
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
    found = looked(kube)
    assert unwell(found) == {"Deployment kube-system/coredns": "JK-ADDON-IMAGE"}
    assert "coredns:9 not found" in found["Deployment kube-system/coredns"].why


def test_one_that_is_missing_is_told(kube: Cluster) -> None:
    del kube.objects["Deployment", "kube-system", "coredns"]
    assert looked(kube)["Deployment kube-system/coredns"].found == "not there"


def test_what_may_not_be_asked_is_unknown_and_the_rest_goes_on(kube: Cluster) -> None:
    kube.failing = {"Node": "JK-KUBE-DENIED"}
    found = looked(kube)
    assert unwell(found) == {"Nodes": "JK-KUBE-DENIED"}
    assert found["Nodes"].status == "unknown"
    assert found["Deployment kube-system/coredns"].status == "pass"


def test_an_api_that_does_not_answer_ends_it(kube: Cluster) -> None:
    kube.failing = {"version": "JK-KUBE-UNREACHABLE"}
    assert unwell(looked(kube)) == {"Kubernetes API": "JK-KUBE-UNREACHABLE"}


def test_a_page_that_nobody_serves(kube: Cluster) -> None:
    place = places.places(SETTINGS)[0]
    del kube.objects["Pod", place.namespace, f"{place.service}-1"]
    assert unwell(looked(kube))[place.title] == "JK-USE-FAILED"


def test_a_users_own_checks(kube: Cluster, tmp_path: Path) -> None:
    kube.of("ConfigMap", "mine", "team", data={"size": 3})
    text = "title: {}\nobject: {{apiVersion: v1, kind: ConfigMap, name: {}, namespace: team}}\n"
    field = "field: .data.size\nequals: 3\n"
    (tmp_path / "a.yaml").write_text(text.format("There", "mine") + field)
    (tmp_path / "b.yaml").write_text(text.format("Absent", "other") + field)
    (tmp_path / "c.yaml").write_text("title: Off\nwhen: {karpenter: false}\n" + text[10:] + field)
    found = looked(kube, tmp_path)
    assert found["There"].status == "pass"
    assert found["Absent"].status == "fail"


def test_a_volume_is_tried_only_when_asked_for(kube: Cluster) -> None:
    class Bound(Cluster):
        def apply(self, thing: Object) -> Object:
            return super().apply({**thing, "status": {"phase": "Running"}})

    deep = Bound(objects=kube.objects, port=kube.port)
    assert "A volume can be made and used" not in looked(deep)
    assert looked(deep, deep=True)["A volume can be made and used"].status == "pass"
    assert not [key for key in deep.objects if NAMESPACE in key]


def test_a_volume_that_cannot_be_had_is_explained_and_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jarkkit.cluster.volume_probe._PATIENCE_SECONDS", 0.01)
    kube = Cluster()
    check = probe_volume(cast(Kube, kube), sleep=lambda _: None)
    assert check.status == "fail"
    assert check.fix
    assert not [key for key in kube.objects if NAMESPACE in key]


def test_the_step_reports_both_layers(world: World, kube: Cluster) -> None:
    world.deploy()
    arn = "arn:aws:eks:us-west-2:111122223333:cluster/demo"
    version = SETTINGS.cluster_version
    there = records.Cluster(name="demo", arn=arn, status="ACTIVE", version=version, endpoint="x")
    world.account.clusters = {"demo": there}
    layer = world.kit._reaching()
    connect = cast(Connect, lambda _: SimpleNamespace(kube=kube))
    names = [check.name for check in verify.verify(layer, connect).checks]
    assert "Cluster" in names
    assert "Deployment kube-system/coredns" in names
    assert "Kubernetes API" not in [check.name for check in verify.verify(layer, None).checks]


def test_a_rehearsal_says_what_was_real(kube: Cluster) -> None:
    look = verify.Look(cast(Kube, kube), SETTINGS, Path("/nowhere"), rehearsal=True)
    installed = Installed(namespace="a", release="a", chart="a 1", real=False)
    real, charts = verify._notes(look, ClusterState(addons={"argo-cd": installed}))
    assert "simulated" in real
    assert "stand-ins from the catalogue for argo-cd" in charts
    account = dataclasses.replace(look, rehearsal=False)
    assert verify._notes(account, ClusterState()) == ()


class TestLogin:
    def place(self) -> places.Place:
        return places.place(SETTINGS, "grafana")

    def test_it_is_read_when_asked_for_and_not_shown_by_accident(self, kube: Cluster) -> None:
        at = self.place()
        data = {at.user_key: "admin", at.password_key: "s3cret"}
        coded = {k: base64.b64encode(v.encode()).decode() for k, v in data.items()}
        kube.of("Secret", at.secret, at.namespace, data=coded)
        login = places.login(cast(Kube, kube), at)
        assert (login.user, login.password) == ("admin", "s3cret")
        assert "s3cret" not in repr(login)
        assert "s3cret" not in str(login)

    def test_without_a_secret_it_says_so(self, kube: Cluster) -> None:
        with pytest.raises(JarkkitError) as caught:
            places.login(cast(Kube, kube), self.place())
        assert caught.value.code == "JK-USE-UNKNOWN"

    def test_names_may_be_shortened(self) -> None:
        assert places.place(SETTINGS, "graf").title == "Grafana"
        with pytest.raises(JarkkitError, match="no page"):
            places.place(SETTINGS, "argo")

    def test_opening_gives_the_address(self, kube: Cluster) -> None:
        with places.opened(cast(Kube, kube), self.place()) as url:
            assert url.startswith(f"http://127.0.0.1:{kube.port}/")
