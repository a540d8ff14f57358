"""The step use on a cluster that is a dictionary."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import pytest
from typer.testing import CliRunner, Result

from jarkkit.cli import use as commands
from jarkkit.cluster import places
from jarkkit.errors import JarkkitError
from jarkkit.kit import Kit
from jarkkit.kube import Kube
from jarkkit.records import Event
from jarkkit.settings import Settings
from jarkkit.steps import use
from jarkkit.workloads import NAMESPACE, workload
from tests.kit.cluster_fakes import FakeKube, Object

SETTINGS = Settings()
STEPS = ("Running", "Running", "Succeeded")


@dataclass
class Cluster(FakeKube):
    """Whose waited-for object goes on by a phase each time that it is looked at."""

    phases: list[str] = field(default_factory=lambda: list(STEPS))
    kind: str = "Workflow"
    patched: list[str] = field(default_factory=list)

    def get(self, api_version: str, kind: str, name: str, namespace: str = "") -> Object | None:
        found = super().get(api_version, kind, name, namespace)
        if kind != self.kind or found is None:
            return found
        phase = self.phases.pop(0) if len(self.phases) > 1 else self.phases[0]
        found["status"] = {**found.get("status", {}), "phase": phase, "message": "by itself"}
        return found

    def delete(self, api_version: str, kind: str, name: str, namespace: str = "") -> bool:
        if kind == "Namespace" and kind not in self.stuck:
            self.objects = {k: v for k, v in self.objects.items() if k[1] != name}
        return super().delete(api_version, kind, name, namespace)

    def patch(self, api_version: str, kind: str, name: str, change: Object, namespace: str) -> None:
        self.patched.append(name)

    def pod(self, name: str, **status: Any) -> None:
        self.put(
            {
                "kind": "Pod",
                "metadata": {"name": name, "namespace": NAMESPACE},
                "spec": {"nodeName": "n1", "containers": []},
                "status": {"phase": "Succeeded", **status},
            }
        )


@pytest.fixture
def kube() -> Cluster:
    made = Cluster()
    labels = {"node.kubernetes.io/instance-type": "m5.xlarge"}
    made.put({"kind": "Node", "metadata": {"name": "n1", "labels": labels}})
    return made


def ran(
    kube: Cluster, name: str = "hello-workflow", sleep: Callable[[float], None] = lambda _: None
) -> tuple[list[Event], use.Used]:
    events, work = [], use.run(cast(Kube, kube), SETTINGS, name, rehearsal=True, sleep=sleep)
    while True:
        try:
            events.append(next(work))
        except StopIteration as end:
            return events, end.value


def nothing_left(kube: Cluster) -> bool:
    return not [key for key in kube.objects if NAMESPACE in (key[1], key[2])]


def test_it_tells_how_it_goes_and_leaves_nothing(kube: Cluster) -> None:
    kube.pod("hello-1")
    events, used = ran(kube)
    said = [event.message for event in events]
    assert "Workflow: Running" in said
    assert "pod hello-1: Succeeded on n1" in said
    assert "hello-1: last words" in said
    assert (used.status, used.message, used.instance_type) == ("pass", "Succeeded", "m5.xlarge")
    assert used.lines == ("last words",)
    assert "simulated" in used.note
    assert all(event.step == "use" for event in events)
    assert nothing_left(kube)


def test_a_result_is_shown_as_text_and_html(kube: Cluster) -> None:
    kube.pod("hello-1")
    _, used = ran(kube)
    assert used.text().startswith("✔ A workflow of three steps: Succeeded in ")
    assert "<pre>last words</pre>" in used._repr_html_()


def test_failing_says_why_and_leaves_nothing(kube: Cluster) -> None:
    kube.phases = ["Running", "Failed"]
    kube.pod("hello-1")
    with pytest.raises(JarkkitError) as caught:
        ran(kube)
    assert caught.value.code == "JK-USE-FAILED"
    assert "by itself" in caught.value.message
    assert caught.value.evidence == "last words"
    assert nothing_left(kube)


def test_too_late_says_what_is_in_the_way(kube: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(0, 100_000, 30))
    monkeypatch.setattr(use, "monotonic", lambda: float(next(clock)))
    kube.phases = ["Pending"]
    state = {"waiting": {"reason": "ContainerCreating"}}
    kube.pod("hello-1", phase="Pending", containerStatuses=[{"name": "main", "state": state}])
    with pytest.raises(JarkkitError) as caught:
        ran(kube)
    assert caught.value.code == "JK-USE-TIMEOUT"
    assert nothing_left(kube)


def test_an_image_that_never_comes_is_not_waited_for(
    kube: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(use, "_FIRST_WORRY_SECONDS", 0.0)
    monkeypatch.setattr(use, "_WORRY_SECONDS", 0.0)
    monkeypatch.setattr(use, "_HOPELESS_SECONDS", 0.0)
    kube.phases = ["Pending"]
    state = {"waiting": {"reason": "ErrImagePull", "message": "no such tag"}}
    status = [{"name": "main", "image": "x:1", "state": state}]
    kube.pod("hello-1", phase="Pending", containerStatuses=status)
    with pytest.raises(JarkkitError) as caught:
        ran(kube)
    assert caught.value.code == "JK-USE-FAILED"
    assert "no such tag" in caught.value.evidence


def test_an_interrupt_leaves_nothing(kube: Cluster) -> None:
    work = use.run(cast(Kube, kube), SETTINGS, "hello-workflow", sleep=lambda _: None)
    next(work)
    next(work)
    work.close()
    assert nothing_left(kube)


def test_what_an_earlier_run_left_goes_first(kube: Cluster) -> None:
    labels = {"app.kubernetes.io/managed-by": "jarkkit"}
    kube.put({"kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": labels}})
    assert ran(kube)[1].status == "pass"


def test_a_namespace_of_others_is_left_alone(kube: Cluster) -> None:
    kube.put({"kind": "Namespace", "metadata": {"name": NAMESPACE}})
    with pytest.raises(JarkkitError) as caught:
        ran(kube)
    assert caught.value.code == "JK-NAME-TAKEN"
    assert ("Namespace", "", NAMESPACE) in kube.objects


def test_pods_that_argo_holds_are_freed(kube: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(use, "_STUCK_SECONDS", 0.0)
    kube.stuck = {"Namespace"}
    kube.pod("hello-1")
    meta = kube.objects["Pod", NAMESPACE, "hello-1"]["metadata"]
    meta |= {"deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["argo"]}

    def sleep(_: float) -> None:
        if kube.patched:
            kube.objects.pop(("Namespace", "", NAMESPACE), None)

    assert ran(kube, sleep=sleep)[1].status == "pass"
    assert kube.patched[0] == "hello-1"


def test_what_cannot_run_here_is_skipped_with_the_reason(kube: Cluster) -> None:
    events, used = ran(kube, "neuron-smoke")
    assert [(event.step, event.kind) for event in events] == [("use", "message")]
    assert (used.status, used.ok) == ("skip", True)
    assert "accelerators" in used.message
    assert kube.calls == []


class TestThePage:
    def answer(self, monkeypatch: pytest.MonkeyPatch, *given: Any) -> None:
        monkeypatch.setattr(places, "ask", lambda *_: places.Answer(*given))

    def test_it_answers(self, kube: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
        self.answer(monkeypatch, 200, False, "<title>JupyterHub</title>")
        assert ran(kube, "hub-login")[1].message == "answers 200"

    def test_the_sandbox_answers_for_it(
        self, kube: Cluster, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.answer(monkeypatch, 200, True)
        assert "sandbox" in ran(kube, "hub-login")[1].message

    @pytest.mark.parametrize("given", [(200, False, "something else"), (503, False, "no hub")])
    def test_it_does_not(
        self, kube: Cluster, monkeypatch: pytest.MonkeyPatch, given: tuple[int, bool, str]
    ) -> None:
        self.answer(monkeypatch, *given)
        with pytest.raises(JarkkitError) as caught:
            ran(kube, "hub-login")
        assert caught.value.code == "JK-USE-FAILED"
        assert caught.value.evidence == given[2]


def test_tables_for_a_notebook() -> None:
    assert "hello-workflow" in use.available(SETTINGS)._repr_html_()
    table = use.pages(SETTINGS)._repr_html_()
    assert "jarkkit use open grafana" in table
    assert workload("storage").name == "storage"


class TestCommands:
    """`jarkkit use …`, with a kit that answers what the test wants."""

    @pytest.fixture(autouse=True)
    def kit(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.used = use.Used(name="storage", title="A volume", status="pass", message="Succeeded")

        @contextlib.contextmanager
        def opened(name: str) -> Iterator[str]:
            yield f"http://127.0.0.1:1/{name}"

        def run(name: str) -> Generator[Event, None, use.Used]:
            yield from ()
            return self.used

        kit = SimpleNamespace(
            workloads=lambda: use.available(SETTINGS),
            places=lambda: use.pages(SETTINGS),
            use=run,
            open_place=opened,
            login=lambda _: places.Login("admin", "s3cret"),
        )
        monkeypatch.setattr(Kit, "open", lambda name="": kit)
        monkeypatch.setattr(commands, "_until_interrupted", lambda: None)

    def say(self, *words: str) -> Result:
        return CliRunner().invoke(commands.app, list(words))

    def test_it_lists_what_there_is(self) -> None:
        text = self.say().stdout
        assert "hello-workflow" in text
        assert "jarkkit use password grafana" in text
        assert {"workloads", "places"} == set(json.loads(self.say("--json").stdout))

    def test_it_runs_one(self) -> None:
        assert "Succeeded" in self.say("run", "storage").stdout
        assert json.loads(self.say("run", "storage", "--json").stdout)["status"] == "pass"

    def test_what_cannot_run_here_is_an_error(self) -> None:
        self.used = self.used.model_copy(update={"status": "skip", "message": "needs a pool"})
        error = self.say("run", "storage").exception
        assert isinstance(error, JarkkitError)
        assert error.code == "JK-USE-UNKNOWN"

    def test_opening_prints_the_address(self) -> None:
        assert self.say("open", "grafana").stdout.startswith("http://127.0.0.1:1/grafana")

    def test_a_password_goes_to_a_terminal_only(self) -> None:
        answer = self.say("password", "grafana")
        assert isinstance(answer.exception, JarkkitError)
        assert "s3cret" not in answer.output
        assert "password: s3cret" in self.say("password", "grafana", "--yes").stdout


@pytest.mark.parametrize(
    ("before", "now", "new"),
    [
        ("", "a\nb\n", ["a", "b"]),
        ("a\n", "a\nb\n", ["b"]),
        ("a\nb\n", "a\nb\n", []),
        ("a\nb\nc\n", "b\nc\nd\n", ["d"]),  # the end is as long as it may be
        ("a\nb\n", "x\ny\n", ["x", "y"]),
    ],
)
def test_a_line_of_a_log_is_told_once(before: str, now: str, new: list[str]) -> None:
    assert use.new_lines(before, now) == new
