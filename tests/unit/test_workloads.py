"""The example workloads as data."""

from __future__ import annotations

import re
from typing import Any

import pytest
from pydantic import ValidationError

from jarkkit.addons.catalogue import catalogue
from jarkkit.addons.pools import node_pools
from jarkkit.cluster.places import target_port
from jarkkit.errors import JarkkitError
from jarkkit.settings import Settings
from jarkkit.steps.use import available, ending
from jarkkit.workloads import NAMESPACE, Workload, hindrance, objects, workload, workloads

EVERYTHING = Settings(accelerators=("g6", "trn1"))  # type: ignore[arg-type]
NAMES = tuple(workloads())


def pod_specs(thing: Any) -> list[dict[str, Any]]:
    """Every pod specification in it, however deep."""
    if isinstance(thing, list):
        return [spec for item in thing for spec in pod_specs(item)]
    if not isinstance(thing, dict):
        return []
    mine = [thing] if "containers" in thing else []
    return mine + [spec for value in thing.values() for spec in pod_specs(value)]


def images(thing: Any) -> list[str]:
    if isinstance(thing, list):
        return [image for item in thing for image in images(item)]
    if not isinstance(thing, dict):
        return []
    mine = [thing["image"]] if isinstance(thing.get("image"), str) else []
    return mine + [image for value in thing.values() for image in images(value)]


@pytest.mark.parametrize("name", NAMES)
class TestEvery:
    def test_needs_add_ons_that_exist(self, name: str) -> None:
        assert set(workload(name).needs) <= set(catalogue())

    def test_can_run_when_everything_is_chosen(self, name: str) -> None:
        assert hindrance(workload(name), EVERYTHING) == ""

    def test_pins_its_images(self, name: str) -> None:
        for image in images(objects(workload(name), EVERYTHING)):
            assert re.search(r":[^/:]*\d[^/:]*$", image), image
            assert "latest" not in image

    def test_lives_in_its_namespace_and_says_what_a_rehearsal_proves(self, name: str) -> None:
        thing = workload(name)
        for made in objects(thing, EVERYTHING):
            assert made["metadata"]["namespace"] == NAMESPACE
            assert "sandbox" not in str(made)
        assert len(thing.rehearsal) > 40
        assert thing.cost

    def test_fits_a_pool(self, name: str) -> None:
        """What the linter asks of the add-ons."""
        pools = [pool["spec"]["template"] for pool in node_pools(EVERYTHING)]
        for spec in pod_specs(objects(workload(name), EVERYTHING)):
            wanted = spec.get("nodeSelector", {}).items()
            fits = [p for p in pools if wanted <= p["metadata"]["labels"].items()]
            tolerated = {t["key"] for t in spec.get("tolerations", [])}
            assert any(
                {taint["key"] for taint in p["spec"].get("taints", [])} <= tolerated for p in fits
            ), spec

    def test_limits_the_memory_of_its_containers(self, name: str) -> None:
        for spec in pod_specs(objects(workload(name), EVERYTHING)):
            assert all("memory" in c["resources"]["limits"] for c in spec["containers"])


def test_there_are_those_of_the_notebook() -> None:
    assert {"hello-workflow", "ray-job", "gpu-smoke", "neuron-smoke", "hub-login"} <= set(NAMES)


def test_whichever_family_is_chosen_is_taken() -> None:
    for family, resource in (("g5", "nvidia.com/gpu"), ("p5", "nvidia.com/gpu")):
        settings = Settings(accelerators=(family,))  # type: ignore[arg-type]
        (pod,) = objects(workload("gpu-smoke"), settings)
        assert pod["spec"]["nodeSelector"] == {"jarkkit/pool": family}
        assert pod["spec"]["containers"][0]["resources"]["limits"][resource] == "1"
        assert "NEURON" in hindrance(workload("neuron-smoke"), settings).upper()


def test_what_is_off_hinders() -> None:
    settings = Settings(addons={"argo-workflows": False})
    offers = {offer.name: offer.hindrance for offer in available(settings)}
    assert "Argo Workflows" in offers["hello-workflow"]
    assert offers["ray-job"] == ""
    nothing = Settings(accelerators=())
    assert "NVIDIA" in hindrance(workload("gpu-smoke"), nothing)


def test_unknown_names_are_refused() -> None:
    with pytest.raises(JarkkitError) as caught:
        workload("nonsense")
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
def test_how_a_ray_job_has_ended(status: dict[str, str], ended: str) -> None:
    wait = workload("ray-job").wait
    assert wait is not None
    assert ending(wait, {"status": status}) == ended


def test_one_needs_objects_or_a_page() -> None:
    good = workload("hub-login").model_dump()
    with pytest.raises(ValidationError, match="either objects"):
        Workload.model_validate({**good, "visit": None})


def test_the_port_behind_a_service() -> None:
    service = {
        "spec": {"ports": [{"port": 80, "targetPort": "web"}, {"port": 9, "targetPort": 10}]}
    }
    pod = {"spec": {"containers": [{"ports": [{"name": "web", "containerPort": 3000}]}]}}
    assert target_port(service, pod, 80) == 3000
    assert target_port(service, pod, 9) == 10
    assert target_port(service, pod, 7) == 7
