"""Which add-ons need not wait for Karpenter."""

from __future__ import annotations

from typing import Any

import pytest

from jarkkit.addons.catalogue import Workload
from jarkkit.cluster.room import demand_of, fitting, room_of
from jarkkit.kube.quantities import amount


def a_node(cpu: str, memory: str = "14Gi", pods: str = "58") -> dict[str, Any]:
    return {"status": {"allocatable": {"cpu": cpu, "memory": memory, "pods": pods}}}


def a_workload(cpu: str, replicas: int | None = 1, memory: str = "64Mi") -> Workload:
    kind = "DaemonSet" if replicas is None else "Deployment"
    return Workload(kind=kind, name="it", replicas=replicas, cpu=cpu, memory=memory)


def test_quantities_are_read_in_their_base_unit() -> None:
    assert amount("100m") == pytest.approx(0.1)
    assert amount("64Mi") == 64 * 2**20


def test_a_daemon_set_asks_for_room_on_each_node() -> None:
    demand = demand_of([a_workload("100m", replicas=None), a_workload("1", replicas=2)], nodes=3)
    assert demand["cpu"] == pytest.approx(2.3)
    assert demand["pods"] == 5


def test_some_room_is_kept_free() -> None:
    assert room_of([a_node("2"), a_node("2")])["cpu"] < 4


def test_the_smallest_fit_first_beside_the_core() -> None:
    others = {"large": [a_workload("1900m")], "small": [a_workload("100m")]}
    nodes = [a_node("2"), a_node("2")]
    assert fitting(nodes, [], others) == {"small", "large"}
    assert fitting(nodes, [a_workload("2")], others) == {"small"}
    assert fitting(nodes, [a_workload("4")], others) == set()


def test_memory_and_the_number_of_pods_count_as_well() -> None:
    others = {"hungry": [a_workload("10m", memory="20Gi")], "many": [a_workload("1m", 60)]}
    assert fitting([a_node("8")], [], others) == set()


def test_without_nodes_everything_waits() -> None:
    assert fitting([], [], {"small": [a_workload("10m")]}) == set()
