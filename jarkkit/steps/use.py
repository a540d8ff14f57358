"""Run an example workload and report its progress; list the add-ons' web UIs.

A workload gets its own namespace, which is always deleted afterwards. The examples are data
(`jarkkit/catalog/examples/`).
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from typing import Literal

from jarkkit.catalog.examples import (
    NAMESPACE,
    ExampleWorkload,
    HttpProbe,
    LogSource,
    WatchedObject,
    example_workload,
    example_workloads,
)
from jarkkit.decisions.cluster.pod_status import PodFailure
from jarkkit.decisions.cluster.readiness import is_ready
from jarkkit.decisions.examples import manifests, why_not_runnable
from jarkkit.decisions.stack import ResolvedStack
from jarkkit.model.assertions import values_at
from jarkkit.model.clock import monotonic
from jarkkit.model.errors import JarkkitError
from jarkkit.model.events import PhaseProgress, StepEvent, StepMessage, warning
from jarkkit.model.polling import poll
from jarkkit.model.records import Record
from jarkkit.ports.kube import Kube, Object
from jarkkit.settings import Settings
from jarkkit.steps.cluster import web_uis
from jarkkit.steps.cluster.cluster_layer import MANAGED_BY
from jarkkit.steps.cluster.pod_diagnosis import diagnose_pod

_POLL_SECONDS = 0.5
_LOG_SECONDS = 2.0
_CHECK_SECONDS = 5.0
# Karpenter batches pods for up to ten seconds before it adds a node:
# https://karpenter.sh/docs/reference/settings/ (BATCH_MAX_DURATION)
_FIRST_CHECK_SECONDS = 12.0
# Waiting does not help against an image that cannot be pulled or a container that keeps crashing.
_FATAL_SECONDS = 45.0
_DELETION_SECONDS = 180.0
_FINALIZER_SECONDS = 45.0
_LINES = 200
_TYPE = "node.kubernetes.io/instance-type"


class Example(Record):
    """An example workload, and whether it can run here.

    Attributes:
        why_not_runnable: why it cannot; empty when it can.
    """

    name: str
    title: str
    what: str
    minutes: int
    cost: str
    why_not_runnable: str = ""


class WorkloadResult(Record):
    """The result of an example workload.

    Attributes:
        status: `skip` when it cannot run with these settings; `message` says why.
        lines: the result, from its logs.
        node, instance_type: where it ran.
        note: which parts were real; empty in a real account.
    """

    name: str
    title: str
    status: Literal["pass", "skip"]
    message: str
    seconds: float = 0.0
    node: str = ""
    instance_type: str = ""
    lines: tuple[str, ...] = ()
    note: str = ""

    @property
    def ok(self) -> bool:
        """Always True: a run that fails raises an error instead of giving a result."""
        return self.status in ("pass", "skip")


class Examples(tuple[Example, ...]):
    """The examples."""

    __slots__ = ()


class WebEndpoints(tuple[web_uis.WebEndpoint, ...]):
    """The web UIs, without passwords."""

    __slots__ = ()


def web_endpoints(stack: ResolvedStack) -> WebEndpoints:
    """List the web UIs that the deployment installs. Pure."""
    return WebEndpoints(web_uis.endpoints(stack))


def examples(stack: ResolvedStack) -> Examples:
    """List every example, with the reason if it cannot run here. Pure."""
    return Examples(
        Example(
            name=example.name,
            title=example.title,
            what=example.what,
            minutes=example.minutes,
            cost=example.cost,
            why_not_runnable=why_not_runnable(example, stack),
        )
        for example in example_workloads().values()
    )


def run_example(
    kube: Kube,
    stack: ResolvedStack,
    name: str,
    *,
    rehearsal: bool = False,
    sleep: Callable[[float], None] = time.sleep,
) -> Generator[StepEvent, None, WorkloadResult]:
    """Run an example and delete it afterwards; the events report its progress.

    Raises JK-USE-UNKNOWN, JK-USE-FAILED, JK-USE-TIMEOUT, JK-NAME-TAKEN, JK-KUBE-….
    """
    example = example_workload(name)
    if why := why_not_runnable(example, stack):
        yield StepMessage(f"{example.title}: {why}", subject=name)
        return WorkloadResult(name=name, title=example.title, status="skip", message=why)
    began = monotonic()
    yield PhaseProgress(name, "started", example.title)
    used = WorkloadResult(
        name=name, title=example.title, status="skip", message="it has nothing to run"
    )
    if example.visit is not None:
        used = _probed(kube, stack, example, example.visit)
    elif example.wait is not None:
        yield from _empty_namespace(kube, sleep)
        try:
            used = yield from _Run(kube, stack.settings, example, example.wait, sleep).follow()
        finally:
            _delete_all(kube, example.wait)
        yield from _wait_until_deleted(kube, sleep)
    yield PhaseProgress(name, "done", used.message)
    seconds = used.seconds or round(monotonic() - began, 1)
    return used.model_copy(
        update={"seconds": seconds, "note": example.rehearsal if rehearsal else ""}
    )


def skip_without_cluster(name: str, why: str) -> Generator[StepEvent, None, WorkloadResult]:
    """Skip the example because there is no cluster. Raises JK-USE-UNKNOWN."""
    title = example_workload(name).title
    yield StepMessage(f"{title}: {why}", subject=name)
    return WorkloadResult(name=name, title=title, status="skip", message=why.rstrip("."))


# -- following -------------------------------------------------------------------------------------


@dataclass
class _Run:
    """A running example.

    Attributes:
        last_states: the last reported state, by pod.
        logs_read: the log lines already shown, by pod.
        failure: the current pod failure; `since` is when it started.
    """

    kube: Kube
    settings: Settings
    example: ExampleWorkload
    wait: WatchedObject
    sleep: Callable[[float], None]
    last_states: dict[str, str] = field(default_factory=dict)
    logs_read: dict[str, str] = field(default_factory=dict)
    failure: PodFailure | None = None
    since: float = 0.0
    node: str = ""

    def follow(self) -> Generator[StepEvent, None, WorkloadResult]:
        """Create the objects and watch until the workload has ended."""
        wait = self.wait
        for manifest in manifests(self.example, self.settings):
            self.kube.apply(manifest)
        next_logs, next_check = _LOG_SECONDS, _FIRST_CHECK_SECONDS
        limit = self.example.timeout_seconds
        for elapsed in poll(_POLL_SECONDS, limit, clock=monotonic, sleep=self.sleep):
            found = self.kube.get(wait.api_version, wait.kind, wait.name, NAMESPACE)
            yield from self._progress(found or {})
            pods = tuple(self.kube.list("v1", "Pod", NAMESPACE))
            yield from self._pods(pods)
            ended = outcome(wait, found or {})
            if ended or elapsed >= next_logs:
                yield from self._logs()
                next_logs = elapsed + _LOG_SECONDS
            if ended == "pass":
                return self._passed(found or {}, elapsed)
            if ended == "fail":
                raise self._failed(found or {}, pods)
            if elapsed >= next_check:
                yield from self._pod_failures(pods)
                next_check = elapsed + _CHECK_SECONDS
        raise self._timed_out()

    def _progress(self, found: Object) -> Iterator[StepEvent]:
        state = self._state(found)
        if state and self.last_states.get("") != state:
            self.last_states[""] = state
            yield PhaseProgress(self.example.name, "running", f"{self.wait.kind}: {state}")

    def _state(self, found: Object) -> str:
        words = (_at(found, path) for path in (self.wait.phase, self.wait.progress))
        return " ".join(filter(None, words))

    def _pods(self, pods: tuple[Object, ...]) -> Iterator[StepEvent]:
        for pod in pods:
            name, node = pod["metadata"]["name"], pod["spec"].get("nodeName", "")
            phase = "Ready" if is_ready(pod) else pod.get("status", {}).get("phase", "")
            state = f"{phase} on {node}" if node else "waits for a node"
            if self.last_states.get(name) != state:
                self.last_states[name] = state
                yield StepMessage(f"pod {name}: {state}", subject=name)
            self.node = self.node or node

    def _logs(self) -> Iterator[StepEvent]:
        logs = self.example.logs or LogSource(labels="")
        for pod in self.kube.list("v1", "Pod", NAMESPACE, labels=logs.labels):
            if pod.get("status", {}).get("phase") not in ("Running", "Succeeded", "Failed"):
                continue
            name = pod["metadata"]["name"]
            self.node = pod["spec"].get("nodeName") or self.node
            text = self.kube.logs(NAMESPACE, name, logs.container, lines=_LINES)
            before, self.logs_read[name] = self.logs_read.get(name, ""), text
            for line in appended_lines(before, text):
                yield StepMessage(f"{name}: {line[:300]}", subject=name)

    def _pod_failures(self, pods: tuple[Object, ...]) -> Iterator[StepEvent]:
        """Report why a pod does not run; a failure that does not pass by itself ends the run."""
        found = next((wrong for pod in pods if (wrong := diagnose_pod(self.kube, pod))), None)
        if found is None or self.failure is None or found.code != self.failure.code:
            self.since = monotonic()
            if found is not None:
                yield warning(found.message, found.code, self.example.name)
        self.failure = found
        fatal = found is not None and not found.is_unscheduled
        if fatal and monotonic() - self.since > _FATAL_SECONDS:
            raise self._error("JK-USE-FAILED", "cannot run")

    # -- ends ----------------------------------------------------------------------------------

    def _passed(self, found: Object, seconds: float) -> WorkloadResult:
        node = self.kube.get("v1", "Node", self.node) if self.node else None
        labels = (node or {}).get("metadata", {}).get("labels") or {}
        return WorkloadResult(
            name=self.example.name,
            title=self.example.title,
            status="pass",
            message=self._state(found),
            seconds=round(seconds, 1),
            node=self.node,
            instance_type=labels.get(_TYPE, ""),
            lines=self._result(),
        )

    def _result(self) -> tuple[str, ...]:
        wanted = self.example.logs.result if self.example.logs else ""
        lines = [
            line for text in self.logs_read.values() for line in text.splitlines() if line.strip()
        ]
        return tuple(line[:300] for line in lines if wanted and re.search(wanted, line))[:12]

    def _failed(self, found: Object, pods: tuple[Object, ...]) -> JarkkitError:
        wait = self.wait
        reason = _at(found, wait.message)[:300] or next(filter(None, map(_exit_code, pods)), "")
        return JarkkitError(
            "JK-USE-FAILED",
            f"{self.example.title}: {wait.kind} {wait.name} failed, {self._state(found)}"
            f"{f' ({reason})' if reason else ''}.",
            "Read its last log lines below. To check the cluster itself, run: jarkkit verify",
            evidence="\n".join(line for text in self.logs_read.values() for line in _tail(text)),
            subjects=self.example.needs,
        )

    def _timed_out(self) -> JarkkitError:
        return self._error(
            "JK-USE-TIMEOUT", f"has not ended within {self.example.timeout_seconds} s"
        )

    def _error(self, code: str, what: str) -> JarkkitError:
        failure = self.failure
        return JarkkitError(
            code,
            f"{self.example.title} {what}{f': {failure.message}' if failure else ''}.",
            failure.fix if failure else "Check whether its add-on is ready: jarkkit verify",
            evidence=failure.evidence if failure else "",
            subjects=self.example.needs,
        )


def appended_lines(before: str, now: str) -> list[str]:
    """Return the lines of a log's tail that its previous tail did not have. Pure."""
    old, lines = before.splitlines(), now.splitlines()
    for gone in range(len(old)):  # so many lines have left the tail at its top
        if lines[: len(old) - gone] == old[gone:]:
            return lines[len(old) - gone :]
    return lines


