"""The door to Helm without a cluster: repairs, meanings, rendering, cancelling."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from jarkkit.errors import JarkkitError
from jarkkit.helm import Helm, Release, client
from jarkkit.helm.problems import explain, is_denial, is_passing, without_values
from jarkkit.helm.repair import Way, way
from jarkkit.helm.runs import Run, Runs
from jarkkit.helm.sdk import Cluster, discovery_cache

CHART = "apiVersion: v2\nname: tiny\nversion: 1.2.3\n"


def history(*statuses: str) -> list[Release]:
    return [Release("r", "n", "c", "1", status, i + 1) for i, status in enumerate(statuses)]


def chart(folder: Path, **files: str) -> Path:
    """A chart with these templates; `__` in a name is a dot."""
    (folder / "templates").mkdir(parents=True)
    (folder / "Chart.yaml").write_text(CHART)
    for name, text in files.items():
        (folder / "templates" / name.replace("__", ".")).write_text(text)
    return folder


def helm(**more: Any) -> Helm:
    return Helm("https://127.0.0.1:1", "", lambda: ("t", datetime.now(UTC)), **more)


class TestRepair:
    @pytest.mark.parametrize(
        ("statuses", "expected"),
        [
            ((), Way("install")),
            (("deployed",), Way("upgrade")),
            (("superseded", "deployed"), Way("upgrade")),
            (("failed",), Way("install", uninstall=True)),
            (("failed", "failed"), Way("install", uninstall=True)),
            (("deployed", "failed"), Way("upgrade")),
            (("pending-install",), Way("install", uninstall=True)),
            (("failed", "pending-upgrade"), Way("install", uninstall=True)),
            (("superseded", "deployed", "pending-upgrade"), Way("upgrade", rollback=2)),
            (("superseded", "failed", "pending-rollback"), Way("upgrade", rollback=1)),
            (("deployed", "failed", "pending-upgrade"), Way("upgrade", rollback=1)),
            (("deployed", "uninstalling"), Way("install", uninstall=True)),
            (("superseded", "uninstalled"), Way("install", uninstall=True)),
        ],
    )
    def test_every_status_has_a_way(self, statuses: tuple[str, ...], expected: Way) -> None:
        assert way(history(*statuses)) == expected


class TestMeanings:
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

    def test_values_are_never_repeated(self) -> None:
        values = {"auth": {"password": "hunter2", "list": ["abcd"]}, "name": "visible", "n": 5}
        said = without_values("at '/x': 'visible' is not abcd; visible hunter2 x", values)
        assert said == "at '/x': '…' is not abcd; visible … x"
        assert "hunter2" not in explain("bad hunter2", "x", values).evidence

    def test_everything_below_a_secret_key_is_secret(self) -> None:
        assert without_values("a long1 b long2", {"tokens": {"a": "long1", "b": ["long2"]}}) == (
            "a … b …"
        )

    def test_what_may_pass_is_known(self) -> None:
        assert is_passing("Get https://x/version: dial tcp: connect: connection refused")
        assert is_passing("kubernetes cluster unreachable: unknown")
        assert is_passing('failed calling webhook "x": no endpoints available')
        assert not is_passing("failed pre-install: Job Failed")
        assert is_denial('secrets is forbidden: User "u" cannot list resource "secrets"')
        assert not is_denial("pods is forbidden: exceeded quota")

    def test_evidence_is_short(self) -> None:
        assert len(explain("x" * 5000, "apply x").evidence) == 600


class TestRendering:
    def test_objects_are_what_an_install_would_create(self, tmp_path: Path) -> None:
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
        assert [thing["kind"] for thing in made] == kinds
        assert made[1] == {"kind": "A", "name": "one", "day": "2026-01-01", "it": True}

    @pytest.mark.parametrize("text", ["{{ .Values.x.y.z }}", "{{ nope", "a: [", "- a\n- b\n"])
    def test_a_chart_at_fault_says_so(self, tmp_path: Path, text: str) -> None:
        folder = chart(tmp_path / "tiny", a__yaml=text)
        with pytest.raises(JarkkitError) as caught:
            helm().render(folder, "one", "ns", {})
        assert caught.value.code == "JK-HELM-CHART"

    def test_a_chart_that_is_not_there_says_so(self, tmp_path: Path) -> None:
        with pytest.raises(JarkkitError) as caught:
            helm().render(tmp_path / "none.tgz", "one", "ns", {})
        assert caught.value.code == "JK-HELM-CHART"


class Context:
    """Stands for the SDK's."""

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


