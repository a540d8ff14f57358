"""The linter finds each kind of mistake, and none in what is shipped."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import settings as profile
from hypothesis import strategies as st

from jarkkit.addons.catalogue import Addon, catalogue
from jarkkit.addons.linting import problems, problems_of
from jarkkit.addons.placement import nodes, possible, trouble
from jarkkit.settings import CLUSTER_VERSIONS, FAMILIES, Settings

POD = {"containers": [{"name": "main", "image": "example.org/main:1.0"}]}
GPU = {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}


def made(**more: Any) -> Addon:
    """An add-on without a mistake, but for what is given."""
    return Addon.model_validate(
        {
            "name": "thing",
            "title": "Thing",
            "what": "A test.",
            "group": "Jobs",
            "install": "manifests",
            "namespace": "thing",
            "workloads": [{"kind": "Deployment", "name": "main", "replicas": 1, "pod": POD}],
            "link": "https://example.org",
        }
        | more
    )


def found(*addons: Addon, **more: Any) -> str:
    """The problems of these add-ons, or of one with this in it, and nothing else."""
    all_of_them = addons or (made(**more),)
    return "\n".join(problems_of({a.name: a for a in all_of_them}, {}, Settings()))


def workload(kind: str, pod: dict[str, Any]) -> dict[str, Any]:
    counted = {} if kind == "DaemonSet" else {"replicas": 1}
    return {"workloads": [{"kind": kind, "name": "main", **counted, "pod": POD | pod}]}


# -- rules -------------------------------------------------------------------------------------


def test_the_example_is_without_a_mistake() -> None:
    assert found() == ""


def test_something_needed_exists() -> None:
    assert "needs other, which does not exist" in found(needs=["other"])


def test_nothing_waits_for_itself() -> None:
    names = ("a", "b", "c", "a")
    addons = (made(name=one, needs=[next_one]) for one, next_one in pairwise(names))
    assert "a, b, c: need each other in a circle" in found(*addons)


@pytest.mark.parametrize(
    ("when", "message"),
    [
        ({"no_such_setting": True}, "the setting no_such_setting, which does not exist"),
        ({"addon:nothing": True}, "the add-on nothing, which does not exist"),
    ],
)
def test_conditions_are_about_something(when: dict[str, Any], message: str) -> None:
    assert message in found(variants=[{"when": when}])
    there = [{"kind": "DaemonSet", "name": "main", "pod": POD, "when": when}]
    assert message in found(workloads=there)
    assert message in found(aws={"service_account": "main", "when": when})


@pytest.mark.parametrize(
    "where",
    [
        {"values": {"a": ["${nothing}"]}},
        {"configuration": {"a": "x-${nothing}"}},
        {"after": ["${nothing}"]},
        {"variants": [{"when": {}, "values": {"${nothing}": 1}}]},
    ],
)
def test_references_are_filled_in(where: dict[str, Any]) -> None:
    assert "refers to ${nothing}, which nothing fills in" in found(**where)


def test_a_policy_knows_less() -> None:
    statements = [{"Resource": "${partition}${vpc_id}"}]
    text = found(aws={"service_account": "main", "statements": statements})
    assert "its policy refers to ${vpc_id}" in text
    assert "partition" not in text


def test_a_service_leads_to_a_workload() -> None:
    service = {"name": "web", "workload": "other", "ports": [{"port": 80}]}
    assert "Service web leads to other, which is none" in found(services=[service])


def test_a_chart_has_one_version() -> None:
    chart = {"repository": "https://example.org", "name": "c", "release": "c"}
    text = found(install="helm", chart={**chart, "version": "1.2.3,<2"})
    assert "the chart's version 1.2.3,<2 is not exact" in text
    assert found(install="helm", chart={**chart, "version": "v1.2.3-rc.1"}) == ""


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
def test_images_are_pinned(image: str, pinned: bool) -> None:
    pod = {"containers": [{"name": "main", "image": image}]}
    for where in (workload("Deployment", pod), {"values": pod}, {"after": [{"spec": pod}]}):
        assert ("has no tag of its own" in found(**where)) is not pinned


def test_a_tag_in_values_is_no_moving_one() -> None:
    values = {"image": {"repository": "example.org/a", "tag": "latest"}}
    assert "the image example.org/a has the tag latest" in found(values=values)


@pytest.mark.parametrize("kind", ["Deployment", "DaemonSet"])
def test_a_pod_finds_a_node(kind: str) -> None:
    text = found(**workload(kind, {"nodeSelector": {"accelerator": "nvidea"}}))
    assert "no node is as it asks for: {'accelerator': 'nvidea'}" in text
    text = found(**workload(kind, {"nodeSelector": {"accelerator": "nvidia"}}))
    assert "does not tolerate nvidia.com/gpu" in text
    pod = {"nodeSelector": {"accelerator": "nvidia"}, "tolerations": [GPU]}
    assert found(**workload(kind, pod)) == ""


def test_what_is_in_values_and_objects_finds_a_node_too() -> None:
    pod = {"nodeSelector": {"jarkkit/pool": "g9"}}
    assert "no node is as it asks for" in found(values={"worker": pod})
    assert "no node is as it asks for" in found(before=[{"spec": {"template": {"spec": pod}}}])


def test_a_daemonset_may_wait_for_its_first_node_and_a_deployment_may_not() -> None:
    toleration = {"key": "aws.amazon.com/neuron", "operator": "Exists"}
    pod = {"nodeSelector": {"accelerator": "neuron"}, "tolerations": [toleration]}
    assert found(**workload("DaemonSet", pod)) == ""
    assert "no node is as it asks for" in found(**workload("Deployment", pod))
    assert found(default=False, **workload("Deployment", pod)) == ""


def test_a_tolerated_taint_exists() -> None:
    pod = {"tolerations": [{"key": "nvidia.com/gpus", "operator": "Exists"}]}
    assert "tolerates nvidia.com/gpus, a taint that no node has" in found(
        **workload("Deployment", pod)
    )


def test_required_affinity_is_understood() -> None:
    def affine(*expressions: dict[str, Any]) -> dict[str, Any]:
        terms = [{"matchExpressions": list(expressions)}]
        required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}
        return {"affinity": {"nodeAffinity": required}}

    among = nodes(Settings())
    nowhere = {"key": "accelerator", "operator": "In", "values": ["neuron"]}
    assert "no node is as it asks for" in trouble(affine(nowhere), among)
    fargate = {"key": "eks.amazonaws.com/compute-type", "operator": "NotIn", "values": ["fargate"]}
    plain = {"key": "accelerator", "operator": "DoesNotExist"}
    assert trouble(affine(fargate, plain), among) == ""
    family = {"key": "karpenter.k8s.aws/instance-family", "operator": "Exists"}
    assert trouble(affine(family, plain), among) == ""


def test_workloads_are_looked_at_for_every_family_that_they_may_get() -> None:
    pod = {
        "nodeSelector": {"jarkkit/pool": "${pool}"},
        "tolerations": [{"key": "${resource}", "operator": "Exists"}],
        "containers": [{"name": "main", "image": "example.org/main:1"}],
    }
    smoke: dict[str, Any] = {"needs": ["thing"], "pool": "nvidia", "objects": [{"spec": pod}]}

    def wrong(**more: Any) -> str:
        return "\n".join(problems_of({"thing": made()}, {"smoke": smoke | more}, Settings()))

    assert wrong() == ""
    assert "needs other, which does not exist" in wrong(needs=["other"])
    assert "no node is as it asks for" in wrong(pool="none")
    assert "refers to ${region}" in wrong(objects=[{"spec": "${region}"}])
    assert "has no tag" in wrong(objects=[{"image": "example.org/main"}])
    untolerated = {key: value for key, value in pod.items() if key != "tolerations"}
    assert "does not tolerate nvidia.com/gpu" in wrong(objects=[{"spec": untolerated}])


# -- what is shipped ---------------------------------------------------------------------------


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
def test_what_is_shipped_has_no_mistake(
    families: list[str],
    authentication: dict[str, str],
    version: str,
    static_gpu_nodes: int,
    managed_prometheus: bool,
    everything: bool,
) -> None:
    settings = Settings.make(
        {
            "accelerators": [{"family": family, "max_vcpus": 192} for family in families],
            "cluster_version": version,
            "static_gpu_nodes": static_gpu_nodes,
            "managed_prometheus": managed_prometheus,
            "addons": dict.fromkeys(set(catalogue()) - {"karpenter"}, True) if everything else {},
            **authentication,
        }
    )
    assert problems(settings) == []


def test_without_karpenter_pods_that_choose_its_nodes_are_found() -> None:
    pod = {"nodeSelector": {"jarkkit/pool": "cpu"}}
    without = Settings(karpenter=False, accelerators=())
    assert trouble(pod, nodes(without))
    assert not trouble(pod, possible(without))


def test_opensearch_has_one_password_and_no_known_one() -> None:
    (secret,) = catalogue()["opensearch"].secrets
    assert secret.data["password"] == "random"
    users = yaml.safe_load(secret.data["internal_users.yml"].removeprefix("="))
    assert users["admin"]["hash"] == "{bcrypt:password}"
    assert set(users) == {"_meta", "admin"}
