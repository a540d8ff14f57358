"""The Helm client without a cluster: repairs, error codes, rendering, cancellation."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from jarkkit.model.errors import (
    AccessDenied,
    Conflict,
    JarkkitError,
    TimedOut,
)
from jarkkit.model.port_answers import ClusterToken
from jarkkit.ports.helm import Helm, Release, retry
from jarkkit.ports.helm.cancellation import HelmAction, RunningActions
from jarkkit.ports.helm.errors import explain, is_access_denied, is_transient, redact_values
from jarkkit.ports.helm.repair import RepairPlan, repair_plan
from jarkkit.ports.helm.sdk import ClusterConnection, discovery_cache
from tests.support.poll import wait_for

CHART = "apiVersion: v2\nname: tiny\nversion: 1.2.3\n"


def history(*statuses: str) -> list[Release]:
    return [Release("r", "n", "c", "1", status, i + 1) for i, status in enumerate(statuses)]


def chart(folder: Path, **files: str) -> Path:
    """Write a chart with these templates; `__` in a name becomes a dot."""
    (folder / "templates").mkdir(parents=True)
    (folder / "Chart.yaml").write_text(CHART)
    for name, text in files.items():
        (folder / "templates" / name.replace("__", ".")).write_text(text)
    return folder


def helm(**more: Any) -> Helm:
    return Helm("https://127.0.0.1:1", "", lambda: ClusterToken("t", datetime.now(UTC)), **more)


class TestRepair:
    @pytest.mark.parametrize(
        ("statuses", "expected"),
        [
            ((), RepairPlan("install")),
            (("deployed",), RepairPlan("upgrade")),
            (("superseded", "deployed"), RepairPlan("upgrade")),
            (("failed",), RepairPlan("install", uninstall=True)),
            (("failed", "failed"), RepairPlan("install", uninstall=True)),
            (("deployed", "failed"), RepairPlan("upgrade")),
            (("pending-install",), RepairPlan("install", uninstall=True)),
            (("failed", "pending-upgrade"), RepairPlan("install", uninstall=True)),
            (("superseded", "deployed", "pending-upgrade"), RepairPlan("upgrade", rollback=2)),
            (("superseded", "failed", "pending-rollback"), RepairPlan("upgrade", rollback=1)),
            (("deployed", "failed", "pending-upgrade"), RepairPlan("upgrade", rollback=1)),
            (("deployed", "uninstalling"), RepairPlan("install", uninstall=True)),
            (("superseded", "uninstalled"), RepairPlan("install", uninstall=True)),
        ],
    )
    def test_every_status_has_a_repair_plan(
        self, statuses: tuple[str, ...], expected: RepairPlan
    ) -> None:
        assert repair_plan(history(*statuses)) == expected


class TestErrors:
    @pytest.mark.parametrize(
        ("message", "code"),
        [
            ("execution error at (x/templates/y.yaml:1:6): no word", "JK-HELM-CHART"),
            ("values don't meet the specifications of the schema(s)", "JK-HELM-CHART"),
            ("chart requires kubeVersion: >=1.99 which is incompatible", "JK-HELM-CHART"),
            ("failed pre-install: Job not ready\ncontext deadline exceeded", "JK-HELM-TIMEOUT"),
            ("server-side apply failed for object a/b", "JK-HELM-FAILED"),
            ("invalid ownership metadata; label validation error", "JK-HELM-FAILED"),
        ],
    )
    def test_messages_have_codes(self, message: str, code: str) -> None:
        error = explain(message, "apply x")
        assert (error.code, error.evidence) == (code, message)

    @pytest.mark.parametrize(
        ("message", "kind", "transient"),
        [
            ('secrets is forbidden: User "u" cannot list resource "secrets"', AccessDenied, False),
            ("invalid ownership metadata; label validation error", Conflict, False),
            ("failed pre-install: Job not ready\ncontext deadline exceeded", TimedOut, False),
            (
                "failed pre-install: resource Job/a/hook not ready. status: Unknown, message: \n"
                "context deadline exceeded",
                TimedOut,
                False,
            ),
            ('failed calling webhook "x": context deadline exceeded', TimedOut, True),
            ("server-side apply failed for object a/b", JarkkitError, False),
            ("dial tcp 127.0.0.1:1: connect: connection refused", JarkkitError, True),
            ('failed calling webhook "x": no endpoints available', JarkkitError, True),
            ('no matches for kind "NodePool"; ensure CRDs are installed first', JarkkitError, True),
            ("namespace web because it is being terminated", JarkkitError, True),
        ],
    )
    def test_messages_have_classes(
        self, message: str, kind: type[JarkkitError], transient: bool
    ) -> None:
        error = explain(message, "apply x")
        assert (type(error), error.transient) == (kind, transient)

    def test_values_are_redacted(self) -> None:
        values = {"auth": {"password": "hunter2", "list": ["abcd"]}, "name": "visible", "n": 5}
        redacted = redact_values("at '/x': 'visible' is not abcd; visible hunter2 x", values)
        assert redacted == "at '/x': '…' is not abcd; visible … x"
        assert "hunter2" not in explain("bad hunter2", "x", values).evidence

    def test_every_value_below_a_secret_key_is_secret(self) -> None:
        assert redact_values("a long1 b long2", {"tokens": {"a": "long1", "b": ["long2"]}}) == (
            "a … b …"
        )

    def test_transient_and_permanent_errors(self) -> None:
        assert is_transient("Get https://x/version: dial tcp: connect: connection refused")
        assert is_transient("kubernetes cluster unreachable: unknown")
        assert is_transient('failed calling webhook "x": no endpoints available')
        killed = "failed pre-install: resource Job/a/hook not ready. status: Unknown, message: "
        assert is_transient(killed)
        assert not is_transient(f"{killed}\ncontext deadline exceeded")
        assert is_transient('failed to install CRD crds/x.yaml: unable to recognize "": unknown')
        role = 'clusterrole.rbac.authorization.k8s.io "system:basic-user" not found'
        assert is_transient(f"jobs.batch is forbidden: User x cannot list: RBAC: [{role}]")
        assert not is_transient("failed pre-install: Job Failed")
        assert not is_transient("resource Job/a/hook not ready. status: InProgress, message: ")
        assert is_access_denied('secrets is forbidden: User "u" cannot list resource "secrets"')
        assert not is_access_denied("pods is forbidden: exceeded quota")

    def test_evidence_is_truncated(self) -> None:
        assert len(explain("x" * 5000, "apply x").evidence) == 600


class TestRendering:
    def test_rendering_returns_the_objects_of_an_install(self, tmp_path: Path) -> None:
        folder = chart(
            tmp_path / "tiny",
            NOTES__txt="Hello",
            a__yaml=(
                "# nothing\n---\nkind: A\nname: {{ .Release.Name }}\nday: 2026-01-01\nit: yes\n"
                "---\nkind: List\nitems: [{kind: B}, {kind: C}]\n"
            ),
            hook__yaml="kind: H\nmetadata: {annotations: {helm.sh/hook: pre-install}}",
            test__yaml="kind: T\nmetadata: {annotations: {helm.sh/hook: test}}",
        )
        (folder / "crds").mkdir()
        (folder / "crds/x.yaml").write_text("kind: CustomResourceDefinition\n")
        made = helm().render(folder, "one", "ns", {})
        kinds = ["CustomResourceDefinition", "A", "B", "C", "H"]
        assert [manifest["kind"] for manifest in made] == kinds
        assert made[1] == {"kind": "A", "name": "one", "day": "2026-01-01", "it": True}

    @pytest.mark.parametrize("text", ["{{ .Values.x.y.z }}", "{{ nope", "a: [", "- a\n- b\n"])
    def test_an_invalid_chart_is_a_chart_error(self, tmp_path: Path, text: str) -> None:
        folder = chart(tmp_path / "tiny", a__yaml=text)
        with pytest.raises(JarkkitError) as caught:
            helm().render(folder, "one", "ns", {})
        assert caught.value.code == "JK-HELM-CHART"

    def test_a_missing_chart_is_a_chart_error(self, tmp_path: Path) -> None:
        with pytest.raises(JarkkitError) as caught:
            helm().render(tmp_path / "none.tgz", "one", "ns", {})
        assert caught.value.code == "JK-HELM-CHART"


class Context:
    """A fake of the SDK's context."""

    def __init__(self) -> None:
        self.cancelled = threading.Event()

    def cancel(self) -> None:
        self.cancelled.set()


