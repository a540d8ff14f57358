"""Which add-ons fit on the core nodes, without Karpenter."""

from __future__ import annotations

from typing import Any

import pytest
from kubernetes.utils.quantity import parse_quantity

from jarkkit.catalog.addons import AddonWorkload
from jarkkit.decisions.cluster.node_capacity import node_capacity, schedulable
from jarkkit.decisions.node_demand import pod_requests
from jarkkit.model.kubernetes_values import quantity_value


def node(cpu: str, memory: str = "14Gi", pods: str = "58") -> dict[str, Any]:
    return {"status": {"allocatable": {"cpu": cpu, "memory": memory, "pods": pods}}}


def workload(cpu: str, replicas: int | None = 1, memory: str = "64Mi") -> AddonWorkload:
    return AddonWorkload(
        kind="DaemonSet" if replicas is None else "Deployment",
        name="it",
        replicas=replicas,
        cpu=cpu,
        memory=memory,
    )


@pytest.mark.parametrize(
    "quantity",
    [
        *("0", "1", "+3", "-2", "1.5", "0.07k", ".5", "5.", "1e3", "12E6", "2.5e-3", "7E", "7Ei"),
        *(f"12{suffix}" for suffix in ("n", "u", "m", "k", "M", "G", "T", "P", "Ki", "Mi", "Gi")),
        *("110", "0.1Gi", "3Ti", "1Pi", 4, 0.25),
    ],
)
def test_quantities_are_those_of_the_kubernetes_client(quantity: str | int | float) -> None:
    assert quantity_value(quantity) == float(parse_quantity(quantity))


@pytest.mark.parametrize(
    "text", ["", "m", "1K", "1ki", "1 Gi", "1Gi ", "${size}", "1e", "x", "1mi"]
)
def test_another_text_is_no_quantity(text: str) -> None:
    with pytest.raises(ValueError, match="not a quantity"):
        quantity_value(text)


def test_quantities_are_read_in_their_base_unit() -> None:
    assert quantity_value("100m") == 0.1
    assert quantity_value("0.07k") == 70
    assert quantity_value("64Mi") == 64 * 2**20


def test_a_daemonset_requests_capacity_on_each_node() -> None:
    demand = pod_requests([workload("100m", replicas=None), workload("1", replicas=2)]).on(3)
    assert demand.vcpus == pytest.approx(2.3)
    assert demand.pods == 5


def test_some_capacity_is_kept_free() -> None:
    assert node_capacity([node("2"), node("2")]).vcpus < 4


def test_the_smallest_add_ons_fit_first_after_the_core_add_ons() -> None:
    others = {"large": [workload("1900m")], "small": [workload("100m")]}
    nodes = [node("2"), node("2")]
    assert schedulable(nodes, [], others) == {"small", "large"}
    assert schedulable(nodes, [workload("2")], others) == {"small"}
    assert schedulable(nodes, [workload("4")], others) == set()


def test_memory_and_the_number_of_pods_are_limits_too() -> None:
    others = {"hungry": [workload("10m", memory="20Gi")], "many": [workload("1m", 60)]}
    assert schedulable([node("8")], [], others) == set()


def test_without_nodes_nothing_is_schedulable() -> None:
    assert schedulable([], [], {"small": [workload("10m")]}) == set()
