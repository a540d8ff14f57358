"""The status of an add-on while its workloads are healthy and while they are not."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from jarkkit.sandbox.account.eks.models import EksBackend
from jarkkit.sandbox.account.eks.records import ClusterExtras, ManagedAddon
from jarkkit.sandbox.clock import CLOCK
from jarkkit.sandbox.cluster_host import CLUSTER_HOST, AddonHealth, ClusterKey, Clusters
from tests.support.poll import wait_for

UNHEALTHY = AddonHealth(ready=False, message="InsufficientNumberOfReplicas: too few")
# Twenty minutes on AWS take half a second.
SPEED = 2400.0


class FakeClusters(Clusters):
    """Clusters whose add-ons have the health that the test sets."""

    health = UNHEALTHY

    def addon_health(self, key: ClusterKey, name: str) -> AddonHealth:
        return self.health


@pytest.fixture
def clusters() -> Iterator[FakeClusters]:
    CLUSTER_HOST.clusters, CLOCK.speed = FakeClusters(), SPEED
    yield CLUSTER_HOST.clusters
    CLUSTER_HOST.clusters, CLOCK.speed = Clusters(), 0.0


@pytest.fixture
def backend() -> EksBackend:
    made = EksBackend("us-west-2", "123456789012")
    cluster: Any = SimpleNamespace(status="ACTIVE", version="1.36")
    made.clusters["c"] = cluster
    made.extras["c"] = ClusterExtras()
    return made


def current_addon(backend: EksBackend) -> ManagedAddon:
    """Return the add-on as the next call sees it."""
    backend.later.catch_up(backend)
    return backend.describe_addon("c", "coredns")


def test_an_unhealthy_new_addon_is_degraded_after_a_while_and_recovers(
    backend: EksBackend, clusters: FakeClusters
) -> None:
    backend.create_addon("c", "coredns")
    assert current_addon(backend).status == "CREATING"
    wait_for(lambda: current_addon(backend).status == "DEGRADED")
    (issue,) = current_addon(backend).health["issues"]
    assert (issue["code"], issue["message"]) == ("InsufficientNumberOfReplicas", "too few")
    clusters.health = AddonHealth(ready=True)
    assert current_addon(backend).status == "ACTIVE"
    assert current_addon(backend).health["issues"] == []


def test_an_active_addon_is_degraded_only_when_unhealthy_for_long(
    backend: EksBackend, clusters: FakeClusters
) -> None:
    clusters.health = AddonHealth(ready=True)
    backend.create_addon("c", "coredns")
    wait_for(lambda: current_addon(backend).status == "ACTIVE")
    clusters.health = UNHEALTHY
    assert current_addon(backend).status == "ACTIVE"
    wait_for(lambda: current_addon(backend).status == "DEGRADED")


def test_an_update_succeeds_when_the_cluster_has_applied_it(
    backend: EksBackend, clusters: FakeClusters
) -> None:
    clusters.health = AddonHealth(ready=True)
    backend.create_addon("c", "coredns")
    before = wait_for(
        lambda: current_addon(backend) if current_addon(backend).status == "ACTIVE" else None
    )
    assert before is not None
    clusters.health = AddonHealth(ready=True, revision=before.revision)
    update = backend.update_addon("c", "coredns", configuration_values="replicaCount: 3")
    wait_for(lambda: backend.later.due == [] or CLOCK.has_reached(backend.later.due[0][0]))
    assert current_addon(backend).status == "UPDATING"
    clusters.health = AddonHealth(ready=True, revision=current_addon(backend).revision)
    wait_for(lambda: current_addon(backend).status == "ACTIVE")
    assert update.status == "Successful"


def test_an_update_that_stays_unhealthy_fails(backend: EksBackend, clusters: FakeClusters) -> None:
    clusters.health = AddonHealth(ready=True)
    backend.create_addon("c", "coredns")
    wait_for(lambda: current_addon(backend).status == "ACTIVE")
    clusters.health = UNHEALTHY
    update = backend.update_addon("c", "coredns")
    wait_for(lambda: current_addon(backend).status == "DEGRADED")
    assert update.status == "Failed"
    assert update.errors[0]["errorCode"] == "InsufficientNumberOfReplicas"


def test_a_pending_creation_survives_a_restart_of_the_sandbox(
    backend: EksBackend, clusters: FakeClusters
) -> None:
    clusters.health = AddonHealth(ready=True)
    backend.create_addon("c", "coredns")
    later, extras = pickle.loads(pickle.dumps((backend.later, backend.extras)))
    backend.later, backend.extras = later, extras
    wait_for(lambda: current_addon(backend).status == "ACTIVE")


def test_without_control_planes_an_addon_is_ready_at_once(backend: EksBackend) -> None:
    backend.create_addon("c", "coredns", configuration_values='{"replicaCount": 2}')
    assert current_addon(backend).status == "ACTIVE"
