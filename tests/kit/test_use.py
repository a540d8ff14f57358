"""The use step on a cluster that is a dictionary."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, ClassVar, cast

import pytest
from typer.testing import CliRunner, Result

from jarkkit.catalog.examples import NAMESPACE, example_workload
from jarkkit.cli import use as commands
from jarkkit.deployment import Deployment
from jarkkit.model.errors import JarkkitError
from jarkkit.model.events import stamped
from jarkkit.model.records import Event
from jarkkit.ports.kube import Kube
from jarkkit.render.html import html as html_of
from jarkkit.render.text import text as text_of
from jarkkit.settings import Settings
from jarkkit.steps import use
from jarkkit.steps.cluster import web_uis
from tests.support.fakes.cluster import FakeKube, Object
from tests.support.fakes.healthy_cluster import HealthyCluster
from tests.support.stacks import resolved

SETTINGS = Settings()
STEPS = ("Running", "Running", "Succeeded")


@dataclass
class PhasedCluster(FakeKube):
    """A fake cluster whose watched object moves on by a phase each time it is read."""

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

    def patch(
        self, api_version: str, kind: str, name: str, change: Object, namespace: str = ""
    ) -> None:
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
def kube() -> PhasedCluster:
    made = PhasedCluster()
    labels = {"node.kubernetes.io/instance-type": "m5.xlarge"}
    made.put({"kind": "Node", "metadata": {"name": "n1", "labels": labels}})
    return made


def run_example(
    kube: PhasedCluster,
    name: str = "hello-workflow",
    sleep: Callable[[float], None] = lambda _: None,
) -> tuple[list[Event], use.WorkloadResult]:
    events, work = (
        [],
        use.run_example(cast(Kube, kube), resolved(SETTINGS), name, rehearsal=True, sleep=sleep),
    )
    while True:
        try:
            events.append(stamped(next(work), "use"))
        except StopIteration as end:
            return events, end.value


def nothing_left(kube: PhasedCluster) -> bool:
    return not [key for key in kube.objects if NAMESPACE in (key[1], key[2])]


def test_a_run_reports_its_progress_and_leaves_nothing(kube: PhasedCluster) -> None:
    kube.pod("hello-1")
    events, result = run_example(kube)
    messages = [event.message for event in events]
    assert "Workflow: Running" in messages
    assert "pod hello-1: Succeeded on n1" in messages
    assert "hello-1: last words" in messages
    assert (result.status, result.message, result.instance_type) == (
        "pass",
        "Succeeded",
        "m5.xlarge",
    )
    assert result.lines == ("last words",)
    assert "simulated" in result.note
    assert nothing_left(kube)


def test_a_result_is_shown_as_text_and_html(kube: PhasedCluster) -> None:
    kube.pod("hello-1")
    _, result = run_example(kube)
    assert text_of(result).startswith("✔ A workflow of three steps: Succeeded in ")
    assert "<pre>last words</pre>" in html_of(result)


def test_a_failed_run_has_a_reason_and_leaves_nothing(kube: PhasedCluster) -> None:
    kube.phases = ["Running", "Failed"]
    kube.pod("hello-1")
    with pytest.raises(JarkkitError) as caught:
        run_example(kube)
    assert caught.value.code == "JK-USE-FAILED"
    assert "by itself" in caught.value.message
    assert caught.value.evidence == "last words"
    assert nothing_left(kube)


def test_a_run_that_times_out_is_an_error(
    kube: PhasedCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter(range(0, 100_000, 30))
    monkeypatch.setattr(use, "monotonic", lambda: float(next(clock)))
    kube.phases = ["Pending"]
    state = {"waiting": {"reason": "ContainerCreating"}}
    kube.pod("hello-1", phase="Pending", containerStatuses=[{"name": "main", "state": state}])
    with pytest.raises(JarkkitError) as caught:
        run_example(kube)
    assert caught.value.code == "JK-USE-TIMEOUT"
    assert nothing_left(kube)


def test_an_image_that_cannot_be_pulled_ends_the_run(
    kube: PhasedCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(use, "_FIRST_CHECK_SECONDS", 0.0)
    monkeypatch.setattr(use, "_CHECK_SECONDS", 0.0)
    monkeypatch.setattr(use, "_FATAL_SECONDS", 0.0)
    kube.phases = ["Pending"]
    state = {"waiting": {"reason": "ErrImagePull", "message": "no such tag"}}
    status = [{"name": "main", "image": "x:1", "state": state}]
    kube.pod("hello-1", phase="Pending", containerStatuses=status)
    with pytest.raises(JarkkitError) as caught:
        run_example(kube)
    assert caught.value.code == "JK-USE-FAILED"
    assert "no such tag" in caught.value.evidence


def test_an_interrupted_run_leaves_nothing(kube: PhasedCluster) -> None:
    work = use.run_example(
        cast(Kube, kube), resolved(SETTINGS), "hello-workflow", sleep=lambda _: None
    )
    next(work)
    next(work)
    work.close()
    assert nothing_left(kube)


def test_leftovers_of_an_earlier_run_are_deleted_first(kube: PhasedCluster) -> None:
    labels = {"app.kubernetes.io/managed-by": "jarkkit"}
    kube.put({"kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": labels}})
    assert run_example(kube)[1].status == "pass"


def test_a_namespace_of_others_is_left_alone(kube: PhasedCluster) -> None:
    kube.put({"kind": "Namespace", "metadata": {"name": NAMESPACE}})
    with pytest.raises(JarkkitError) as caught:
        run_example(kube)
    assert caught.value.code == "JK-NAME-TAKEN"
    assert ("Namespace", "", NAMESPACE) in kube.objects


def test_finalizers_of_argo_are_removed_from_pods(
    kube: PhasedCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(use, "_FINALIZER_SECONDS", 0.0)
    kube.stuck = {"Namespace"}
    kube.pod("hello-1")
    meta = kube.objects["Pod", NAMESPACE, "hello-1"]["metadata"]
    meta |= {"deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["argo"]}

    def sleep(_: float) -> None:
        if kube.patched:
            kube.objects.pop(("Namespace", "", NAMESPACE), None)

    assert run_example(kube, sleep=sleep)[1].status == "pass"
    assert kube.patched[0] == "hello-1"


def test_an_example_that_cannot_run_is_skipped_with_the_reason(kube: PhasedCluster) -> None:
    events, result = run_example(kube, "neuron-smoke")
    assert [(event.step, event.kind) for event in events] == [("use", "message")]
    assert (result.status, result.ok) == ("skip", True)
    assert "accelerators" in result.message
    assert kube.calls == []


class TestWebUi:
    def answer(self, monkeypatch: pytest.MonkeyPatch, *response: Any) -> None:
        monkeypatch.setattr(web_uis, "get_endpoint", lambda *_: web_uis.EndpointResponse(*response))

    def test_a_web_ui_that_answers_passes(
        self, kube: PhasedCluster, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.answer(monkeypatch, 200, False, "<title>JupyterHub</title>")
        assert run_example(kube, "hub-login")[1].message == "answers 200"

    def test_an_answer_of_the_sandbox_passes(
        self, kube: PhasedCluster, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.answer(monkeypatch, 200, True)
        assert "sandbox" in run_example(kube, "hub-login")[1].message

    @pytest.mark.parametrize("response", [(200, False, "something else"), (503, False, "no hub")])
    def test_a_wrong_answer_fails(
        self, kube: PhasedCluster, monkeypatch: pytest.MonkeyPatch, response: tuple[int, bool, str]
    ) -> None:
        self.answer(monkeypatch, *response)
        with pytest.raises(JarkkitError) as caught:
            run_example(kube, "hub-login")
        assert caught.value.code == "JK-USE-FAILED"
        assert caught.value.evidence == response[2]


def test_tables_for_a_notebook() -> None:
    assert "hello-workflow" in html_of(use.examples(resolved(SETTINGS)))
    table = html_of(use.web_endpoints(resolved(SETTINGS)))
    assert "jarkkit use open grafana" in table
    assert example_workload("storage").name == "storage"


class TestCommands:
    """`jarkkit use …`, with a deployment that returns what the test sets."""

    @pytest.fixture(autouse=True)
    def deployment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.result = use.WorkloadResult(
            name="storage", title="A volume", status="pass", message="Succeeded"
        )

        @contextlib.contextmanager
        def opened(name: str, port: int) -> Iterator[str]:
            yield f"http://localhost:{port or 1}/{name}"

        def run(name: str) -> Generator[Event, None, use.WorkloadResult]:
            yield from ()
            return self.result

        deployment = SimpleNamespace(
            examples=lambda: use.examples(resolved(SETTINGS)),
            endpoints=lambda: use.web_endpoints(resolved(SETTINGS)),
            use=run,
            open_endpoint=opened,
            login=lambda _: web_uis.Login("admin", "s3cret"),
        )
        monkeypatch.setattr(Deployment, "open", lambda name="": deployment)
        monkeypatch.setattr(commands, "_until_interrupted", lambda: None)

    def invoke(self, *words: str) -> Result:
        return CliRunner().invoke(commands.app, list(words))

    def test_examples_and_web_uis_are_listed(self) -> None:
        text = self.invoke().stdout
        assert "hello-workflow" in text
        assert "jarkkit use password grafana" in text
        assert {"workloads", "places"} == set(json.loads(self.invoke("--json").stdout))

    def test_run_shows_the_result(self) -> None:
        assert "Succeeded" in self.invoke("run", "storage").stdout
        assert json.loads(self.invoke("run", "storage", "--json").stdout)["status"] == "pass"

    def test_an_example_that_cannot_run_is_an_error(self) -> None:
        self.result = self.result.model_copy(update={"status": "skip", "message": "needs a pool"})
        error = self.invoke("run", "storage").exception
        assert isinstance(error, JarkkitError)
        assert error.code == "JK-USE-UNKNOWN"

    def test_open_prints_the_url(self) -> None:
        assert self.invoke("open", "grafana").stdout.startswith("http://localhost:1/grafana")
        named = self.invoke("open", "grafana", "--port", "8080").stdout
        assert named.startswith("http://localhost:8080/grafana")

    def test_a_password_is_printed_to_a_terminal_only(self) -> None:
        answer = self.invoke("password", "grafana")
        assert isinstance(answer.exception, JarkkitError)
        assert "s3cret" not in answer.output
        assert "password: s3cret" in self.invoke("password", "grafana", "--yes").stdout


class TestLocalPort:
    """The port on this machine that a web UI is forwarded to."""

    OPEN_ID: ClassVar[dict[str, Any]] = {
        "jupyterhub_auth": "cognito",
        "jupyterhub_oidc_issuer": "https://id.example.org",
        "jupyterhub_oidc_client_id": "hub",
        "jupyterhub_oidc_client_secret": "env:HUB_SECRET",
    }

    def opened(self, kube: Any, port: int = 0, **settings: Any) -> str:
        endpoint = web_uis.find_endpoint(resolved(Settings(**settings)), "jupyterhub")
        with web_uis.open_endpoint(kube, endpoint, port) as url:
            return url

    @pytest.fixture
    def hub(self) -> HealthyCluster:
        cluster = HealthyCluster()
        labels = {"app": "hub"}
        spec = {"selector": labels, "ports": [{"port": 80, "targetPort": 8000}]}
        cluster.add("Service", "proxy-public", "jupyterhub", spec=spec)
        condition = {"type": "Ready", "status": "True"}
        pod = {"metadata": {"name": "proxy", "namespace": "jupyterhub", "labels": labels}}
        cluster.put({"kind": "Pod", **pod, "spec": {}, "status": {"conditions": [condition]}})
        return cluster

    def test_an_identity_provider_knows_one_port_only(self, hub: HealthyCluster) -> None:
        assert self.opened(hub, **self.OPEN_ID) == "http://localhost:8000/"
        assert self.opened(hub) == f"http://localhost:{hub.port}/"
        assert self.opened(hub, 8888, **self.OPEN_ID) == "http://localhost:8888/"

    def test_a_port_in_use_is_an_error(self, hub: HealthyCluster) -> None:
        hub.port = 8000
        for settings in (self.OPEN_ID, {}):
            with pytest.raises(JarkkitError) as caught:
                self.opened(hub, 8000, **settings)
            assert caught.value.code == "JK-USE-FAILED"
            assert "8000" in caught.value.message


@pytest.mark.parametrize(
    ("before", "now", "new"),
    [
        ("", "a\nb\n", ["a", "b"]),
        ("a\n", "a\nb\n", ["b"]),
        ("a\nb\n", "a\nb\n", []),
        ("a\nb\nc\n", "b\nc\nd\n", ["d"]),  # the log has its maximum length
        ("a\nb\n", "x\ny\n", ["x", "y"]),
    ],
)
def test_a_log_line_is_reported_once(before: str, now: str, new: list[str]) -> None:
    assert use.appended_lines(before, now) == new
