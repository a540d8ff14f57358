"""A second deletion of what EKS is deleting."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from jarkkit.sandbox.account.eks.models import EksBackend
from jarkkit.sandbox.account.eks.records import ClusterExtras, ManagedAddon
from jarkkit.sandbox.clock import CLOCK
from jarkkit.sandbox.cluster_host import CLUSTER_HOST, ClusterKey, Clusters


class FakeClusters(Clusters):
    """Clusters that count how often one is removed."""

    removed = 0

    def remove(self, key: ClusterKey) -> None:
        self.removed += 1


@pytest.fixture
def clusters() -> Iterator[FakeClusters]:
    CLUSTER_HOST.clusters, CLOCK.speed = FakeClusters(), 1.0
    yield CLUSTER_HOST.clusters
    CLUSTER_HOST.clusters, CLOCK.speed = Clusters(), 0.0


@pytest.fixture
def backend() -> EksBackend:
    made = EksBackend("us-west-2", "123456789012")
    group: Any = SimpleNamespace(status="ACTIVE")
    empty: Any = SimpleNamespace(status="ACTIVE", nodegroups={})
    used: Any = SimpleNamespace(status="ACTIVE", nodegroups={"core": group})
    made.clusters |= {"empty": empty, "used": used}
    addon = ManagedAddon("used", "coredns", "arn", "v1", status="ACTIVE")
    made.extras = {"empty": ClusterExtras(), "used": ClusterExtras(addons={"coredns": addon})}
    return made


@pytest.mark.parametrize(
    ("delete", "removed"),
    [
        (lambda eks: eks.delete_cluster("empty"), 1),
        (lambda eks: eks.delete_nodegroup("used", "core"), 0),
        (lambda eks: eks.delete_addon("used", "coredns"), 0),
    ],
    ids=["cluster", "node group", "add-on"],
)
def test_it_returns_the_same_and_schedules_nothing(
    delete: Callable[[EksBackend], Any], removed: int, backend: EksBackend, clusters: FakeClusters
) -> None:
    first = delete(backend)
    scheduled = list(backend.later.due)
    again = delete(backend)
    assert again is first
    assert again.status == "DELETING"
    assert len(scheduled) == 1
    assert backend.later.due == scheduled
    assert clusters.removed == removed
