"""A deployment's stack: what follows from its settings, and that everything reads the same."""

from __future__ import annotations

import re

import pytest

from jarkkit.catalog.addons import Addon, AddonWorkload, addon_catalog
from jarkkit.decisions.cluster.node_capacity import schedulable
from jarkkit.decisions.costs.bill import build_bill
from jarkkit.decisions.costs.price_table import PriceTable
from jarkkit.decisions.durations.estimate import estimate_durations
from jarkkit.decisions.instance_sizes import max_pods
from jarkkit.decisions.node_demand import ComputeResources, allocatable
from jarkkit.decisions.quotas.requirements import quota_requirements
from jarkkit.decisions.stack import ResolvedStack
from jarkkit.settings import Settings
from tests.support.fakes.cluster import OUTPUTS
from tests.support.stacks import resolved


def on_core_nodes(**changes: object) -> ResolvedStack:
    return resolved(Settings.from_values({"region": "us-east-1", **changes}))


def addon_nodes_of_bill(stack: ResolvedStack) -> int:
    found = build_bill(stack, PriceTable.shipped(), today="2026-11-27")
    texts = (re.fullmatch(r"(\d+) x 4 vCPUs for add-ons", line.what) for line in found.lines)
    return sum(int(text[1]) for text in texts if text)


def addon_nodes_of_quotas(stack: ResolvedStack) -> float:
    """Return the nodes that the Standard quota must have free beside the core nodes."""
    found = quota_requirements(stack, {}).requirements
    (standard,) = (need for need in found if need.quota.code == "L-1216C47A")
    return (standard.least - standard.now) / 4


def durations_have_addon_nodes(stack: ResolvedStack) -> bool:
    return any(s.name == "nodes for add-ons" for s in estimate_durations(stack).deploy.path)


def addons_left_by_installer(stack: ResolvedStack) -> set[str]:
    """Return the add-ons for which the installer waits for Karpenter."""
    kind = stack.settings.core_instance_type
    each = allocatable(kind, max_pods(kind))
    quantities = {"cpu": str(each.vcpus), "memory": f"{each.gib}Gi", "pods": str(int(each.pods))}
    nodes = [{"status": {"allocatable": quantities}}] * stack.settings.core_nodes
    core = [workload for addon, workload in stack.workloads if addon.core]
    others = {addon.name: addon.workloads for addon in stack.addons if not addon.core}
    return others.keys() - schedulable(nodes, core, others)


@pytest.mark.parametrize("count", [2, 3, 4, 5, 8])
@pytest.mark.parametrize("kind", ["t3.medium", "m5.large", "c5.xlarge", "m5.xlarge", "r5.2xlarge"])
def test_all_agree_how_many_nodes_the_add_ons_need(kind: str, count: int) -> None:
    stack = on_core_nodes(core_instance_type=kind, core_nodes=count, core_nodes_max=8)
    more = stack.addon_nodes > 0
    assert addon_nodes_of_bill(stack) == stack.addon_nodes
    assert addon_nodes_of_quotas(stack) == stack.addon_nodes
    assert durations_have_addon_nodes(stack) is more
    assert bool(addons_left_by_installer(stack)) is more


def test_the_agreement_covers_both_answers() -> None:
    counts = {
        on_core_nodes(core_instance_type=kind).addon_nodes for kind in ("m5.large", "r5.2xlarge")
    }
    assert min(counts) == 0
    assert max(counts) > 1


def test_requests_are_those_of_all_pods_of_the_enabled_add_ons() -> None:
    hub = addon_catalog()["jupyterhub"]
    replicas = AddonWorkload(kind="Deployment", name="a", replicas=2, cpu="500m", memory="1Gi")
    agents = AddonWorkload(kind="DaemonSet", name="b", cpu="1", memory="512Mi")
    catalog = {
        "one": hub.model_copy(update={"name": "one", "workloads": (replicas,)}),
        "two": hub.model_copy(update={"name": "two", "workloads": (agents,)}),
        "off": hub.model_copy(update={"name": "off", "default": False, "workloads": (replicas,)}),
    }
    stack = resolved(Settings(), catalog)
    assert stack.pod_requests.on(3) == ComputeResources(vcpus=1 + 3, gib=2 + 1.5, pods=2 + 3)


@pytest.mark.parametrize("kind", ["m5.metal", "m5"])
def test_core_nodes_of_unknown_size_are_assumed_to_be_large_enough(kind: str) -> None:
    unknown = Settings().model_copy(update={"core_instance_type": kind})
    assert resolved(unknown).addon_nodes == 0


def test_a_burstable_node_has_two_vcpus_and_the_memory_of_its_size() -> None:
    found = allocatable("t3.medium", 110)
    assert found.vcpus == pytest.approx(2 * 0.98)
    assert found.gib == pytest.approx(4 - (355 + 11 * 110) / 1024)


def test_without_karpenter_no_node_is_added() -> None:
    small = Settings(core_instance_type="m5.large", karpenter=False, accelerators=())
    assert resolved(small).addon_nodes == 0
    assert resolved(small).node_pools == ()


def test_an_enabled_add_on_has_only_what_its_conditions_allow() -> None:
    def argo(bucket: bool) -> Addon:
        addons = resolved(Settings(artifact_bucket=bucket)).addons
        return next(addon for addon in addons if addon.name == "argo-workflows")

    plain, with_bucket = argo(False), argo(True)
    assert plain.variants == with_bucket.variants == ()
    assert plain.aws is None
    assert with_bucket.aws is not None
    assert "artifactRepository" not in plain.values
    assert with_bucket.values["artifactRepository"]
    assert addon_catalog()["argo-workflows"].variants, "the catalog itself does not change"


def test_parts_are_computed_once() -> None:
    stack = resolved(Settings())
    assert stack.addons is stack.addons
    assert stack.pod_identities is stack.pod_identities
    assert stack.instance_demands is stack.instance_demands


def test_parts_do_not_change_with_what_is_made_of_them() -> None:
    stack = resolved(Settings())
    values = stack.reference_values(OUTPUTS, "v20261101")
    values["node_pools"][0]["metadata"]["name"] = "other"
    values["jupyterhub_profiles"].pop()
    assert stack.node_pools == resolved(Settings()).node_pools
    assert stack.hub_profiles == resolved(Settings()).hub_profiles
    for part in (stack.eks_addons, stack.pod_identities):
        with pytest.raises(TypeError):
            part["other"] = {}  # type: ignore[index]


def test_an_unknown_add_on_leaves_the_other_parts_usable() -> None:
    stack = resolved(Settings(addons={"core-dns": True}))
    assert stack.instance_patterns == ("m5.xlarge", "g6.*")
    assert [pool["metadata"]["name"] for pool in stack.node_pools] == ["cpu", "g6"]
