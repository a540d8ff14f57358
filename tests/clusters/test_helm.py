"""The door to Helm, on a real API server: what it installs, repairs, refuses and survives."""

from __future__ import annotations

import base64
import gzip
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml

from jarkkit.helm import Helm, Release
from jarkkit.kube import Kube
from tests.clusters.conftest import World, wait_for
from tests.clusters.doors import address, api_server, code_of, healthy_again, helm_of, kube_of
from tests.clusters.things import a_node, pod_named

ROOT = Path(__file__).parents[2]
WORDS = """
apiVersion: v1
kind: ConfigMap
metadata: {name: {{ .Release.Name }}}
data: {word: {{ .Values.word | default "none" | quote }}}
"""
WRONG = """
apiVersion: v1
kind: ConfigMap
metadata: {name: {{ .Release.Name }}-more}
dota: {}
"""


def job(when: str, **spec: Any) -> str:
    """A hook whose pod ends after a moment, or never where the settings keep it from a node."""
    meta = {
        "name": "{{ .Release.Name }}-hook",
        "annotations": {"helm.sh/hook": when, "helm.sh/hook-delete-policy": "before-hook-creation"},
    }
    pod = {**pod_named("it", {})["spec"], "restartPolicy": "Never", **spec.pop("pod", {})}
    seconds = {"sandbox.jarkkit.io/seconds": spec.pop("seconds", "0s")}
    template = {"metadata": {"annotations": seconds}, "spec": pod}
    made = {"apiVersion": "batch/v1", "kind": "Job", "metadata": meta}
    return yaml.safe_dump({**made, "spec": {"template": template, **spec}})


NEVER = job("pre-install,pre-upgrade", pod={"nodeSelector": {"no": "where"}})
Charts = Callable[..., Path]


@pytest.fixture
def charts(tmp_path: Path) -> Charts:
    """Makes a chart with these templates."""

    def make(version: str = "1.0.0", *, schema: Any = None, **templates: str) -> Path:
        folder = tmp_path / f"chart-{len(list(tmp_path.iterdir()))}"
        (folder / "templates").mkdir(parents=True)
        meta = {"apiVersion": "v2", "name": "words", "version": version}
        (folder / "Chart.yaml").write_text(yaml.safe_dump(meta))
        if schema:
            (folder / "values.schema.json").write_text(json.dumps(schema))
        for name, text in {"words": WORDS, **templates}.items():
            (folder / "templates" / f"{name}.yaml").write_text(text)
        return folder

    return make


@pytest.fixture(scope="module")
def helm(world: World) -> Helm:
    return helm_of(world)


@pytest.fixture(scope="module")
def kube(world: World) -> Kube:
    return kube_of(world)


def word(kube: Kube, namespace: str, name: str = "a") -> str:
    """What the release's object says; empty when it is not there."""
    found = kube.get("v1", "ConfigMap", name, namespace)
    return found["data"]["word"] if found else ""


def here(helm: Helm, namespace: str) -> dict[str, Release]:
    return {one.name: one for one in helm.releases() if one.namespace == namespace}


def rewrite(kube: Kube, namespace: str, name: str, revision: int, status: str) -> None:
    """Make a stored revision look as an interrupted action leaves it."""
    secret = f"sh.helm.release.v1.{name}.v{revision}"
    found = kube.get("v1", "Secret", secret, namespace)
    assert found is not None
    packed = base64.b64decode(base64.b64decode(found["data"]["release"]))
    release = json.loads(gzip.decompress(packed))
    release["info"]["status"] = status
    packed = base64.b64encode(base64.b64encode(gzip.compress(json.dumps(release).encode())))
    change = {
        "metadata": {"labels": {"status": status}},
        "data": {"release": packed.decode()},
    }
    kube.patch("v1", "Secret", secret, change, namespace)


