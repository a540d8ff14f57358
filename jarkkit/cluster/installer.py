"""Installs the chosen add-ons: each as soon as what it needs is ready, several at a time.

Helm applies a chart and returns; the workloads are watched here, which is faster than Helm's own
waiting and tells more (docs/architecture.md). Every add-on is written down before its first call,
so that a run that was interrupted is taken up: what is as wanted and ready is not touched.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

from jarkkit.addons.catalogue import Workload
from jarkkit.addons.order import Needs, depth, needs, startable
from jarkkit.clock import monotonic, now
from jarkkit.cluster.layer import ClusterLayer, Wanted
from jarkkit.cluster.pod_inquiry import inquire, unsteady
from jarkkit.cluster.readiness import Key, Standing, key, missing
from jarkkit.cluster.removal import remove
from jarkkit.errors import JarkkitError
from jarkkit.helm import Release
from jarkkit.records import Event, Installed, Step

# Measured on two cores: more at a time wait for each other (docs/architecture.md).
_AT_A_TIME = 5
_LOOK_SECONDS = 0.4
_HEARTBEAT_SECONDS = 5.0
# A pod that cannot start is told long before patience ends.
_WORRY_SECONDS = 20.0
# What passes by itself while webhooks and definitions of others come up.
_PASSES = re.compile(
    r"no endpoints available|connection refused|connection reset|\bEOF\b|failed calling webhook|"
    r"no matches for kind|does not know|could not find the requested resource|etcdserver|"
    r"timeout awaiting|service unavailable|too many requests|being terminated",
    re.IGNORECASE,
)
_TRIES, _PAUSE_SECONDS = 20, 0.7

State = Literal["waiting", "installing", "starting", "configuring", "finishing", "ready", "failed"]
_WATCHED: tuple[State, ...] = ("starting", "finishing")


@dataclass
class Course:
    """How far one add-on is.

    Attributes:
        before: what was known of it.
        change: `none` when it is as wanted already; then it is only looked at.
        release: its release has to be made or changed.
        work: a call that is under way.
        since: when the present state began.
    """

    wanted: Wanted
    before: Installed | None
    change: Literal["install", "change", "none"]
    release: bool
    state: State = "waiting"
    began: float = 0.0
    since: float = 0.0
    told: float = 0.0
    worried: str = ""
    work: Future[None] | None = None
    error: JarkkitError | None = None

    @property
    def name(self) -> str:
        """The add-on's."""
        return self.wanted.addon.name

    @property
    def begun(self) -> Installed:
        """What is written down before anything is done: also what may be left of before."""
        past, now = self.before, self.wanted.record()
        if past is None:
            return now
        before, after = ({*past.before} - {*now.before}, {*past.after} - {*now.after})
        return now.model_copy(
            update={"before": (*before, *now.before), "after": (*after, *now.after)}
        )

    def enter(self, state: State) -> None:
        """Go on to the next state."""
        self.state, self.since = state, monotonic()


def install(layer: ClusterLayer, step: Step = "deploy") -> Generator[Event, None, None]:
    """Bring the cluster layer to what the settings want.

    Raises the error of the first add-on that failed, when all others are through: JK-ADDON-…,
    JK-HELM-…, JK-KUBE-…; before anything is changed JK-ADDON-INVALID and JK-CHART-MISSING.
    """
    layer.kube.version()  # a cluster that does not answer is told here
    order = needs(layer.addons, layer.fitting())
    wanted = [layer.wanted(addon) for addon in layer.addons]
    layer.pin()
    yield from remove_what_is_off(layer, step)
    yield _phase(step, "started", f"{len(wanted)} add-ons")
    courses = _courses(layer, wanted)
    run = _Run(layer, step, order, courses)
    try:
        yield from run.follow()
    finally:
        run.close()
    failed = [course for course in courses.values() if course.error]
    if failed:
        raise _combined(failed, [c.name for c in courses.values() if c.state == "waiting"])
    yield Event(time=now(), step=step, kind="message", message=_summary(courses))
    yield _phase(step, "done", "")


