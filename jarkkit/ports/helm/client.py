"""Helm actions on one cluster: install, upgrade, uninstall, list, render."""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from jarkkit.model.clock import monotonic
from jarkkit.model.errors import JarkkitError
from jarkkit.model.helm_releases import Release
from jarkkit.model.port_answers import ClusterToken
from jarkkit.ports.helm import sdk
from jarkkit.ports.helm.cancellation import HelmAction, RunningActions
from jarkkit.ports.helm.errors import explain
from jarkkit.ports.helm.rendering import Object, render_chart
from jarkkit.ports.helm.repair import repair_plan
from jarkkit.ports.helm.retry import retry

_logger = logging.getLogger(__name__)

T = TypeVar("T")

_REVISIONS = 5  # history per release; each revision is a Secret as large as the chart
# Also the SDK's default, here made explicit.
_WAIT = "hookOnly"
_CHART_ERRORS = (
    "HelmChartLoadError",
    "HelmChartInvalidError",
    "HelmValuesError",
    "HelmRenderError",
    "HelmIOError",
)


class Helm:
    """Helm actions on one cluster. Thread-safe: actions on different releases run in parallel,
    actions on the same release run one after the other.

    The constructor makes no call. Methods raise JK-HELM-FAILED, JK-HELM-TIMEOUT, JK-HELM-CHART
    (invalid chart or values) and JK-INTERRUPTED (after `cancel`, or Ctrl-C in the main thread).

    Args:
        endpoint: URL of the API server.
        certificate_authority: CA certificate, PEM in base64, as EKS returns it.
        token: returns a bearer token and its expiry. It is called for every action and limits its
            duration (15 minutes with EKS).
        retry_seconds: how long an action is retried while the API server, or an admission webhook,
            is unavailable.
    """

    def __init__(
        self,
        endpoint: str,
        certificate_authority: str,
        token: Callable[[], ClusterToken],
        *,
        retry_seconds: float = 30.0,
    ) -> None:
        self._cluster = sdk.ClusterConnection(endpoint, certificate_authority, token)
        self._retry_seconds = retry_seconds
        self._runs = RunningActions()
        self._first = threading.Lock()
        self._used = False

    # -- reading -------------------------------------------------------------------------------

    def releases(self) -> tuple[Release, ...]:
        """Return the newest revision of every release in all namespaces, with any status."""
        found = self._read(
            "default",
            "list the releases",
            lambda config: config.list(all_states=True, all_namespaces=True),
        )
        return tuple(_release(one) for one in found)

    def values(self, name: str, namespace: str) -> Object:
        """Return a release's user-supplied values. Raises JK-HELM-FAILED if it does not exist."""
        found = self._read(
            namespace, f"read the values of {name}", lambda config: config.get_values(name)
        )
        return dict(found or {})

    def render(self, chart: Path, name: str, namespace: str, values: Object) -> list[Object]:
        """Return the objects that an install would create, without using the cluster: CRDs first,
        then the templates' objects, including hooks but not tests."""
        try:
            return render_chart(chart, name, namespace, values)
        except sdk.load().HelmError as error:
            raise explain(str(error), f"render {name}", values, is_chart_error=True) from error

    # -- writing -------------------------------------------------------------------------------

    def apply(
        self, name: str, namespace: str, chart: Path, values: Object, *, timeout: float
    ) -> Release:
        """Install or upgrade the release, after repairing a failed or interrupted earlier run.
        Creates the namespace. Waits for hooks, but not for workloads.

        The first install creates the CRDs in the chart's `crds/`; Helm never changes them later.
        Values that you no longer pass return to the chart's defaults.

        Args:
            timeout: seconds for the whole action.
        """
        until = monotonic() + timeout

        def work(run: HelmAction) -> Release:
            return self._retry(
                run, lambda: self._applied(run, name, namespace, chart, values, until), values
            )

        return self._runs.run((namespace, name), f"apply {name}", work)

    def uninstall(self, name: str, namespace: str, *, timeout: float) -> bool:
        """Uninstall the release, including its hooks, but not the namespace or the CRDs in `crds/`.

        Returns False if it does not exist. A running uninstall cannot be canceled.
        """

        def work(run: HelmAction) -> bool:
            return self._retry(run, lambda: self._uninstalled(name, namespace, timeout))

        return self._runs.run((namespace, name), f"uninstall {name}", work)

    def cancel(self) -> None:
        """Cancel all running actions, from another thread. Later actions are not affected."""
        self._runs.cancel()

    # -- plumbing ------------------------------------------------------------------------------

    def _applied(
        self, run: HelmAction, name: str, namespace: str, chart: Path, values: Object, until: float
    ) -> Release:
        """Make one attempt. Raises the SDK's errors."""
        with self._config(namespace) as config:
            plan = repair_plan(self._history(config, name))
            if plan.uninstall:
                _logger.info("uninstall %s in %s, to repair it", name, namespace)
                # Wait for the deletion: old objects must not count as those of the new install.
                config.uninstall(name, timeout=_left(until), wait="watcher", ignore_not_found=True)
                run.raise_if_cancelled()
            if plan.rollback:
                _logger.info("roll back %s in %s to %s", name, namespace, plan.rollback)
                config.rollback(name, version=plan.rollback, timeout=_left(until), wait=_WAIT)
                run.raise_if_cancelled()
            how: dict[str, Any] = {
                "context": run.context,
                "namespace": namespace,
                "timeout": _left(until),
                "wait": _WAIT,
            }
            _logger.info("%s %s in %s with %s", plan.action, name, namespace, chart.name)
            if plan.action == "install":
                done = config.install(chart, name, values, create_namespace=True, **how)
            else:
                how |= {"reset_values": True, "max_history": _REVISIONS}
                done = config.upgrade(chart, name, values, **how)
        return _release(done)

    def _uninstalled(self, name: str, namespace: str, timeout: float) -> bool:
        with self._config(namespace) as config:
            _logger.info("uninstall %s in %s", name, namespace)
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

        return self._retry(HelmAction(doing, None), attempt)

    def _retry(self, run: HelmAction, attempt: Callable[[], T], values: Object | None = None) -> T:
        """Retry the whole attempt, including the release lookup, while the API server is away."""
        try:
            return retry(run, attempt, self._retry_seconds)
        except sdk.load().HelmError as error:
            raise self._explained(error, run.operation, values) from error

    def _explained(self, error: Exception, doing: str, values: Object | None) -> JarkkitError:
        of_chart = type(error).__name__ in _CHART_ERRORS
        return explain(str(error), doing, values, is_chart_error=of_chart)

    def _config(self, namespace: str) -> Any:
        with self._first:
            if not self._used:
                self._cluster.clear_discovery_cache()
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
    """Return the whole seconds until then, at least one."""
    return max(1, math.ceil(until - monotonic()))