class TestReleases:
    def test_life_of_one(self, helm: Helm, kube: Kube, namespace: str, charts: Charts) -> None:
        chart = charts()
        first = helm.apply("a", namespace, chart, {"word": "one"}, timeout=60)
        assert first == Release("a", namespace, "words", "1.0.0", "deployed", 1)
        assert helm.values("a", namespace) == {"word": "one"}
        again = helm.apply("a", namespace, charts("1.1.0"), {"word": "two"}, timeout=60)
        assert (again.version, again.status, again.revision) == ("1.1.0", "deployed", 2)
        assert word(kube, namespace) == "two"
        assert here(helm, namespace) == {"a": again}
        assert helm.uninstall("a", namespace, timeout=60)
        assert not helm.uninstall("a", namespace, timeout=60)
        wait_for(lambda: not word(kube, namespace))
        assert here(helm, namespace) == {}
        assert code_of(lambda: helm.values("a", namespace)).code == "JK-HELM-FAILED"

    def test_values_that_are_taken_away_go_back(
        self, helm: Helm, kube: Kube, namespace: str, charts: Charts
    ) -> None:
        chart = charts()
        helm.apply("a", namespace, chart, {"word": "one"}, timeout=60)
        helm.apply("a", namespace, chart, {}, timeout=60)
        assert (word(kube, namespace), helm.values("a", namespace)) == ("none", {})

    def test_the_same_again_brings_back_what_was_deleted(
        self, helm: Helm, kube: Kube, namespace: str, charts: Charts
    ) -> None:
        chart = charts()
        helm.apply("a", namespace, chart, {"word": "one"}, timeout=60)
        kube.delete("v1", "ConfigMap", "a", namespace)
        assert helm.apply("a", namespace, chart, {"word": "one"}, timeout=60).revision == 2
        assert word(kube, namespace) == "one"

    def test_its_namespace_is_made(
        self, helm: Helm, kube: Kube, namespace: str, charts: Charts
    ) -> None:
        other = f"{namespace}-more"
        helm.apply("a", other, charts(), {}, timeout=60)
        assert here(helm, other)["a"].status == "deployed"
        assert kube.delete("v1", "Namespace", other)

    def test_history_stays_short(
        self, helm: Helm, kube: Kube, namespace: str, charts: Charts
    ) -> None:
        chart = charts()
        for number in range(8):
            helm.apply("a", namespace, chart, {"word": str(number)}, timeout=60)
        kept = list(kube.list("v1", "Secret", namespace, labels="owner=helm"))
        assert len(kept) <= 6
        assert here(helm, namespace)["a"].revision == 8

    def test_workloads_are_not_waited_for(self, helm: Helm, namespace: str, charts: Charts) -> None:
        template = {"metadata": {"labels": {"a": "b"}}, "spec": pod_named("it", {})["spec"]}
        template["spec"]["nodeSelector"] = {"no": "where"}
        spec = {"selector": {"matchLabels": {"a": "b"}}, "template": template}
        thing = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}}
        chart = charts(d=yaml.safe_dump({**thing, "spec": spec}))
        assert helm.apply("a", namespace, chart, {}, timeout=5).status == "deployed"

    def test_many_at_a_time(self, helm: Helm, namespace: str, charts: Charts) -> None:
        chart = charts()

        def apply(number: int) -> Release:
            # Two for each name: they take turns.
            return helm.apply(f"r{number % 4}", namespace, chart, {"word": "x"}, timeout=90)

        with ThreadPoolExecutor(8) as pool:
            done = list(pool.map(apply, range(8)))
        assert {(one.name, one.status) for one in done} == {(f"r{n}", "deployed") for n in range(4)}
        assert [one.revision for one in here(helm, namespace).values()] == [2] * 4

    def test_nothing_of_the_users_helm_and_kubectl_matters(
        self, world: World, namespace: str, charts: Charts, tmp_path: Path
    ) -> None:
        home = tmp_path / "home"
        (home / ".kube").mkdir(parents=True)
        nowhere = {"server": "https://127.0.0.1:1", "proxy-url": "http://127.0.0.1:2"}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "x", "cluster": {**nowhere, "insecure-skip-tls-verify": True}}],
            "users": [{"name": "x", "user": {"token": "x"}}],
            "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
            "current-context": "x",
        }
        (home / ".kube/config").write_text(yaml.safe_dump(config))
        theirs = {
            "HOME": str(home),
            "KUBECONFIG": str(home / ".kube/config"),
            "HELM_NAMESPACE": "x",
            "HELM_KUBECONTEXT": "x",
            "HELM_KUBETOKEN": "x",
            "HELM_KUBEAPISERVER": nowhere["server"],
            "HELM_DRIVER": "memory",
        }
        with started(world, namespace, charts(), environ=theirs) as process:
            assert process.wait(60) == 0
        assert here(helm_of(world), namespace)["a"].status == "deployed"
        left = [path.read_bytes() for path in home.rglob("*") if path.is_file()]
        assert not any(b"k8s-aws-v1" in text for text in left)


class started:  # noqa: N801
    """Applies release `a` in a process of its own, ended with it."""

    script = (
        "import json, sys; from pathlib import Path\n"
        "from datetime import UTC, datetime; from jarkkit.helm import Helm\n"
        "from tests.clusters.doors import token\n"
        "given = json.loads(sys.stdin.read())\n"
        "helm = Helm(*given['address'], token(given['environ']))\n"
        "helm.apply('a', given['namespace'], Path(given['chart']), {}, timeout=120)\n"
    )

    def __init__(
        self, world: World, namespace: str, chart: Path, environ: dict[str, str] | None = None
    ) -> None:
        given = {
            "address": address(world),
            "environ": dict(world.running.env),
            "namespace": namespace,
            "chart": str(chart),
        }
        self._process = subprocess.Popen(
            [sys.executable, "-c", self.script],
            stdin=subprocess.PIPE,
            cwd=ROOT,
            env={**os.environ, **(environ or {})},
            start_new_session=True,
            text=True,
        )
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(given))
        self._process.stdin.close()

    def __enter__(self) -> subprocess.Popen[str]:
        return self._process

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait(20)


