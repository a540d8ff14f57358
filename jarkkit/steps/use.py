"""Use it: run an example workload and tell what happens; open the add-ons' pages.

A workload gets a namespace of its own, which is deleted whatever happens. What the examples are is
data (`jarkkit/workloads/`).
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, field
from html import escape
from typing import Literal

from jarkkit.clock import monotonic, now
from jarkkit.cluster import places
from jarkkit.cluster.conditions import values_at
from jarkkit.cluster.layer import MANAGED_BY
from jarkkit.cluster.pod_inquiry import inquire_pod, is_ready
from jarkkit.cluster.pod_troubles import Trouble
from jarkkit.errors import JarkkitError
from jarkkit.kube import Kube, Object
from jarkkit.records import Event, Record
from jarkkit.settings import Settings
from jarkkit.tables import Told
from jarkkit.workloads import (
    NAMESPACE,
    Logs,
    Visit,
    Wait,
    Workload,
    hindrance,
    objects,
    workload,
    workloads,
)

_LOOK_SECONDS = 0.5
_LOG_SECONDS = 2.0
_WORRY_SECONDS = 5.0
# Karpenter collects pods for up to ten seconds before it adds a node:
# https://karpenter.sh/docs/reference/settings/ (BATCH_MAX_DURATION)
_FIRST_WORRY_SECONDS = 12.0
# An image that cannot be pulled, or a container that keeps ending, will not get better by waiting.
_HOPELESS_SECONDS = 45.0
_HOPELESS = ("JK-ADDON-IMAGE", "JK-ADDON-CRASH", "JK-ADDON-FAILED")
_GONE_SECONDS = 180.0
_STUCK_SECONDS = 45.0
_LINES = 200
_TYPE = "node.kubernetes.io/instance-type"


class Offer(Record):
    """An example workload, and whether it can run here.

    Attributes:
        hindrance: why not; empty when it can.
    """

    name: str
    title: str
    what: str
    minutes: int
    cost: str
    hindrance: str = ""


class Used(Told, Record):
    """How an example workload ended.

    Attributes:
        status: `skip` when it cannot run with these settings; `message` says why.
        lines: the result, from its logs.
        node, instance_type: where it ran.
        note: what of it was real; empty in an account.
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
        """True unless it should have run and did not: that is an error, not a result."""
        return self.status in ("pass", "skip")

    def text(self) -> str:
        """For a terminal."""
        mark = "✔" if self.status == "pass" else "-"
        where = f" on {self.node} ({self.instance_type})" if self.node else ""
        took = f" in {self.seconds:.0f} s" if self.status == "pass" else ""
        head = f"{mark} {self.title}: {self.message}{took}{where}"
        return "\n".join(
            [head, *(f"    {line}" for line in self.lines), *filter(None, [self.note])]
        )

    def _repr_html_(self) -> str:
        where = f" on <code>{escape(self.node)}</code> ({escape(self.instance_type)})"
        took = f" in {self.seconds:.0f} s{where if self.node else ''}"
        said = escape("\n".join(self.lines))
        return (
            f"<p><strong>{escape(self.title)}</strong>: {escape(self.message)}"
            f"{took if self.status == 'pass' else ''}.</p>"
            f"{f'<pre>{said}</pre>' if said else ''}"
            f"{f'<p><em>{escape(self.note)}</em></p>' if self.note else ''}"
        )


class Offers(Told, tuple[Offer, ...]):
    """The examples; a table in a notebook."""

    __slots__ = ()

    def text(self) -> str:
        """For a terminal."""
        return "\n".join(f"{o.name:16} {o.title}. {o.hindrance or o.cost}" for o in self)

    def _repr_html_(self) -> str:
        rows = ((o.name, o.title, f"{o.minutes} min", o.hindrance or o.cost) for o in self)
        return _table(("Name", "What it is", "On AWS", "Cost"), rows)


class Pages(Told, tuple[places.Place, ...]):
    """The pages; a table in a notebook. It shows no login."""

    __slots__ = ()

    def text(self) -> str:
        """For a terminal."""
        return "\n".join(f"{p.title:22} jarkkit use open {p.name}" for p in self)

    def _repr_html_(self) -> str:
        rows = ((p.title, f"jarkkit use open {p.name}", _login_of(p)) for p in self)
        return _table(("Page", "To open it, in a terminal", "Its login"), rows)


