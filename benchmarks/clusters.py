"""The cost of the sandbox's clusters in time, memory and idle CPU, small and large.

    python -m benchmarks.clusters [PART ...]

Prints a table of goals and figures. It reports and never fails: time depends on the machine.
Comparisons are measured in the same run: with a bare `kwokctl` cluster of the same programs, and
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
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import yaml

from benchmarks.run import CLEAN, show, timed
from jarkkit.decisions.stack import ResolvedStack
from jarkkit.sandbox import daemon_client
from jarkkit.sandbox.controllers.cluster import REQUIRED_PROGRAMS
from jarkkit.sandbox.controllers.objects import is_ready_node
from jarkkit.sandbox.kubernetes.api import Api, Object, admin_api
from jarkkit.sandbox.kubernetes.toolchain import Toolchain, user_cache
from jarkkit.sandbox.reaper import processes_of
from jarkkit.settings import Settings
from tests.support import karpenter
from tests.support.account import make_client
from tests.support.cluster_objects import NODES
from tests.support.clusters import (
    NAME,
    REGION,
    RehearsalCluster,
    create_cluster,
    identity_of,
    rehearsal_cluster,
)
from tests.support.karpenter import device_plugin, gpu_pod
from tests.support.poll import wait_for

ROUNDS = 3
REST_SECONDS, IDLE_SECONDS = 30.0, 30.0
REPLICAS = 20
# A workshop's quotas allow 128 instances of two vCPUs. The other nodes are Node objects without an
# instance, as `kwokctl scale node` creates them: the same to the control plane and to KWOK.
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
    """Measure all parts, or those on the command line."""
    benchmarks: dict[str, Callable[[], Figures]] = {
        "setup": benchmark_setup,
        "create": benchmark_creation,
        "one": benchmark_one_cluster,
        "addons": benchmark_addons,
        "large": benchmark_large,
    }
    measure({part: partial(print_figures, benchmarks[part]) for part in parts or benchmarks})
    return 0


def print_figures(part: Callable[[], Figures]) -> None:
    """Measure a part and print its figures."""
    show(part(), GOALS)


def measure(parts: Mapping[str, Callable[[], None]]) -> None:
    """Measure the parts; report those that time out."""
    print(f"{date.today()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} before")
    for name, part in parts.items():
        try:
            part()
        except AssertionError as error:  # a wait timed out
            print(f"{name}: not measured: {error}")
    print(f"load {os.getloadavg()[0]:.1f} after")


# -- parts -------------------------------------------------------------------------------------


def benchmark_setup() -> Figures:
    """Measure `jarkkit sandbox setup` when everything is built."""
    line = [str(Path(sys.executable).with_name("jarkkit")), "sandbox", "setup"]
    return {
        "set-up with a filled cache (s)": statistics.median(
            timed(line, CLEAN, Path.cwd()) for _ in range(ROUNDS)
        )
    }


def benchmark_creation() -> Figures:
    """Compare CreateCluster with a bare `kwokctl create cluster`; then a Deployment on both."""
    ours: list[float] = []
    bare: list[float] = []
    replicas: dict[str, list[float]] = {"ours": [], "bare": []}
    for _ in range(ROUNDS):
        with sandbox() as running:
            warm_up(running)
            began = time.perf_counter()
            described = create_cluster(running)
            ours.append(time.perf_counter() - began)
            cluster = rehearsal_cluster(running, identity_of(described))
            create_node_group(cluster, "core", 3)
            replicas["ours"].append(deployment_ready(cluster.api))
        with bare_cluster() as (api, seconds):
            bare.append(seconds)
            bare_nodes(api, 3)
            replicas["bare"].append(deployment_ready(api))
    created, kwokctl = statistics.median(ours), statistics.median(bare)
    jarkkit_seconds, kwokctl_seconds = (
        statistics.median(replicas["ours"]),
        statistics.median(replicas["bare"]),
    )
    return {
        "CreateCluster until ACTIVE (s)": created,
        "bare kwokctl create cluster until /readyz (s)": kwokctl,
        "CreateCluster / bare kwokctl": created / kwokctl,
        "20 replicas Ready (s)": jarkkit_seconds,
        "20 replicas Ready, EKS / bare kwokctl": jarkkit_seconds / kwokctl_seconds,
    }


def benchmark_one_cluster() -> Figures:
    """Measure an idle cluster, then a second one in the same sandbox."""
    with sandbox() as running:
        create_cluster(running)
        before, shares = measure_idle(running)
        began = time.perf_counter()
        create_cluster(running, "second")
        seconds = time.perf_counter() - began
        after = memory(running)
        return {
            "idle: cluster (MB)": without_account(before),
            "idle: account (MB)": before["account"],
            "idle: account and cluster (% of a core)": sum(shares.values()),
            "second cluster in the sandbox, until ACTIVE (s)": seconds,
            "second cluster: its processes (MB)": without_account(after) - without_account(before),
            "second cluster: growth of the account (MB)": after["account"] - before["account"],
        }


def benchmark_addons() -> Figures:
    """Measure the cost of jarkkit's default EKS add-ons on three nodes."""
    with new_cluster() as cluster:
        create_node_group(cluster, "core", 3)
        before = memory(cluster.running)
        began = time.perf_counter()
        eks = cluster.client("eks")
        names = list(ResolvedStack.from_settings(Settings(name="bench")).eks_addons)
        for name in names:
            eks.create_addon(clusterName=NAME, addonName=name)

        def active() -> bool:
            described = (eks.describe_addon(clusterName=NAME, addonName=n)["addon"] for n in names)
            return all(addon["status"] == "ACTIVE" for addon in described)

        wait_for(active, 120)
        seconds = time.perf_counter() - began
        after, shares = measure_idle(cluster.running)
        return {
            f"{len(names)} default add-ons until ACTIVE (s)": seconds,
            "default add-ons: cluster (MB)": without_account(after),
            "default add-ons: more than without (MB)": without_account(after)
            - without_account(before),
            "default add-ons: account and cluster (% of a core)": sum(shares.values()),
        }


