"""Installs the enabled add-ons in parallel: each as soon as its dependencies are ready.

Helm applies a chart and returns; this module watches the workloads, which is faster than Helm's own
waiting and shows more (docs/architecture.md). Every add-on is recorded before its first call, so
that the next run can resume an interrupted one: it does not touch what is up to date and ready.
"""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Literal

from jarkkit.catalog.addons import AddonWorkload
from jarkkit.decisions.addons.dependency_order import (
    ADDONS_AT_A_TIME,
    Dependencies,
    dependencies,
    dependent_depth,
    startable,
)
from jarkkit.decisions.cluster.readiness import ReplicaStatus, WorkloadKey, not_ready, workload_key
from jarkkit.model.clock import monotonic
from jarkkit.model.errors import JarkkitError, TimedOut
from jarkkit.model.events import (
    AddonProgress,
    PhaseProgress,
    ProgressStatus,
    StepEvent,
    StepMessage,
    warning,
)
from jarkkit.model.polling import poll
from jarkkit.model.records import Action, AddonState
from jarkkit.ports.helm import Release
from jarkkit.steps.cluster.cluster_layer import AddonSpec, ClusterLayer
from jarkkit.steps.cluster.pod_diagnosis import crash_looping, diagnose_pods
from jarkkit.steps.cluster.retry import wait_for_crds, with_retries
from jarkkit.steps.cluster.uninstaller import remove

_POLL_SECONDS = 0.4
_HEARTBEAT_SECONDS = 5.0
# A pod that cannot start is reported long before the timeout.
_WARN_AFTER_SECONDS = 20.0

State = Literal["waiting", "installing", "starting", "configuring", "finishing", "ready", "failed"]
_WATCHED: tuple[State, ...] = ("starting", "finishing")
Change = Literal["install", "change", "none"]
_ACTIONS: dict[Change, Action] = {"install": "create", "change": "update", "none": "no-op"}


@dataclass
class AddonRollout:
    """The progress of one add-on.

    Attributes:
        previous: its record from an earlier run.
        change: `none` when it is up to date already; then it is only checked.
        needs_release: its Helm release must be installed or upgraded.
        work: a call in progress.
        notes: what became of objects that had to be made again; not shown yet.
        since: when the present state began.
    """

    spec: AddonSpec
    previous: AddonState | None
    change: Change
    needs_release: bool
    state: State = "waiting"
    began: float = 0.0
    since: float = 0.0
    last_heartbeat: float = 0.0
    last_warning: str = ""
    work: Future[None] | None = None
    notes: list[str] = field(default_factory=list)
    error: JarkkitError | None = None

    @property
    def name(self) -> str:
        """The add-on's name."""
        return self.spec.addon.name

    @property
    def in_progress_record(self) -> AddonState:
        """The record to save before the first change: it also lists objects of the earlier run."""
        past, new = self.previous, self.spec.record()
        if past is None:
            return new
        before, after = ({*past.before} - {*new.before}, {*past.after} - {*new.after})
        return new.model_copy(
            update={"before": (*before, *new.before), "after": (*after, *new.after)}
        )

    def enter(self, state: State) -> None:
        """Enter the next state."""
        self.state, self.since = state, monotonic()


def install(layer: ClusterLayer) -> Generator[StepEvent, None, None]:
    """Install, update and remove add-ons until the cluster layer matches the settings.

    When all other add-ons are done, raises the error of the first one that failed: JK-ADDON-…,
    JK-HELM-…, JK-KUBE-…. Before any change, raises JK-ADDON-INVALID and JK-CHART-MISSING.
    """
    layer.kube.version()  # fails early when the cluster does not answer
    order = dependencies(layer.stack.addons, layer.schedulable())
    specs = [layer.addon_spec(addon) for addon in layer.stack.addons]
    layer.pin_ami_version()
    yield from remove_disabled_addons(layer)
    yield PhaseProgress("add-ons", "started", f"{len(specs)} add-ons")
    rollouts = _rollouts(layer, specs)
    run = _Run(layer, order, rollouts)
    try:
        yield from run.follow()
    finally:
        run.close()
    failed = [rollout for rollout in rollouts.values() if rollout.error]
    if failed:
        raise _combined(failed, [r.name for r in rollouts.values() if r.state == "waiting"])
    yield StepMessage(_summary(rollouts))
    yield PhaseProgress("add-ons", "done")