def pages(settings: Settings) -> Pages:
    """What there is to open with these settings. Pure."""
    return Pages(places.places(settings))


def available(settings: Settings) -> Offers:
    """Every example, and what keeps it from running with these settings. Pure."""
    return Offers(
        Offer(
            name=thing.name,
            title=thing.title,
            what=thing.what,
            minutes=thing.minutes,
            cost=thing.cost,
            hindrance=hindrance(thing, settings),
        )
        for thing in workloads().values()
    )


def run(
    kube: Kube,
    settings: Settings,
    name: str,
    *,
    rehearsal: bool = False,
    sleep: Callable[[float], None] = time.sleep,
) -> Generator[Event, None, Used]:
    """Run one of the examples and take it away again; events tell how it goes.

    Raises JK-USE-UNKNOWN, JK-USE-FAILED, JK-USE-TIMEOUT, JK-NAME-TAKEN, JK-KUBE-….
    """
    thing = workload(name)
    if why := hindrance(thing, settings):
        yield _event("message", name, f"{thing.title}: {why}")
        return Used(name=name, title=thing.title, status="skip", message=why)
    began = monotonic()
    yield _event("phase", name, thing.title, status="started")
    used = Used(name=name, title=thing.title, status="skip", message="there is nothing to do")
    if thing.visit is not None:
        used = _visited(kube, settings, thing, thing.visit)
    elif thing.wait is not None:
        yield from _empty_namespace(kube, sleep)
        try:
            used = yield from _Run(kube, settings, thing, thing.wait, sleep).follow()
        finally:
            _let_go(kube, thing.wait)
        yield from _gone(kube, sleep)
    yield _event("phase", name, used.message, status="done")
    seconds = used.seconds or round(monotonic() - began, 1)
    return used.model_copy(
        update={"seconds": seconds, "note": thing.rehearsal if rehearsal else ""}
    )


def not_here(name: str, why: str) -> Generator[Event, None, Used]:
    """There is no cluster to run it in. Raises JK-USE-UNKNOWN."""
    title = workload(name).title
    yield _event("message", name, f"{title}: {why}")
    return Used(name=name, title=title, status="skip", message=why.rstrip("."))


# -- following -------------------------------------------------------------------------------------