class TestRepair:
    def test_a_first_install_that_was_killed(
        self, world: World, helm: Helm, kube: Kube, namespace: str, charts: Charts
    ) -> None:
        with started(world, namespace, charts(hook=NEVER)):
            wait_for(lambda: kube.get("batch/v1", "Job", "a-hook", namespace))
        assert here(helm, namespace)["a"].status == "pending-install"
        done = helm.apply("a", namespace, charts(), {"word": "two"}, timeout=60)
        assert (done.status, done.revision, word(kube, namespace)) == ("deployed", 1, "two")

    def test_an_upgrade_that_was_killed(
        self, world: World, helm: Helm, kube: Kube, namespace: str, charts: Charts
    ) -> None:
        helm.apply("a", namespace, charts(), {"word": "one"}, timeout=60)
        with started(world, namespace, charts(hook=NEVER)):
            wait_for(lambda: kube.get("batch/v1", "Job", "a-hook", namespace))
        assert here(helm, namespace)["a"].status == "pending-upgrade"
        done = helm.apply("a", namespace, charts(), {"word": "two"}, timeout=60)
        assert (done.status, done.revision, word(kube, namespace)) == ("deployed", 4, "two")

    def test_a_first_install_that_failed(
        self, helm: Helm, kube: Kube, namespace: str, charts: Charts
    ) -> None:
        error = code_of(lambda: helm.apply("a", namespace, charts(x=WRONG), {}, timeout=60))
        assert (error.code, "dota" in error.evidence) == ("JK-HELM-FAILED", True)
        assert here(helm, namespace)["a"].status == "failed"
        done = helm.apply("a", namespace, charts(), {"word": "two"}, timeout=60)
        assert (done.status, done.revision, word(kube, namespace)) == ("deployed", 1, "two")

    def test_an_upgrade_that_failed(
        self, helm: Helm, kube: Kube, namespace: str, charts: Charts
    ) -> None:
        helm.apply("a", namespace, charts(), {"word": "one"}, timeout=60)
        code_of(lambda: helm.apply("a", namespace, charts(x=WRONG), {}, timeout=60))
        assert here(helm, namespace)["a"].status == "failed"
        done = helm.apply("a", namespace, charts(), {"word": "two"}, timeout=60)
        assert (done.status, done.revision, word(kube, namespace)) == ("deployed", 3, "two")

    @pytest.mark.parametrize("status", ["uninstalling", "pending-rollback"])
    def test_other_states_that_are_left_behind(
        self, helm: Helm, kube: Kube, namespace: str, charts: Charts, status: str
    ) -> None:
        helm.apply("a", namespace, charts(), {"word": "one"}, timeout=60)
        rewrite(kube, namespace, "a", 1, status)
        assert here(helm, namespace)["a"].status == status
        done = helm.apply("a", namespace, charts(), {"word": "two"}, timeout=60)
        assert (done.status, word(kube, namespace)) == ("deployed", "two")

    @pytest.mark.parametrize("status", ["uninstalling", "pending-install", "failed"])
    def test_what_is_left_behind_can_be_taken_away(
        self, helm: Helm, kube: Kube, namespace: str, charts: Charts, status: str
    ) -> None:
        helm.apply("a", namespace, charts(), {"word": "one"}, timeout=60)
        rewrite(kube, namespace, "a", 1, status)
        assert helm.uninstall("a", namespace, timeout=60)
        wait_for(lambda: not word(kube, namespace))
        assert here(helm, namespace) == {}


