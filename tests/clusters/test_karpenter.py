"""The real Karpenter, as a process: it launches and deletes GPU nodes; a quota rejects them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from jarkkit.sandbox import daemon_client
from jarkkit.steps.cluster.pod_diagnosis import diagnose_pod
from tests.support import karpenter
from tests.support.cluster_clients import kube_client
from tests.support.cluster_objects import create_node_group, node_group_status
from tests.support.clusters import RehearsalCluster, sandbox_with_cluster
from tests.support.karpenter import device_plugin, gpu_pod
from tests.support.poll import wait_for


@pytest.fixture(scope="module")
def node_pools(cluster: RehearsalCluster) -> Iterator[None]:
    """Karpenter and its node pools, on two nodes of a managed node group."""
    create_node_group(cluster, "for-karpenter", 2)
    wait_for(lambda: node_group_status(cluster, "for-karpenter") == "ACTIVE", 120)
    karpenter.install(cluster)
    device_plugin(cluster)
    yield
    for pool in ("cpu", "gpu"):
        cluster.api.delete(f"/apis/karpenter.sh/v1/nodepools/{pool}")
    wait_for(lambda: cluster.api.list("/apis/karpenter.sh/v1/nodeclaims") == [], 120)


def node_claims(cluster: RehearsalCluster) -> list[dict[str, Any]]:
    """Return Karpenter's NodeClaims."""
    return cluster.api.list("/apis/karpenter.sh/v1/nodeclaims")


@pytest.mark.usefixtures("node_pools")
def test_a_gpu_pod_gets_a_node_that_goes_with_it(cluster: RehearsalCluster, namespace: str) -> None:
    pod = gpu_pod(cluster, namespace)
    wait_for(lambda: cluster.api.get(pod)["status"]["phase"] == "Running", 120)
    node = cluster.api.get(f"/api/v1/nodes/{cluster.api.get(pod)['spec']['nodeName']}")
    assert node["metadata"]["labels"]["karpenter.sh/nodepool"] == "gpu"
    assert node["status"]["capacity"]["nvidia.com/gpu"] == "1"
    instance_id = node["spec"]["providerID"].rsplit("/", 1)[-1]
    cluster.api.delete(pod)
    ec2 = cluster.client("ec2")
    described = lambda: ec2.describe_instances(InstanceIds=[instance_id])["Reservations"][0]  # noqa: E731
    wait_for(lambda: described()["Instances"][0]["State"]["Name"] == "terminated", 180)
    wait_for(lambda: node_claims(cluster) == [])


@pytest.mark.usefixtures("node_pools")
def test_missing_capacity_is_reported_as_an_event_of_the_claim(
    cluster: RehearsalCluster, namespace: str
) -> None:
    daemon_client.set_faults(cluster.running.home, ["insufficient-capacity:g5,g6"])
    try:
        pod = gpu_pod(cluster, namespace)
        wait_for(lambda: claim_event(cluster, "InsufficientCapacityError"), 120)
        assert cluster.api.get(pod)["status"]["phase"] == "Pending"
        cluster.api.delete(pod)
    finally:
        daemon_client.set_faults(cluster.running.home, [])


def claim_event(cluster: RehearsalCluster, text: str) -> str:
    """Return the first event of a NodeClaim that contains the text; empty when there is none."""
    events = cluster.api.list("/api/v1/events", fieldSelector="involvedObject.kind=NodeClaim")
    messages = (f"{event['reason']}: {event['message']}" for event in events)
    return next((message for message in messages if text in message), "")


def test_without_a_gpu_quota_the_claim_names_the_limit() -> None:
    with sandbox_with_cluster(profile="no-gpu-quota") as cluster:
        create_node_group(cluster, "core", 2)
        wait_for(lambda: node_group_status(cluster, "core") == "ACTIVE", 120)
        karpenter.install(cluster)
        pod = gpu_pod(cluster, "default")
        wait_for(lambda: "vCPU" in claim_event(cluster, "InsufficientCapacityError"), 120)
        assert "limit of 0" in claim_event(cluster, "InsufficientCapacityError")
        waiting = cluster.api.get(pod)
        assert waiting["status"]["phase"] == "Pending"
        failure = diagnose_pod(kube_client(cluster), waiting)
        assert failure is not None
        assert failure.code == "JK-AWS-QUOTA"