@dataclass
class _Run:
    """One example that is under way.

    Attributes:
        told: by pod what was said of it last.
        read: by pod how much of its log was shown.
        worries: what is wrong, and since when.
    """

    kube: Kube
    settings: Settings
    thing: Workload
    wait: Wait
    sleep: Callable[[float], None]
    told: dict[str, str] = field(default_factory=dict)
    read: dict[str, str] = field(default_factory=dict)
    worry: Trouble | None = None
    since: float = 0.0
    node: str = ""

    def follow(self) -> Generator[Event, None, Used]:
        """Make it and watch until it has ended."""
        wait = self.wait
        for made in objects(self.thing, self.settings):
            self.kube.apply(made)
        began = monotonic()
        next_logs, next_worry = began + _LOG_SECONDS, began + _FIRST_WORRY_SECONDS
        while True:
            found = self.kube.get(wait.api_version, wait.kind, wait.name, NAMESPACE)
            yield from self._progress(found or {})
            pods = tuple(self.kube.list("v1", "Pod", NAMESPACE))
            yield from self._pods(pods)
            ended = ending(wait, found or {})
            if ended or monotonic() >= next_logs:
                yield from self._logs()
                next_logs = monotonic() + _LOG_SECONDS
            if ended == "pass":
                return self._used(found or {}, monotonic() - began)
            if ended == "fail":
                raise self._failed(found or {}, pods)
            if monotonic() >= next_worry:
                yield from self._worries(pods)
                next_worry = monotonic() + _WORRY_SECONDS
            if monotonic() - began > self.thing.timeout_seconds:
                raise self._late()
            self.sleep(_LOOK_SECONDS)

    def _progress(self, found: Object) -> Iterator[Event]:
        said = self._state(found)
        if said and self.told.get("") != said:
            self.told[""] = said
            yield _event("phase", self.thing.name, f"{self.wait.kind}: {said}", status="running")

    def _state(self, found: Object) -> str:
        words = (_at(found, path) for path in (self.wait.phase, self.wait.progress))
        return " ".join(filter(None, words))

    def _pods(self, pods: tuple[Object, ...]) -> Iterator[Event]:
        for pod in pods:
            name, node = pod["metadata"]["name"], pod["spec"].get("nodeName", "")
            phase = "Ready" if is_ready(pod) else pod.get("status", {}).get("phase", "")
            said = f"{phase} on {node}" if node else "waits for a node"
            if self.told.get(name) != said:
                self.told[name] = said
                yield _event("message", name, f"pod {name}: {said}")
            self.node = self.node or node

    def _logs(self) -> Iterator[Event]:
        logs = self.thing.logs or Logs(labels="")
        for pod in self.kube.list("v1", "Pod", NAMESPACE, labels=logs.labels):
            if pod.get("status", {}).get("phase") not in ("Running", "Succeeded", "Failed"):
                continue
            name = pod["metadata"]["name"]
            self.node = pod["spec"].get("nodeName") or self.node
            text = self.kube.logs(NAMESPACE, name, logs.container, lines=_LINES)
            before, self.read[name] = self.read.get(name, ""), text
            for line in new_lines(before, text):
                yield _event("message", name, f"{name}: {line[:300]}")

    def _worries(self, pods: tuple[Object, ...]) -> Iterator[Event]:
        """What keeps a pod from running. One that will not get better ends it."""
        found = next((wrong for pod in pods if (wrong := inquire_pod(self.kube, pod))), None)
        if found is None or self.worry is None or found.code != self.worry.code:
            self.since = monotonic()
            if found is not None:
                yield _event("warning", self.thing.name, f"{found.message}", code=found.code)
        self.worry = found
        hopeless = found is not None and found.code in _HOPELESS
        if hopeless and monotonic() - self.since > _HOPELESS_SECONDS:
            raise self._wrong("JK-USE-FAILED", "cannot run")

    # -- ends ----------------------------------------------------------------------------------

    def _used(self, found: Object, seconds: float) -> Used:
        node = self.kube.get("v1", "Node", self.node) if self.node else None
        labels = (node or {}).get("metadata", {}).get("labels") or {}
        return Used(
            name=self.thing.name,
            title=self.thing.title,
            status="pass",
            message=self._state(found),
            seconds=round(seconds, 1),
            node=self.node,
            instance_type=labels.get(_TYPE, ""),
            lines=self._result(),
        )

    def _result(self) -> tuple[str, ...]:
        wanted = self.thing.logs.result if self.thing.logs else ""
        lines = [line for text in self.read.values() for line in text.splitlines() if line.strip()]
        return tuple(line[:300] for line in lines if wanted and re.search(wanted, line))[:12]

    def _failed(self, found: Object, pods: tuple[Object, ...]) -> JarkkitError:
        wait = self.wait
        said = _at(found, wait.message)[:300] or next(filter(None, map(_last_words, pods)), "")
        return JarkkitError(
            "JK-USE-FAILED",
            f"{self.thing.title}: {wait.kind} {wait.name} ended badly, {self._state(found)}"
            f"{f' ({said})' if said else ''}.",
            "Read its last lines below. What is the cluster's own fault is in: jarkkit verify",
            evidence="\n".join(line for text in self.read.values() for line in _tail(text)),
        )

    def _late(self) -> JarkkitError:
        return self._wrong("JK-USE-TIMEOUT", f"has not ended in {self.thing.timeout_seconds} s")

    def _wrong(self, code: str, what: str) -> JarkkitError:
        worry = self.worry
        return JarkkitError(
            code,
            f"{self.thing.title} {what}{f': {worry.message}' if worry else ''}.",
            worry.fix if worry else "Is the add-on behind it ready? jarkkit verify says so.",
            evidence=worry.evidence if worry else "",
        )


def new_lines(before: str, now: str) -> list[str]:
    """What the end of a log has that its end a moment ago had not. Pure."""
    old, lines = before.splitlines(), now.splitlines()
    for gone in range(len(old)):  # as many lines have left the end at its top
        if lines[: len(old) - gone] == old[gone:]:
            return lines[len(old) - gone :]
    return lines


def ending(wait: Wait, found: Object) -> Literal["pass", "fail", ""]:
    """How it has ended; empty while it has not. Pure."""
    if any(condition.holds(found) for condition in wait.failure):
        return "fail"
    return "pass" if all(condition.holds(found) for condition in wait.success) else ""


def _at(found: Object, path: str | None) -> str:
    values = values_at(found, path) if path else []
    return str(values[0]) if values and values[0] is not None else ""


def _tail(text: str) -> list[str]:
    return text.rstrip().splitlines()[-8:]


