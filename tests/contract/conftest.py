"""The cluster of the contract suite: one of JARKKIT_TEST_KUBECONFIG's, else a sandbox's.

What a test needs beyond bare nodes is a fixture: in the sandbox it is installed, elsewhere it is
looked for, and the test skipped where it is missing.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from kubernetes import config
from kubernetes.dynamic import DynamicClient

from tests.clusters import karpenter
from tests.clusters.conftest import NAME, World, fresh_world, wait_for
from tests.clusters.test_karpenter import device_plugin
from tests.clusters.test_nodes import node_group, status
from tests.contract.cluster import FOREIGN, LABEL, Cluster, Object, Space, until
from tests.contract.manifests import EVERYTHING, container, deployment, template

CONTROLLER = {"app.kubernetes.io/name": "aws-load-balancer-controller"}
GPU = "nvidia.com/gpu"
Spaces = Callable[..., Space]


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """The cluster with at least one node."""
    cache = tmp_path_factory.mktemp("kubectl")
    if FOREIGN:
        yield from _cluster(Path(FOREIGN).expanduser(), cache, None)
        return
    with fresh_world() as world:
        _group(world, "contract", 2)
        yield from _cluster(world.kubeconfig, cache, world)


def _cluster(kubeconfig: Path, cache: Path, sandbox: World | None) -> Iterator[Cluster]:
    with config.new_client_from_config(config_file=str(kubeconfig)) as api:
        dynamic = DynamicClient(api, cache_file=str(cache / "discovery.json"))
        yield Cluster(kubeconfig, api, dynamic, cache, sandbox)


def _group(world: World, name: str, size: int, **more: Any) -> None:
    node_group(world, name, size, **more)
    wait_for(lambda: status(world, name) == "ACTIVE", 60)


@pytest.fixture(scope="session")
def spaces(cluster: Cluster) -> Iterator[Spaces]:
    """Makes namespaces; at the end all of them, and the volumes of their claims, must be gone."""
    made: list[Space] = []

    def make(**labels: str) -> Space:
        name = f"contract-{secrets.token_hex(4)}"
        made.append(Space(cluster, name))
        meta = {"name": name, "labels": {LABEL: "", **labels}}
        cluster.kind("Namespace").create({"metadata": meta})
        # Without it no pod is admitted.
        until(lambda: cluster.find("ServiceAccount", "default", namespace=name))
        return made[-1]

    yield make
    for space in made:
        space.tidy()
    names = [space.name for space in made]
    with contextlib.suppress(AssertionError):
        until(lambda: not left_behind(cluster, names))
    assert left_behind(cluster, names) == []


def left_behind(cluster: Cluster, namespaces: list[str]) -> list[str]:
    """What there still is of these namespaces and of volumes for them, and why."""
    there = [n for n in cluster.all("Namespace") if n["metadata"]["name"] in namespaces]
    volumes = [
        volume
        for volume in cluster.all("PersistentVolume")
        if volume["spec"].get("claimRef", {}).get("namespace") in namespaces
    ]
    return [f"{thing['metadata']['name']}: {thing['status']}" for thing in (*there, *volumes)]


@pytest.fixture
def space(spaces: Spaces) -> Iterator[Space]:
    """A namespace of the test's own."""
    made = spaces()
    try:
        yield made
    finally:
        made.tidy()


# -- what not every cluster has --------------------------------------------------------------------


@pytest.fixture(scope="session")
def world(cluster: Cluster) -> World:
    """The account around the cluster, to be changed as one likes."""
    if cluster.sandbox is None:
        pytest.skip("changes the account: IAM roles, access entries")
    return cluster.sandbox


@pytest.fixture(scope="session")
def tainted_node(cluster: Cluster) -> Object:
    """A node that not every pod tolerates."""
    if cluster.sandbox:
        taint = {"key": "reserved", "value": "true", "effect": "NO_SCHEDULE"}
        _group(cluster.sandbox, "reserved", 1, taints=[taint])
    for node in cluster.all("Node"):
        if any(taint["effect"] == "NoSchedule" for taint in node["spec"].get("taints") or ()):
            return node
    pytest.skip("no node has a taint")


@pytest.fixture(scope="session")
def ebs_driver(cluster: Cluster) -> None:
    """Amazon's driver for EBS volumes."""
    if cluster.sandbox:
        _addon(cluster.sandbox, "aws-ebs-csi-driver")
    if not cluster.find("CSIDriver", "ebs.csi.aws.com", "storage.k8s.io/v1"):
        pytest.skip("no driver ebs.csi.aws.com")


@pytest.fixture(scope="session")
def metrics_server(cluster: Cluster) -> None:
    """Something that serves metrics.k8s.io."""
    if cluster.sandbox:
        _addon(cluster.sandbox, "metrics-server")
    api = cluster.find("APIService", "v1beta1.metrics.k8s.io", "apiregistration.k8s.io/v1")
    if not api:
        pytest.skip("no metrics.k8s.io")


def _addon(world: World, name: str) -> None:
    eks = world.client("eks")
    eks.create_addon(clusterName=NAME, addonName=name)
    described = lambda: eks.describe_addon(clusterName=NAME, addonName=name)["addon"]  # noqa: E731
    wait_for(lambda: described()["status"] == "ACTIVE", 60)


@pytest.fixture(scope="session")
def load_balancer_controller(cluster: Cluster) -> None:
    """AWS Load Balancer Controller."""
    name = "aws-load-balancer-controller"
    if cluster.sandbox:
        # The sandbox does its work as long as such a pod is Ready.
        played = deployment(name, of=template(name, container(), tolerations=EVERYTHING))
        played["spec"]["selector"]["matchLabels"] |= CONTROLLER
        played["spec"]["template"]["metadata"]["labels"] |= CONTROLLER
        cluster.kind("Deployment", "apps/v1").create(played, namespace="kube-system")
        cluster.kubectl("rollout", "status", "-n", "kube-system", f"deploy/{name}", "--timeout=60s")
    selector = ",".join(f"{key}={value}" for key, value in CONTROLLER.items())
    if not cluster.all("Pod", label_selector=selector):
        pytest.skip("no AWS Load Balancer Controller")


@pytest.fixture(scope="session")
def gpu_pool(cluster: Cluster) -> None:
    """Karpenter with a pool whose nodes only take pods that tolerate the GPU's taint."""
    if cluster.sandbox:
        karpenter.install(cluster.sandbox)
        device_plugin(cluster.sandbox)
    definition = "nodepools.karpenter.sh"
    if not cluster.find("CustomResourceDefinition", definition, "apiextensions.k8s.io/v1"):
        pytest.skip("no Karpenter")
    pools = cluster.all("NodePool", "karpenter.sh/v1")
    taints = [t["key"] for p in pools for t in p["spec"]["template"]["spec"].get("taints") or ()]
    if GPU not in taints:
        pytest.skip(f"no pool of Karpenter has the taint {GPU}")
