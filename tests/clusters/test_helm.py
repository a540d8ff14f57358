"""The Helm client on a real API server: install, repair, errors and outages."""

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
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from jarkkit.model.port_answers import ClusterToken
from jarkkit.ports.helm import Helm, Release
from jarkkit.ports.kube import Kube
from tests.support.cluster_clients import (
    api_server_process,
    endpoint_and_ca,
    healthy_afterwards,
    helm_client,
    kube_client,
    raised_error,
)
from tests.support.cluster_objects import ensure_node, make_pod
from tests.support.clusters import RehearsalCluster
from tests.support.poll import wait_for

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
    """Return a hook whose pod ends after a moment, or never when it cannot be scheduled."""
    meta = {
        "name": "{{ .Release.Name }}-hook",
        "annotations": {"helm.sh/hook": when, "helm.sh/hook-delete-policy": "before-hook-creation"},
    }
    pod = {**make_pod("it", {})["spec"], "restartPolicy": "Never", **spec.pop("pod", {})}
    seconds = {"sandbox.jarkkit.io/seconds": spec.pop("seconds", "0s")}
    template = {"metadata": {"annotations": seconds}, "spec": pod}
    made = {"apiVersion": "batch/v1", "kind": "Job", "metadata": meta}
    return yaml.safe_dump({**made, "spec": {"template": template, **spec}})


NEVER = job("pre-install,pre-upgrade", pod={"nodeSelector": {"no": "where"}})
Charts = Callable[..., Path]


@pytest.fixture
def charts(tmp_path: Path) -> Charts:
    """Create a chart with the given templates."""

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
def helm(cluster: RehearsalCluster) -> Helm:
    return helm_client(cluster)


@pytest.fixture(scope="module")
def kube(cluster: RehearsalCluster) -> Kube:
    return kube_client(cluster)


def value_of(kube: Kube, namespace: str, name: str = "a") -> str:
    """Return the value in the release's ConfigMap; empty when there is no ConfigMap."""
    found = kube.get("v1", "ConfigMap", name, namespace)
    return found["data"]["word"] if found else ""


def releases_in(helm: Helm, namespace: str) -> dict[str, Release]:
    return {one.name: one for one in helm.releases() if one.namespace == namespace}


