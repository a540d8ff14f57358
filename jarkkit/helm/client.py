"""Helm's actions on one cluster: apply, take away, look."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from jarkkit.clock import monotonic
from jarkkit.errors import JarkkitError
from jarkkit.helm import sdk
from jarkkit.helm.problems import explain, is_denial, is_passing
from jarkkit.helm.rendering import Object, rendered
from jarkkit.helm.repair import Release, way
from jarkkit.helm.runs import Run, Runs

T = TypeVar("T")

_REVISIONS = 5  # kept per release: each is a Secret as large as the chart
_PAUSE_SECONDS = 1.0
# So long denials are not believed: an API server that has just started knows no roles.
_DENIAL_SECONDS = 5.0
# The SDK also waits for hooks when it is told nothing; this says so.
_WAIT = "hookOnly"
_CHART_ERRORS = (
    "HelmChartLoadError",
    "HelmChartInvalidError",
    "HelmValuesError",
    "HelmRenderError",
    "HelmIOError",
)


class Helm:
    """Helm's actions on one cluster. Safe to use from several threads: different releases go on at
    the same time, actions on the same one wait for each other.

    Making one calls nobody. Methods raise JK-HELM-FAILED, JK-HELM-TIMEOUT, JK-HELM-CHART (chart or
    values at fault) and JK-INTERRUPTED (after `cancel`, or Ctrl-C in the main thread).

    Args:
        endpoint: URL of the API server.
        certificate_authority: whom to trust, PEM in base64, as EKS tells it.
        token: makes a bearer token; called for every action, whose length it limits (15 minutes
            with EKS).
        patience: seconds for which an action is begun again while the API server, or an admission
            webhook, is away.
    """

    def __init__(
        self,
        endpoint: str,
        certificate_authority: str,
        token: Callable[[], tuple[str, datetime]],
        *,
        patience: float = 30.0,
    ) -> None:
        self._cluster = sdk.Cluster(endpoint, certificate_authority, token)
        self._patience = patience
        self._runs = Runs()
        self._first = threading.Lock()
        self._used = False

    # -- looking -------------------------------------------------------------------------------

    def releases(self) -> tuple[Release, ...]:
        """The newest revision of every release in all namespaces, whatever its status."""
        found = self._read(
            "default",
            "list the releases",
            lambda config: config.list(all_states=True, all_namespaces=True),
        )
        return tuple(_release(one) for one in found)

    def values(self, name: str, namespace: str) -> Object:
        """The values that a release was given. One that is not there is JK-HELM-FAILED."""
        found = self._read(
            namespace, f"read the values of {name}", lambda config: config.get_values(name)
        )
        return dict(found or {})

    def render(self, chart: Path, name: str, namespace: str, values: Object) -> list[Object]:
        """What an install would create, made without the cluster: definitions first, then the
        templates' objects, hooks but not tests among them."""
        try:
            return rendered(chart, name, namespace, values)
        except sdk.load().HelmError as error:
            raise explain(str(error), f"render {name}", values, of_chart=True) from error

    # -- acting --------------------------------------------------------------------------------

    def apply(
        self, name: str, namespace: str, chart: Path, values: Object, *, timeout: float
    ) -> Release:
        """Install the release or bring it up to date, and repair first what an earlier run left
        failed or half done. Its namespace is made. Hooks are waited for, workloads are not.

        Definitions in the chart's `crds/` are created by the first install, never changed (Helm's
        rule). Values that were given before and are missing now go back to the chart's.

        Args:
            timeout: seconds for all of it.
        """
        until = monotonic() + timeout

        def work(run: Run) -> Release:
            return self._patiently(
                run, lambda: self._applied(run, name, namespace, chart, values, until), values
            )

        return self._runs.carry_out((namespace, name), f"apply {name}", work)

    def uninstall(self, name: str, namespace: str, *, timeout: float) -> bool:
        """Take the release away, with its hooks; the namespace and definitions in `crds/` stay.

        False when it is not there. Once begun, Helm lets nobody cancel it.
        """

        def work(run: Run) -> bool:
            return self._patiently(run, lambda: self._uninstalled(name, namespace, timeout))

        return self._runs.carry_out((namespace, name), f"uninstall {name}", work)

    def cancel(self) -> None:
        """End what is under way, from another thread. What is begun later is not affected."""
        self._runs.cancel()

    # -- plumbing ------------------------------------------------------------------------------

    def _applied(
        self, run: Run, name: str, namespace: str, chart: Path, values: Object, until: float
    ) -> Release:
        """One attempt. Raises the SDK's errors."""
        with self._config(namespace) as config:
            chosen = way(self._history(config, name))
            if chosen.uninstall:
                # Until all is gone: what is about to go must not pass for what is installed next.
                config.uninstall(name, timeout=_left(until), wait="watcher", ignore_not_found=True)
                run.check()
            if chosen.rollback:
                config.rollback(name, version=chosen.rollback, timeout=_left(until), wait=_WAIT)
                run.check()
            how: dict[str, Any] = {
                "context": run.context,
                "namespace": namespace,
                "timeout": _left(until),
                "wait": _WAIT,
            }
            if chosen.action == "install":
                done = config.install(chart, name, values, create_namespace=True, **how)
            else:
                how |= {"reset_values": True, "max_history": _REVISIONS}
                done = config.upgrade(chart, name, values, **how)
        return _release(done)

    def _uninstalled(self, name: str, namespace: str, timeout: float) -> bool:
        with self._config(namespace) as config:
            try:
                config.uninstall(name, timeout=math.ceil(timeout), wait=_WAIT)
            except sdk.load().HelmNotFoundError:
                return False
        return True

    def _history(self, config: Any, name: str) -> tuple[Release, ...]:
        try:
            return tuple(_release(one) for one in config.history(name))
        except sdk.load().HelmNotFoundError:
            return ()

    def _read(self, namespace: str, doing: str, ask: Callable[[Any], T]) -> T:
        def attempt() -> T:
            with self._config(namespace) as config:
                return ask(config)

        return self._patiently(Run(doing, None), attempt)

    def _patiently(self, run: Run, attempt: Callable[[], T], values: Object | None = None) -> T:
        """Begin again, from looking at the release on, while the API server is away."""
        begun = monotonic()
        while True:
            try:
                return attempt()
            except sdk.load().HelmError as error:
                run.check()
                patience = self._patience_with(str(error))
                # From the beginning: an attempt alone may take as long, where packets are lost.
                if not patience or monotonic() > begun + patience:
                    raise self._explained(error, run.doing, values) from error
            run.pause(_PAUSE_SECONDS)

    def _patience_with(self, message: str) -> float:
        """Seconds for which it is worth to begin again; 0 for what stays as it is."""
        if is_passing(message):
            return self._patience
        return min(_DENIAL_SECONDS, self._patience) if is_denial(message) else 0.0

    def _explained(self, error: Exception, doing: str, values: Object | None) -> JarkkitError:
        of_chart = type(error).__name__ in _CHART_ERRORS
        return explain(str(error), doing, values, of_chart=of_chart)

    def _config(self, namespace: str) -> Any:
        with self._first:
            if not self._used:
                self._cluster.forget_discovery()
                self._used = True
        return self._cluster.config(namespace)


def _release(summary: Object) -> Release:
    return Release(
        name=summary["name"],
        namespace=summary["namespace"],
        chart=summary.get("chart_name", ""),
        version=summary.get("chart_version", ""),
        status=summary["status"],
        revision=summary["revision"],
    )


def _left(until: float) -> int:
    """Whole seconds until then, one at least."""
    return max(1, math.ceil(until - monotonic()))