def outcome(wait: WatchedObject, found: Object) -> Literal["pass", "fail", ""]:
    """Return how the workload ended; empty while it runs. Pure."""
    if any(condition.is_met_by(found) for condition in wait.failure):
        return "fail"
    return "pass" if all(condition.is_met_by(found) for condition in wait.success) else ""


def _at(found: Object, path: str | None) -> str:
    values = values_at(found, path) if path else []
    return str(values[0]) if values and values[0] is not None else ""


def _tail(text: str) -> list[str]:
    return text.rstrip().splitlines()[-8:]


def _exit_code(pod: Object) -> str:
    ended = values_at(pod, "status.containerStatuses[].state.terminated.exitCode")
    bad = [code for code in ended if code != 0]
    return f"exit code {bad[0]} of pod {pod['metadata']['name']}" if bad else ""


# -- a namespace of its own ------------------------------------------------------------------------


def _empty_namespace(
    kube: Kube, sleep: Callable[[float], None]
) -> Generator[StepEvent, None, None]:
    """Create the namespace; first delete what an earlier run left in it."""
    found = kube.get("v1", "Namespace", NAMESPACE)
    if found is not None:
        if not MANAGED_BY.items() <= (found["metadata"].get("labels") or {}).items():
            raise JarkkitError(
                "JK-NAME-TAKEN",
                f"The namespace {NAMESPACE} already exists, and jarkkit did not create it.",
                f"If you do not need it, delete it: kubectl delete namespace {NAMESPACE}",
            )
        kube.delete("v1", "Namespace", NAMESPACE)
        yield from _wait_until_deleted(kube, sleep)
    kube.create(
        {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": NAMESPACE, "labels": MANAGED_BY},
        }
    )


