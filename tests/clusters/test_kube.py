"""The door to the Kubernetes API, on a real API server: what it answers, refuses and survives."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psutil
import pytest

from jarkkit.kube import Kube, reading
from tests.clusters.conftest import World, wait_for
from tests.clusters.doors import address, api_server, code_of, healthy_again, kube_of, token
from tests.clusters.test_access import let_in, role
from tests.clusters.things import a_node, pod_named
from tests.unit.test_kube import an_authority

__all__ = ["role"]  # a fixture


@pytest.fixture(scope="module")
def kube(world: World) -> Kube:
    return kube_of(world)


def config_map(namespace: str, name: str, **data: str) -> dict[str, Any]:
    meta = {"name": name, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data}


def definition(group: str) -> dict[str, Any]:
    """Of a kind Thing in that group."""
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"things.{group}"},
        "spec": {
            "group": group,
            "names": {"plural": "things", "kind": "Thing"},
            "scope": "Namespaced",
            "versions": [version],
        },
    }


class TestObjects:
    def test_life_of_one(self, kube: Kube, namespace: str) -> None:
        thing = config_map(namespace, "a", x="1", y="2")
        assert kube.get("v1", "ConfigMap", "a", namespace) is None
        assert kube.create(thing)
        assert not kube.create(config_map(namespace, "a", x="other"))
        assert kube.apply(config_map(namespace, "a", x="3"))["data"]["x"] == "3"
        kube.patch("v1", "ConfigMap", "a", {"data": {"y": None, "z": "4"}}, namespace)
        found = kube.get("v1", "ConfigMap", "a", namespace)
        assert found is not None
        assert found["data"] == {"x": "3", "z": "4"}
        assert {f["manager"] for f in found["metadata"]["managedFields"]} == {"jarkkit"}
        assert kube.delete("v1", "ConfigMap", "a", namespace)
        assert not kube.delete("v1", "ConfigMap", "a", namespace)

    def test_what_is_owned_goes_with_its_owner(self, kube: Kube, namespace: str) -> None:
        template = {"metadata": {"labels": {"a": "b"}}, "spec": pod_named("it", {})["spec"]}
        spec = {"selector": {"matchLabels": {"a": "b"}}, "template": template}
        meta = {"name": "d", "namespace": namespace}
        kube.apply({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": spec})
        wait_for(lambda: list(kube.list("v1", "Pod", namespace)))
        assert kube.delete("apps/v1", "Deployment", "d", namespace)
        wait_for(lambda: not list(kube.list("apps/v1", "ReplicaSet", namespace)))

    def test_the_version(self, kube: Kube) -> None:
        assert kube.version().startswith("v1.36.")

    def test_a_kind_that_comes_and_goes(self, kube: Kube, namespace: str) -> None:
        group = f"{namespace}.example.org"
        api = f"{group}/v1"
        thing = {"apiVersion": api, "kind": "Thing", "metadata": {"name": "a"}}
        thing["metadata"]["namespace"] = namespace
        assert not kube.knows(api, "Thing")
        assert kube.get(api, "Thing", "a", namespace) is None
        assert not kube.delete(api, "Thing", "a", namespace)
        assert code_of(lambda: kube.apply(thing)).code == "JK-KUBE-FAILED"
        kube.apply(definition(group))
        wait_for(lambda: kube.knows(api, "Thing"))
        kube.apply(thing)
        assert [one["metadata"]["name"] for one in kube.list(api, "Thing", namespace)] == ["a"]
        assert kube.delete("apiextensions.k8s.io/v1", "CustomResourceDefinition", f"things.{group}")
        wait_for(lambda: kube.get(api, "Thing", "a", namespace) is None)

        def gone() -> bool:
            try:
                return not list(kube.list(api, "Thing", namespace))
            except Exception as error:
                return "does not know" in str(error)

        wait_for(gone)


class TestLists:
    def test_pages_selectors_and_all_namespaces(
        self, kube: Kube, namespace: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(reading, "_PAGE", 2)
        for number in range(5):
            thing = config_map(namespace, f"a{number}")
            thing["metadata"]["labels"] = {"odd": str(number % 2)}
            kube.create(thing)
        names = [one["metadata"]["name"] for one in kube.list("v1", "ConfigMap", namespace)]
        assert sorted(names) == ["a0", "a1", "a2", "a3", "a4", "kube-root-ca.crt"]
        odd = list(kube.list("v1", "ConfigMap", labels="odd=1"))
        assert [one["metadata"]["name"] for one in odd] == ["a1", "a3"]
        assert {(one["apiVersion"], one["kind"]) for one in odd} == {("v1", "ConfigMap")}
        (one,) = kube.list("v1", "ConfigMap", namespace, fields="metadata.name=a4")
        assert one["metadata"]["name"] == "a4"

    def test_watch_tells_what_happens_and_ends(self, kube: Kube, namespace: str) -> None:
        kube.create(config_map(namespace, "a", n="1"))
        seen: list[tuple[str, str]] = []
        begun = time.monotonic()
        for kind, thing in kube.watch("v1", "ConfigMap", namespace, labels="!x", seconds=3):
            name = thing["metadata"]["name"]
            if name.startswith("a"):
                seen.append((kind, name))
            if seen[-1:] == [("ADDED", "a")]:
                kube.patch("v1", "ConfigMap", "a", {"data": {"n": "2"}}, namespace)
            if seen[-1:] == [("MODIFIED", "a")]:
                kube.delete("v1", "ConfigMap", "a", namespace)
        assert seen == [("ADDED", "a"), ("MODIFIED", "a"), ("DELETED", "a")]
        assert 2.5 < time.monotonic() - begun < 10


class TestRefusals:
    def test_an_unknown_field(self, kube: Kube, namespace: str) -> None:
        wrong = {**config_map(namespace, "a"), "dota": {}}
        for write in (kube.apply, kube.create):
            error = code_of(lambda write=write: write(wrong))
            assert error.code == "JK-KUBE-REFUSED"
            assert "dota" in error.evidence

    def test_a_value_that_cannot_be(self, kube: Kube, namespace: str) -> None:
        meta = {"name": "d", "namespace": namespace}
        thing = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta}
        error = code_of(lambda: kube.apply({**thing, "spec": {"replicas": -1}}))
        assert (error.code, "spec.replicas" in error.evidence) == ("JK-KUBE-REFUSED", True)

    def test_admission(self, kube: Kube, namespace: str) -> None:
        enforce = {"pod-security.kubernetes.io/enforce": "restricted"}
        kube.patch("v1", "Namespace", namespace, {"metadata": {"labels": enforce}})
        pod = {"apiVersion": "v1", "kind": "Pod", **pod_named("it", {})}
        pod["metadata"]["namespace"] = namespace
        error = code_of(lambda: kube.create(pod))
        assert (error.code, "PodSecurity" in error.evidence) == ("JK-KUBE-REFUSED", True)

    def test_quota(self, kube: Kube, namespace: str) -> None:
        meta = {"name": "few", "namespace": namespace}
        spec = {"hard": {"count/configmaps": "1"}}
        kube.apply({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": meta, "spec": spec})
        wait_for(lambda: (kube.get("v1", "ResourceQuota", "few", namespace) or {}).get("status"))
        error = code_of(lambda: [kube.create(config_map(namespace, n)) for n in "abc"])
        assert (error.code, "exceeded quota" in error.evidence) == ("JK-KUBE-REFUSED", True)

    def test_a_secrets_value_is_not_repeated(self, kube: Kube, namespace: str) -> None:
        meta = {"name": "s", "namespace": namespace}
        for data in ({"key": "hunter2!"}, {"key": {"hunter2": "hunter2"}}):
            secret = {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "data": data}
            for write in (kube.apply, kube.create):
                error = code_of(lambda write=write, secret=secret: write(secret))
                assert error.code == "JK-KUBE-REFUSED"
                assert "hunter2" not in "\n".join(error.lines())

    def test_an_absent_namespace(self, kube: Kube) -> None:
        error = code_of(lambda: kube.apply(config_map("not-there", "a")))
        assert (error.code, "not-there" in error.evidence) == ("JK-KUBE-FAILED", True)
        assert code_of(lambda: kube.patch("v1", "Node", "x", {})).code == "JK-KUBE-FAILED"

    def test_who_may_not(self, world: World, role: dict[str, str], namespace: str) -> None:
        nobody = kube_of(world, role)
        begun = time.monotonic()
        error = code_of(nobody.version)
        assert time.monotonic() - begun < 10
        assert (error.code, "access entry" in error.fix) == ("JK-KUBE-DENIED", True)
        let_in(world, role["arn"], "AmazonEKSViewPolicy", (namespace,))
        viewer = kube_of(world, role)
        wait_for(lambda: _works(lambda: list(viewer.list("v1", "Pod", namespace))))
        error = code_of(lambda: viewer.create(config_map(namespace, "a")))
        assert (error.code, "access policy" in error.fix) == ("JK-KUBE-DENIED", True)


def _works(ask: Any) -> bool:
    try:
        ask()
    except Exception:
        return False
    return True


class TestBadLuck:
    def test_nobody_listens(self, world: World) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
        _, authority = address(world)
        kube = Kube(f"https://127.0.0.1:{port}", authority, token(world.running.env), patience=0.5)
        assert code_of(kube.version).code == "JK-KUBE-UNREACHABLE"

    def test_another_authority_is_not_waited_for(self, world: World) -> None:
        endpoint, _ = address(world)
        kube = Kube(endpoint, an_authority(), token(world.running.env))
        begun = time.monotonic()
        assert code_of(kube.version).code == "JK-KUBE-UNREACHABLE"
        assert time.monotonic() - begun < 10

    def test_the_api_server_ends_and_comes_back(self, world: World, namespace: str) -> None:
        kube = kube_of(world)
        seen: list[tuple[str, str]] = []

        def look() -> None:
            for kind, thing in kube.watch("v1", "ConfigMap", namespace, seconds=60):
                seen.append((kind, thing["metadata"]["name"]))
                if "last" in seen[-1]:
                    return

        kube.create(config_map(namespace, "before"))
        kube.create(config_map(namespace, "vanishing"))
        with ThreadPoolExecutor() as pool, healthy_again(world):
            looking = pool.submit(look)
            wait_for(lambda: ("ADDED", "before") in seen)
            api_server(world).kill()
            kube.delete("v1", "ConfigMap", "vanishing", namespace)
            assert kube.apply(config_map(namespace, "during", x="1"))["data"] == {"x": "1"}
            assert len(list(kube.list("v1", "ConfigMap", namespace))) == 3
            kube.create(config_map(namespace, "last"))
            looking.result(60)
        assert ("ADDED", "during") in seen
        assert ("DELETED", "vanishing") in seen

    def test_an_api_server_that_hangs_for_a_while(
        self, world: World, namespace: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("jarkkit.kube.http._READ_SECONDS", 1.0)
        kube = kube_of(world)
        kube.create(config_map(namespace, "a"))
        process = api_server(world)
        with healthy_again(world):
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
    def pod(self, world: World, kube: Kube, namespace: str) -> Iterator[str]:
        """One that is Ready."""
        a_node(world, "for-doors")
        thing = {"apiVersion": "v1", "kind": "Pod", **pod_named("it", {})}
        thing["metadata"]["namespace"] = namespace
        kube.create(thing)

        def ready() -> bool:
            found = kube.get("v1", "Pod", "it", namespace) or {}
            return found.get("status", {}).get("phase") == "Running"

        wait_for(ready)
        yield "it"
        kube.delete("v1", "Pod", "it", namespace)

    def test_events(self, kube: Kube, namespace: str, pod: str) -> None:
        wait_for(lambda: len(kube.events(namespace, pod)) > 2)
        events = kube.events(namespace, pod)
        assert events[0]["reason"] == "Scheduled"
        assert {event["involvedObject"]["name"] for event in events} == {pod}
        assert kube.events(namespace, "nothing") == ()

    def test_logs(self, kube: Kube, namespace: str, pod: str) -> None:
        assert "simulated" in kube.logs(namespace, pod, "it")
        assert kube.logs(namespace, pod, lines=1).count("\n") <= 1
        assert kube.logs(namespace, "nothing") == ""
        waiting = {"apiVersion": "v1", "kind": "Pod", **pod_named("waits", {})}
        waiting["metadata"]["namespace"] = namespace
        waiting["spec"]["nodeSelector"] = {"no": "where"}
        kube.create(waiting)
        assert kube.logs(namespace, "waits") == ""

    def test_forward(self, kube: Kube, namespace: str, pod: str) -> None:
        before = threading.active_count()
        with kube.forward(namespace, pod, 8080) as port:
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

    def test_forward_to_nothing_is_said_at_once(self, kube: Kube, namespace: str) -> None:
        error = code_of(lambda: kube.forward(namespace, "nothing", 80).__enter__())
        assert (error.code, "nothing" in error.evidence) == ("JK-KUBE-FAILED", True)