class _Run:
    """One installation: the rollouts, and the threads that carry them out."""

    def __init__(
        self,
        layer: ClusterLayer,
        order: Dependencies,
        rollouts: Mapping[str, AddonRollout],
    ) -> None:
        self._layer, self._order, self._rollouts = layer, order, rollouts
        self._depth = dependent_depth(order)
        self._pool = ThreadPoolExecutor(ADDONS_AT_A_TIME, thread_name_prefix="release")
        # Work without Helm has its own pool: other add-ons wait for it, so it must not queue.
        self._quick = ThreadPoolExecutor(ADDONS_AT_A_TIME, thread_name_prefix="objects")
        self._began = monotonic()
        self._stop = threading.Event()

    def close(self) -> None:
        """Stop the calls in progress. The next run repairs a release that was cut short."""
        self._stop.set()
        if any(c.work and not c.work.done() for c in self._rollouts.values()):
            self._layer.helm.cancel()
        for pool in (self._pool, self._quick):
            pool.shutdown(wait=True, cancel_futures=True)

    def follow(self) -> Iterator[StepEvent]:
        """Run until no add-on can make further progress."""
        for _ in poll(_POLL_SECONDS):
            yield from self._advance()
            while not self._is_busy():
                if not self._startable():
                    return
                yield from self._advance()

    # -- steps ---------------------------------------------------------------------------------

    def _advance(self) -> Iterator[StepEvent]:
        yield from self._start()
        for rollout in self._rollouts.values():
            yield from self._collect(rollout)
        watched = [c for c in self._rollouts.values() if c.state in _WATCHED]
        if watched:
            there = self._layer.replica_statuses()
            for rollout in watched:
                yield from self._check(rollout, there)

    def _is_busy(self) -> bool:
        return any(c.work or c.state in _WATCHED for c in self._rollouts.values())

    def _startable(self) -> list[AddonRollout]:
        ready = [c.name for c in self._rollouts.values() if c.state == "ready"]
        begun = [c.name for c in self._rollouts.values() if c.state != "waiting"]
        names = startable(self._order, ready, begun)
        return sorted((self._rollouts[name] for name in names), key=self._precedence)

    def _precedence(self, rollout: AddonRollout) -> tuple[bool, int, str]:
        """Sort core add-ons first, then those on which the longest chain of others depends."""
        return (not rollout.spec.addon.core, -self._depth[rollout.name], rollout.name)

    def _start(self) -> Iterator[StepEvent]:
        for rollout in self._startable():
            rollout.began = monotonic()
            rollout.last_heartbeat = rollout.began
            if rollout.change != "none":
                self._layer.install_state.save_addon(rollout.name, rollout.in_progress_record)
            rollout.enter("installing")
            pool = self._pool if rollout.needs_release else self._quick
            rollout.work = pool.submit(self._install, rollout)
            if rollout.change != "none":
                yield self._event(rollout, "started", _opening(rollout))

    def _install(self, rollout: AddonRollout) -> None:
        spec, before = rollout.spec, rollout.previous
        release, report = rollout.needs_release, rollout.notes.append
        with_retries(
            lambda: self._layer.install(spec, before, release=release, report=report), self._stop
        )

    def _configure(self, rollout: AddonRollout) -> None:
        spec, before, report = rollout.spec, rollout.previous, rollout.notes.append

        def configure() -> None:
            timeout = self._layer.timeout(spec.addon)
            wait_for_crds(self._layer.kube, spec.after, timeout, self._stop.wait)
            self._layer.configure(spec, before, report)

        with_retries(configure, self._stop)

    def _collect(self, rollout: AddonRollout) -> Iterator[StepEvent]:
        """Handle the result of a finished call."""
        if rollout.work is None or not rollout.work.done():
            return
        work, rollout.work = rollout.work, None
        while rollout.notes:
            yield self._warning(rollout, rollout.notes.pop(0))
        error = work.exception()
        if isinstance(error, JarkkitError):
            yield self._failed(rollout, error)
        elif error is not None:
            raise error
        else:
            rollout.enter("starting" if rollout.state == "installing" else "finishing")

    def _check(
        self, rollout: AddonRollout, there: Mapping[WorkloadKey, ReplicaStatus]
    ) -> Iterator[StepEvent]:
        """Check its workloads. Operators create theirs only after its custom resources exist."""
        by_chart = rollout.state == "starting"
        awaited = [w for w in rollout.spec.addon.workloads if not by_chart or w.by == "chart"]
        addon = rollout.spec.addon
        absent = not_ready(addon, awaited, there)
        if not absent and by_chart:
            rollout.enter("configuring")
            rollout.work = self._quick.submit(self._configure, rollout)
        elif absent := absent or crash_looping(self._layer.kube, addon.namespace, awaited):
            yield from self._wait(rollout, awaited, absent, there)
        else:
            yield self._ready(rollout)

    def _ready(self, rollout: AddonRollout) -> StepEvent:
        rollout.enter("ready")
        seconds = round(monotonic() - rollout.began, 1)
        if rollout.change != "none":
            done = rollout.spec.record(rollout.spec.digest, seconds)
            self._layer.install_state.save_addon(rollout.name, done)
        return self._event(rollout, "done", "unchanged" if rollout.change == "none" else "")

    def _wait(
        self,
        rollout: AddonRollout,
        awaited: list[AddonWorkload],
        absent: list[AddonWorkload],
        there: Mapping[WorkloadKey, ReplicaStatus],
    ) -> Iterator[StepEvent]:
        addon, waited = rollout.spec.addon, monotonic() - rollout.since
        if waited > self._layer.timeout(addon):
            error = self._diagnose(rollout, absent, there)
            # A crash-looping pod may be up at this moment; then the next check decides.
            if not isinstance(error, TimedOut) or not_ready(addon, absent, there):
                yield self._failed(rollout, error)
            return
        if monotonic() - rollout.last_heartbeat < _HEARTBEAT_SECONDS:
            return
        rollout.last_heartbeat = monotonic()
        up = len(awaited) - len(absent)
        names = ", ".join(f"{w.name} {there.get(workload_key(addon, w), '0')}" for w in absent[:3])
        text = f"{up} of {len(awaited)} ready; waiting for {names}"
        yield self._event(rollout, "running", text)
        if waited > _WARN_AFTER_SECONDS:
            yield from self._warn(rollout, absent, there)

    def _warn(
        self,
        rollout: AddonRollout,
        absent: list[AddonWorkload],
        there: Mapping[WorkloadKey, ReplicaStatus],
    ) -> Iterator[StepEvent]:
        error = self._diagnose(rollout, absent, there)
        if isinstance(error, TimedOut) or error.message == rollout.last_warning:
            return
        rollout.last_warning = error.message
        yield self._warning(rollout, error.message, error.code)

    def _warning(self, rollout: AddonRollout, message: str, code: str = "") -> StepEvent:
        return warning(f"{rollout.name}: {message}", code, rollout.name)

    def _diagnose(
        self,
        rollout: AddonRollout,
        absent: list[AddonWorkload],
        there: Mapping[WorkloadKey, ReplicaStatus],
    ) -> JarkkitError:
        """Return what keeps the first workload from being ready, as far as its pods show it."""
        addon = rollout.spec.addon
        for workload in absent:
            name = ("apps/v1", workload.kind, workload.name, addon.namespace)
            found = self._layer.kube.get(*name)
            if found is not None and (failure := diagnose_pods(self._layer.kube, found)):
                return failure.to_error(addon.title)
        names = [
            f"{w.kind} {w.name} {there.get(workload_key(addon, w), 'does not exist')}"
            for w in absent
        ]
        return TimedOut(
            "JK-ADDON-TIMEOUT",
            f"{addon.title} is not ready: {', '.join(names)}.",
            f"Inspect it: kubectl -n {addon.namespace} get pods,events. Then deploy again, or "
            "raise the setting addon_timeout_seconds.",
        )

    def _failed(self, rollout: AddonRollout, error: JarkkitError) -> StepEvent:
        rollout.enter("failed")
        rollout.error = error
        # Forget the digest, so that the next run installs everything again.
        self._layer.install_state.save_addon(rollout.name, rollout.in_progress_record)
        return self._event(rollout, "failed", error.message, error.code)

    def _event(
        self,
        rollout: AddonRollout,
        status: ProgressStatus,
        message: str = "",
        code: str = "",
    ) -> StepEvent:
        done = sum(c.state == "ready" for c in self._rollouts.values())
        spent, total = monotonic() - self._began, len(self._rollouts)
        return AddonProgress(
            subject=rollout.name,
            action=_ACTIONS[rollout.change],
            status=status,
            seconds=round(monotonic() - rollout.began, 1),
            message=message,
            code=code,
            done=done,
            total=total,
            seconds_left=round(spent / done * (total - done), 1) if done else None,
        )


