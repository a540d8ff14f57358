"""The readiness of workloads."""

from __future__ import annotations

from typing import Any

from jarkkit.catalog.addons import AddonWorkload
from jarkkit.decisions.cluster.readiness import not_ready, replica_status, replica_statuses
from tests.support.sample_addons import addon


def deployment(replicas: int, **status: int) -> dict[str, Any]:
    return {
        "metadata": {"name": "web", "namespace": "shop", "generation": 2},
        "spec": {"replicas": replicas},
        "status": {"observedGeneration": 2, **status},
    }


def test_a_deployment_is_ready_when_all_its_updated_pods_are() -> None:
    assert replica_status("Deployment", deployment(2, readyReplicas=2, updatedReplicas=2)).is_ready
    assert not replica_status(
        "Deployment", deployment(2, readyReplicas=2, updatedReplicas=1)
    ).is_ready
    assert not replica_status("Deployment", deployment(2)).is_ready
    old = deployment(2, readyReplicas=2, updatedReplicas=2, observedGeneration=1)
    assert not replica_status("Deployment", old).is_ready


def test_a_daemonset_without_nodes_is_ready() -> None:
    daemon_set = {"metadata": {"generation": 1}, "status": {"observedGeneration": 1}}
    assert replica_status("DaemonSet", daemon_set).is_ready
    daemon_set["status"] |= {
        "desiredNumberScheduled": 2,
        "numberReady": 1,
        "updatedNumberScheduled": 2,
    }
    assert str(replica_status("DaemonSet", daemon_set)) == "1/2"


def test_a_workload_with_too_few_pods_is_not_ready() -> None:
    workload = AddonWorkload(kind="Deployment", name="web", replicas=2)
    shop = addon("shop")
    statuses = replica_statuses("Deployment", [deployment(1, readyReplicas=1, updatedReplicas=1)])
    assert not_ready(shop, [workload], statuses) == [workload]
    assert not_ready(shop, [workload], {}) == [workload]
    statuses = replica_statuses("Deployment", [deployment(2, readyReplicas=2, updatedReplicas=2)])
    assert not_ready(shop, [workload], statuses) == []
