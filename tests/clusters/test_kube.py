"""The Kubernetes client on a real API server: objects, lists, rejections and outages."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import psutil
import pytest

from jarkkit.ports.kube import Kube, list_watch
from tests.support.access import create_access_entry
from tests.support.authority import CA_CERTIFICATE
from tests.support.cluster_clients import (
    api_server_process,
    endpoint_and_ca,
    healthy_afterwards,
    kube_client,
    raised_error,
    token_source,
)
from tests.support.cluster_objects import ensure_node, make_pod
from tests.support.clusters import RehearsalCluster
from tests.support.poll import wait_for


@pytest.fixture(scope="module")
def kube(cluster: RehearsalCluster) -> Kube:
    return kube_client(cluster)


def config_map(namespace: str, name: str, **data: str) -> dict[str, Any]:
    meta = {"name": name, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data}


def crd(group: str) -> dict[str, Any]:
    """Return the CRD of a kind Widget in that group."""
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"widgets.{group}"},
        "spec": {
            "group": group,
            "names": {"plural": "widgets", "kind": "Widget"},
            "scope": "Namespaced",
            "versions": [version],
        },
    }


class TestObjects:
    def test_an_object_is_created_applied_patched_and_deleted(
        self, kube: Kube, namespace: str
    ) -> None:
        custom_object = config_map(namespace, "a", x="1", y="2")
        assert kube.get("v1", "ConfigMap", "a", namespace) is None
        assert kube.create(custom_object)
        assert not kube.create(config_map(namespace, "a", x="other"))
        assert kube.apply(config_map(namespace, "a", x="3"))["data"]["x"] == "3"
        kube.patch("v1", "ConfigMap", "a", {"data": {"y": None, "z": "4"}}, namespace)
        found = kube.get("v1", "ConfigMap", "a", namespace)
        assert found is not None
        assert found["data"] == {"x": "3", "z": "4"}
        assert {f["manager"] for f in found["metadata"]["managedFields"]} == {"jarkkit"}
        assert kube.delete("v1", "ConfigMap", "a", namespace)
        assert not kube.delete("v1", "ConfigMap", "a", namespace)

    def test_owned_objects_are_deleted_with_their_owner(self, kube: Kube, namespace: str) -> None:
        template = {"metadata": {"labels": {"a": "b"}}, "spec": make_pod("it", {})["spec"]}
        spec = {"selector": {"matchLabels": {"a": "b"}}, "template": template}
        meta = {"name": "d", "namespace": namespace}
        kube.apply({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": spec})
        wait_for(lambda: list(kube.list("v1", "Pod", namespace)))
        assert kube.delete("apps/v1", "Deployment", "d", namespace)
        wait_for(lambda: not list(kube.list("apps/v1", "ReplicaSet", namespace)))

    def test_the_server_reports_its_version(self, kube: Kube) -> None:
        assert kube.version().startswith("v1.36.")

    def test_a_kind_is_found_while_its_crd_is_installed(self, kube: Kube, namespace: str) -> None:
        group = f"{namespace}.example.org"
        api = f"{group}/v1"
        meta = {"name": "a", "namespace": namespace}
        custom_object = {"apiVersion": api, "kind": "Widget", "metadata": meta}
        assert not kube.serves_kind(api, "Widget")
        assert kube.get(api, "Widget", "a", namespace) is None
        assert not kube.delete(api, "Widget", "a", namespace)
        assert raised_error(lambda: kube.apply(custom_object)).code == "JK-KUBE-FAILED"
        kube.apply(crd(group))
        wait_for(lambda: kube.serves_kind(api, "Widget"))
        kube.apply(custom_object)
        assert [one["metadata"]["name"] for one in kube.list(api, "Widget", namespace)] == ["a"]
        assert kube.delete(
            "apiextensions.k8s.io/v1", "CustomResourceDefinition", f"widgets.{group}"
        )
        wait_for(lambda: kube.get(api, "Widget", "a", namespace) is None)

        def is_gone() -> bool:
            try:
                return not list(kube.list(api, "Widget", namespace))
            except Exception as error:
                return "does not serve" in str(error)

        wait_for(is_gone)


class TestLists:
    def test_list_follows_pages_selectors_and_all_namespaces(
        self, kube: Kube, namespace: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(list_watch, "_PAGE", 2)
        for number in range(5):
            manifest = config_map(namespace, f"a{number}")
            manifest["metadata"]["labels"] = {"odd": str(number % 2)}
            kube.create(manifest)
        names = [one["metadata"]["name"] for one in kube.list("v1", "ConfigMap", namespace)]
        assert sorted(names) == ["a0", "a1", "a2", "a3", "a4", "kube-root-ca.crt"]
        odd = list(kube.list("v1", "ConfigMap", labels="odd=1"))
        assert [one["metadata"]["name"] for one in odd] == ["a1", "a3"]
        assert {(one["apiVersion"], one["kind"]) for one in odd} == {("v1", "ConfigMap")}
        (one,) = kube.list("v1", "ConfigMap", namespace, fields="metadata.name=a4")
        assert one["metadata"]["name"] == "a4"

    def test_watch_yields_changes_and_ends_in_time(self, kube: Kube, namespace: str) -> None:
        kube.create(config_map(namespace, "a", n="1"))
        seen: list[tuple[str, str]] = []
        begun = time.monotonic()
        for kind, manifest in kube.watch("v1", "ConfigMap", namespace, labels="!x", seconds=3):
            name = manifest["metadata"]["name"]
            if name.startswith("a"):
                seen.append((kind, name))
            if seen[-1:] == [("ADDED", "a")]:
                kube.patch("v1", "ConfigMap", "a", {"data": {"n": "2"}}, namespace)
            if seen[-1:] == [("MODIFIED", "a")]:
                kube.delete("v1", "ConfigMap", "a", namespace)
        assert seen == [("ADDED", "a"), ("MODIFIED", "a"), ("DELETED", "a")]
        assert 2.5 < time.monotonic() - begun < 300


class TestRefusals:
    def test_an_unknown_field_is_rejected(self, kube: Kube, namespace: str) -> None:
        wrong = {**config_map(namespace, "a"), "dota": {}}
        for write in (kube.apply, kube.create):
            error = raised_error(partial(write, wrong))
            assert error.code == "JK-KUBE-REFUSED"
            assert "dota" in error.evidence

    def test_an_invalid_value_is_rejected(self, kube: Kube, namespace: str) -> None:
        meta = {"name": "d", "namespace": namespace}
        manifest = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta}
        error = raised_error(lambda: kube.apply({**manifest, "spec": {"replicas": -1}}))
        assert (error.code, "spec.replicas" in error.evidence) == ("JK-KUBE-REFUSED", True)

    def test_a_pod_that_violates_pod_security_is_rejected(self, kube: Kube, namespace: str) -> None:
        enforce = {"pod-security.kubernetes.io/enforce": "restricted"}
        kube.patch("v1", "Namespace", namespace, {"metadata": {"labels": enforce}})
        pod = {"apiVersion": "v1", "kind": "Pod", **make_pod("it", {})}
        pod["metadata"]["namespace"] = namespace
        error = raised_error(lambda: kube.create(pod))
        assert (error.code, "PodSecurity" in error.evidence) == ("JK-KUBE-REFUSED", True)

    def test_an_object_beyond_the_quota_is_rejected(self, kube: Kube, namespace: str) -> None:
        meta = {"name": "few", "namespace": namespace}
        spec = {"hard": {"count/configmaps": "1"}}
        kube.apply({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": meta, "spec": spec})
        wait_for(lambda: (kube.get("v1", "ResourceQuota", "few", namespace) or {}).get("status"))
        error = raised_error(lambda: [kube.create(config_map(namespace, n)) for n in "abc"])
        assert (error.code, "exceeded quota" in error.evidence) == ("JK-KUBE-REFUSED", True)

    def test_a_rejected_secrets_value_is_not_in_the_error(self, kube: Kube, namespace: str) -> None:
        meta = {"name": "s", "namespace": namespace}
        for data in ({"key": "hunter2!"}, {"key": {"hunter2": "hunter2"}}):
            secret = {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "data": data}
            for write in (kube.apply, kube.create):
                error = raised_error(partial(write, secret))
                assert error.code == "JK-KUBE-REFUSED"
                assert "hunter2" not in "\n".join(error.lines())

    def test_an_object_in_a_missing_namespace_is_an_error(self, kube: Kube) -> None:
        error = raised_error(lambda: kube.apply(config_map("not-there", "a")))
        assert (error.code, "not-there" in error.evidence) == ("JK-KUBE-FAILED", True)
        assert raised_error(lambda: kube.patch("v1", "Node", "x", {})).code == "JK-KUBE-FAILED"

    def test_missing_permissions_are_an_error_that_names_the_fix(
        self, cluster: RehearsalCluster, role: dict[str, str], namespace: str
    ) -> None:
        denied = kube_client(cluster, role, retry_seconds=600)
        begun = time.monotonic()
        error = raised_error(denied.version)
        assert time.monotonic() - begun < 300
        assert (error.code, "access entry" in error.fix) == ("JK-KUBE-DENIED", True)
        create_access_entry(cluster, role["arn"], "AmazonEKSViewPolicy", (namespace,))
        viewer = kube_client(cluster, role)
        wait_for(lambda: _works(lambda: list(viewer.list("v1", "Pod", namespace))))
        error = raised_error(lambda: viewer.create(config_map(namespace, "a")))
        assert (error.code, "access policy" in error.fix) == ("JK-KUBE-DENIED", True)


def _works(ask: Any) -> bool:
    try:
        ask()
    except Exception:
        return False
    return True


class TestOutages:
    def test_an_unreachable_api_server_is_an_error(self, cluster: RehearsalCluster) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
        _, authority = endpoint_and_ca(cluster)
        kube = Kube(
            f"https://127.0.0.1:{port}",
            authority,
            token_source(cluster.running.env),
            retry_seconds=0.5,
        )
        assert raised_error(kube.version).code == "JK-KUBE-UNREACHABLE"

    def test_a_certificate_of_another_authority_is_not_retried(
        self, cluster: RehearsalCluster
    ) -> None:
        endpoint, _ = endpoint_and_ca(cluster)
        token = token_source(cluster.running.env)
        kube = Kube(endpoint, CA_CERTIFICATE, token, retry_seconds=600)
        begun = time.monotonic()
        assert raised_error(kube.version).code == "JK-KUBE-UNREACHABLE"
        assert time.monotonic() - begun < 300

    def test_calls_and_watches_survive_a_restart_of_the_api_server(
        self, cluster: RehearsalCluster, namespace: str
    ) -> None:
        kube = kube_client(cluster)
        seen: list[tuple[str, str]] = []

        def watch() -> None:
            for kind, manifest in kube.watch("v1", "ConfigMap", namespace, seconds=60):
                seen.append((kind, manifest["metadata"]["name"]))
                if "last" in seen[-1]:
                    return

        kube.create(config_map(namespace, "before"))
        kube.create(config_map(namespace, "vanishing"))
        with ThreadPoolExecutor() as pool, healthy_afterwards(cluster):
            looking = pool.submit(watch)
            wait_for(lambda: ("ADDED", "before") in seen)
            api_server_process(cluster).kill()
            kube.delete("v1", "ConfigMap", "vanishing", namespace)
            assert kube.apply(config_map(namespace, "during", x="1"))["data"] == {"x": "1"}
            assert len(list(kube.list("v1", "ConfigMap", namespace))) == 3
            kube.create(config_map(namespace, "last"))
            looking.result(60)
        assert ("ADDED", "during") in seen
        assert ("DELETED", "vanishing") in seen

    def test_a_call_survives_an_api_server_that_hangs_for_a_while(
        self, cluster: RehearsalCluster, namespace: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("jarkkit.ports.kube.http._READ_SECONDS", 1.0)
        kube = kube_client(cluster)
        kube.create(config_map(namespace, "a"))
        process = api_server_process(cluster)
        with healthy_afterwards(cluster):
            process.suspend()
            timer = threading.Timer(4.0, process.resume)
            timer.start()
            try:
                assert kube.get("v1", "ConfigMap", "a", namespace) is not None
            finally:
                timer.join()
                process.resume()


class TestPods:
    @pytest.fixture
    def pod(self, cluster: RehearsalCluster, kube: Kube, namespace: str) -> Iterator[str]:
        """The name of a pod that runs."""
        ensure_node(cluster, "for-kube")
        manifest = {"apiVersion": "v1", "kind": "Pod", **make_pod("it", {})}
        manifest["metadata"]["namespace"] = namespace
        kube.create(manifest)

        def is_running() -> bool:
            found = kube.get("v1", "Pod", "it", namespace) or {}
            return str(found.get("status", {}).get("phase")) == "Running"

        wait_for(is_running)
        yield "it"
        kube.delete("v1", "Pod", "it", namespace)

    def test_events_of_a_pod_are_listed(self, kube: Kube, namespace: str, pod: str) -> None:
        wait_for(lambda: len(kube.events(namespace, pod)) > 2)
        events = kube.events(namespace, pod)
        assert events[0]["reason"] == "Scheduled"
        assert {event["involvedObject"]["name"] for event in events} == {pod}
        assert kube.events(namespace, "nothing") == ()

    def test_logs_of_a_pod_are_read(self, kube: Kube, namespace: str, pod: str) -> None:
        assert "simulated" in kube.logs(namespace, pod, "it")
        assert kube.logs(namespace, pod, lines=1).count("\n") <= 1
        assert kube.logs(namespace, "nothing") == ""
        waiting = {"apiVersion": "v1", "kind": "Pod", **make_pod("waits", {})}
        waiting["metadata"]["namespace"] = namespace
        waiting["spec"]["nodeSelector"] = {"no": "where"}
        kube.create(waiting)
        assert kube.logs(namespace, "waits") == ""

    def test_a_port_forward_carries_concurrent_requests_and_closes(
        self, kube: Kube, namespace: str, pod: str
    ) -> None:
        before = threading.active_count()
        with kube.port_forward(namespace, pod, 8080) as port:
            url = f"http://127.0.0.1:{port}/"

            def ask() -> str:
                with urllib.request.urlopen(url, timeout=20) as answer:
                    return str(answer.read().decode())

            with ThreadPoolExecutor(4) as pool:
                answers = [asked.result() for asked in [pool.submit(ask) for _ in range(8)]]
            idle = socket.create_connection(("127.0.0.1", port), timeout=20)
        assert all("simulated" in answer for answer in answers)
        with idle, contextlib.suppress(ConnectionResetError):
            assert idle.recv(1) == b""
        with pytest.raises(OSError, match="refused"):
            socket.create_connection(("127.0.0.1", port), timeout=5)
        wait_for(lambda: threading.active_count() <= before, 10)
        connections = psutil.Process().net_connections()
        assert not [c for c in connections if c.laddr.port == port and c.status == "LISTEN"]

    def test_a_port_forward_to_a_missing_pod_fails_at_once(
        self, kube: Kube, namespace: str
    ) -> None:
        error = raised_error(lambda: kube.port_forward(namespace, "nothing", 80).__enter__())
        assert (error.code, "nothing" in error.evidence) == ("JK-KUBE-FAILED", True)