def _rollouts(layer: ClusterLayer, specs: list[AddonSpec]) -> dict[str, AddonRollout]:
    releases, records = layer.releases(), layer.install_state.load().addons
    return {w.addon.name: _rollout(w, records.get(w.addon.name), releases) for w in specs}


def _rollout(
    spec: AddonSpec, before: AddonState | None, releases: Mapping[tuple[str, str], Release]
) -> AddonRollout:
    """Decide what must be done about an add-on. Pure."""
    chart = spec.addon.chart
    found = releases.get((spec.addon.namespace, chart.release)) if chart else None
    is_deployed = chart is None or (found is not None and found.status == "deployed")
    change = spec.change_since(before)
    if change == "none" and is_deployed:
        return AddonRollout(spec, before, "none", needs_release=False)
    return AddonRollout(
        spec, before, "change" if change == "none" else change, needs_release=chart is not None
    )


def remove_disabled_addons(layer: ClusterLayer) -> Iterator[StepEvent]:
    """Remove the add-ons that are installed and now disabled."""
    disabled = [
        name for name in layer.install_state.load().addons if name not in layer.stack.addon_names
    ]
    if disabled:
        yield from remove(layer, disabled)


def _combined(failed: list[AddonRollout], waiting: list[str]) -> JarkkitError:
    """Return the first failure; its evidence names the others and what waits for them."""
    first = failed[0].error
    if first is None:
        raise AssertionError("a failed rollout has its error")
    others = [f"{r.name}: {r.error.message}" for r in failed[1:] if r.error]
    lines = [first.evidence, *others, f"not started: {', '.join(waiting)}" if waiting else ""]
    return first.with_details(
        f"Add-on {failed[0].name}: {first.message}",
        evidence="\n".join(line for line in lines if line),
        subjects=(rollout.name for rollout in failed),
    )


def _opening(rollout: AddonRollout) -> str:
    record = rollout.spec.record()
    kind = {True: "", False: " (stub chart)", None: ""}[record.real]
    return f"{record.chart}{kind}" if record.chart else ""


def _summary(rollouts: Mapping[str, AddonRollout]) -> str:
    changed = sum(r.change != "none" for r in rollouts.values())
    stubs = sum(r.spec.real is False for r in rollouts.values())
    parts = [f"{len(rollouts)} add-ons ready", f"{changed} of them changed"]
    return ", ".join([*parts, f"{stubs} from stub charts"] if stubs else parts)