def rewrite(kube: Kube, namespace: str, name: str, revision: int, status: str) -> None:
    """Rewrite a stored revision as an interrupted action leaves it."""
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
    def test_a_release_is_installed_upgraded_and_uninstalled(
        self, helm: Helm, kube: Kube, namespace: str, charts: Charts
    ) -> None:
        chart = charts()
        first = helm.apply("a", namespace, chart, {"word": "one"}, timeout=60)
        assert first == Release("a", namespace, "words", "1.0.0", "deployed", 1)
        assert helm.values("a", namespace) == {"word": "one"}
        again = helm.apply("a", namespace, charts("1.1.0"), {"word": "two"}, timeout=60)
        assert (again.version, again.status, again.revision) == ("1.1.0", "deployed", 2)
        assert value_of(kube, namespace) == "two"
        assert releases_in(helm, namespace) == {"a": again}
        assert helm.uninstall("a", namespace, timeout=60)
        assert not helm.uninstall("a", namespace, timeout=60)
        wait_for(lambda: not value_of(kube, namespace))
        assert releases_in(helm, namespace) == {}
        assert raised_error(lambda: helm.values("a", namespace)).code == "JK-HELM-FAILED"

    def test_removed_values_return_to_the_defaults(
        self, helm: Helm, kube: Kube, namespace: str, charts: Charts
    ) -> None:
        chart = charts()
        helm.apply("a", namespace, chart, {"word": "one"}, timeout=60)
        helm.apply("a", namespace, chart, {}, timeout=60)
        assert (value_of(kube, namespace), helm.values("a", namespace)) == ("none", {})

    def test_applying_the_same_again_restores_a_deleted_object(
        self, helm: Helm, kube: Kube, namespace: str, charts: Charts
    ) -> None:
        chart = charts()
        helm.apply("a", namespace, chart, {"word": "one"}, timeout=60)
        kube.delete("v1", "ConfigMap", "a", namespace)
        assert helm.apply("a", namespace, chart, {"word": "one"}, timeout=60).revision == 2
        assert value_of(kube, namespace) == "one"

    def test_a_missing_namespace_is_created(
        self, helm: Helm, kube: Kube, namespace: str, charts: Charts
    ) -> None:
        other = f"{namespace}-more"
        helm.apply("a", other, charts(), {}, timeout=60)
        assert releases_in(helm, other)["a"].status == "deployed"
        assert kube.delete("v1", "Namespace", other)

    def test_the_history_of_a_release_stays_short(
        self, helm: Helm, kube: Kube, namespace: str, charts: Charts
    ) -> None:
        chart = charts()
        for number in range(8):
            helm.apply("a", namespace, chart, {"word": str(number)}, timeout=60)
        kept = list(kube.list("v1", "Secret", namespace, labels="owner=helm"))
        assert len(kept) <= 6
        assert releases_in(helm, namespace)["a"].revision == 8

    def test_apply_does_not_wait_for_workloads(
        self, helm: Helm, namespace: str, charts: Charts
    ) -> None:
        template = {"metadata": {"labels": {"a": "b"}}, "spec": make_pod("it", {})["spec"]}
        template["spec"]["nodeSelector"] = {"no": "where"}
        spec = {"selector": {"matchLabels": {"a": "b"}}, "template": template}
        manifest = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}}
        chart = charts(d=yaml.safe_dump({**manifest, "spec": spec}))
        assert helm.apply("a", namespace, chart, {}, timeout=5).status == "deployed"

    def test_releases_are_applied_concurrently(
        self, helm: Helm, namespace: str, charts: Charts
    ) -> None:
        chart = charts()

        def apply(number: int) -> Release:
            # Two actions for each release: the second waits for the first.
            return helm.apply(f"r{number % 4}", namespace, chart, {"word": "x"}, timeout=90)

        with ThreadPoolExecutor(8) as pool:
            done = list(pool.map(apply, range(8)))
        assert {(one.name, one.status) for one in done} == {(f"r{n}", "deployed") for n in range(4)}
        assert [one.revision for one in releases_in(helm, namespace).values()] == [2] * 4

    def test_the_users_own_helm_and_kubectl_settings_are_ignored(
        self, cluster: RehearsalCluster, namespace: str, charts: Charts, tmp_path: Path
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
        with helm_process(cluster, namespace, charts(), environ=theirs) as process:
            assert process.wait(300) == 0
        assert releases_in(helm_client(cluster), namespace)["a"].status == "deployed"
        left = [path.read_bytes() for path in home.rglob("*") if path.is_file()]
        assert not any(b"k8s-aws-v1" in text for text in left)


class helm_process:  # noqa: N801
    """Applies release `a` in its own process and kills that process at the end."""

    script = (
        "import json, sys; from pathlib import Path\n"
        "from datetime import UTC, datetime; from jarkkit.ports.helm import Helm\n"
        "from tests.support.cluster_clients import token_source\n"
        "given = json.loads(sys.stdin.read())\n"
        "helm = Helm(*given['address'], token_source(given['environ']))\n"
        "helm.apply('a', given['namespace'], Path(given['chart']), {}, timeout=120)\n"
    )

    def __init__(
        self,
        cluster: RehearsalCluster,
        namespace: str,
        chart: Path,
        environ: dict[str, str] | None = None,
    ) -> None:
        given = {
            "address": endpoint_and_ca(cluster),
            "environ": dict(cluster.running.env),
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
        self._process.wait(120)


class TestRepair:
    def test_a_killed_first_install_is_repaired(
        self, cluster: RehearsalCluster, helm: Helm, kube: Kube, namespace: str, charts: Charts
    ) -> None:
        with helm_process(cluster, namespace, charts(hook=NEVER)):
            wait_for(lambda: kube.get("batch/v1", "Job", "a-hook", namespace))
        assert releases_in(helm, namespace)["a"].status == "pending-install"
        done = helm.apply("a", namespace, charts(), {"word": "two"}, timeout=60)
        assert (done.status, done.revision, value_of(kube, namespace)) == ("deployed", 1, "two")

    def test_a_killed_upgrade_is_repaired(
        self, cluster: RehearsalCluster, helm: Helm, kube: Kube, namespace: str, charts: Charts
    ) -> None:
        helm.apply("a", namespace, charts(), {"word": "one"}, timeout=60)
        with helm_process(cluster, namespace, charts(hook=NEVER)):
            wait_for(lambda: kube.get("batch/v1", "Job", "a-hook", namespace))
        assert releases_in(helm, namespace)["a"].status == "pending-upgrade"
        done = helm.apply("a", namespace, charts(), {"word": "two"}, timeout=60)
        assert (done.status, done.revision, value_of(kube, namespace)) == ("deployed", 4, "two")

    def test_a_failed_first_install_is_repaired(
        self, helm: Helm, kube: Kube, namespace: str, charts: Charts
    ) -> None:
        error = raised_error(lambda: helm.apply("a", namespace, charts(x=WRONG), {}, timeout=60))
        assert (error.code, "dota" in error.evidence) == ("JK-HELM-FAILED", True)
        assert releases_in(helm, namespace)["a"].status == "failed"
        done = helm.apply("a", namespace, charts(), {"word": "two"}, timeout=60)
        assert (done.status, done.revision, value_of(kube, namespace)) == ("deployed", 1, "two")

    def test_a_failed_upgrade_is_repaired(
        self, helm: Helm, kube: Kube, namespace: str, charts: Charts
    ) -> None:
        helm.apply("a", namespace, charts(), {"word": "one"}, timeout=60)
        raised_error(lambda: helm.apply("a", namespace, charts(x=WRONG), {}, timeout=60))
        assert releases_in(helm, namespace)["a"].status == "failed"
        done = helm.apply("a", namespace, charts(), {"word": "two"}, timeout=60)
        assert (done.status, done.revision, value_of(kube, namespace)) == ("deployed", 3, "two")

    @pytest.mark.parametrize("status", ["uninstalling", "pending-rollback"])
    def test_a_release_in_another_interrupted_state_is_repaired(
        self, helm: Helm, kube: Kube, namespace: str, charts: Charts, status: str
    ) -> None:
        helm.apply("a", namespace, charts(), {"word": "one"}, timeout=60)
        rewrite(kube, namespace, "a", 1, status)
        assert releases_in(helm, namespace)["a"].status == status
        done = helm.apply("a", namespace, charts(), {"word": "two"}, timeout=60)
        assert (done.status, value_of(kube, namespace)) == ("deployed", "two")

    @pytest.mark.parametrize("status", ["uninstalling", "pending-install", "failed"])
    def test_an_interrupted_release_can_be_uninstalled(
        self, helm: Helm, kube: Kube, namespace: str, charts: Charts, status: str
    ) -> None:
        helm.apply("a", namespace, charts(), {"word": "one"}, timeout=60)
        rewrite(kube, namespace, "a", 1, status)
        assert helm.uninstall("a", namespace, timeout=60)
        wait_for(lambda: not value_of(kube, namespace))
        assert releases_in(helm, namespace) == {}


class TestFailures:
    def test_a_chart_that_does_not_render_leaves_no_release(
        self, helm: Helm, namespace: str, charts: Charts
    ) -> None:
        chart = charts(x='a: {{ required "say a word" .Values.nothing }}')
        error = raised_error(lambda: helm.apply("a", namespace, chart, {}, timeout=60))
        assert (error.code, "say a word" in error.evidence) == ("JK-HELM-CHART", True)
        assert releases_in(helm, namespace) == {}

    def test_values_outside_the_schema_are_not_repeated_in_the_error(
        self, helm: Helm, namespace: str, charts: Charts
    ) -> None:
        pattern = {"type": "string", "pattern": "^x"}
        schema = {"type": "object", "properties": {"password": pattern, "word": pattern}}
        values = {"password": "hunter2hunter2", "word": "other"}
        chart = charts(schema=schema)
        error = raised_error(lambda: helm.apply("a", namespace, chart, values, timeout=60))
        assert error.code == "JK-HELM-CHART"
        assert "/password" in error.evidence
        assert not {"hunter2hunter2", "other"} & set(error.evidence.replace("'", " ").split())

    def test_a_kind_that_is_not_served_is_an_error_about_its_crd(
        self, helm: Helm, namespace: str, charts: Charts
    ) -> None:
        chart = charts(x="apiVersion: x.example.org/v1\nkind: Nothing\nmetadata: {name: x}")
        error = raised_error(lambda: helm.apply("a", namespace, chart, {}, timeout=60))
        assert (error.code, "CRD of that kind" in error.fix) == ("JK-HELM-FAILED", True)

    def test_an_object_of_another_owner_is_not_taken_over(
        self, helm: Helm, kube: Kube, namespace: str, charts: Charts
    ) -> None:
        meta = {"name": "a", "namespace": namespace}
        kube.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta})
        error = raised_error(lambda: helm.apply("a", namespace, charts(), {}, timeout=60))
        assert (error.code, "not belong to this release" in error.fix) == ("JK-HELM-FAILED", True)

    def test_a_rejection_by_pod_security_is_an_error_with_its_reason(
        self, helm: Helm, kube: Kube, namespace: str, charts: Charts
    ) -> None:
        enforce = {"pod-security.kubernetes.io/enforce": "restricted"}
        kube.patch("v1", "Namespace", namespace, {"metadata": {"labels": enforce}})
        chart = charts(x=yaml.safe_dump({"apiVersion": "v1", "kind": "Pod", **make_pod("p", {})}))
        error = raised_error(lambda: helm.apply("a", namespace, chart, {}, timeout=60))
        assert (error.code, "PodSecurity" in error.evidence) == ("JK-HELM-FAILED", True)

    def test_a_hook_that_does_not_end_times_out(
        self, helm: Helm, namespace: str, charts: Charts
    ) -> None:
        chart = charts(hook=NEVER)
        error = raised_error(lambda: helm.apply("a", namespace, chart, {}, timeout=2))
        assert (error.code, "a-hook" in error.evidence) == ("JK-HELM-TIMEOUT", True)
        assert releases_in(helm, namespace)["a"].status == "failed"

    def test_cancel_interrupts_the_actions_of_other_threads(
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
            codes = [raised_error(one.result).code for one in work]
        assert codes == ["JK-INTERRUPTED"] * 2
        assert time.monotonic() - begun < 60
        done = helm.apply("a", namespace, charts(), {}, timeout=60)
        assert (done.status, done.revision) == ("deployed", 1)

    def test_ctrl_c_interrupts_an_action(
        self, helm: Helm, kube: Kube, namespace: str, charts: Charts
    ) -> None:
        def interrupt() -> None:
            wait_for(lambda: kube.get("batch/v1", "Job", "a-hook", namespace))
            os.kill(os.getpid(), signal.SIGINT)

        thread = threading.Thread(target=interrupt)
        thread.start()
        chart = charts(hook=NEVER)
        begun = time.monotonic()
        error = raised_error(lambda: helm.apply("a", namespace, chart, {}, timeout=600))
        thread.join()
        assert error.code == "JK-INTERRUPTED"
        assert time.monotonic() - begun < 500


class TestOutages:
    def test_a_release_survives_an_api_server_killed_before_and_during_it(
        self, cluster: RehearsalCluster, helm: Helm, kube: Kube, namespace: str, charts: Charts
    ) -> None:
        ensure_node(cluster, "for-helm")
        chart = charts(hook=job("pre-install", seconds="4s"))
        with ThreadPoolExecutor() as pool, healthy_afterwards(cluster):
            work = pool.submit(helm.apply, "a", namespace, chart, {"word": "x"}, timeout=120)
            wait_for(lambda: kube.get("batch/v1", "Job", "a-hook", namespace))
            api_server_process(cluster).kill()
            assert work.result(300).status == "deployed"
        assert value_of(kube, namespace) == "x"
        time.sleep(11)  # a second death within ten seconds would be final for the sandbox
        with healthy_afterwards(cluster):
            api_server_process(cluster).kill()
            done = helm.apply("a", namespace, charts(), {"word": "y"}, timeout=120)
        assert (done.status, value_of(kube, namespace)) == ("deployed", "y")

    def test_an_unreachable_api_server_is_an_error(
        self, cluster: RehearsalCluster, namespace: str, charts: Charts
    ) -> None:
        _, authority = endpoint_and_ca(cluster)
        away = Helm(
            "https://127.0.0.1:1",
            authority,
            lambda: ClusterToken("t", datetime.now(UTC)),
            retry_seconds=0,
        )
        error = raised_error(lambda: away.apply("a", namespace, charts(), {}, timeout=30))
        assert error.code == "JK-HELM-FAILED"