def benchmark_large() -> Figures:
    """Measure GPU nodes of the real Karpenter with a few nodes, then with 1,000 and 10,000 pods."""
    with new_cluster() as cluster:
        create_node_group(cluster, "core", 3)
        karpenter.install(cluster)
        device_plugin(cluster)
        small = {"join": join_seconds(cluster), "gpu": gpu_seconds(cluster)}
        show({"GPU pod Running by Karpenter (s)": small["gpu"]}, GOALS)
        cpu = sum(cpu_seconds(cluster.running).values())
        nodes, pods = add_thousand_nodes(cluster), add_ten_thousand_pods(cluster.api)
        used = memory(cluster.running)
        show(
            {
                f"{INSTANCES} instances join, {NODES_IN_ALL} nodes Ready (s)": nodes,
                "10,000 pods Ready (s)": pods,
                "  CPU of all processes for both (s)": sum(cpu_seconds(cluster.running).values())
                - cpu,
                "1,000 nodes, 10,000 pods (MB)": sum(used.values()),
                **{f"  {name} (MB)": figure for name, figure in used.items()},
            },
            GOALS,
        )
        used_at_rest, shares = measure_idle(cluster.running)
        join, replicas, gpu = (
            join_seconds(cluster),
            deployment_ready(cluster.api),
            gpu_seconds(cluster),
        )
        return {
            "  at rest afterwards (MB)": sum(used_at_rest.values()),
            "  at rest afterwards (% of a core)": sum(shares.values()),
            **{f"    {name} (% of a core)": share for name, share in shares.items()},
            "  a node joins (s)": join,
            "  a node joins, 1,000 nodes / 3 nodes": join / small["join"],
            "  20 replicas more Ready (s)": replicas,
            "  a GPU pod Running (s)": gpu,
            "  a GPU pod Running, 1,000 nodes / 3 nodes": gpu / small["gpu"],
        }


# -- sandboxes and their resources ---------------------------------------------------------------


@contextlib.contextmanager
def sandbox() -> Iterator[daemon_client.RunningSandbox]:
    """Yield a separate sandbox at speed 0."""
    with tempfile.TemporaryDirectory(prefix="jarkkit-bench-") as folder:
        running = daemon_client.start(Path(folder))
        try:
            yield running
        finally:
            daemon_client.stop(Path(folder))


