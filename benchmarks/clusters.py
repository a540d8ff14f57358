"""What the sandbox's clusters cost in time, memory and idle CPU, small and large.

    python -m benchmarks.clusters [PART ...]

Prints a table of goals and figures. It reports and never fails: time depends on the machine. What
is compared is measured in the same run: with a bare `kwokctl` cluster of the same programs, and
with a cluster of a few nodes.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from typing import Any

import psutil
import yaml

from benchmarks.run import CLEAN, show, timed
from jarkkit.addons.choice import eks_addons
from jarkkit.sandbox import control
from jarkkit.sandbox.cluster.api import Api, Credentials, Object
from jarkkit.sandbox.cluster.toolchain import Toolchain, user_cache
from jarkkit.sandbox.eks.cluster import NEEDED
from jarkkit.sandbox.eks.objects import is_ready_node
from jarkkit.sandbox.guard import processes_of
from jarkkit.settings import Settings
from tests.clusters import karpenter
from tests.clusters.conftest import (
    NAME,
    REGION,
    World,
    create_cluster,
    identity_of,
    wait_for,
    world_of,
)
from tests.clusters.test_karpenter import device_plugin, gpu_pod
from tests.clusters.test_nodes import NODES
from tests.sandbox.test_account import make_client

ROUNDS = 3
REST_SECONDS, IDLE_SECONDS = 30.0, 30.0
REPLICAS = 20
# A workshop's quotas allow 128 instances of two vCPUs. The other nodes are Node objects without an
# instance, as `kwokctl scale node` makes them: the same to the control plane and to KWOK.
NODES_IN_ALL, INSTANCES, PODS_IN_ALL = 1000, 100, 10_000
FILL_SECONDS = 1800.0
MB = 1e6
GOALS = {
    "set-up with a filled cache (s)": 2.0,
    "CreateCluster until ACTIVE (s)": 8.0,
    "idle: cluster (MB)": 700.0,
    "idle: account (MB)": 300.0,
    "idle: account and cluster (% of a core)": 10.0,
    "20 replicas Ready (s)": 2.0,
    "GPU pod Running by Karpenter (s)": 8.0,
    "1,000 nodes, 10,000 pods (MB)": 5000.0,
}

Figures = dict[str, float]


def main(parts: list[str]) -> int:
    """Measure all parts, or those that are named."""
    known: dict[str, Callable[[], Figures]] = {
        "setup": set_up,
        "create": creation,
        "one": one_cluster,
        "addons": with_addons,
        "large": large,
    }
    measure({part: lambda part=part: show(known[part](), GOALS) for part in parts or known})
    return 0


def measure(parts: Mapping[str, Callable[[], None]]) -> None:
    """Measure the parts; one that does not come to an end is said."""
    print(f"{date.today()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} before")
    for name, part in parts.items():
        try:
            part()
        except AssertionError as error:  # waited for in vain
            print(f"{name}: not measured: {error}")
    print(f"load {os.getloadavg()[0]:.1f} after")


# -- parts -------------------------------------------------------------------------------------


def set_up() -> Figures:
    """`jarkkit sandbox setup` where everything is built."""
    line = [str(Path(sys.executable).with_name("jarkkit")), "sandbox", "setup"]
    return {
        "set-up with a filled cache (s)": statistics.median(
            timed(line, CLEAN, Path.cwd()) for _ in range(ROUNDS)
        )
    }


def creation() -> Figures:
    """CreateCluster, in turn with a bare `kwokctl create cluster`; then a Deployment on both."""
    ours: list[float] = []
    bare: list[float] = []
    replicas: dict[str, list[float]] = {"ours": [], "bare": []}
    for _ in range(ROUNDS):
        with sandbox() as running:
            warm_up(running)
            began = time.perf_counter()
            cluster = create_cluster(running)
            ours.append(time.perf_counter() - began)
            world = world_of(running, identity_of(cluster))
            managed(world, "core", 3)
            replicas["ours"].append(deployment_ready(world.api))
        with bare_cluster() as (api, seconds):
            bare.append(seconds)
            bare_nodes(api, 3)
            replicas["bare"].append(deployment_ready(api))
    created, kwokctl = statistics.median(ours), statistics.median(bare)
    here, there = statistics.median(replicas["ours"]), statistics.median(replicas["bare"])
    return {
        "CreateCluster until ACTIVE (s)": created,
        "bare kwokctl create cluster until /readyz (s)": kwokctl,
        "CreateCluster / bare kwokctl": created / kwokctl,
        "20 replicas Ready (s)": here,
        "20 replicas Ready, EKS / bare kwokctl": here / there,
    }


def one_cluster() -> Figures:
    """A cluster at rest, and a second one beside it."""
    with sandbox() as running:
        create_cluster(running)
        before, shares = at_rest(running)
        began = time.perf_counter()
        create_cluster(running, "second")
        seconds = time.perf_counter() - began
        after = memory(running)
        return {
            "idle: cluster (MB)": clusters_of(before),
            "idle: account (MB)": before["account"],
            "idle: account and cluster (% of a core)": sum(shares.values()),
            "second cluster beside it, until ACTIVE (s)": seconds,
            "second cluster: its processes (MB)": clusters_of(after) - clusters_of(before),
            "second cluster: what the account grows by (MB)": after["account"] - before["account"],
        }


def with_addons() -> Figures:
    """What the EKS add-ons that the kit installs by default add, on three nodes."""
    with world() as made:
        managed(made, "core", 3)
        before = memory(made.running)
        began = time.perf_counter()
        eks = made.client("eks")
        names = list(eks_addons(Settings(name="bench")))
        for name in names:
            eks.create_addon(clusterName=NAME, addonName=name)

        def active() -> bool:
            described = (eks.describe_addon(clusterName=NAME, addonName=n)["addon"] for n in names)
            return all(addon["status"] == "ACTIVE" for addon in described)

        wait_for(active, 120)
        seconds = time.perf_counter() - began
        after, shares = at_rest(made.running)
        return {
            f"{len(names)} default add-ons until ACTIVE (s)": seconds,
            "default add-ons: cluster (MB)": clusters_of(after),
            "default add-ons: more than without (MB)": clusters_of(after) - clusters_of(before),
            "default add-ons: account and cluster (% of a core)": sum(shares.values()),
        }


def large() -> Figures:
    """GPU nodes by the real Karpenter, with a few nodes and with 1,000 nodes and 10,000 pods."""
    with world() as made:
        managed(made, "core", 3)
        karpenter.install(made)
        device_plugin(made)
        small = {"join": join_seconds(made), "gpu": gpu_seconds(made)}
        show({"GPU pod Running by Karpenter (s)": small["gpu"]}, GOALS)
        cpu = sum(cpu_seconds(made.running).values())
        nodes, pods = fill(made), ten_thousand(made.api)
        held = memory(made.running)
        show(
            {
                f"{INSTANCES} instances join, {NODES_IN_ALL} nodes Ready (s)": nodes,
                "10,000 pods Ready (s)": pods,
                "  CPU of all processes for both (s)": sum(cpu_seconds(made.running).values())
                - cpu,
                "1,000 nodes, 10,000 pods (MB)": sum(held.values()),
                **{f"  {name} (MB)": figure for name, figure in held.items()},
            },
            GOALS,
        )
        taken, shares = at_rest(made.running)
        join, replicas, gpu = join_seconds(made), deployment_ready(made.api), gpu_seconds(made)
        return {
            "  at rest afterwards (MB)": sum(taken.values()),
            "  at rest afterwards (% of a core)": sum(shares.values()),
            **{f"    {name} (% of a core)": share for name, share in shares.items()},
            "  a node joins (s)": join,
            "  a node joins, 1,000 nodes / 3 nodes": join / small["join"],
            "  20 replicas more Ready (s)": replicas,
            "  a GPU pod Running (s)": gpu,
            "  a GPU pod Running, 1,000 nodes / 3 nodes": gpu / small["gpu"],
        }


# -- sandboxes and what they take ----------------------------------------------------------------


@contextlib.contextmanager
def sandbox() -> Iterator[control.Running]:
    """A sandbox of its own, at speed 0."""
    with tempfile.TemporaryDirectory(prefix="jarkkit-bench-") as folder:
        running = control.start(Path(folder))
        try:
            yield running
        finally:
            control.stop(Path(folder))


@contextlib.contextmanager
def world() -> Iterator[World]:
    """A sandbox with a cluster."""
    with sandbox() as running:
        yield world_of(running, identity_of(create_cluster(running)))


@contextlib.contextmanager
def bare_cluster() -> Iterator[tuple[Api, float]]:
    """A cluster of the same programs that kwokctl makes by itself, and the seconds it took."""
    programs = Toolchain(user_cache()).require(NEEDED)
    names = {"kwok": "kwokController", "kube-apiserver": "kubeApiserver", "etcd": "etcd"}
    names |= {"kube-controller-manager": "kubeControllerManager", "kube-scheduler": "kubeScheduler"}
    options = {f"{option}Binary": str(programs[name]) for name, option in names.items()}
    config = {
        "apiVersion": "config.kwok.x-k8s.io/v1alpha1",
        "kind": "KwokctlConfiguration",
        "options": {"runtime": "binary", "bindAddress": "127.0.0.1", **options},
    }
    with tempfile.TemporaryDirectory(prefix="jarkkit-bare-") as folder:
        file = Path(folder) / "kwokctl.yaml"
        file.write_text(yaml.safe_dump(config))
        environ = {**CLEAN, "KWOK_WORKDIR": folder, "HOME": folder}
        environ = {k: v for k, v in environ.items() if not k.lower().endswith("_proxy")}
        words = [str(programs["kwokctl"]), "--name", "bare", "--config", str(file)]
        began = time.perf_counter()
        try:
            kwokctl(words, ["create", "cluster", "--kubeconfig", os.devnull], environ)
            api = admin_of(Path(folder) / "clusters" / "bare")
            wait_for(api.healthy, 60)
            yield api, time.perf_counter() - began
        finally:
            kwokctl(words, ["delete", "cluster", "--kubeconfig", os.devnull], environ)


def kwokctl(words: list[str], more: list[str], environ: Mapping[str, str]) -> None:
    """Run it. What it starts keeps its streams, so they are not ours."""
    nowhere = subprocess.DEVNULL
    subprocess.run([*words, *more], env=environ, stdout=nowhere, stderr=nowhere, check=True)


def admin_of(folder: Path) -> Api:
    """The API of a cluster that kwokctl keeps there."""
    known = yaml.safe_load((folder / "kubeconfig.yaml").read_text())
    pki = folder / "pki"
    credentials = Credentials(pki / "ca.crt", pki / "admin.crt", pki / "admin.key")
    return Api(known["clusters"][0]["cluster"]["server"], credentials)


def processes(running: control.Running) -> dict[str, list[psutil.Process]]:
    """By name; `account` is the daemon and the guard that ends its clusters after it."""
    daemon = psutil.Process(running.pid)
    found: dict[str, list[psutil.Process]] = {"account": [daemon]}
    for child in daemon.children():
        if "jarkkit.sandbox.guard" in child.cmdline():
            found["account"].append(child)
    for process in processes_of(str(running.home)):
        found.setdefault(process.name(), []).append(process)
    return found


def memory(running: control.Running) -> Figures:
    """Resident memory by name, in MB. Pages that processes share count for each."""
    return {
        name: sum(process.memory_info().rss for process in group) / MB
        for name, group in processes(running).items()
    }


def clusters_of(taken: Figures) -> float:
    """All but the account."""
    return sum(taken.values()) - taken["account"]


def cpu_seconds(running: control.Running) -> Figures:
    """CPU time by name."""
    return {
        name: sum(sum(process.cpu_times()[:2]) for process in group)
        for name, group in processes(running).items()
    }


def at_rest(running: control.Running) -> tuple[Figures, Figures]:
    """Memory in MB, and CPU in % of a core, when nothing is asked, after a rest."""
    time.sleep(REST_SECONDS)
    before, began = cpu_seconds(running), time.perf_counter()
    time.sleep(IDLE_SECONDS)
    after, seconds = cpu_seconds(running), time.perf_counter() - began
    shares = {name: (after[name] - before.get(name, 0.0)) / seconds * 100 for name in after}
    return memory(running), shares


def warm_up(running: control.Running) -> None:
    """Ask each service once: what the account imports at a first call is not the cluster's."""
    make_client(running, "ec2", REGION).describe_subnets()
    make_client(running, "iam", REGION).list_roles()
    make_client(running, "eks", REGION).list_clusters()