class TestRuns:
    def test_cancel_ends_all_and_what_waits_never_begins(self) -> None:
        runs = Runs()
        begun = threading.Event()

        def work(run: Run) -> None:
            begun.set()
            run.pause(30)

        first, said = run_in_thread(lambda: runs.carry_out(("n", "r"), "apply r", work))
        assert begun.wait(10)
        begun.clear()
        second, heard = run_in_thread(lambda: runs.carry_out(("n", "r"), "apply r", work))
        while len(runs._under_way) < 2:
            time.sleep(0.01)
        runs.cancel()
        first.join(10)
        second.join(10)
        assert said == heard == ["JK-INTERRUPTED"]
        assert not begun.is_set()
        assert runs._under_way == set()

    def test_different_releases_go_on_at_the_same_time(self) -> None:
        runs = Runs()
        both = threading.Barrier(2)

        def work(_: Run) -> int:
            return both.wait(10)

        started = [
            run_in_thread(lambda n=n: runs.carry_out(("n", n), "apply", work)) for n in ("a", "b")
        ]
        for thread, _ in started:
            thread.join(10)
        assert sorted(result for _, (result,) in started) == [0, 1]

    def test_ctrl_c_ends_it_in_the_main_thread(self) -> None:
        runs = Runs()
        timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
        timer.start()
        with pytest.raises(JarkkitError) as caught:
            runs.carry_out(("n", "r"), "apply r", lambda run: run.pause(30))
        assert caught.value.code == "JK-INTERRUPTED"
        timer.join()


class TestPatience:
    @pytest.fixture
    def clock(self, monkeypatch: pytest.MonkeyPatch) -> list[float]:
        slept: list[float] = []
        monkeypatch.setattr(client, "monotonic", lambda: 100.0 + sum(slept))
        return slept

    def patiently(self, clock: list[float], *messages: str) -> Any:
        """What comes of attempts that fail with these messages, and then work."""
        import helm_python

        run, told = Run("apply x", Context()), list(messages)
        run.pause = clock.append

        def attempt() -> str:
            if told:
                raise helm_python.HelmReleaseError(told.pop(0))
            return "done"

        return helm()._patiently(run, attempt)

    def test_a_server_that_is_away_is_waited_for(self, clock: list[float]) -> None:
        assert self.patiently(clock, *["connection refused"] * 9) == "done"
        with pytest.raises(JarkkitError) as caught:
            self.patiently(clock, *["connection refused"] * 60)
        assert caught.value.code == "JK-HELM-FAILED"

    def test_denials_are_believed_sooner(self, clock: list[float]) -> None:
        denial = 'x is forbidden: User "u" cannot get resource'
        assert self.patiently(clock, denial, denial) == "done"
        with pytest.raises(JarkkitError):
            self.patiently(clock, *[denial] * 9)

    def test_what_cannot_pass_is_not_repeated(self, clock: list[float]) -> None:
        with pytest.raises(JarkkitError):
            self.patiently(clock, "Job Failed")
        assert clock == []


def test_the_discovery_cache_of_an_address_is_forgotten(tmp_path: Path) -> None:
    environ = {"HOME": str(tmp_path)}
    cache = discovery_cache("https://127.0.0.1:8443", environ)
    assert cache == tmp_path / ".kube/cache/discovery/127.0.0.1_8443"
    other = discovery_cache("https://ab-c.eks.amazonaws.com", {"KUBECACHEDIR": str(tmp_path)})
    assert other == tmp_path / "discovery/ab_c.eks.amazonaws.com"
    for folder in (cache, cache.parent / "other"):
        folder.mkdir(parents=True)
    Cluster("https://127.0.0.1:8443", "", lambda: ("t", datetime.now(UTC))).forget_discovery(
        environ
    )
    assert [folder.name for folder in cache.parent.iterdir()] == ["other"]


def test_a_machine_without_helm_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "helm_python", None)
    with pytest.raises(JarkkitError) as caught:
        helm().releases()
    assert caught.value.code == "JK-HELM-FAILED"
    assert "Apple silicon" in caught.value.fix
