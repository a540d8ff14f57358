"""The measurements of `benchmarks.addons` that run in separate processes.

    python -m benchmarks.addons_process install_concurrently | install_sequentially | run_verify

Each works on the deployment of the environment and prints its time, memory and CPU time as JSON.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from benchmarks.process_memory import peak_memory
from jarkkit.catalog.addons import Addon
from jarkkit.decisions.addons.dependency_order import (
    Dependencies,
    dependent_depth,
    startable,
)
from jarkkit.decisions.cluster.readiness import not_ready
from jarkkit.decisions.stack import ResolvedStack
from jarkkit.deployment import Deployment
from jarkkit.model.errors import JarkkitError
from jarkkit.model.events import AddonProgress, StepEvent
from jarkkit.model.step_generators import run_to_end
from jarkkit.ports.aws import Account
from jarkkit.ports.helm import sdk
from jarkkit.steps.cluster import installer
from jarkkit.steps.cluster.cluster_layer import AddonSpec, ClusterLayer
from jarkkit.steps.cluster.kubeconfig import kubeconfig
from jarkkit.steps.stack_checks.cluster import (
    CUSTOM_CHECKS_FOLDER,
    ClusterCheckContext,
    check_cluster_layer,
)

NAME = "bench"
CHECK_SECONDS, TIMEOUT_SECONDS, PAUSE_SECONDS = 0.4, 600.0, 0.5


def open_layer() -> tuple[Deployment, ClusterLayer]:
    """Open the deployment's cluster layer as jarkkit's deploy does."""
    deployment = Deployment.open(NAME)
    connect, deployed = deployment._connect(), deployment.last_deploy_result()
    assert connect is not None
    assert deployed is not None
    return deployment, connect(deployed.outputs)


def install_concurrently() -> None:
    """Install the default add-ons with jarkkit's installer."""
    _, layer = open_layer()
    timeline: dict[str, dict[str, float]] = {}
    began = time.perf_counter()

    def record_event(event: StepEvent) -> None:
        if isinstance(event, AddonProgress):
            timeline.setdefault(event.subject, {})[event.status] = time.perf_counter() - began

    run_to_end(installer.install(layer), record_event)
    seconds = time.perf_counter() - began
    report(seconds, [(name, times["started"], times["done"]) for name, times in timeline.items()])


def install_sequentially() -> None:
    """Install the same releases, values and objects one by one; Helm waits for each."""
    deployment, layer = open_layer()
    rows: list[tuple[str, float, float]] = []
    began = time.perf_counter()
    layer.pin_ami_version()
    for addon in in_install_order(layer.stack.dependencies, layer.stack.addons):
        start = time.perf_counter() - began
        install_with_upstream_helm(deployment, layer, layer.addon_spec(addon))
        rows.append((addon.name, start, time.perf_counter() - began))
    report(time.perf_counter() - began, rows)


def run_verify() -> None:
    """Run the cluster layer's part of verify."""
    deployment, layer = open_layer()
    context = ClusterCheckContext(
        layer.kube,
        ResolvedStack.from_settings(deployment.settings),
        deployment.workspace.folder / CUSTOM_CHECKS_FOLDER,
        rehearsal=True,
    )
    began = time.perf_counter()
    checks = check_cluster_layer(context)
    seconds = time.perf_counter() - began
    failed_checks = [check.name for check in checks if check.status == "fail"]
    report(seconds, [], checks=len(checks), failed=len(failed_checks), bad=failed_checks)


def report(seconds: float, rows: list[tuple[str, float, float]], **more: Any) -> None:
    """Print the process's time, memory and CPU time as JSON."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    cpu = usage.ru_utime + usage.ru_stime
    print(
        json.dumps({"seconds": seconds, "peak": peak_memory(), "cpu": cpu, "addons": rows, **more})
    )


# -- sequential installation -----------------------------------------------------------------------


def in_install_order(order: Dependencies, addons: tuple[Addon, ...]) -> Iterator[Addon]:
    """Yield the add-ons in the order in which the installer starts them."""
    by_name, first = {addon.name: addon for addon in addons}, dependent_depth(order)
    installed: list[str] = []
    while names := startable(order, installed, installed):
        installed.append(min(names, key=lambda name: (-first[name], name)))
        yield by_name[installed[-1]]


def install_with_upstream_helm(
    deployment: Deployment, layer: ClusterLayer, spec: AddonSpec
) -> None:
    """Install one add-on as its documentation says: Helm applies the chart and waits."""
    addon, chart = spec.addon, spec.addon.chart
    layer.install(spec, None, release=False)
    if chart:
        with upstream_helm(deployment, layer, addon.namespace) as helm:
            helm.install(
                spec.archive,
                chart.release,
                spec.values,
                namespace=addon.namespace,
                create_namespace=True,
                wait="watcher",
                timeout=int(layer.timeout(addon)),
            )
    else:
        until_ready(layer, spec)
    if spec.after:
        retry(lambda: layer.configure(spec, None))
        until_ready(layer, spec)


def upstream_helm(deployment: Deployment, layer: ClusterLayer, namespace: str) -> Any:
    """Return Helm with its own limits, and with a token, so that it runs no command for one."""
    token = Account(deployment.settings.region, os.environ).cluster_token(deployment.name).token
    content = kubeconfig(layer.outputs, ("none",))
    content["users"][0]["user"] = {"token": token}
    return sdk.load().Config(kubeconfig_content=json.dumps(content), namespace=namespace)


def until_ready(layer: ClusterLayer, spec: AddonSpec) -> None:
    """Wait until all workloads of an add-on are ready, including those of operators."""
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while not_ready(spec.addon, spec.addon.workloads, layer.replica_statuses()):
        assert time.monotonic() < deadline, f"{spec.addon.name} is not ready"
        time.sleep(CHECK_SECONDS)


def retry(call: Callable[[], None]) -> None:
    """Retry a call that new webhooks or CRDs may still reject."""
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while True:
        try:
            return call()
        except JarkkitError:
            if time.monotonic() > deadline:
                raise
            time.sleep(PAUSE_SECONDS)


if __name__ == "__main__":
    measurements = (install_concurrently, install_sequentially, run_verify)
    {measurement.__name__: measurement for measurement in measurements}[sys.argv[1]]()