# -- work ----------------------------------------------------------------------------------------


def managed(made: World, name: str, size: int, instance_type: str = "m5.xlarge") -> None:
    """A managed node group whose nodes have joined."""
    iam, ec2, eks = (made.client(service) for service in ("iam", "ec2", "eks"))
    role = iam.create_role(RoleName=f"{name}-node", AssumeRolePolicyDocument="{}")
    eks.create_nodegroup(
        clusterName=NAME,
        nodegroupName=name,
        nodeRole=role["Role"]["Arn"],
        subnets=[subnet["SubnetId"] for subnet in ec2.describe_subnets()["Subnets"]],
        instanceTypes=[instance_type],
        scalingConfig={"minSize": 0, "maxSize": INSTANCES, "desiredSize": size},
    )

    def settled() -> dict[str, Any]:
        found = eks.describe_nodegroup(clusterName=NAME, nodegroupName=name)["nodegroup"]
        return found if found["status"] != "CREATING" else {}

    group = wait_for(settled, 300)
    assert group["status"] == "ACTIVE", group["health"]


def a_node(name: str) -> Object:
    """A Node without an instance."""
    size = {"cpu": "4", "memory": "16Gi", "pods": "58", "ephemeral-storage": "20Gi"}
    return {
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}},
        "status": {"capacity": size, "allocatable": size},
    }


