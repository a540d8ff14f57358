"""The example workloads as data."""

from __future__ import annotations

import re
from typing import Any

import pytest
from pydantic import ValidationError

from jarkkit.catalog.addons import addon_catalog
from jarkkit.catalog.examples import NAMESPACE, ExampleWorkload, example_workload, example_workloads
from jarkkit.decisions.addons.node_pools import node_pools
from jarkkit.decisions.examples import manifests, why_not_runnable
from jarkkit.model.errors import JarkkitError
from jarkkit.settings import Settings
from jarkkit.steps.cluster.web_uis import target_port
from jarkkit.steps.use import examples, outcome
from tests.support.stacks import resolved

EVERYTHING = Settings(accelerators=("g6", "trn1"))  # type: ignore[arg-type]
NAMES = tuple(example_workloads())


def pod_specs(value: Any) -> list[dict[str, Any]]:
    """Return every pod specification in the value, at any depth."""
    if isinstance(value, list):
        return [spec for item in value for spec in pod_specs(item)]
    if not isinstance(value, dict):
        return []
    mine = [value] if "containers" in value else []
    return mine + [spec for value in value.values() for spec in pod_specs(value)]


def images(value: Any) -> list[str]:
    if isinstance(value, list):
        return [image for item in value for image in images(item)]
    if not isinstance(value, dict):
        return []
    mine = [value["image"]] if isinstance(value.get("image"), str) else []
    return mine + [image for value in value.values() for image in images(value)]


@pytest.mark.parametrize("name", NAMES)
class TestEveryWorkload:
    def test_needs_add_ons_that_exist(self, name: str) -> None:
        assert set(example_workload(name).needs) <= set(addon_catalog())

    def test_is_runnable_with_all_add_ons(self, name: str) -> None:
        assert why_not_runnable(example_workload(name), resolved(EVERYTHING)) == ""

    def test_pins_its_images(self, name: str) -> None:
        for image in images(manifests(example_workload(name), EVERYTHING)):
            assert re.search(r":[^/:]*\d[^/:]*$", image), image
            assert "latest" not in image

    def test_runs_in_its_namespace_and_documents_its_rehearsal(self, name: str) -> None:
        value = example_workload(name)
        for made in manifests(value, EVERYTHING):
            assert made["metadata"]["namespace"] == NAMESPACE
            assert "sandbox" not in str(made)
        assert len(value.rehearsal) > 40
        assert value.cost

    def test_fits_a_pool(self, name: str) -> None:
        """As the linter checks for add-ons."""
        pools = [pool["spec"]["template"] for pool in node_pools(EVERYTHING)]
        for spec in pod_specs(manifests(example_workload(name), EVERYTHING)):
            selector = spec.get("nodeSelector", {}).items()
            fits = [p for p in pools if selector <= p["metadata"]["labels"].items()]
            tolerated = {t["key"] for t in spec.get("tolerations", [])}
            assert any(
                {taint["key"] for taint in p["spec"].get("taints", [])} <= tolerated for p in fits
            ), spec

    def test_limits_the_memory_of_its_containers(self, name: str) -> None:
        for spec in pod_specs(manifests(example_workload(name), EVERYTHING)):
            assert all("memory" in c["resources"]["limits"] for c in spec["containers"])


def test_the_workloads_of_the_notebook_exist() -> None:
    assert {"hello-workflow", "ray-job", "gpu-smoke", "neuron-smoke", "hub-login"} <= set(NAMES)


def test_a_workload_runs_on_the_family_in_the_settings() -> None:
    for family, resource in (("g5", "nvidia.com/gpu"), ("p5", "nvidia.com/gpu")):
        settings = Settings(accelerators=(family,))  # type: ignore[arg-type]
        (pod,) = manifests(example_workload("gpu-smoke"), settings)
        assert pod["spec"]["nodeSelector"] == {"jarkkit/pool": family}
        assert pod["spec"]["containers"][0]["resources"]["limits"][resource] == "1"
        assert (
            "NEURON"
            in why_not_runnable(example_workload("neuron-smoke"), resolved(settings)).upper()
        )


def test_a_disabled_add_on_makes_a_workload_not_runnable() -> None:
    settings = Settings(addons={"argo-workflows": False})
    reasons = {example.name: example.why_not_runnable for example in examples(resolved(settings))}
    assert "Argo Workflows" in reasons["hello-workflow"]
    assert reasons["ray-job"] == ""
    without_accelerators = Settings(accelerators=())
    assert "NVIDIA" in why_not_runnable(
        example_workload("gpu-smoke"), resolved(without_accelerators)
    )


def test_unknown_names_are_rejected() -> None:
    with pytest.raises(JarkkitError) as caught:
        example_workload("nonsense")
    assert caught.value.code == "JK-USE-UNKNOWN"
    assert "hello-workflow" in caught.value.fix


@pytest.mark.parametrize(
    ("status", "ended"),
    [
        ({}, ""),
        ({"jobDeploymentStatus": "Running", "jobStatus": "RUNNING"}, ""),
        ({"jobDeploymentStatus": "Running", "jobStatus": "SUCCEEDED"}, ""),
        ({"jobDeploymentStatus": "Complete", "jobStatus": "SUCCEEDED"}, "pass"),
        ({"jobDeploymentStatus": "Complete", "jobStatus": "STOPPED"}, "fail"),
        ({"jobDeploymentStatus": "Failed", "jobStatus": "FAILED"}, "fail"),
    ],
)
def test_the_outcome_of_a_ray_job(status: dict[str, str], ended: str) -> None:
    wait = example_workload("ray-job").wait
    assert wait is not None
    assert outcome(wait, {"status": status}) == ended


def test_a_workload_needs_objects_or_a_web_ui() -> None:
    good = example_workload("hub-login").model_dump()
    with pytest.raises(ValidationError, match="either objects"):
        ExampleWorkload.model_validate({**good, "visit": None})


def test_the_port_behind_a_service() -> None:
    service = {
        "spec": {"ports": [{"port": 80, "targetPort": "web"}, {"port": 9, "targetPort": 10}]}
    }
    pod = {"spec": {"containers": [{"ports": [{"name": "web", "containerPort": 3000}]}]}}
    assert target_port(service, pod, 80) == 3000
    assert target_port(service, pod, 9) == 10
    assert target_port(service, pod, 7) == 7


def test_consolidation_never_moves_a_ray_pod_and_ray_has_upstreams_memory() -> None:
    (job,) = manifests(example_workload("ray-job"), EVERYTHING)
    cluster = job["spec"]["rayClusterSpec"]
    templates = [g["template"] for g in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"])]
    for template in templates:
        assert template["metadata"]["annotations"] == {"karpenter.sh/do-not-disrupt": "true"}
        assert template["spec"]["containers"][0]["resources"]["limits"] == {"memory": "5Gi"}