class TestFailures:
    def test_a_chart_that_renders_wrongly_leaves_nothing(
        self, helm: Helm, namespace: str, charts: Charts
    ) -> None:
        chart = charts(x='a: {{ required "say a word" .Values.nothing }}')
        error = code_of(lambda: helm.apply("a", namespace, chart, {}, timeout=60))
        assert (error.code, "say a word" in error.evidence) == ("JK-HELM-CHART", True)
        assert here(helm, namespace) == {}

    def test_values_that_do_not_fit_are_not_repeated(
        self, helm: Helm, namespace: str, charts: Charts
    ) -> None:
        pattern = {"type": "string", "pattern": "^x"}
        schema = {"type": "object", "properties": {"password": pattern, "word": pattern}}
        values = {"password": "hunter2hunter2", "word": "other"}
        chart = charts(schema=schema)
        error = code_of(lambda: helm.apply("a", namespace, chart, values, timeout=60))
        assert error.code == "JK-HELM-CHART"
        assert "/password" in error.evidence
        assert not {"hunter2hunter2", "other"} & set(error.evidence.replace("'", " ").split())

    def test_an_absent_kind(self, helm: Helm, namespace: str, charts: Charts) -> None:
        chart = charts(x="apiVersion: x.example.org/v1\nkind: Nothing\nmetadata: {name: x}")
        error = code_of(lambda: helm.apply("a", namespace, chart, {}, timeout=60))
        assert (error.code, "defines that kind" in error.fix) == ("JK-HELM-FAILED", True)

    def test_something_that_is_not_ours(
        self, helm: Helm, kube: Kube, namespace: str, charts: Charts
    ) -> None:
        meta = {"name": "a", "namespace": namespace}
        kube.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta})
        error = code_of(lambda: helm.apply("a", namespace, charts(), {}, timeout=60))
        assert (error.code, "not this release's" in error.fix) == ("JK-HELM-FAILED", True)

    def test_admission(self, helm: Helm, kube: Kube, namespace: str, charts: Charts) -> None:
        enforce = {"pod-security.kubernetes.io/enforce": "restricted"}
        kube.patch("v1", "Namespace", namespace, {"metadata": {"labels": enforce}})
        chart = charts(x=yaml.safe_dump({"apiVersion": "v1", "kind": "Pod", **pod_named("p", {})}))
        error = code_of(lambda: helm.apply("a", namespace, chart, {}, timeout=60))
        assert (error.code, "PodSecurity" in error.evidence) == ("JK-HELM-FAILED", True)

    def test_a_hook_that_does_not_end(self, helm: Helm, namespace: str, charts: Charts) -> None:
        chart = charts(hook=NEVER)
        error = code_of(lambda: helm.apply("a", namespace, chart, {}, timeout=2))
        assert (error.code, "a-hook" in error.evidence) == ("JK-HELM-TIMEOUT", True)
        assert here(helm, namespace)["a"].status == "failed"

    def test_cancel_from_another_thread(
        self, helm: Helm, kube: Kube, namespace: str, charts: Charts
    ) -> None:
        chart = charts(hook=NEVER)
        with ThreadPoolExecutor() as pool:
            work = [
                pool.submit(helm.apply, name, namespace, chart, {}, timeout=120) for name in "ab"
            ]
            wait_for(lambda: len(list(kube.list("batch/v1", "Job", namespace))) == 2)
            begun = time.monotonic()
            helm.cancel()
            codes = [code_of(one.result).code for one in work]
        assert codes == ["JK-INTERRUPTED"] * 2
        assert time.monotonic() - begun < 5
        done = helm.apply("a", namespace, charts(), {}, timeout=60)
        assert (done.status, done.revision) == ("deployed", 1)

    def test_ctrl_c(self, helm: Helm, kube: Kube, namespace: str, charts: Charts) -> None:
        def interrupt() -> None:
            wait_for(lambda: kube.get("batch/v1", "Job", "a-hook", namespace))
            os.kill(os.getpid(), signal.SIGINT)

        thread = threading.Thread(target=interrupt)
        thread.start()
        chart = charts(hook=NEVER)
        begun = time.monotonic()
        error = code_of(lambda: helm.apply("a", namespace, chart, {}, timeout=120))
        thread.join()
        assert error.code == "JK-INTERRUPTED"
        assert time.monotonic() - begun < 60


class TestBadLuck:
    def test_the_api_server_ends_before_and_during_an_action(
        self, world: World, helm: Helm, kube: Kube, namespace: str, charts: Charts
    ) -> None:
        a_node(world, "for-doors")
        chart = charts(hook=job("pre-install", seconds="4s"))
        with ThreadPoolExecutor() as pool, healthy_again(world):
            work = pool.submit(helm.apply, "a", namespace, chart, {"word": "x"}, timeout=120)
            wait_for(lambda: kube.get("batch/v1", "Job", "a-hook", namespace))
            api_server(world).kill()
            assert work.result(150).status == "deployed"
        assert word(kube, namespace) == "x"
        time.sleep(11)  # dies it again within ten seconds, the sandbox gives up
        with healthy_again(world):
            api_server(world).kill()
            done = helm.apply("a", namespace, charts(), {"word": "y"}, timeout=120)
        assert (done.status, word(kube, namespace)) == ("deployed", "y")

    def test_nobody_listens(self, world: World, namespace: str, charts: Charts) -> None:
        _, authority = address(world)
        away = Helm("https://127.0.0.1:1", authority, lambda: ("t", None), patience=0)
        error = code_of(lambda: away.apply("a", namespace, charts(), {}, timeout=30))
        assert error.code == "JK-HELM-FAILED"