class _Run:
    """One installation: the courses, and the threads that carry them out."""

    def __init__(
        self, layer: ClusterLayer, step: Step, order: Needs, courses: Mapping[str, Course]
    ) -> None:
        self._layer, self._step, self._order, self._courses = layer, step, order, courses
        self._first = depth(order)
        self._pool = ThreadPoolExecutor(_AT_A_TIME, thread_name_prefix="release")
        # What needs no Helm does not queue up behind it: others wait for it.
        self._quick = ThreadPoolExecutor(_AT_A_TIME, thread_name_prefix="objects")
        self._began = monotonic()
        self._stop = threading.Event()

    def close(self) -> None:
        """Stop what is under way; a release that is cut short is repaired by the next run."""
        self._stop.set()
        if any(c.work and not c.work.done() for c in self._courses.values()):
            self._layer.helm.cancel()
        for pool in (self._pool, self._quick):
            pool.shutdown(wait=True, cancel_futures=True)

    def follow(self) -> Iterator[Event]:
        """Go on until nothing can go on."""
        while True:
            yield from self._start()
            for course in self._courses.values():
                yield from self._collect(course)
            watched = [c for c in self._courses.values() if c.state in _WATCHED]
            if watched:
                there = self._layer.standings()
                for course in watched:
                    yield from self._look(course, there)
            if not any(c.work or c.state in _WATCHED for c in self._courses.values()):
                if not self._startable():
                    return
                continue
            time.sleep(_LOOK_SECONDS)

    # -- steps ---------------------------------------------------------------------------------

    def _startable(self) -> list[Course]:
        ready = [c.name for c in self._courses.values() if c.state == "ready"]
        begun = [c.name for c in self._courses.values() if c.state != "waiting"]
        names = startable(self._order, ready, begun)
        return sorted((self._courses[name] for name in names), key=self._precedence)

    def _precedence(self, course: Course) -> tuple[bool, int, str]:
        """What makes room goes first, then what many wait for."""
        return (not course.wanted.addon.core, -self._first[course.name], course.name)

    def _start(self) -> Iterator[Event]:
        for course in self._startable():
            course.began = monotonic()
            course.told = course.began
            if course.change != "none":
                self._layer.memory.remember(course.name, course.begun)
            course.enter("installing")
            pool = self._pool if course.release else self._quick
            course.work = pool.submit(self._install, course)
            if course.change != "none":
                yield self._event(course, "started", _opening(course))

    def _install(self, course: Course) -> None:
        wanted, before = course.wanted, course.before
        self._patiently(lambda: self._layer.install(wanted, before, release=course.release))

    def _configure(self, course: Course) -> None:
        self._patiently(lambda: self._layer.configure(course.wanted, course.before))

    def _patiently(self, call: Callable[[], None]) -> None:
        """Call it; what passes by itself is tried again."""
        for left in reversed(range(_TRIES)):
            if self._stop.is_set():
                raise JarkkitError(
                    "JK-INTERRUPTED",
                    "The installation was stopped.",
                    "Deploy again: it goes on where it stopped.",
                )
            try:
                call()
            except JarkkitError as error:
                text = f"{error.message} {error.evidence}"
                if not left or error.code == "JK-INTERRUPTED" or not _PASSES.search(text):
                    raise
                self._stop.wait(_PAUSE_SECONDS)
            else:
                return

    def _collect(self, course: Course) -> Iterator[Event]:
        """Go on where a call has ended."""
        if course.work is None or not course.work.done():
            return
        work, course.work = course.work, None
        error = work.exception()
        if isinstance(error, JarkkitError):
            yield self._failed(course, error)
        elif error is not None:
            raise error
        else:
            course.enter("starting" if course.state == "installing" else "finishing")

    def _look(self, course: Course, there: Mapping[Key, Standing]) -> Iterator[Event]:
        """Are its workloads ready? Those of operators come only after its custom resources."""
        by_chart = course.state == "starting"
        awaited = [w for w in course.wanted.workloads if not by_chart or w.by == "chart"]
        addon = course.wanted.addon
        absent = missing(addon, awaited, there)
        if not absent and by_chart:
            course.enter("configuring")
            course.work = self._quick.submit(self._configure, course)
        elif absent := absent or unsteady(self._layer.kube, addon.namespace, awaited):
            yield from self._wait(course, awaited, absent, there)
        else:
            yield self._ready(course)

    def _ready(self, course: Course) -> Event:
        course.enter("ready")
        seconds = round(monotonic() - course.began, 1)
        if course.change != "none":
            done = course.wanted.record(course.wanted.digest, seconds)
            self._layer.memory.remember(course.name, done)
        return self._event(course, "done", "unchanged" if course.change == "none" else "")

    def _wait(
        self,
        course: Course,
        awaited: list[Workload],
        absent: list[Workload],
        there: Mapping[Key, Standing],
    ) -> Iterator[Event]:
        addon, waited = course.wanted.addon, monotonic() - course.since
        if waited > self._layer.patience(addon):
            error = self._why(course, absent, there)
            # What crashes again and again may be up just now: the next look tells.
            if error.code != "JK-ADDON-TIMEOUT" or missing(addon, absent, there):
                yield self._failed(course, error)
            return
        if monotonic() - course.told < _HEARTBEAT_SECONDS:
            return
        course.told = monotonic()
        up = len(awaited) - len(absent)
        names = ", ".join(f"{w.name} {there.get(key(addon, w), '0')}" for w in absent[:3])
        yield self._event(course, "running", f"{up} of {len(awaited)} ready; waits for {names}")
        if waited > _WORRY_SECONDS:
            yield from self._worry(course, absent, there)

    def _worry(
        self, course: Course, absent: list[Workload], there: Mapping[Key, Standing]
    ) -> Iterator[Event]:
        error = self._why(course, absent, there)
        if error.code == "JK-ADDON-TIMEOUT" or error.message == course.worried:
            return
        course.worried = error.message
        yield Event(
            time=now(),
            step=self._step,
            kind="warning",
            subject=course.name,
            message=f"{course.name}: {error.message}",
            code=error.code,
        )

    def _why(
        self, course: Course, absent: list[Workload], there: Mapping[Key, Standing]
    ) -> JarkkitError:
        """What keeps the first workload from being ready, as far as its pods tell."""
        addon = course.wanted.addon
        for workload in absent:
            place = ("apps/v1", workload.kind, workload.name, addon.namespace)
            thing = self._layer.kube.get(*place)
            if thing is not None and (found := inquire(self._layer.kube, thing)):
                return found.error(addon.title)
        names = [f"{w.kind} {w.name} {there.get(key(addon, w), 'is not there')}" for w in absent]
        return JarkkitError(
            "JK-ADDON-TIMEOUT",
            f"{addon.title} is not ready: {', '.join(names)}.",
            f"Look at it: kubectl -n {addon.namespace} get pods,events. Then deploy again, or give "
            "it more time: addon_timeout_seconds.",
        )

    def _failed(self, course: Course, error: JarkkitError) -> Event:
        course.enter("failed")
        course.error = error
        # Whatever was believed of it: the next run does everything again.
        self._layer.memory.remember(course.name, course.begun)
        return self._event(course, "failed", error.message, error.code)

    def _event(
        self,
        course: Course,
        status: Literal["started", "running", "done", "failed"],
        message: str = "",
        code: str = "",
    ) -> Event:
        done = sum(c.state == "ready" for c in self._courses.values())
        spent, total = monotonic() - self._began, len(self._courses)
        return Event(
            time=now(),
            step=self._step,
            kind="addon",
            subject=course.name,
            action={"install": "create", "change": "update", "none": "no-op"}[course.change],  # type: ignore[arg-type]
            status=status,
            seconds=round(monotonic() - course.began, 1),
            message=message,
            code=code,
            done=done,
            total=total,
            seconds_left=round(spent / done * (total - done), 1) if done else None,
        )


