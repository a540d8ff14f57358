"""The order in which add-ons are installed and removed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jarkkit.decisions.addons import dependency_order
from jarkkit.model.errors import JarkkitError
from tests.support.sample_addons import addon


def test_a_schedulable_add_on_does_not_wait_for_karpenter() -> None:
    graph = [addon("dns", core=True), addon("karpenter", "dns", core=True), addon("a"), addon("b")]
    found = dependency_order.dependencies(graph, schedulable={"a"})
    assert found["a"] == {"dns"}
    assert found["b"] == {"dns", "karpenter"}
    assert found["karpenter"] == {"dns"}


def test_other_add_ons_wait_for_core_add_ons() -> None:
    found = dependency_order.dependencies(
        [addon("dns"), addon("nodes", "dns", core=True), addon("jobs")]
    )
    assert found == {"dns": frozenset(), "nodes": {"dns"}, "jobs": {"nodes"}}


def test_a_disabled_dependency_is_rejected_with_both_fixes() -> None:
    with pytest.raises(JarkkitError, match="jobs needs dns") as caught:
        dependency_order.dependencies([addon("jobs", "dns")])
    assert "Enable dns, or disable jobs" in caught.value.fix


def test_a_dependency_cycle_is_rejected() -> None:
    with pytest.raises(JarkkitError, match="cycle: a, b") as caught:
        dependency_order.dependencies([addon("a", "b"), addon("b", "a"), addon("c", "a")])
    assert "c" not in caught.value.message.partition("cycle: ")[2]


def test_the_add_on_with_the_most_dependents_is_first() -> None:
    found = dependency_order.dependencies(
        [addon("a"), addon("b", "a"), addon("c", "b"), addon("d")]
    )
    assert dependency_order.dependent_depth(found) == {"a": 3, "b": 2, "c": 1, "d": 1}
    assert dependency_order.startable(found, ["a"], ["a"]) == ["b", "d"]


@given(st.lists(st.sets(st.integers(0, 11)), min_size=1, max_size=12))
def test_dependents_are_removed_first(dependency_sets: list[set[int]]) -> None:
    graph = [
        addon(f"a{i}", *(f"a{j}" for j in needs if j < i))
        for i, needs in enumerate(dependency_sets)
    ]
    found = dependency_order.dependencies(graph)
    removal_order = dependency_order.removal_order(found)
    assert sorted(removal_order) == sorted(found)
    for name, needs in found.items():
        assert all(removal_order.index(name) < removal_order.index(other) for other in needs)