def _delete_all(kube: Kube, wait: WatchedObject) -> None:
    """Delete everything, the owner of the rest first, so that its operator can clean up."""
    try:
        kube.delete(wait.api_version, wait.kind, wait.name, NAMESPACE)
    finally:
        kube.delete("v1", "Namespace", NAMESPACE)


def _wait_until_deleted(
    kube: Kube, sleep: Callable[[float], None]
) -> Generator[StepEvent, None, None]:
    """Wait until the namespace is gone, so that nothing in it costs money any longer."""
    for waited in poll(_POLL_SECONDS, _DELETION_SECONDS, clock=monotonic, sleep=sleep):
        if kube.get("v1", "Namespace", NAMESPACE) is None:
            return
        if waited > _FINALIZER_SECONDS:
            _remove_finalizers(kube)
    text = f"Kubernetes is still deleting namespace {NAMESPACE}; check again later"
    yield warning(text, subject=NAMESPACE)


def _remove_finalizers(kube: Kube) -> None:
    """Remove finalizers from pods that are being deleted.

    Argo sets finalizers so that it can read its pods first; once their workflow is gone, it may
    never remove them.
    """
    for pod in kube.list("v1", "Pod", NAMESPACE):
        meta = pod["metadata"]
        if meta.get("deletionTimestamp") and meta.get("finalizers"):
            change: Object = {"metadata": {"finalizers": None}}
            kube.patch("v1", "Pod", meta["name"], change, NAMESPACE)


