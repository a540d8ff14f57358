"""What is done with the catalogue: order, references, pools, readiness."""

from __future__ import annotations

from typing import Any

import bcrypt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jarkkit.addons import order, pools
from jarkkit.addons.catalogue import Addon, Secret, Workload
from jarkkit.addons.choice import holds, merge
from jarkkit.addons.words import fill, fill_objects, known, references, words
from jarkkit.cluster.layer import secret_data
from jarkkit.cluster.readiness import missing, standing, standings
from jarkkit.errors import JarkkitError
from jarkkit.settings import FAMILIES, Settings

OUTPUTS: dict[str, Any] = {
    "cluster_name": "demo",
    "node_instance_profile_name": "demo-node",
    "node_subnet_ids": ["subnet-1", "subnet-2"],
    "node_security_group_id": "sg-1",
    "efs": {"file_system_id": "fs-1"},
    "karpenter": None,
}
MEANING = words(Settings(), OUTPUTS, "v20261101")


def addon(name: str, *needs: str, core: bool = False) -> Addon:
    return Addon.model_validate(
        {
            "name": name,
            "title": name,
            "what": "A test.",
            "group": "Jobs",
            "install": "manifests",
            "namespace": name,
            "needs": needs,
            "core": core,
            "link": "https://example.org",
        }
    )


# -- order -------------------------------------------------------------------------------------


def test_what_fits_onto_the_nodes_does_not_wait_for_karpenter() -> None:
    graph = [addon("dns", core=True), addon("karpenter", "dns", core=True), addon("a"), addon("b")]
    found = order.needs(graph, fitting={"a"})
    assert found["a"] == {"dns"}
    assert found["b"] == {"dns", "karpenter"}
    assert found["karpenter"] == {"dns"}


def test_what_is_not_core_waits_for_what_is() -> None:
    found = order.needs([addon("dns"), addon("nodes", "dns", core=True), addon("jobs")])
    assert found == {"dns": frozenset(), "nodes": {"dns"}, "jobs": {"nodes"}}


def test_something_needed_that_is_off_is_refused_with_both_ways_out() -> None:
    with pytest.raises(JarkkitError, match="jobs needs dns") as caught:
        order.needs([addon("jobs", "dns")])
    assert "Switch dns on, or jobs off" in caught.value.fix


def test_a_circle_is_refused() -> None:
    with pytest.raises(JarkkitError, match="circle: a, b"):
        order.needs([addon("a", "b"), addon("b", "a"), addon("c")])


def test_what_many_wait_for_is_first() -> None:
    found = order.needs([addon("a"), addon("b", "a"), addon("c", "b"), addon("d")])
    assert order.depth(found) == {"a": 3, "b": 2, "c": 1, "d": 1}
    assert order.startable(found, ["a"], ["a"]) == ["b", "d"]


@given(st.lists(st.sets(st.integers(0, 11)), min_size=1, max_size=12))
def test_nothing_goes_before_what_needs_it(wanted: list[set[int]]) -> None:
    graph = [addon(f"a{i}", *(f"a{j}" for j in needs if j < i)) for i, needs in enumerate(wanted)]
    found = order.needs(graph)
    going = order.reversed_order(found)
    assert sorted(going) == sorted(found)
    for name, needs in found.items():
        assert all(going.index(name) < going.index(other) for other in needs)


# -- references --------------------------------------------------------------------------------


def test_a_whole_reference_keeps_its_type() -> None:
    assert fill({"n": "${settings.core_nodes}"}, MEANING) == {"n": 2}
    assert fill("${karpenter.queue_name}", MEANING) is None


def test_a_reference_in_a_text_is_put_into_it() -> None:
    assert fill("${efs.file_system_id}::x-${cluster_name}", MEANING) == "fs-1::x-demo"
    assert fill(["on: ${settings.karpenter}"], MEANING) == ["on: true"]


def test_a_literal_is_left() -> None:
    assert fill("$${cluster_name} $HOME ${", MEANING) == "${cluster_name} $HOME ${"
    assert references({"a": ["$${x}", "${cluster_name}", {"${region}": 1}]}) == {
        "cluster_name",
        "region",
    }


@pytest.mark.parametrize("text", ["${nothing}", "a ${node_pools} b", "a ${artifact_bucket}"])
def test_what_cannot_be_filled_in_is_an_error(text: str) -> None:
    with pytest.raises(JarkkitError, match="JK-ADDON-INVALID"):
        fill(text, MEANING)


def test_a_reference_among_objects_is_a_list_of_them() -> None:
    kinds = [thing["kind"] for thing in fill_objects(["${node_classes}", {"kind": "X"}], MEANING)]
    assert kinds == ["EC2NodeClass", "EC2NodeClass", "X"]


