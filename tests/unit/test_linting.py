"""The linter finds every kind of mistake, and none in the shipped catalog."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as profile
from hypothesis import strategies as st

from jarkkit.catalog.addons import Addon, addon_catalog
from jarkkit.decisions.addons.linting import problems, problems_in
from jarkkit.decisions.addons.placement import all_node_templates, node_templates, why_unschedulable
from jarkkit.settings import CLUSTER_VERSIONS, FAMILIES, Settings

POD = {"containers": [{"name": "main", "image": "example.org/main:1.0"}]}

GPU = {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}


def addon(**more: Any) -> Addon:
    """Return an add-on without a mistake, apart from the given values."""
    return Addon.model_validate(
        {
            "name": "widget",
            "title": "Widget",
            "what": "A test.",
            "group": "Jobs",
            "install": "manifests",
            "namespace": "widget",
            "workloads": [{"kind": "Deployment", "name": "main", "replicas": 1, "pod": POD}],
            "link": "https://example.org",
        }
        | more
    )


def found_problems(*addons: Addon, **more: Any) -> str:
    """Return the problems of these add-ons, or of one add-on with these values."""
    all_of_them = addons or (addon(**more),)
    return "\n".join(problems_in({a.name: a for a in all_of_them}, {}, Settings()))


def workload(kind: str, pod: dict[str, Any]) -> dict[str, Any]:
    counted = {} if kind == "DaemonSet" else {"replicas": 1}
    return {"workloads": [{"kind": kind, "name": "main", **counted, "pod": POD | pod}]}


def test_the_example_has_no_problem() -> None:
    assert found_problems() == ""


def test_a_missing_dependency_is_found() -> None:
    assert "needs other, which does not exist" in found_problems(needs=["other"])


def test_a_dependency_cycle_is_found() -> None:
    names = ("a", "b", "c", "a")
    addons = (addon(name=one, needs=[next_one]) for one, next_one in pairwise(names))
    assert "a, b, c: dependency cycle" in found_problems(*addons)


@pytest.mark.parametrize(
    ("when", "message"),
    [
        ({"no_such_setting": True}, "the setting no_such_setting, which does not exist"),
        ({"addon:nothing": True}, "the add-on nothing, which does not exist"),
    ],
)
def test_conditions_on_unknown_names_are_found(when: dict[str, Any], message: str) -> None:
    assert message in found_problems(variants=[{"when": when}])
    there = [{"kind": "DaemonSet", "name": "main", "pod": POD, "when": when}]
    assert message in found_problems(workloads=there)
    assert message in found_problems(aws={"service_account": "main", "when": when})


@pytest.mark.parametrize(
    "where",
    [
        {"values": {"a": ["${nothing}"]}},
        {"configuration": {"a": "x-${nothing}"}},
        {"after": ["${nothing}"]},
        {"variants": [{"when": {}, "values": {"${nothing}": 1}}]},
    ],
)
def test_unknown_references_are_found(where: dict[str, Any]) -> None:
    assert "refers to ${nothing}, which does not exist" in found_problems(**where)


def test_a_policy_has_fewer_references() -> None:
    statements = [{"Resource": "${partition}${vpc_id}"}]
    text = found_problems(aws={"service_account": "main", "statements": statements})
    assert "its policy refers to ${vpc_id}" in text
    assert "partition" not in text


def test_a_service_without_a_workload_is_found() -> None:
    service = {"name": "web", "workload": "other", "ports": [{"port": 80}]}
    assert "Service web selects other, which is none" in found_problems(services=[service])


def test_a_chart_needs_an_exact_version() -> None:
    chart = {"repository": "https://example.org", "name": "c", "release": "c"}
    text = found_problems(install="helm", chart={**chart, "version": "1.2.3,<2"})
    assert "the chart's version 1.2.3,<2 is not exact" in text
    assert found_problems(install="helm", chart={**chart, "version": "v1.2.3-rc.1"}) == ""


@pytest.mark.parametrize(
    ("image", "pinned"),
    [
        ("example.org/a", False),
        ("example.org:5000/a", False),
        ("example.org/a:latest", False),
        ("example.org:5000/a:1", True),
        ("example.org/a@sha256:0", True),
        ("${region}/a:1", True),
    ],
)
def test_unpinned_images_are_found(image: str, pinned: bool) -> None:
    pod = {"containers": [{"name": "main", "image": image}]}
    for where in (workload("Deployment", pod), {"values": pod}, {"after": [{"spec": pod}]}):
        assert ("has no fixed tag" in found_problems(**where)) is not pinned


def test_a_moving_tag_in_values_is_found() -> None:
    values = {"image": {"repository": "example.org/a", "tag": "latest"}}
    assert "the image example.org/a has the tag latest" in found_problems(values=values)


@pytest.mark.parametrize("kind", ["Deployment", "DaemonSet"])
def test_an_unschedulable_pod_is_found(kind: str) -> None:
    text = found_problems(**workload(kind, {"nodeSelector": {"accelerator": "nvidea"}}))
    assert "no node matches its node selection: {'accelerator': 'nvidea'}" in text
    text = found_problems(**workload(kind, {"nodeSelector": {"accelerator": "nvidia"}}))
    assert "does not tolerate nvidia.com/gpu" in text
    pod = {"nodeSelector": {"accelerator": "nvidia"}, "tolerations": [GPU]}
    assert found_problems(**workload(kind, pod)) == ""


def test_unschedulable_pods_in_values_and_objects_are_found() -> None:
    pod = {"nodeSelector": {"jarkkit/pool": "g9"}}
    assert "no node matches its node selection" in found_problems(values={"worker": pod})
    assert "no node matches its node selection" in found_problems(
        before=[{"spec": {"template": {"spec": pod}}}]
    )


def test_a_daemonset_may_have_no_node_yet_and_a_deployment_may_not() -> None:
    toleration = {"key": "aws.amazon.com/neuron", "operator": "Exists"}
    pod = {"nodeSelector": {"accelerator": "neuron"}, "tolerations": [toleration]}
    assert found_problems(**workload("DaemonSet", pod)) == ""
    assert "no node matches its node selection" in found_problems(**workload("Deployment", pod))
    assert found_problems(default=False, **workload("Deployment", pod)) == ""


def test_a_toleration_of_an_unknown_taint_is_found() -> None:
    pod = {"tolerations": [{"key": "nvidia.com/gpus", "operator": "Exists"}]}
    assert "tolerates nvidia.com/gpus, a taint that no node has" in found_problems(
        **workload("Deployment", pod)
    )


def test_required_node_affinity_is_evaluated() -> None:
    def affine(*expressions: dict[str, Any]) -> dict[str, Any]:
        terms = [{"matchExpressions": list(expressions)}]
        required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}
        return {"affinity": {"nodeAffinity": required}}

    among = node_templates(Settings())
    nowhere = {"key": "accelerator", "operator": "In", "values": ["neuron"]}
    assert "no node matches its node selection" in why_unschedulable(affine(nowhere), among)
    fargate = {"key": "eks.amazonaws.com/compute-type", "operator": "NotIn", "values": ["fargate"]}
    plain = {"key": "accelerator", "operator": "DoesNotExist"}
    assert why_unschedulable(affine(fargate, plain), among) == ""
    family = {"key": "karpenter.k8s.aws/instance-family", "operator": "Exists"}
    assert why_unschedulable(affine(family, plain), among) == ""


def test_example_workloads_are_checked_for_every_family() -> None:
    pod = {
        "nodeSelector": {"jarkkit/pool": "${pool}"},
        "tolerations": [{"key": "${resource}", "operator": "Exists"}],
        "containers": [{"name": "main", "image": "example.org/main:1"}],
    }
    smoke: dict[str, Any] = {"needs": ["widget"], "pool": "nvidia", "objects": [{"spec": pod}]}

    def wrong(**more: Any) -> str:
        return "\n".join(problems_in({"widget": addon()}, {"smoke": smoke | more}, Settings()))

    assert wrong() == ""
    assert "needs other, which does not exist" in wrong(needs=["other"])
    assert "no node matches its node selection" in wrong(pool="none")
    assert "refers to ${region}" in wrong(objects=[{"spec": "${region}"}])
    assert "has no fixed tag" in wrong(objects=[{"image": "example.org/main"}])
    untolerated = {key: value for key, value in pod.items() if key != "tolerations"}
    assert "does not tolerate nvidia.com/gpu" in wrong(objects=[{"spec": untolerated}])


AUTHENTICATION: tuple[dict[str, str], ...] = (
    {},
    {
        "jupyterhub_auth": "oidc",
        "jupyterhub_oidc_issuer": "https://login.example.org",
        "jupyterhub_oidc_client_id": "hub",
        "jupyterhub_oidc_client_secret": "env:HUB_SECRET",
    },
)


@profile(max_examples=15, deadline=None)
@given(
    families=st.lists(st.sampled_from(sorted(FAMILIES)), unique=True, max_size=4),
    authentication=st.sampled_from(AUTHENTICATION),
    version=st.sampled_from(CLUSTER_VERSIONS),
    static_gpu_nodes=st.integers(0, 1),
    managed_prometheus=st.booleans(),
    everything=st.booleans(),
)
def test_the_shipped_catalog_has_no_problem(
    families: list[str],
    authentication: dict[str, str],
    version: str,
    static_gpu_nodes: int,
    managed_prometheus: bool,
    everything: bool,
) -> None:
    settings = Settings.from_values(
        {
            "accelerators": [{"family": family, "max_vcpus": 192} for family in families],
            "cluster_version": version,
            "static_gpu_nodes": static_gpu_nodes,
            "managed_prometheus": managed_prometheus,
            "addons": dict.fromkeys(set(addon_catalog()) - {"karpenter"}, True)
            if everything
            else {},
            **authentication,
        }
    )
    assert problems(settings) == []


def test_without_karpenter_pods_that_select_its_nodes_are_unschedulable() -> None:
    pod = {"nodeSelector": {"jarkkit/pool": "cpu"}}
    without = Settings(karpenter=False, accelerators=())
    assert why_unschedulable(pod, node_templates(without))
    assert not why_unschedulable(pod, all_node_templates(without))