def bare_nodes(api: Api, size: int) -> None:
    """As many Ready nodes without instances."""
    for index in range(size):
        api.create(NODES, a_node(f"bare-{index}"))
    wait_for(lambda: len(ready_nodes(api)) == size)


def ready_nodes(api: Api, **query: str) -> list[Object]:
    """Those that are Ready."""
    return [node for node in api.list(NODES, **query) if is_ready_node(node)]


def deployment(name: str, replicas: int) -> Object:
    """Pods that any node takes."""
    container = {"name": "it", "image": "none", "resources": {"requests": {"cpu": "10m"}}}
    return {
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [container]},
            },
        },
    }


def deployment_ready(api: Api, replicas: int = REPLICAS, seconds: float = 60) -> float:
    """Seconds from its creation until all its replicas are Ready."""
    name = f"bench-{secrets.token_hex(3)}"
    path = "/apis/apps/v1/namespaces/default/deployments"
    began = time.perf_counter()
    api.create(path, deployment(name, replicas))
    wait_for(
        lambda: api.get(f"{path}/{name}")["status"].get("readyReplicas", 0) == replicas, seconds
    )
    return time.perf_counter() - began


def gpu_seconds(made: World) -> float:
    """Seconds until a pod that wants a GPU runs, on a node that Karpenter launches for it."""
    name = f"gpu-{secrets.token_hex(3)}"
    made.api.create("/api/v1/namespaces", {"metadata": {"name": name}})
    wait_for(lambda: made.api.find(f"/api/v1/namespaces/{name}/serviceaccounts/default"))
    began = time.perf_counter()
    pod = gpu_pod(made, name)
    wait_for(lambda: made.api.get(pod)["status"]["phase"] == "Running", 120)
    seconds = time.perf_counter() - began
    made.api.delete(f"/api/v1/namespaces/{name}")
    wait_for(lambda: made.api.list("/apis/karpenter.sh/v1/nodeclaims") == [], 120)
    return seconds