def run_in_thread(work: Callable[[], Any]) -> tuple[threading.Thread, list[Any]]:
    done: list[Any] = []

    def act() -> None:
        try:
            done.append(work())
        except JarkkitError as error:
            done.append(error.code)

    thread = threading.Thread(target=act)
    thread.start()
    return thread, done


class TestRunningActions:
    def test_cancel_ends_running_actions_and_waiting_ones_never_start(self) -> None:
        runs = RunningActions()
        started = threading.Event()

        def work(run: HelmAction) -> None:
            started.set()
            run.sleep(30)

        first, first_results = run_in_thread(lambda: runs.run(("n", "r"), "apply r", work))
        assert started.wait(10)
        started.clear()
        second, second_results = run_in_thread(lambda: runs.run(("n", "r"), "apply r", work))
        wait_for(lambda: len(runs._under_way) == 2, 10, pause=0.01)
        runs.cancel()
        first.join(10)
        second.join(10)
        assert first_results == second_results == ["JK-INTERRUPTED"]
        assert not started.is_set()
        assert runs._under_way == set()

    def test_actions_on_different_releases_run_concurrently(self) -> None:
        runs = RunningActions()
        both = threading.Barrier(2)

        def work(_: HelmAction) -> int:
            return both.wait(10)

        started = [run_in_thread(partial(runs.run, ("n", n), "apply", work)) for n in ("a", "b")]
        for thread, _ in started:
            thread.join(10)
        assert sorted(result for _, (result,) in started) == [0, 1]

    def test_ctrl_c_ends_an_action_in_the_main_thread(self) -> None:
        runs = RunningActions()
        timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
        timer.start()
        with pytest.raises(JarkkitError) as caught:
            runs.run(("n", "r"), "apply r", lambda run: run.sleep(30))
        assert caught.value.code == "JK-INTERRUPTED"
        timer.join()