def test_names_that_may_be_referred_to() -> None:
    assert known("settings.region")
    assert known("node_pools")
    assert not known("settings.nothing")
    assert not known("nothing")


# -- pools -------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
def test_a_pool_of_a_family_has_its_labels_and_taint(family: str) -> None:
    settings = Settings.make({"accelerators": [{"family": family, "max_vcpus": 96}]})
    _, pool = pools.node_pools(settings)
    template = pool["spec"]["template"]
    assert template["metadata"]["labels"] == pools.labels(family)
    (taint,) = template["spec"]["taints"]
    assert taint["key"] == pools.resource(family) == pools.toleration(family)["key"]
    assert pool["spec"]["limits"] == {"cpu": "96"}


def test_images_are_pinned_and_instances_are_tagged() -> None:
    for thing in pools.node_classes(Settings(tags={"team": "ml"}), OUTPUTS, "v20261101"):
        assert thing["spec"]["amiSelectorTerms"] == [{"alias": "al2023@v20261101"}]
        assert thing["spec"]["tags"] == {
            "team": "ml",
            "jarkkit:deployment": "demo",
            "jarkkit:managed-by": "karpenter",
        }


# -- conditions and values ---------------------------------------------------------------------


def test_conditions() -> None:
    settings = Settings(artifact_bucket=True)
    assert holds({}, settings)
    assert holds({"artifact_bucket": True, "jupyterhub_auth": ["password", "oidc"]}, settings)
    assert holds({"addon:coredns": True}, settings)
    assert not holds({"jupyterhub_auth": "oidc"}, settings)
    assert not holds({"accelerators": False}, settings)


def test_values_are_merged_as_helm_does() -> None:
    below = {"a": {"b": 1, "c": [1, 2]}, "d": 1}
    assert merge(below, {"a": {"c": [3]}, "e": 2}) == {"a": {"b": 1, "c": [3]}, "d": 1, "e": 2}
    assert below["a"] == {"b": 1, "c": [1, 2]}


def test_a_secret_is_made_by_its_recipes() -> None:
    recipes = {
        "user": "=admin",
        "password": "random",
        "token": "setting:huggingface_token",
        "users": "=hash: {bcrypt:password}",
    }
    settings = Settings(huggingface_token="env:TOKEN")
    data = secret_data(Secret(name="login", data=recipes), settings, lambda ref: f"<{ref}>")
    assert data["user"] == "admin"
    assert data["token"] == "<env:TOKEN>"
    assert len(data["password"]) == 32
    hashed = data["users"].removeprefix("hash: ").encode()
    assert bcrypt.checkpw(data["password"].encode(), hashed)
    with pytest.raises(JarkkitError, match="JK-ADDON-INVALID"):
        secret_data(Secret(name="login", data={"a": "nonsense"}), settings, str)


# -- readiness ---------------------------------------------------------------------------------


def deployment(replicas: int, **status: int) -> dict[str, Any]:
    return {
        "metadata": {"name": "web", "namespace": "shop", "generation": 2},
        "spec": {"replicas": replicas},
        "status": {"observedGeneration": 2, **status},
    }


def test_a_deployment_is_ready_when_all_pods_of_the_last_version_are() -> None:
    assert standing("Deployment", deployment(2, readyReplicas=2, updatedReplicas=2)).is_ready
    assert not standing("Deployment", deployment(2, readyReplicas=2, updatedReplicas=1)).is_ready
    assert not standing("Deployment", deployment(2)).is_ready
    old = deployment(2, readyReplicas=2, updatedReplicas=2, observedGeneration=1)
    assert not standing("Deployment", old).is_ready


def test_a_daemon_set_without_nodes_is_ready() -> None:
    thing = {"metadata": {"generation": 1}, "status": {"observedGeneration": 1}}
    assert standing("DaemonSet", thing).is_ready
    thing["status"] |= {"desiredNumberScheduled": 2, "numberReady": 1, "updatedNumberScheduled": 2}
    assert str(standing("DaemonSet", thing)) == "1/2"


def test_a_workload_with_too_few_pods_is_missing() -> None:
    wanted = Workload(kind="Deployment", name="web", replicas=2)
    shop = addon("shop")
    there = standings("Deployment", [deployment(1, readyReplicas=1, updatedReplicas=1)])
    assert missing(shop, [wanted], there) == [wanted]
    assert missing(shop, [wanted], {}) == [wanted]
    there = standings("Deployment", [deployment(2, readyReplicas=2, updatedReplicas=2)])
    assert missing(shop, [wanted], there) == []


def test_without_karpenter_there_is_nothing_to_launch() -> None:
    outputs = {k: v for k, v in OUTPUTS.items() if not k.startswith("node_")}
    settings = Settings(karpenter=False, accelerators=())
    meaning = words(settings, outputs, "v20261101")
    assert meaning["node_pools"] == meaning["node_classes"] == []