def join_seconds(made: World) -> float:
    """Seconds until an instance more of the node group is a Ready node."""
    eks = made.client("eks")
    now = eks.describe_nodegroup(clusterName=NAME, nodegroupName="core")["nodegroup"]
    size = now["scalingConfig"]["desiredSize"] + 1
    ours = {"labelSelector": "eks.amazonaws.com/nodegroup=core"}
    began = time.perf_counter()
    eks.update_nodegroup_config(
        clusterName=NAME, nodegroupName="core", scalingConfig={"desiredSize": size}
    )
    wait_for(lambda: len(ready_nodes(made.api, **ours)) == size)
    return time.perf_counter() - began


def fill(made: World) -> float:
    """1,000 nodes: instances of a managed group, and Node objects; the seconds it took."""
    began = time.perf_counter()
    managed(made, "many", INSTANCES, "t3.medium")
    names = [f"large-{index}" for index in range(NODES_IN_ALL - len(made.api.list(NODES)))]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda name: made.api.create(NODES, a_node(name)), names))
    # Each look costs what is being measured, so there are few of them.
    while len(ready_nodes(made.api)) < NODES_IN_ALL and time.perf_counter() < began + FILL_SECONDS:
        time.sleep(2.0)
    return time.perf_counter() - began


def ten_thousand(api: Api) -> float:
    """A Deployment of as many pods as are missing from 10,000; the seconds until all are Ready."""
    there = len(api.list("/api/v1/pods"))
    return deployment_ready(api, PODS_IN_ALL - there, FILL_SECONDS)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
