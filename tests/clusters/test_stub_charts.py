"""Stub charts in a real cluster: Helm installs them, and the simulated controllers react."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import helm_python
import pytest
import yaml

from jarkkit.catalog.addons import Addon, addon_catalog
from jarkkit.sandbox import stub_charts
from jarkkit.sandbox.kubernetes.api import ApiError, Object
from jarkkit.sandbox.kubernetes.toolchain import Toolchain, user_cache
from tests.support.cluster_objects import create_node_group, node_group_status, nodes_in_group
from tests.support.clusters import NAME, RehearsalCluster, sandbox_with_cluster
from tests.support.operators import ray_job, workflow
from tests.support.poll import wait_for
from tests.support.sample_addons import sample_addon

ADDONS = [
    addon_catalog()[name]
    for name in (
        "aws-load-balancer-controller",
        "nvidia-device-plugin",
        "kuberay-operator",
        "argo-workflows",
        "kube-prometheus-stack",
    )
]


def install(
    cluster: RehearsalCluster, addon: Addon, folder: Path, values: Object | None = None
) -> None:
    """Install an add-on's stub chart with Helm, which does not wait."""
    assert addon.chart is not None
    stub, data = stub_charts.build_archive(addon, addon.chart, Toolchain(user_cache()))
    (folder / stub.archive).write_bytes(data)
    config = helm_python.Config(kubeconfig_path=str(cluster.kubeconfig), namespace=addon.namespace)
    config.install(
        str(folder / stub.archive),
        addon.chart.release,
        values or {"not": {"known": [1]}},
        namespace=addon.namespace,
        create_namespace=True,
        timeout=60,
    )


def create_gpu_group(cluster: RehearsalCluster) -> None:
    """Create a managed group with one GPU node that matches the plugin's pods."""
    eks = cluster.client("eks")
    core_group = eks.describe_nodegroup(clusterName=NAME, nodegroupName="stub-charts")["nodegroup"]
    eks.create_nodegroup(
        clusterName=NAME,
        nodegroupName="gpus",
        nodeRole=core_group["nodeRole"],
        subnets=core_group["subnets"],
        instanceTypes=["g5.xlarge"],
        amiType="AL2023_x86_64_NVIDIA",
        labels={"accelerator": "nvidia"},
        taints=[{"key": "nvidia.com/gpu", "value": "true", "effect": "NO_SCHEDULE"}],
        scalingConfig={"minSize": 0, "maxSize": 1, "desiredSize": 1},
    )


def is_ready(cluster: RehearsalCluster, addon: Addon) -> bool:
    """Return whether all workloads of the chart are ready."""
    for workload in (w for w in addon.workloads if w.by == "chart"):
        kind = f"{workload.kind.lower()}s"
        path = f"/apis/apps/v1/namespaces/{addon.namespace}/{kind}/{workload.name}"
        status = cluster.api.get(path).get("status", {})
        wanted = status.get("desiredNumberScheduled", workload.replicas)
        ready = status.get("readyReplicas", status.get("numberReady", 0))
        if not status.get("observedGeneration") or ready != wanted:
            return False
    return True


@pytest.fixture(scope="module")
def cluster() -> Iterator[RehearsalCluster]:
    """A separate cluster: other tests install the same add-ons in the shared one."""
    with sandbox_with_cluster() as made:
        yield made


@pytest.fixture(scope="module")
def installed(cluster: RehearsalCluster, tmp_path_factory: pytest.TempPathFactory) -> None:
    """All add-ons, installed and ready."""
    create_node_group(cluster, "stub-charts", 2)
    create_gpu_group(cluster)
    wait_for(lambda: node_group_status(cluster, "gpus") == "ACTIVE", 120)
    for addon in ADDONS:
        install(cluster, addon, tmp_path_factory.mktemp("charts"))
    for addon in ADDONS:
        wait_for(partial(is_ready, cluster, addon), 120)