class TestRetries:
    @pytest.fixture
    def clock(self, monkeypatch: pytest.MonkeyPatch) -> list[float]:
        slept: list[float] = []
        monkeypatch.setattr(retry, "monotonic", lambda: 100.0 + sum(slept))
        return slept

    def retried(self, clock: list[float], *messages: str, seconds: float = 0.0) -> Any:
        """Return the result of attempts that fail with these messages and then succeed.

        Args:
            seconds: how long each attempt takes.
        """
        import helm_python

        run: Any = HelmAction("apply x", Context())
        pending = list(messages)
        run.sleep = clock.append

        def attempt() -> str:
            clock.append(seconds)
            if pending:
                raise helm_python.HelmReleaseError(pending.pop(0))
            return "done"

        return helm()._retry(run, attempt)

    def test_an_unreachable_server_is_retried_until_the_timeout(self, clock: list[float]) -> None:
        assert self.retried(clock, *["connection refused"] * 9) == "done"
        with pytest.raises(JarkkitError) as caught:
            self.retried(clock, *["connection refused"] * 60)
        assert caught.value.code == "JK-HELM-FAILED"

    def test_denials_are_retried_for_a_shorter_time(self, clock: list[float]) -> None:
        denial = 'x is forbidden: User "u" cannot get resource'
        assert self.retried(clock, denial, denial) == "done"
        with pytest.raises(JarkkitError):
            self.retried(clock, *[denial] * 9)

    def test_denials_after_an_outage_are_retried_too(self, clock: list[float]) -> None:
        outage = ["connection refused"] * 9
        denial = 'x is forbidden: User "u" cannot get resource'
        assert self.retried(clock, *outage, denial, denial) == "done"
        with pytest.raises(JarkkitError):
            self.retried(clock, *outage, *[denial] * 9)

    def test_a_denial_is_retried_if_helm_itself_waited_for_the_server(
        self, clock: list[float]
    ) -> None:
        denial = 'x is forbidden: User "u" cannot get resource'
        assert self.retried(clock, denial, seconds=20) == "done"

    def test_a_permanent_error_is_not_retried(self, clock: list[float]) -> None:
        with pytest.raises(JarkkitError):
            self.retried(clock, "Job Failed", "Job Failed")
        assert clock == [0.0]


def test_the_discovery_cache_of_an_endpoint_is_cleared(tmp_path: Path) -> None:
    environ = {"HOME": str(tmp_path)}
    cache = discovery_cache("https://127.0.0.1:8443", environ)
    assert cache == tmp_path / ".kube/cache/discovery/127.0.0.1_8443"
    other = discovery_cache("https://ab-c.eks.amazonaws.com", {"KUBECACHEDIR": str(tmp_path)})
    assert other == tmp_path / "discovery/ab_c.eks.amazonaws.com"
    for folder in (cache, cache.parent / "other"):
        folder.mkdir(parents=True)
    ClusterConnection(
        "https://127.0.0.1:8443", "", lambda: ClusterToken("t", datetime.now(UTC))
    ).clear_discovery_cache(environ)
    assert [folder.name for folder in cache.parent.iterdir()] == ["other"]


def test_a_machine_without_helm_gets_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "helm_python", None)
    with pytest.raises(JarkkitError) as caught:
        helm().releases()
    assert caught.value.code == "JK-HELM-FAILED"
    assert "Apple silicon" in caught.value.fix
