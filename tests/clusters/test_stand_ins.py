"""Stand-ins in a real cluster: Helm installs them, and what the sandbox has behind them acts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import helm_python
import pytest
import yaml

from jarkkit.addons.catalogue import Addon, catalogue
from jarkkit.sandbox import stand_ins
from jarkkit.sandbox.cluster.api import ApiError, Object
from jarkkit.sandbox.cluster.toolchain import Toolchain, user_cache
from tests.clusters.conftest import NAME, World, fresh_world, wait_for
from tests.clusters.test_nodes import node_group, nodes_of, status
from tests.clusters.test_operators import ray_job, workflow
from tests.sandbox.test_stand_ins import addon

ADDONS = [
    catalogue()[name]
    for name in (
        "aws-load-balancer-controller",
        "nvidia-device-plugin",
        "kuberay-operator",
        "argo-workflows",
        "kube-prometheus-stack",
    )
]


def install(world: World, thing: Addon, folder: Path, values: Object | None = None) -> None:
    """By Helm, which waits for nothing."""
    assert thing.chart is not None
    known, data = stand_ins.archive_of(thing, thing.chart, Toolchain(user_cache()))
    (folder / known.archive).write_bytes(data)
    config = helm_python.Config(kubeconfig_path=str(world.kubeconfig), namespace=thing.namespace)
    config.install(
        str(folder / known.archive),
        thing.chart.release,
        values or {"not": {"known": [1]}},
        namespace=thing.namespace,
        create_namespace=True,
        timeout=60,
    )


def gpu_group(world: World) -> None:
    """A managed group with one GPU node, as the plugin's pods want it."""
    eks = world.client("eks")
    like = eks.describe_nodegroup(clusterName=NAME, nodegroupName="stand-ins")["nodegroup"]
    eks.create_nodegroup(
        clusterName=NAME,
        nodegroupName="gpus",
        nodeRole=like["nodeRole"],
        subnets=like["subnets"],
        instanceTypes=["g5.xlarge"],
        amiType="AL2023_x86_64_NVIDIA",
        labels={"accelerator": "nvidia"},
        taints=[{"key": "nvidia.com/gpu", "value": "true", "effect": "NO_SCHEDULE"}],
        scalingConfig={"minSize": 0, "maxSize": 1, "desiredSize": 1},
    )


def is_up(world: World, thing: Addon) -> bool:
    """True when everything that the chart brings is ready."""
    for workload in (w for w in thing.workloads if w.by == "chart"):
        kind = f"{workload.kind.lower()}s"
        path = f"/apis/apps/v1/namespaces/{thing.namespace}/{kind}/{workload.name}"
        found = world.api.get(path).get("status", {})
        wanted = found.get("desiredNumberScheduled", workload.replicas)
        ready = found.get("readyReplicas", found.get("numberReady", 0))
        if not found.get("observedGeneration") or ready != wanted:
            return False
    return True


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    """One of its own: it installs what other tests install in theirs."""
    with fresh_world() as made:
        yield made


@pytest.fixture(scope="module")
def installed(world: World, tmp_path_factory: pytest.TempPathFactory) -> None:
    """All of them, ready."""
    node_group(world, "stand-ins", 2)
    gpu_group(world)
    wait_for(lambda: status(world, "gpus") == "ACTIVE", 120)
    for thing in ADDONS:
        install(world, thing, tmp_path_factory.mktemp("charts"))
    for thing in ADDONS:
        wait_for(lambda thing=thing: is_up(world, thing), 120)