@pytest.mark.usefixtures("installed")
class TestSimulatedControllers:
    def test_the_load_balancer_controller_creates_a_load_balancer(
        self, cluster: RehearsalCluster, namespace: str
    ) -> None:
        path = f"/api/v1/namespaces/{namespace}/services"
        spec = {
            "type": "LoadBalancer",
            "loadBalancerClass": "service.k8s.aws/nlb",
            "ports": [{"port": 80}],
        }
        cluster.api.create(path, {"metadata": {"name": "web"}, "spec": spec})
        wait_for(lambda: cluster.api.get(f"{path}/web")["status"]["loadBalancer"].get("ingress"))
        cluster.api.delete(f"{path}/web")
        wait_for(lambda: not cluster.api.find(f"{path}/web"))
        (found,) = cluster.api.list("/apis/networking.k8s.io/v1/ingressclasses")
        assert found["spec"]["controller"] == "ingress.k8s.aws/alb"

    def test_the_device_plugin_advertises_gpus(self, cluster: RehearsalCluster) -> None:
        (node,) = nodes_in_group(cluster, "gpus")
        path = f"/api/v1/nodes/{node['metadata']['name']}"
        wait_for(
            lambda: cluster.api.get(path)["status"]["allocatable"].get("nvidia.com/gpu") == "1"
        )

    def test_a_workflow_succeeds(self, cluster: RehearsalCluster, namespace: str) -> None:
        addon = workflow(namespace)
        cluster.api.apply(addon)
        path = cluster.api.path_of(addon)
        wait_for(lambda: cluster.api.get(path).get("status", {}).get("finishedAt"), 120)
        assert cluster.api.get(path)["status"]["phase"] == "Succeeded"

    def test_a_ray_job_completes(self, cluster: RehearsalCluster, namespace: str) -> None:
        addon = ray_job(namespace, {})
        cluster.api.apply(addon)
        path = cluster.api.path_of(addon)

        def state() -> Any:
            return cluster.api.get(path).get("status", {}).get("jobDeploymentStatus")

        wait_for(lambda: state() in ("Complete", "Failed"), 180)
        assert state() == "Complete"

    def test_a_real_crd_rejects_an_invalid_field(
        self, cluster: RehearsalCluster, namespace: str
    ) -> None:
        addon = ray_job(namespace, {})
        addon["spec"]["shutdownAfterJobFinishes"] = "maybe"
        with pytest.raises(ApiError, match="shutdownAfterJobFinishes"):
            cluster.api.apply(addon)

    def test_a_service_finds_the_pods_that_an_operator_creates(
        self, cluster: RehearsalCluster
    ) -> None:
        selector = "kubernetes.io/service-name=kube-prometheus-stack-prometheus"
        path = "/apis/discovery.k8s.io/v1/namespaces/monitoring/endpointslices"
        slices = lambda: cluster.api.list(path, labelSelector=selector)  # noqa: E731
        wait_for(lambda: any(each.get("endpoints") for each in slices()))

    def test_a_stub_chart_can_be_upgraded_and_uninstalled(
        self, cluster: RehearsalCluster, tmp_path: Path
    ) -> None:
        addon = sample_addon("short", namespace="short", workloads=[deployment_of_one("a")])
        install(cluster, addon, tmp_path)
        wait_for(lambda: is_ready(cluster, addon))
        config = helm_python.Config(kubeconfig_path=str(cluster.kubeconfig), namespace="short")
        changed_addon = sample_addon("short", namespace="short", workloads=[deployment_of_one("b")])
        assert changed_addon.chart is not None
        stub, data = stub_charts.build_archive(
            changed_addon, changed_addon.chart, Toolchain(user_cache())
        )
        (tmp_path / stub.archive).write_bytes(data)
        config.upgrade(str(tmp_path / stub.archive), "short", {"n": 2}, timeout=60)
        wait_for(lambda: is_ready(cluster, changed_addon))
        path = "/apis/apps/v1/namespaces/short/deployments"
        assert [each["metadata"]["name"] for each in cluster.api.list(path)] == ["b"]
        config.uninstall("short", timeout=60)
        assert cluster.api.list(path) == []


def deployment_of_one(name: str) -> Object:
    """Return a Deployment with one replica."""
    return {"kind": "Deployment", "name": name, "replicas": 1}


def test_the_environment_names_the_folder_of_the_stub_charts(cluster: RehearsalCluster) -> None:
    folder = Path(cluster.running.env["JARKKIT_STUB_CHARTS"])
    found = {stub.addon: stub for stub in stub_charts.describe(folder)}
    assert found.keys() == {name for name, addon in addon_catalog().items() if addon.chart}
    assert all((folder / stub.archive).is_file() for stub in found.values())
    assert found["karpenter"].real
    assert not cluster.running.env["JARKKIT_SANDBOX_ACCOUNT_ONLY"]


def test_the_metadata_of_a_stub_chart_identifies_it() -> None:
    addon = ADDONS[0]
    assert addon.chart is not None
    _, data = stub_charts.build_archive(addon, addon.chart, Toolchain(user_cache()))
    chart = helm_python.Chart.load_archive(data)
    assert "Stub chart" in yaml.safe_dump(chart.metadata)