@contextlib.contextmanager
def new_cluster() -> Iterator[RehearsalCluster]:
    """Yield a cluster in a separate sandbox."""
    with sandbox() as running:
        yield rehearsal_cluster(running, identity_of(create_cluster(running)))


@contextlib.contextmanager
def bare_cluster() -> Iterator[tuple[Api, float]]:
    """Yield a cluster that kwokctl creates from the same programs, and the seconds it took."""
    programs = Toolchain(user_cache()).require(REQUIRED_PROGRAMS)
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
        args = [str(programs["kwokctl"]), "--name", "bare", "--config", str(file)]
        began = time.perf_counter()
        try:
            kwokctl(args, ["create", "cluster", "--kubeconfig", os.devnull], environ)
            api = bare_api(Path(folder) / "clusters" / "bare")
            wait_for(api.is_healthy, 60)
            yield api, time.perf_counter() - began
        finally:
            kwokctl(args, ["delete", "cluster", "--kubeconfig", os.devnull], environ)


def kwokctl(args: list[str], extra_args: list[str], environ: Mapping[str, str]) -> None:
    """Run kwokctl without our streams: the processes that it starts would keep them."""
    devnull = subprocess.DEVNULL
    subprocess.run([*args, *extra_args], env=environ, stdout=devnull, stderr=devnull, check=True)


def bare_api(folder: Path) -> Api:
    """Return the API of the kwokctl cluster in a folder."""
    kubeconfig = yaml.safe_load((folder / "kubeconfig.yaml").read_text())
    return admin_api(kubeconfig["clusters"][0]["cluster"]["server"], folder / "pki")


def processes(running: daemon_client.RunningSandbox) -> dict[str, list[psutil.Process]]:
    """Return the processes by name; `account` is the daemon with its reaper."""
    daemon = psutil.Process(running.pid)
    found: dict[str, list[psutil.Process]] = {"account": [daemon]}
    for child in daemon.children():
        if "jarkkit.sandbox.reaper" in child.cmdline():
            found["account"].append(child)
    for process in processes_of(str(running.home)):
        found.setdefault(process.name(), []).append(process)
    return found


def memory(running: daemon_client.RunningSandbox) -> Figures:
    """Return resident memory by name, in MB. Shared pages count for each process."""
    return {
        name: sum(process.memory_info().rss for process in group) / MB
        for name, group in processes(running).items()
    }


def without_account(used_at_rest: Figures) -> float:
    """Return the sum of all figures except the account's."""
    return sum(used_at_rest.values()) - used_at_rest["account"]


def cpu_seconds(running: daemon_client.RunningSandbox) -> Figures:
    """Return CPU time by name, in seconds."""
    return {
        name: sum(sum(process.cpu_times()[:2]) for process in group)
        for name, group in processes(running).items()
    }


def measure_idle(running: daemon_client.RunningSandbox) -> tuple[Figures, Figures]:
    """Return memory in MB and CPU in % of a core of an idle sandbox, after a pause."""
    time.sleep(REST_SECONDS)
    before, began = cpu_seconds(running), time.perf_counter()
    time.sleep(IDLE_SECONDS)
    after, seconds = cpu_seconds(running), time.perf_counter() - began
    shares = {name: (after[name] - before.get(name, 0.0)) / seconds * 100 for name in after}
    return memory(running), shares


def warm_up(running: daemon_client.RunningSandbox) -> None:
    """Call each service once: the imports of a first call are not a cost of the cluster."""
    make_client(running, "ec2", REGION).describe_subnets()
    make_client(running, "iam", REGION).list_roles()
    make_client(running, "eks", REGION).list_clusters()


# -- work ----------------------------------------------------------------------------------------


def create_node_group(
    cluster: RehearsalCluster, name: str, size: int, instance_type: str = "m5.xlarge"
) -> None:
    """Create a managed node group; wait until its nodes have joined."""
    iam, ec2, eks = (cluster.client(service) for service in ("iam", "ec2", "eks"))
    role = iam.create_role(RoleName=f"{name}-node", AssumeRolePolicyDocument="{}")
    eks.create_nodegroup(
        clusterName=NAME,
        nodegroupName=name,
        nodeRole=role["Role"]["Arn"],
        subnets=[subnet["SubnetId"] for subnet in ec2.describe_subnets()["Subnets"]],
        instanceTypes=[instance_type],
        scalingConfig={"minSize": 0, "maxSize": INSTANCES, "desiredSize": size},
    )

    def created_group() -> dict[str, Any]:
        found = eks.describe_nodegroup(clusterName=NAME, nodegroupName=name)["nodegroup"]
        return found if found["status"] != "CREATING" else {}

    group = wait_for(created_group, 300)
    assert group["status"] == "ACTIVE", group["health"]