def _last_words(pod: Object) -> str:
    ended = values_at(pod, ".status.containerStatuses[*].state.terminated.exitCode")
    bad = [code for code in ended if code != 0]
    return f"exit code {bad[0]} of pod {pod['metadata']['name']}" if bad else ""


# -- a namespace of its own ------------------------------------------------------------------------


def _empty_namespace(kube: Kube, sleep: Callable[[float], None]) -> Generator[Event, None, None]:
    """Make it; what an earlier run left in it goes first."""
    found = kube.get("v1", "Namespace", NAMESPACE)
    if found is not None:
        if not MANAGED_BY.items() <= (found["metadata"].get("labels") or {}).items():
            raise JarkkitError(
                "JK-NAME-TAKEN",
                f"There is a namespace {NAMESPACE} that is not the kit's.",
                f"Rename or delete it: kubectl delete namespace {NAMESPACE}",
            )
        kube.delete("v1", "Namespace", NAMESPACE)
        yield from _gone(kube, sleep)
    kube.create(
        {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": NAMESPACE, "labels": MANAGED_BY},
        }
    )


def _let_go(kube: Kube, wait: Wait) -> None:
    """Delete what was made: what owns the rest first, so that its operator can tidy up."""
    try:
        kube.delete(wait.api_version, wait.kind, wait.name, NAMESPACE)
    finally:
        kube.delete("v1", "Namespace", NAMESPACE)


def _gone(kube: Kube, sleep: Callable[[float], None]) -> Generator[Event, None, None]:
    """Wait until the namespace is gone, so that nothing of it costs anything any more."""
    began = monotonic()
    while kube.get("v1", "Namespace", NAMESPACE) is not None:
        waited = monotonic() - began
        if waited > _GONE_SECONDS:
            said = f"namespace {NAMESPACE} is still being deleted; look again later"
            yield _event("warning", NAMESPACE, said)
            return
        if waited > _STUCK_SECONDS:
            _free_pods(kube)
        sleep(_LOOK_SECONDS)


def _free_pods(kube: Kube) -> None:
    """Argo marks its pods so that they stay until it has read them. When their workflow is gone it
    may never do so."""
    for pod in kube.list("v1", "Pod", NAMESPACE):
        meta = pod["metadata"]
        if meta.get("deletionTimestamp") and meta.get("finalizers"):
            change: Object = {"metadata": {"finalizers": None}}
            kube.patch("v1", "Pod", meta["name"], change, NAMESPACE)


# -- pages -----------------------------------------------------------------------------------------


def _visited(kube: Kube, settings: Settings, thing: Workload, visit: Visit) -> Used:
    at = _place_of(settings, visit)
    answer = places.ask(kube, at, visit.path)
    right = answer.status < 400 and (answer.simulated or re.search(visit.says, answer.text))
    if not right:
        raise JarkkitError(
            "JK-USE-FAILED",
            f"{thing.title}: {visit.path} answered {answer.status}, not what it should.",
            f"What it says: kubectl -n {at.namespace} get pods; then their logs.",
            evidence=answer.text[:300],
        )
    by = "the sandbox answered for it" if answer.simulated else f"answers {answer.status}"
    return Used(name=thing.name, title=thing.title, status="pass", message=by)


def _place_of(settings: Settings, visit: Visit) -> places.Place:
    found = [p for p in places.places(settings) if p.addon == visit.addon]
    for at in found:
        if at.service == visit.service:
            return at
    raise JarkkitError(
        "JK-USE-UNKNOWN",
        f"{visit.addon} has no page behind a Service {visit.service}.",
        "See what there is: jarkkit use",
    )


def _event(
    kind: Literal["phase", "message", "warning"],
    subject: str,
    message: str,
    *,
    status: Literal["started", "running", "done"] | None = None,
    code: str = "",
) -> Event:
    return Event(
        time=now(),
        step="use",
        kind=kind,
        subject=subject,
        message=message,
        status=status,
        code=code,
    )


def _login_of(place: places.Place) -> str:
    return f"jarkkit use password {place.name}" if place.secret else "none, or your own"


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    def cells(tag: str, words: Iterable[str]) -> str:
        return "".join(f"<{tag} style='text-align:left'>{escape(word)}</{tag}>" for word in words)

    body = "".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
    return f"<table><thead><tr>{cells('th', head)}</tr></thead><tbody>{body}</tbody></table>"