# -- web UIs ---------------------------------------------------------------------------------------


def _probed(
    kube: Kube, stack: ResolvedStack, example: ExampleWorkload, visit: HttpProbe
) -> WorkloadResult:
    at = _endpoint_of(stack, visit)
    answer = web_uis.get_endpoint(kube, at, visit.path)
    right = answer.status < 400 and (answer.simulated or re.search(visit.says, answer.text))
    if not right:
        raise JarkkitError(
            "JK-USE-FAILED",
            f"{example.title}: {visit.path} answered {answer.status}, with unexpected content.",
            f"Check its pods: kubectl -n {at.namespace} get pods. Then read their logs.",
            evidence=answer.text[:300],
            subjects=example.needs,
        )
    by = "the sandbox answered for it" if answer.simulated else f"answers {answer.status}"
    return WorkloadResult(name=example.name, title=example.title, status="pass", message=by)


def _endpoint_of(stack: ResolvedStack, visit: HttpProbe) -> web_uis.WebEndpoint:
    found = [p for p in web_uis.endpoints(stack) if p.addon == visit.addon]
    for at in found:
        if at.service == visit.service:
            return at
    raise JarkkitError(
        "JK-USE-UNKNOWN",
        f"{visit.addon} has no web UI behind a Service {visit.service}.",
        "List the web UIs: jarkkit use",
    )