def make_node(name: str) -> Object:
    """Return a Node without an instance."""
    size = {"cpu": "4", "memory": "16Gi", "pods": "58", "ephemeral-storage": "20Gi"}
    return {
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}},
        "status": {"capacity": size, "allocatable": size},
    }


def bare_nodes(api: Api, size: int) -> None:
    """Create nodes without instances; wait until they are Ready."""
    for index in range(size):
        api.create(NODES, make_node(f"bare-{index}"))
    wait_for(lambda: len(ready_nodes(api)) == size)


def add_nodes(api: Api, size: int) -> None:
    """Create Node objects up to a total number; wait until all are Ready."""
    names = [f"large-{index}" for index in range(size - len(api.list(NODES)))]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda name: api.create(NODES, make_node(name)), names))
    # Every check adds to what is measured, so there are few.
    wait_for(lambda: len(ready_nodes(api)) >= size, FILL_SECONDS, pause=2.0)


def ready_nodes(api: Api, **query: str) -> list[Object]:
    """Return the nodes that are Ready."""
    return [node for node in api.list(NODES, **query) if is_ready_node(node)]


def deployment(name: str, replicas: int) -> Object:
    """Return a Deployment whose pods fit on any node."""
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
    """Return the seconds from a Deployment's creation until all its replicas are Ready."""
    name = f"bench-{secrets.token_hex(3)}"
    path = "/apis/apps/v1/namespaces/default/deployments"
    began = time.perf_counter()
    api.create(path, deployment(name, replicas))
    wait_for(
        lambda: api.get(f"{path}/{name}")["status"].get("readyReplicas", 0) == replicas, seconds
    )
    return time.perf_counter() - began


def gpu_seconds(cluster: RehearsalCluster) -> float:
    """Return the seconds until a GPU pod runs on a node that Karpenter launches for it."""
    name = f"gpu-{secrets.token_hex(3)}"
    cluster.api.create("/api/v1/namespaces", {"metadata": {"name": name}})
    wait_for(lambda: cluster.api.find(f"/api/v1/namespaces/{name}/serviceaccounts/default"))
    began = time.perf_counter()
    pod = gpu_pod(cluster, name)
    wait_for(lambda: cluster.api.get(pod)["status"]["phase"] == "Running", 120)
    seconds = time.perf_counter() - began
    cluster.api.delete(f"/api/v1/namespaces/{name}")
    wait_for(lambda: cluster.api.list("/apis/karpenter.sh/v1/nodeclaims") == [], 120)
    return seconds


def join_seconds(cluster: RehearsalCluster) -> float:
    """Return the seconds until one more instance of the node group is a Ready node."""
    eks = cluster.client("eks")
    now = eks.describe_nodegroup(clusterName=NAME, nodegroupName="core")["nodegroup"]
    size = now["scalingConfig"]["desiredSize"] + 1
    ours = {"labelSelector": "eks.amazonaws.com/nodegroup=core"}
    began = time.perf_counter()
    eks.update_nodegroup_config(
        clusterName=NAME, nodegroupName="core", scalingConfig={"desiredSize": size}
    )
    wait_for(lambda: len(ready_nodes(cluster.api, **ours)) == size)
    return time.perf_counter() - began


def add_thousand_nodes(cluster: RehearsalCluster) -> float:
    """Add instances and Node objects up to 1,000 nodes; return the seconds it took."""
    began = time.perf_counter()
    create_node_group(cluster, "many", INSTANCES, "t3.medium")
    add_nodes(cluster.api, NODES_IN_ALL)
    return time.perf_counter() - began


def add_ten_thousand_pods(api: Api) -> float:
    """Add pods up to 10,000; return the seconds until all are Ready."""
    existing = len(api.list("/api/v1/pods"))
    return deployment_ready(api, PODS_IN_ALL - existing, FILL_SECONDS)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
