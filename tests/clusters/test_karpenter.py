"""The real Karpenter, as a process: GPU nodes come and go; quotas refuse them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from jarkkit.cluster.pod_inquiry import inquire_pod
from jarkkit.sandbox import control
from tests.clusters import karpenter
from tests.clusters.conftest import World, fresh_world, wait_for
from tests.clusters.doors import kube_of
from tests.clusters.test_nodes import node_group, status

PLUGIN = "nvcr.io/nvidia/k8s-device-plugin:v0.18.0"


@pytest.fixture(scope="module")
def pools(world: World) -> Iterator[None]:
    """Karpenter and its pools, on two nodes of a managed group."""
    node_group(world, "for-karpenter", 2)
    wait_for(lambda: status(world, "for-karpenter") == "ACTIVE", 120)
    karpenter.install(world)
    device_plugin(world)
    yield
    for pool in ("cpu", "gpu"):
        world.api.delete(f"/apis/karpenter.sh/v1/nodepools/{pool}")
    wait_for(lambda: world.api.list("/apis/karpenter.sh/v1/nodeclaims") == [], 120)


def device_plugin(world: World) -> None:
    """A DaemonSet like NVIDIA's."""
    labels = {"app": "nvidia-device-plugin"}
    container = {"name": "nvidia-device-plugin-ctr", "image": PLUGIN}
    spec = {
        "containers": [container],
        "tolerations": [{"operator": "Exists"}],
        "nodeSelector": {"karpenter.k8s.aws/instance-gpu-manufacturer": "nvidia"},
    }
    world.api.apply(
        {
            "apiVersion": "apps/v1",
            "kind": "DaemonSet",
            "metadata": {"name": "nvidia-device-plugin", "namespace": "kube-system"},
            "spec": {
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": spec},
            },
        }
    )


def gpu_pod(world: World, namespace: str) -> str:
    """A pod that asks for a GPU; its path."""
    resources = {"requests": {"cpu": "1"}, "limits": {"nvidia.com/gpu": "1"}}
    container = {"name": "cuda", "image": "cuda", "resources": resources}
    toleration = {"key": "nvidia.com/gpu", "operator": "Exists"}
    spec = {"containers": [container], "tolerations": [toleration]}
    path = f"/api/v1/namespaces/{namespace}/pods"
    world.api.create(path, {"metadata": {"name": "gpu"}, "spec": spec})
    return f"{path}/gpu"


def claims(world: World) -> list[dict[str, Any]]:
    """Karpenter's NodeClaims."""
    return world.api.list("/apis/karpenter.sh/v1/nodeclaims")


@pytest.mark.usefixtures("pools")
def test_a_gpu_pod_gets_a_node_that_goes_with_it(world: World, namespace: str) -> None:
    pod = gpu_pod(world, namespace)
    wait_for(lambda: world.api.get(pod)["status"]["phase"] == "Running", 120)
    node = world.api.get(f"/api/v1/nodes/{world.api.get(pod)['spec']['nodeName']}")
    assert node["metadata"]["labels"]["karpenter.sh/nodepool"] == "gpu"
    assert node["status"]["capacity"]["nvidia.com/gpu"] == "1"
    instance_id = node["spec"]["providerID"].rsplit("/", 1)[-1]
    world.api.delete(pod)
    ec2 = world.client("ec2")
    described = lambda: ec2.describe_instances(InstanceIds=[instance_id])["Reservations"][0]  # noqa: E731
    wait_for(lambda: described()["Instances"][0]["State"]["Name"] == "terminated", 180)
    wait_for(lambda: claims(world) == [])


@pytest.mark.usefixtures("pools")
def test_no_capacity_is_told(world: World, namespace: str) -> None:
    control.set_faults(world.running.home, ["insufficient-capacity:g5,g6"])
    try:
        pod = gpu_pod(world, namespace)
        wait_for(lambda: said(world, "InsufficientCapacityError"), 120)
        assert world.api.get(pod)["status"]["phase"] == "Pending"
        world.api.delete(pod)
    finally:
        control.set_faults(world.running.home, [])


def said(world: World, words: str) -> str:
    """The first event of a NodeClaim with these words."""
    events = world.api.list("/api/v1/events", fieldSelector="involvedObject.kind=NodeClaim")
    messages = (f"{event['reason']}: {event['message']}" for event in events)
    return next((message for message in messages if words in message), "")


def test_without_a_gpu_quota_the_claim_names_the_limit() -> None:
    with fresh_world(profile="no-gpu-quota") as world:
        node_group(world, "core", 2)
        wait_for(lambda: status(world, "core") == "ACTIVE", 120)
        karpenter.install(world)
        pod = gpu_pod(world, "default")
        wait_for(lambda: "vCPU" in said(world, "InsufficientCapacityError"), 120)
        assert "limit of 0" in said(world, "InsufficientCapacityError")
        waiting = world.api.get(pod)
        assert waiting["status"]["phase"] == "Pending"
        told = inquire_pod(kube_of(world), waiting)
        assert told is not None
        assert told.code == "JK-AWS-QUOTA"