def _courses(layer: ClusterLayer, wanted: list[Wanted]) -> dict[str, Course]:
    releases, known = layer.releases(), layer.memory.load().addons
    return {w.addon.name: _course(w, known.get(w.addon.name), releases) for w in wanted}


def _course(
    wanted: Wanted, before: Installed | None, releases: Mapping[tuple[str, str], Release]
) -> Course:
    """What is to be done about an add-on. Pure."""
    chart = wanted.addon.chart
    found = releases.get((wanted.addon.namespace, chart.release)) if chart else None
    sound = chart is None or (found is not None and found.status == "deployed")
    if before is not None and before.digest == wanted.digest and sound:
        return Course(wanted, before, "none", release=False)
    there = before is not None and bool(before.digest)
    return Course(wanted, before, "change" if there else "install", release=chart is not None)


def remove_what_is_off(layer: ClusterLayer, step: Step) -> Iterator[Event]:
    """Remove the add-ons that were installed and are switched off now."""
    on = {addon.name for addon in layer.addons}
    off = [name for name in layer.memory.load().addons if name not in on]
    if off:
        yield from remove(layer, step, off)


def _combined(failed: list[Course], held: list[str]) -> JarkkitError:
    """The first failure; the others, and what waits for them, are named."""
    first = failed[0].error
    if first is None:
        raise AssertionError("a failed course has its error")
    others = [f"{c.name}: {c.error.message}" for c in failed[1:] if c.error]
    lines = [first.evidence, *others, f"not begun: {', '.join(held)}" if held else ""]
    return JarkkitError(
        first.code,
        f"Add-on {failed[0].name}: {first.message}",
        first.fix,
        evidence="\n".join(line for line in lines if line),
    )


def _opening(course: Course) -> str:
    record = course.wanted.record()
    kind = {True: "", False: " (stand-in)", None: ""}[record.real]
    return f"{record.chart}{kind}" if record.chart else ""


def _summary(courses: Mapping[str, Course]) -> str:
    changed = sum(c.change != "none" for c in courses.values())
    stand_ins = sum(c.wanted.real is False for c in courses.values())
    words = [f"{len(courses)} add-ons ready", f"{changed} of them changed"]
    return ", ".join([*words, f"{stand_ins} by stand-ins"] if stand_ins else words)


def _phase(step: Step, status: Literal["started", "done"], message: str) -> Event:
    return Event(
        time=now(), step=step, kind="phase", subject="add-ons", status=status, message=message
    )