@pytest.mark.usefixtures("installed")
class TestWhatIsBehindThem:
    def test_the_load_balancer_controller_acts(self, world: World, namespace: str) -> None:
        path = f"/api/v1/namespaces/{namespace}/services"
        spec = {
            "type": "LoadBalancer",
            "loadBalancerClass": "service.k8s.aws/nlb",
            "ports": [{"port": 80}],
        }
        world.api.create(path, {"metadata": {"name": "web"}, "spec": spec})
        wait_for(lambda: world.api.get(f"{path}/web")["status"]["loadBalancer"].get("ingress"))
        world.api.delete(f"{path}/web")
        wait_for(lambda: not world.api.find(f"{path}/web"))
        (found,) = world.api.list("/apis/networking.k8s.io/v1/ingressclasses")
        assert found["spec"]["controller"] == "ingress.k8s.aws/alb"

    def test_gpus_are_announced(self, world: World) -> None:
        (node,) = nodes_of(world, "gpus")
        path = f"/api/v1/nodes/{node['metadata']['name']}"
        wait_for(lambda: world.api.get(path)["status"]["allocatable"].get("nvidia.com/gpu") == "1")

    def test_a_workflow_runs(self, world: World, namespace: str) -> None:
        thing = workflow(namespace)
        world.api.apply(thing)
        path = world.api.path_of(thing)
        wait_for(lambda: world.api.get(path).get("status", {}).get("finishedAt"), 120)
        assert world.api.get(path)["status"]["phase"] == "Succeeded"

    def test_a_ray_job_runs(self, world: World, namespace: str) -> None:
        thing = ray_job(namespace, {})
        world.api.apply(thing)
        path = world.api.path_of(thing)

        def state() -> Any:
            return world.api.get(path).get("status", {}).get("jobDeploymentStatus")

        wait_for(lambda: state() in ("Complete", "Failed"), 180)
        assert state() == "Complete"

    def test_real_definitions_refuse_what_is_wrong(self, world: World, namespace: str) -> None:
        thing = ray_job(namespace, {})
        thing["spec"]["shutdownAfterJobFinishes"] = "maybe"
        with pytest.raises(ApiError, match="shutdownAfterJobFinishes"):
            world.api.apply(thing)

    def test_a_service_of_what_an_operator_makes(self, world: World) -> None:
        selector = "kubernetes.io/service-name=kube-prometheus-stack-prometheus"
        path = "/apis/discovery.k8s.io/v1/namespaces/monitoring/endpointslices"
        slices = lambda: world.api.list(path, labelSelector=selector)  # noqa: E731
        wait_for(lambda: any(each.get("endpoints") for each in slices()))

    def test_they_can_be_changed_and_go(self, world: World, tmp_path: Path) -> None:
        thing = addon("short", namespace="short", workloads=[workload_of("a")])
        install(world, thing, tmp_path)
        wait_for(lambda: is_up(world, thing))
        config = helm_python.Config(kubeconfig_path=str(world.kubeconfig), namespace="short")
        after = addon("short", namespace="short", workloads=[workload_of("b")])
        assert after.chart is not None
        known, data = stand_ins.archive_of(after, after.chart, Toolchain(user_cache()))
        (tmp_path / known.archive).write_bytes(data)
        config.upgrade(str(tmp_path / known.archive), "short", {"n": 2}, timeout=60)
        wait_for(lambda: is_up(world, after))
        path = "/apis/apps/v1/namespaces/short/deployments"
        assert [each["metadata"]["name"] for each in world.api.list(path)] == ["b"]
        config.uninstall("short", timeout=60)
        assert world.api.list(path) == []


def workload_of(name: str) -> Object:
    """A Deployment of one."""
    return {"kind": "Deployment", "name": name, "replicas": 1}


def test_its_users_are_told_where_they_are(world: World) -> None:
    folder = Path(world.running.env["JARKKIT_STAND_IN_CHARTS"])
    found = {stand_in.addon: stand_in for stand_in in stand_ins.describe(folder)}
    assert found.keys() == {name for name, thing in catalogue().items() if thing.chart}
    assert all((folder / stand_in.archive).is_file() for stand_in in found.values())
    assert found["karpenter"].real
    assert not world.running.env["JARKKIT_SANDBOX_ACCOUNT_ONLY"]


def test_what_helm_would_show_says_what_it_is() -> None:
    thing = ADDONS[0]
    assert thing.chart is not None
    _, data = stand_ins.archive_of(thing, thing.chart, Toolchain(user_cache()))
    chart = helm_python.Chart.load_archive(data)
    assert "Stand-in" in yaml.safe_dump(chart.metadata)
