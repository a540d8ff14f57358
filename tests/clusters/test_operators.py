"""Workflows and Ray jobs through the real controllers: what succeeds, and what fails with why."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest

from tests.clusters import operators
from tests.clusters.conftest import World, wait_for
from tests.clusters.test_nodes import node_group, status

FAILS = {"sandbox.jarkkit.io/exit-code": "3"}


@pytest.fixture(scope="module")
def running(world: World) -> None:
    """Both operators, on a node."""
    node_group(world, "for-operators", 2)
    wait_for(lambda: status(world, "for-operators") == "ACTIVE", 120)
    for name in operators.OPERATORS:
        operators.install(world, name)


def workflow(namespace: str, fails: str = "") -> dict[str, Any]:
    """Three steps, one after the other."""
    step = {"image": "busybox", "command": ["true"]}
    names = ("first", "second", "third")
    templates: list[dict[str, Any]] = [
        {
            "name": name,
            "container": step,
            **({"metadata": {"annotations": FAILS}} if name == fails else {}),
        }
        for name in names
    ]
    steps = [[{"name": name, "template": name}] for name in names]
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "metadata": {"name": "three", "namespace": namespace},
        "spec": {"entrypoint": "all", "templates": [{"name": "all", "steps": steps}, *templates]},
    }


def ray_job(namespace: str, annotations: dict[str, str]) -> dict[str, Any]:
    """A job on a cluster of its own, with one worker."""
    container = {"name": "ray", "image": "rayproject/ray:2.52.0"}
    template = {"spec": {"containers": [container]}}
    worker = {
        "groupName": "workers",
        "replicas": 1,
        "minReplicas": 1,
        "maxReplicas": 1,
        "rayStartParams": {},
        "template": template,
    }
    return {
        "apiVersion": "ray.io/v1",
        "kind": "RayJob",
        "metadata": {"name": "job", "namespace": namespace, "annotations": annotations},
        "spec": {
            "entrypoint": "python train.py",
            "rayClusterSpec": {
                "headGroupSpec": {"rayStartParams": {}, "template": template},
                "workerGroupSpecs": [worker],
            },
        },
    }


@pytest.mark.usefixtures("running")
class TestWorkflows:
    def done(self, world: World, thing: dict[str, Any]) -> dict[str, Any]:
        world.api.apply(thing)
        path = world.api.path_of(thing)
        wait_for(lambda: world.api.get(path).get("status", {}).get("finishedAt"), 120)
        return dict(world.api.get(path)["status"])

    def test_three_steps_succeed(self, world: World, namespace: str) -> None:
        ended = self.done(world, workflow(namespace))
        assert ended["phase"] == "Succeeded", ended
        assert ended["progress"] == "3/3"

    def test_a_failing_step_is_named(self, world: World, namespace: str) -> None:
        ended = self.done(world, workflow(namespace, fails="second"))
        assert ended["phase"] == "Failed", ended
        second = next(n for n in ended["nodes"].values() if n["displayName"] == "second")
        assert "exit code 3" in second["message"]
        assert not any(n["displayName"] == "third" for n in ended["nodes"].values())


@pytest.mark.usefixtures("running")
class TestRayJobs:
    def done(self, world: World, thing: dict[str, Any]) -> dict[str, Any]:
        world.api.apply(thing)
        path = world.api.path_of(thing)
        ended = ("Complete", "Failed")
        asked = lambda: world.api.get(path).get("status", {})  # noqa: E731
        wait_for(lambda: asked().get("jobDeploymentStatus") in ended, 180)
        return dict(asked())

    def test_one_succeeds(self, world: World, namespace: str) -> None:
        ended = self.done(world, ray_job(namespace, {}))
        assert ended["jobStatus"] == "SUCCEEDED", ended

    def test_one_fails_and_says_why(self, world: World, namespace: str) -> None:
        ended = self.done(world, ray_job(namespace, FAILS))
        assert (ended["jobStatus"], ended["reason"]) == ("FAILED", "AppFailed"), ended
        assert "exit" in ended["message"] or "code" in ended["message"]


@pytest.mark.usefixtures("running")
def test_their_words_are_in_kubectl_logs(world: World) -> None:
    said = subprocess.run(
        ["kubectl", "--kubeconfig", world.kubeconfig, "-n", "kuberay", "logs", "deploy/controller"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Starting" in said.stdout, said.stderr
