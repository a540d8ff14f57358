"""The cluster of the contract suite: one of JARKKIT_TEST_KUBECONFIG's, else a sandbox's.

What a test needs beyond bare nodes is a fixture: in the sandbox it is installed, elsewhere it is
looked up, and the test is skipped where it is missing.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kubernetes import config
from kubernetes.dynamic import DynamicClient

from tests.contract.cluster import (
    GPU,
    LABEL,
    USER_KUBECONFIG,
    Cluster,
    NamespaceFactory,
    Object,
    ScratchNamespace,
)
from tests.contract.manifests import TOLERATE_ALL, container, deployment, template
from tests.support import karpenter
from tests.support.cluster_objects import create_node_group, node_group_status
from tests.support.clusters import NAME, RehearsalCluster, sandbox_with_cluster
from tests.support.karpenter import device_plugin
from tests.support.poll import wait_for

CONTROLLER = {"app.kubernetes.io/name": "aws-load-balancer-controller"}


@pytest.fixture(scope="package")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """The cluster with at least one node."""
    cache = tmp_path_factory.mktemp("kubectl")
    if USER_KUBECONFIG:
        yield from _open_cluster(Path(USER_KUBECONFIG).expanduser(), cache, None)
        return
    with sandbox_with_cluster() as sandbox_cluster:
        _create_node_group(sandbox_cluster, "contract", 2)
        yield from _open_cluster(sandbox_cluster.kubeconfig, cache, sandbox_cluster)


def _open_cluster(
    kubeconfig: Path, cache: Path, sandbox: RehearsalCluster | None
) -> Iterator[Cluster]:
    with config.new_client_from_config(config_file=str(kubeconfig)) as api:
        dynamic = DynamicClient(api, cache_file=str(cache / "discovery.json"))
        yield Cluster(kubeconfig, api, dynamic, cache, sandbox)


def _create_node_group(
    sandbox_cluster: RehearsalCluster, name: str, size: int, **more: Any
) -> None:
    create_node_group(sandbox_cluster, name, size, **more)
    wait_for(lambda: node_group_status(sandbox_cluster, name) == "ACTIVE", 60)


@pytest.fixture(scope="package")
def new_namespace(cluster: Cluster) -> Iterator[NamespaceFactory]:
    """Create namespaces; at the end they and the volumes of their claims must be gone."""
    made: list[ScratchNamespace] = []

    def make(**labels: str) -> ScratchNamespace:
        name = f"contract-{secrets.token_hex(4)}"
        made.append(ScratchNamespace(cluster, name))
        meta = {"name": name, "labels": {LABEL: "", **labels}}
        cluster.kind("Namespace").create({"metadata": meta})
        # No pod is admitted without the service account.
        wait_for(lambda: cluster.find("ServiceAccount", "default", namespace=name))
        return made[-1]

    yield make
    for namespace in made:
        namespace.delete_all()
    names = [namespace.name for namespace in made]
    with contextlib.suppress(AssertionError):
        wait_for(lambda: not left_behind(cluster, names))
    assert left_behind(cluster, names) == []


def left_behind(cluster: Cluster, namespaces: list[str]) -> list[str]:
    """Return which of these namespaces and of their volumes still exist, and their status."""
    remaining = [n for n in cluster.all("Namespace") if n["metadata"]["name"] in namespaces]
    volumes = [
        volume
        for volume in cluster.all("PersistentVolume")
        if volume["spec"].get("claimRef", {}).get("namespace") in namespaces
    ]
    return [f"{found['metadata']['name']}: {found['status']}" for found in (*remaining, *volumes)]


@pytest.fixture
def namespace(new_namespace: NamespaceFactory) -> Iterator[ScratchNamespace]:
    """The test's own namespace."""
    made = new_namespace()
    try:
        yield made
    finally:
        made.delete_all()


# -- components that not every cluster has ---------------------------------------------------------


@pytest.fixture(scope="package")
def sandbox_cluster(cluster: Cluster) -> RehearsalCluster:
    """The sandbox's cluster, whose account the test may change."""
    if cluster.sandbox is None:
        pytest.skip("changes the account: IAM roles, access entries")
    return cluster.sandbox


@pytest.fixture(scope="package")
def tainted_node(cluster: Cluster) -> Object:
    """A node with a NoSchedule taint."""
    if cluster.sandbox:
        taint = {"key": "reserved", "value": "true", "effect": "NO_SCHEDULE"}
        _create_node_group(cluster.sandbox, "reserved", 1, taints=[taint])
    for node in cluster.all("Node"):
        if any(taint["effect"] == "NoSchedule" for taint in node["spec"].get("taints") or ()):
            return node
    pytest.skip("no node has a taint")


@pytest.fixture(scope="package")
def ebs_driver(cluster: Cluster) -> None:
    """The CSI driver for EBS volumes."""
    if cluster.sandbox:
        _install_addon(cluster.sandbox, "aws-ebs-csi-driver")
    if not cluster.find("CSIDriver", "ebs.csi.aws.com", "storage.k8s.io/v1"):
        pytest.skip("no driver ebs.csi.aws.com")


@pytest.fixture(scope="package")
def metrics_server(cluster: Cluster) -> None:
    """An add-on that serves metrics.k8s.io."""
    if cluster.sandbox:
        _install_addon(cluster.sandbox, "metrics-server")
    api = cluster.find("APIService", "v1beta1.metrics.k8s.io", "apiregistration.k8s.io/v1")
    if not api:
        pytest.skip("no metrics.k8s.io")


def _install_addon(sandbox_cluster: RehearsalCluster, name: str) -> None:
    eks = sandbox_cluster.client("eks")
    eks.create_addon(clusterName=NAME, addonName=name)
    described = lambda: eks.describe_addon(clusterName=NAME, addonName=name)["addon"]  # noqa: E731
    wait_for(lambda: described()["status"] == "ACTIVE", 60)


@pytest.fixture(scope="package")
def load_balancer_controller(cluster: Cluster) -> None:
    """AWS Load Balancer Controller."""
    name = "aws-load-balancer-controller"
    if cluster.sandbox:
        # The sandbox simulates the controller as long as such a pod is Ready.
        simulated = deployment(name, of=template(name, container(), tolerations=TOLERATE_ALL))
        simulated["spec"]["selector"]["matchLabels"] |= CONTROLLER
        simulated["spec"]["template"]["metadata"]["labels"] |= CONTROLLER
        cluster.kind("Deployment", "apps/v1").create(simulated, namespace="kube-system")
        cluster.kubectl("rollout", "status", "-n", "kube-system", f"deploy/{name}", "--timeout=60s")
    selector = ",".join(f"{key}={value}" for key, value in CONTROLLER.items())
    if not cluster.all("Pod", label_selector=selector):
        pytest.skip("no AWS Load Balancer Controller")


@pytest.fixture(scope="package")
def gpu_pool(cluster: Cluster) -> None:
    """Karpenter with a node pool whose nodes have the GPU's taint."""
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
