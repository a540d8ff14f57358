"""The cost of the cluster layer: installing the default add-ons and verifying all of it.

    python -m benchmarks.addons [--nodes N] [--pods N] [PART ...]

Prints a table of goals and figures. It reports and never fails: time depends on the machine.
Comparisons are measured in the same run, on clusters that the same Terraform created: jarkkit's
concurrent installer with a sequential installation in which Helm waits for each release, and
jarkkit's verify with kubectl reading the same objects. `repeat` installs many times and looks for
an add-on that once stalls.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.addons_process import NAME
from benchmarks.clusters import (
    FILL_SECONDS,
    Figures,
    add_nodes,
    cpu_seconds,
    deployment_ready,
    measure,
    memory,
    sandbox,
    without_account,
)
from benchmarks.run import CLEAN, show
from jarkkit.catalog.addons import Addon
from jarkkit.decisions.stack import ResolvedStack
from jarkkit.deployment import Deployment
from jarkkit.model.step_generators import run_to_end
from jarkkit.ports.charts import chart_cache
from jarkkit.sandbox import daemon_client
from jarkkit.sandbox.kubernetes.api import admin_api
from jarkkit.settings import Settings
from tests.support.account import make_client
from tests.support.cluster_objects import NODES
from tests.support.clusters import RehearsalCluster, identity_of

ROUNDS = 3
REPEATED = 30
DEFAULT_PARTS = ("install", "verify")
NODES_IN_ALL, PODS_IN_ALL = 1000, 10_000
SETTLE_SECONDS = 10.0
# The processes whose CPU time is printed separately; the rest is summed.
NAMED_PROCESSES = (
    "kube-apiserver",
    "etcd",
    "kwok-controller",
    "kube-controller-manager",
    "account",
    "karpenter",
)
PODS = "/api/v1/pods"
KINDS = "nodes,deployments,statefulsets,daemonsets,pods"
GOALS = {
    "stub charts: jarkkit / sequential": 0.5,
    "real charts: jarkkit / sequential": 0.5,
    "stub charts: jarkkit's process, peak (MB)": 500.0,
    "real charts: jarkkit's process, peak (MB)": 500.0,
    "stub charts: the whole cluster (MB)": 3500.0,
    "real charts: the whole cluster (MB)": 3500.0,
    "slowest add-on of all / its median": 3.0,
    "verify / kubectl get": 0.5,
    "verify: jarkkit's process, peak (MB)": 200.0,
}


def main() -> int:
    """Measure all parts, or those on the command line."""
    known: dict[str, Callable[[argparse.Namespace], None]] = {
        "install": benchmark_install,
        "verify": benchmark_verify,
        "repeat": benchmark_repeat,
    }
    parser = argparse.ArgumentParser(prog="python -m benchmarks.addons", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument(
        "parts", nargs="*", metavar="PART", help="install, verify, repeat; default the first two"
    )
    parser.add_argument("--nodes", type=int, default=NODES_IN_ALL, help="for verify")
    parser.add_argument("--pods", type=int, default=PODS_IN_ALL, help="for verify")
    parser.add_argument("--times", type=int, default=REPEATED, help="for repeat")
    options = parser.parse_args()
    if unknown := set(options.parts) - known.keys():
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    measure({part: partial(known[part], options) for part in options.parts or DEFAULT_PARTS})
    return 0


# -- parts -----------------------------------------------------------------------------------------


def benchmark_install(_: argparse.Namespace) -> None:
    """Compare the installers with stub charts and with real charts."""
    compare_installers("stub charts", real=False)
    stack = ResolvedStack.from_settings(Settings(name=NAME))
    missing = [addon.name for addon in stack.addons if not is_cached(addon)]
    if missing:
        print(f"real charts: not measured: the chart cache lacks {', '.join(missing)}")
    else:
        compare_installers("real charts", real=True)


def compare_installers(kind: str, *, real: bool) -> None:
    """Install with both installers, each on a new cluster; print what they took."""
    with bench_deployment(real=real) as created:
        before = cpu_seconds(created.running)
        concurrent = created.run_measurement("install_concurrently")
        after = cpu_seconds(created.running)
        time.sleep(SETTLE_SECONDS)
        used = memory(created.running)
    with bench_deployment(real=real) as created:
        start = cpu_seconds(created.running)
        sequential = created.run_measurement("install_sequentially")
        end = cpu_seconds(created.running)
    show(
        {
            f"{kind}: default add-ons by jarkkit (s)": concurrent["seconds"],
            f"{kind}: sequential, Helm waits (s)": sequential["seconds"],
            f"{kind}: jarkkit / sequential": concurrent["seconds"] / sequential["seconds"],
            f"{kind}: jarkkit's process, peak (MB)": concurrent["peak"],
            f"{kind}: the whole cluster (MB)": without_account(used),
            **{f"  {name} (MB)": figure for name, figure in sorted(used.items())},
        },
        GOALS,
    )
    print(f"  {'CPU of jarkkit and sequential; started and ready':54}")
    for name, a, b in cpu_rows(concurrent, sequential, (before, after), (start, end)):
        print(f"    CPU of {name:45} {a:9.2f} {b:9.2f}")
    for name, begun, ready in sorted(concurrent["addons"], key=lambda row: row[1]):
        existing = {row[0]: row[2] - row[1] for row in sequential["addons"]}.get(name, 0.0)
        row = f"{begun:9.2f} {ready:9.2f} {ready - begun:9.2f} {existing:9.2f}"
        print(f"    {name:52} {row}", flush=True)


def cpu_rows(
    concurrent: Mapping[str, Any],
    sequential: Mapping[str, Any],
    concurrent_cpu: tuple[Figures, Figures],
    sequential_cpu: tuple[Figures, Figures],
) -> Iterator[tuple[str, float, float]]:
    """Yield CPU seconds by process for both installers; first the installing process with Helm."""
    yield "the installing process", concurrent["cpu"], sequential["cpu"]
    a, b = (
        {name: end[name] - begin.get(name, 0.0) for name in end}
        for begin, end in (concurrent_cpu, sequential_cpu)
    )
    for name in NAMED_PROCESSES:
        yield name, a.get(name, 0.0), b.get(name, 0.0)
    rest = [sum(v for name, v in used.items() if name not in NAMED_PROCESSES) for used in (a, b)]
    yield "all others", rest[0], rest[1]


def benchmark_repeat(options: argparse.Namespace) -> None:
    """Install on one new cluster after the other; compare each add-on with its own median.

    An add-on that once takes much longer than usual waited for something that was forgotten.
    """
    taken: dict[str, list[float]] = {}
    for number in range(options.times):
        with bench_deployment(real=False) as created:
            result = created.run_measurement("install_concurrently")
        print(f"  {number + 1}: all in {result['seconds']:.1f} s", flush=True)
        for name, begun, ready in result["addons"]:
            taken.setdefault(name, []).append(ready - begun)
    ratios = {name: max(each) / statistics.median(each) for name, each in taken.items()}
    for name, each in sorted(taken.items()):
        row = f"{statistics.median(each):9.2f} {max(each):9.2f} {ratios[name]:9.2f}"
        print(f"    {name:52} {row}", flush=True)
    show({"slowest add-on of all / its median": max(ratios.values())}, GOALS)


def benchmark_verify(options: argparse.Namespace) -> None:
    """Compare verify with kubectl on a cluster with the default add-ons and many nodes and pods."""
    with bench_deployment(real=False) as created:
        created.run_measurement("install_concurrently")
        cluster = created.cluster()
        began = time.perf_counter()
        add_nodes(cluster.api, options.nodes)
        nodes = time.perf_counter() - began
        existing = len(cluster.api.list(PODS))
        pods = deployment_ready(cluster.api, max(1, options.pods - existing), FILL_SECONDS)
        counts = {kind: len(cluster.api.list(kind)) for kind in (NODES, PODS)}
        print(f"{counts[NODES]} nodes in {nodes:.0f} s, {counts[PODS]} pods in {pods:.0f} s")
        verify_results: list[dict[str, Any]] = []
        kubectl_times: list[float] = []
        for _ in range(ROUNDS):
            kubectl_times.append(kubectl_seconds(cluster, created.home))
            began = time.perf_counter()
            verify_results.append(created.run_measurement("run_verify"))
            verify_results[-1]["whole"] = time.perf_counter() - began
    kubectl, verify = min(kubectl_times), min(result["seconds"] for result in verify_results)
    show(
        {
            f"kubectl get {KINDS} -A -o json (s)": kubectl,
            "verify (s)": verify,
            "verify / kubectl get": verify / kubectl,
            "  with the start of its process / kubectl get": min(k["whole"] for k in verify_results)
            / kubectl,
            "verify: jarkkit's process, peak (MB)": max(
                result["peak"] for result in verify_results
            ),
            "  checks": verify_results[-1]["checks"],
            "  checks that fail": verify_results[-1]["failed"],
        },
        GOALS,
    )


# -- deployments -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class SandboxDeployment:
    """A deployment in a separate sandbox, with the AWS layer in place."""

    running: daemon_client.RunningSandbox
    home: Path
    environ: Mapping[str, str]

    def run_measurement(self, measurement: str) -> dict[str, Any]:
        """Run a measurement of `addons_process` in a separate process; return its result."""
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.addons_process", measurement],
            cwd=Path(__file__).parents[1],
            env={**self.environ, "JARKKIT_HOME": str(self.home)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{measurement}: {done.stderr[-2000:]}"
        return dict(json.loads(done.stdout.splitlines()[-1]))

    def cluster(self) -> RehearsalCluster:
        """Return the deployment's cluster with an administrator's credentials."""
        eks = make_client(self.running, "eks", Settings(name=NAME).region)
        identity = identity_of(eks.describe_cluster(name=NAME)["cluster"])
        folder = self.running.home / "clusters" / identity
        pki = folder / "clusters" / "cluster" / "pki"
        endpoint = eks.describe_cluster(name=NAME)["cluster"]["endpoint"]
        return RehearsalCluster(self.running, admin_api(endpoint, pki), folder)


@contextlib.contextmanager
def bench_deployment(*, real: bool) -> Iterator[SandboxDeployment]:
    """Yield a deployment with default settings and the AWS layer: nodes, but no add-ons of jarkkit.

    Args:
        real: use charts of the chart cache; otherwise only stub charts.
    """
    with sandbox() as running, tempfile.TemporaryDirectory(prefix="jarkkit-bench-") as folder:
        home = Path(folder)
        environ = {**CLEAN, **{name: value for name, value in running.env.items() if value}}
        environ["JARKKIT_CHART_CACHE"] = str(chart_cache() if real else home / "charts")
        # The cache of the APIs that Helm and kubectl discover.
        environ["KUBECACHEDIR"] = str(home / "kube-cache")
        # With this variable jarkkit skips the cluster layer.
        account_only = {**environ, "JARKKIT_SANDBOX_ACCOUNT_ONLY": "1"}
        deployment = Deployment.create(NAME, rehearsal=True, home=home, environ=account_only)
        run_to_end(deployment.plan(), lambda event: None)
        run_to_end(deployment.deploy(), lambda event: None)
        yield SandboxDeployment(running, home, environ)


def is_cached(addon: Addon) -> bool:
    """Return whether the chart is cached or not needed from the cache."""
    if addon.chart is None or addon.name == "karpenter":
        return True
    return (chart_cache() / addon.chart.archive).is_file()


# -- many nodes and pods ---------------------------------------------------------------------------


def kubectl_seconds(cluster: RehearsalCluster, home: Path) -> float:
    """Return the seconds in which kubectl reads the objects, with an administrator certificate."""
    kubectl = shutil.which("kubectl")
    assert kubectl, "needs kubectl on PATH"
    line = [kubectl, "--kubeconfig", str(cluster.kubeconfig), "get", KINDS, "-A", "-o", "json"]
    began = time.perf_counter()
    subprocess.run(
        line,
        env={"PATH": os.environ["PATH"], "HOME": str(home)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        check=True,
    )
    return time.perf_counter() - began


if __name__ == "__main__":
    sys.exit(main())
