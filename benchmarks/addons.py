"""What the cluster layer costs: the default add-ons installed, the whole of it looked at.

    python -m benchmarks.addons [--nodes N] [--pods N] [PART ...]

Prints a table of goals and figures. It reports and never fails: time depends on the machine. What
is compared is measured in the same run, on clusters that the same Terraform made: the kit's
installer with the same releases one after the other, where Helm waits for each; the kit's verify
with kubectl reading the same objects.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.addons_apart import NAME
from benchmarks.clusters import (
    FILL_SECONDS,
    Figures,
    a_node,
    clusters_of,
    cpu_seconds,
    deployment_ready,
    measure,
    memory,
    ready_nodes,
    sandbox,
)
from benchmarks.run import CLEAN, show
from jarkkit.addons.catalogue import Addon
from jarkkit.addons.choice import chosen
from jarkkit.charts import chart_cache
from jarkkit.kit import Kit
from jarkkit.sandbox import control
from jarkkit.sandbox.cluster.api import Api, Credentials
from jarkkit.settings import Settings
from jarkkit.streams import drain
from tests.clusters.conftest import World, identity_of
from tests.clusters.test_nodes import NODES
from tests.sandbox.test_account import make_client

ROUNDS = 3
NODES_IN_ALL, PODS_IN_ALL = 1000, 10_000
SETTLE_SECONDS = 10.0
# The processes whose CPU time is told one by one; the rest is summed.
TOLD = (
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
    "stand-ins: kit / one after the other": 0.5,
    "real charts: kit / one after the other": 0.5,
    "stand-ins: the kit's process, peak (MB)": 500.0,
    "real charts: the kit's process, peak (MB)": 500.0,
    "stand-ins: the whole cluster (MB)": 3500.0,
    "real charts: the whole cluster (MB)": 3500.0,
    "verify / kubectl get": 0.5,
    "verify: the kit's process, peak (MB)": 200.0,
}


def main() -> int:
    """Measure all parts, or those that are named."""
    known: dict[str, Callable[[argparse.Namespace], None]] = {
        "install": installing,
        "verify": verifying,
    }
    reader = argparse.ArgumentParser(prog="python -m benchmarks.addons", description=__doc__)
    reader.formatter_class = argparse.RawDescriptionHelpFormatter
    reader.add_argument("parts", nargs="*", metavar="PART", help="install, verify; default all")
    reader.add_argument("--nodes", type=int, default=NODES_IN_ALL, help="for verify")
    reader.add_argument("--pods", type=int, default=PODS_IN_ALL, help="for verify")
    asked = reader.parse_args()
    if unknown := set(asked.parts) - known.keys():
        reader.error(f"no such part: {', '.join(sorted(unknown))}")
    measure({part: partial(known[part], asked) for part in asked.parts or known})
    return 0


# -- parts -----------------------------------------------------------------------------------------


def installing(_: argparse.Namespace) -> None:
    """The default set by the kit and one after the other, with stand-ins and with real charts."""
    compared("stand-ins", real=False)
    lacking = [a.name for a in chosen(Settings(name=NAME)) if not cached(a)]
    if lacking:
        print(f"real charts: not measured: the chart cache lacks {', '.join(lacking)}")
    else:
        compared("real charts", real=True)


def compared(kind: str, *, real: bool) -> None:
    """Both ways, each on a fresh cluster, and what they took."""
    with deployment(real=real) as made:
        before = cpu_seconds(made.running)
        ours = made.child("with_the_kit")
        after = cpu_seconds(made.running)
        time.sleep(SETTLE_SECONDS)
        taken = memory(made.running)
    with deployment(real=real) as made:
        start = cpu_seconds(made.running)
        plain = made.child("one_after_the_other")
        end = cpu_seconds(made.running)
    show(
        {
            f"{kind}: default set by the kit (s)": ours["seconds"],
            f"{kind}: one after the other, Helm waits (s)": plain["seconds"],
            f"{kind}: kit / one after the other": ours["seconds"] / plain["seconds"],
            f"{kind}: the kit's process, peak (MB)": ours["peak"],
            f"{kind}: the whole cluster (MB)": clusters_of(taken),
            **{f"  {name} (MB)": figure for name, figure in sorted(taken.items())},
        },
        GOALS,
    )
    print(f"  {'CPU by the kit and one after the other, begun and ready':54}")
    for name, a, b in cpu_rows(ours, plain, (before, after), (start, end)):
        print(f"    CPU of {name:45} {a:9.2f} {b:9.2f}")
    for name, begun, ready in sorted(ours["addons"], key=lambda row: row[1]):
        there = {row[0]: row[2] - row[1] for row in plain["addons"]}.get(name, 0.0)
        row = f"{begun:9.2f} {ready:9.2f} {ready - begun:9.2f} {there:9.2f}"
        print(f"    {name:52} {row}", flush=True)


def cpu_rows(
    ours: Mapping[str, Any],
    plain: Mapping[str, Any],
    quick: tuple[Figures, Figures],
    slow: tuple[Figures, Figures],
) -> Iterator[tuple[str, float, float]]:
    """CPU seconds by process, of both ways; first the one that installs, Helm within it."""
    yield "the one that installs", ours["cpu"], plain["cpu"]
    a, b = (
        {name: end[name] - begin.get(name, 0.0) for name in end} for begin, end in (quick, slow)
    )
    for name in TOLD:
        yield name, a.get(name, 0.0), b.get(name, 0.0)
    rest = [sum(v for name, v in taken.items() if name not in TOLD) for taken in (a, b)]
    yield "all others", rest[0], rest[1]


def verifying(asked: argparse.Namespace) -> None:
    """Verify in turn with kubectl, on a cluster with the default set, many nodes and many pods."""
    with deployment(real=False) as made:
        made.child("with_the_kit")
        world = made.world()
        began = time.perf_counter()
        spread(world.api, asked.nodes)
        nodes = time.perf_counter() - began
        there = len(world.api.list(PODS))
        pods = deployment_ready(world.api, max(1, asked.pods - there), FILL_SECONDS)
        counts = {kind: len(world.api.list(kind)) for kind in (NODES, PODS)}
        print(f"{counts[NODES]} nodes in {nodes:.0f} s, {counts[PODS]} pods in {pods:.0f} s")
        looked: list[dict[str, Any]] = []
        asking: list[float] = []
        for _ in range(ROUNDS):
            asking.append(kubectl_seconds(world, made.home))
            began = time.perf_counter()
            looked.append(made.child("looked_at"))
            looked[-1]["whole"] = time.perf_counter() - began
    kubectl, verify = min(asking), min(look["seconds"] for look in looked)
    show(
        {
            f"kubectl get {KINDS} -A -o json (s)": kubectl,
            "verify (s)": verify,
            "verify / kubectl get": verify / kubectl,
            "  with the start of its process / kubectl get": min(k["whole"] for k in looked)
            / kubectl,
            "verify: the kit's process, peak (MB)": max(look["peak"] for look in looked),
            "  checks": looked[-1]["checks"],
            "  checks that fail": looked[-1]["failed"],
        },
        GOALS,
    )


# -- deployments -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Deployment:
    """A deployment in a sandbox of its own, built up to the cluster layer."""

    running: control.Running
    home: Path
    environ: Mapping[str, str]

    def child(self, what: str) -> dict[str, Any]:
        """What one of `addons_apart` says at its end, in a process of its own."""
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.addons_apart", what],
            cwd=Path(__file__).parents[1],
            env={**self.environ, "JARKKIT_HOME": str(self.home)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{what}: {done.stderr[-2000:]}"
        return dict(json.loads(done.stdout.splitlines()[-1]))

    def world(self) -> World:
        """Its cluster as an administrator."""
        eks = make_client(self.running, "eks", Settings(name=NAME).region)
        identity = identity_of(eks.describe_cluster(name=NAME)["cluster"])
        folder = self.running.home / "clusters" / identity
        pki = folder / "clusters" / "cluster" / "pki"
        credentials = Credentials(pki / "ca.crt", pki / "admin.crt", pki / "admin.key")
        endpoint = eks.describe_cluster(name=NAME)["cluster"]["endpoint"]
        return World(self.running, Api(endpoint, credentials), folder)


@contextlib.contextmanager
def deployment(*, real: bool) -> Iterator[Deployment]:
    """A deployment with the default settings and the AWS layer in place: nodes, no add-on of ours.

    Args:
        real: take charts from the chart cache; else stand-ins alone.
    """
    with sandbox() as running, tempfile.TemporaryDirectory(prefix="jarkkit-bench-") as folder:
        home = Path(folder)
        environ = {**CLEAN, **{name: value for name, value in running.env.items() if value}}
        environ["JARKKIT_CHART_CACHE"] = str(chart_cache() if real else home / "charts")
        # Helm and kubectl keep what they discover there.
        environ["KUBECACHEDIR"] = str(home / "kube-cache")
        # The kit then leaves the cluster layer out.
        alone = {**environ, "JARKKIT_SANDBOX_ACCOUNT_ONLY": "1"}
        kit = Kit.create(NAME, rehearsal=True, home=home, environ=alone)
        drain(kit.plan(), lambda event: None)
        drain(kit.deploy(), lambda event: None)
        yield Deployment(running, home, environ)


def cached(addon: Addon) -> bool:
    """True when the chart cache has its chart, or it has none, or its own source is at hand."""
    if addon.chart is None or addon.name == "karpenter":
        return True
    return (chart_cache() / addon.chart.archive).is_file()


# -- many nodes and pods ---------------------------------------------------------------------------


def spread(api: Api, size: int) -> None:
    """Node objects until there are that many, all Ready."""
    names = [f"large-{index}" for index in range(size - len(api.list(NODES)))]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda name: api.create(NODES, a_node(name)), names))
    deadline = time.monotonic() + FILL_SECONDS
    # Each look costs what is being measured, so there are few of them.
    while len(ready_nodes(api)) < size:
        assert time.monotonic() < deadline, "the nodes are not Ready"
        time.sleep(2.0)


def kubectl_seconds(world: World, home: Path) -> float:
    """Seconds in which kubectl reads the objects, with an administrator's certificate."""
    kubectl = shutil.which("kubectl")
    assert kubectl, "needs kubectl on PATH"
    line = [kubectl, "--kubeconfig", str(world.kubeconfig), "get", KINDS, "-A", "-o", "json"]
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
