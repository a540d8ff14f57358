"""What `benchmarks.addons` measures in processes of their own, so that nothing else counts.

    python -m benchmarks.addons_apart with_the_kit | one_after_the_other | looked_at

Each works on the deployment that the environment points at, and says as JSON what it took.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from jarkkit.addons.catalogue import Addon
from jarkkit.addons.order import Needs, depth, needs, startable
from jarkkit.aws import Account
from jarkkit.cluster import installer
from jarkkit.cluster.access import kubeconfig
from jarkkit.cluster.layer import ClusterLayer, Wanted
from jarkkit.cluster.readiness import missing
from jarkkit.errors import JarkkitError
from jarkkit.helm import sdk
from jarkkit.kit import Kit
from jarkkit.records import Event
from jarkkit.steps.verify import CHECKS, Look, cluster_checks
from jarkkit.streams import drain

NAME = "bench"
LOOK_SECONDS, PATIENCE_SECONDS, PAUSE_SECONDS = 0.4, 600.0, 0.5


def opened() -> tuple[Kit, ClusterLayer]:
    """The deployment's cluster layer, as the kit's own deploy makes it."""
    kit = Kit.open(NAME)
    connect, deployed = kit._connect(), kit.last_deployed()
    assert connect is not None
    assert deployed is not None
    return kit, connect(deployed.outputs)


def with_the_kit() -> None:
    """The default set by the kit's installer."""
    _, layer = opened()
    courses: dict[str, dict[str, float]] = {}
    began = time.perf_counter()

    def note(event: Event) -> None:
        if event.kind == "addon" and event.status:
            courses.setdefault(event.subject, {})[event.status] = time.perf_counter() - began

    drain(installer.install(layer), note)
    seconds = time.perf_counter() - began
    report(seconds, [(name, at["started"], at["done"]) for name, at in courses.items()])


def one_after_the_other() -> None:
    """The same releases, with the same values and objects, in the same order; Helm waits."""
    kit, layer = opened()
    rows: list[tuple[str, float, float]] = []
    began = time.perf_counter()
    layer.pin()
    for addon in in_order(needs(layer.addons), layer.addons):
        start = time.perf_counter() - began
        plainly(kit, layer, layer.wanted(addon))
        rows.append((addon.name, start, time.perf_counter() - began))
    report(time.perf_counter() - began, rows)


def looked_at() -> None:
    """The cluster layer's part of verify."""
    kit, layer = opened()
    look = Look(layer.kube, kit.settings, kit.workspace.folder / CHECKS, rehearsal=True)
    began = time.perf_counter()
    checks = cluster_checks(look)
    seconds = time.perf_counter() - began
    bad = [check.name for check in checks if check.status == "fail"]
    report(seconds, [], checks=len(checks), failed=len(bad), bad=bad)


def report(seconds: float, rows: list[tuple[str, float, float]], **more: Any) -> None:
    """What a process of ours has to say: its time, its memory, its CPU time."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    cpu = used.ru_utime + used.ru_stime
    print(json.dumps({"seconds": seconds, "peak": peak(), "cpu": cpu, "addons": rows, **more}))


def peak() -> float:
    """Most resident memory of this process so far, in MB.

    Linux counts what the process that started this one had, too, into ru_maxrss.
    """
    status = Path("/proc/self/status")
    if not status.is_file():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6  # bytes on macOS
    lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
    return int(lines["VmHWM"].split()[0]) * 1024 / 1e6


# -- one after the other ---------------------------------------------------------------------------


def in_order(order: Needs, addons: tuple[Addon, ...]) -> Iterator[Addon]:
    """The order in which the installer begins them."""
    by_name, first = {addon.name: addon for addon in addons}, depth(order)
    gone: list[str] = []
    while names := startable(order, gone, gone):
        gone.append(min(names, key=lambda name: (-first[name], name)))
        yield by_name[gone[-1]]


def plainly(kit: Kit, layer: ClusterLayer, wanted: Wanted) -> None:
    """One add-on, as upstream does it: Helm applies its chart and waits."""
    addon, chart = wanted.addon, wanted.addon.chart
    layer.install(wanted, None, release=False)
    if chart:
        with upstream_helm(kit, layer, addon.namespace) as helm:
            helm.install(
                wanted.archive,
                chart.release,
                wanted.values,
                namespace=addon.namespace,
                create_namespace=True,
                wait="watcher",
                timeout=int(layer.patience(addon)),
            )
    else:
        until_ready(layer, wanted)
    if wanted.after:
        patiently(lambda: layer.configure(wanted, None))
        until_ready(layer, wanted)


def upstream_helm(kit: Kit, layer: ClusterLayer, namespace: str) -> Any:
    """Helm with its own limits. A token at hand spares it the command that makes one."""
    token, _ = Account(kit.settings.region, os.environ).cluster_token(kit.name)
    content = kubeconfig(layer.outputs, ("none",))
    content["users"][0]["user"] = {"token": token}
    return sdk.load().Config(kubeconfig_content=json.dumps(content), namespace=namespace)


def until_ready(layer: ClusterLayer, wanted: Wanted) -> None:
    """Until all its workloads are ready, those of operators too."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while missing(wanted.addon, wanted.workloads, layer.standings()):
        assert time.monotonic() < deadline, f"{wanted.addon.name} is not ready"
        time.sleep(LOOK_SECONDS)


def patiently(call: Callable[[], None]) -> None:
    """What webhooks and definitions of a moment ago refuse is tried again."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return call()
        except JarkkitError:
            if time.monotonic() > deadline:
                raise
            time.sleep(PAUSE_SECONDS)


if __name__ == "__main__":
    known = (with_the_kit, one_after_the_other, looked_at)
    {measure.__name__: measure for measure in known}[sys.argv[1]]()
