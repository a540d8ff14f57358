"""Workflows and Ray jobs run by the real controllers: success, and failure with its reason."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest

from tests.support import operators
from tests.support.cluster_objects import create_node_group, node_group_status
from tests.support.clusters import RehearsalCluster
from tests.support.operators import FAILS, ray_job, workflow
from tests.support.poll import wait_for


@pytest.fixture(scope="module")
def installed_operators(cluster: RehearsalCluster) -> None:
    """Both operators, on a node group of two nodes."""
    create_node_group(cluster, "for-operators", 2)
    wait_for(lambda: node_group_status(cluster, "for-operators") == "ACTIVE", 120)
    for name in operators.OPERATORS:
        operators.install(cluster, name)


@pytest.mark.usefixtures("installed_operators")
class TestWorkflows:
    def ended_status(self, cluster: RehearsalCluster, manifest: dict[str, Any]) -> dict[str, Any]:
        cluster.api.apply(manifest)
        path = cluster.api.path_of(manifest)
        wait_for(lambda: cluster.api.get(path).get("status", {}).get("finishedAt"), 120)
        return dict(cluster.api.get(path)["status"])

    def test_a_workflow_of_three_steps_succeeds(
        self, cluster: RehearsalCluster, namespace: str
    ) -> None:
        ended = self.ended_status(cluster, workflow(namespace))
        assert ended["phase"] == "Succeeded", ended
        assert ended["progress"] == "3/3"

    def test_a_failed_workflow_names_the_failed_step(
        self, cluster: RehearsalCluster, namespace: str
    ) -> None:
        ended = self.ended_status(cluster, workflow(namespace, fails="second"))
        assert ended["phase"] == "Failed", ended
        second = next(n for n in ended["nodes"].values() if n["displayName"] == "second")
        assert "exit code 3" in second["message"]
        assert not any(n["displayName"] == "third" for n in ended["nodes"].values())


@pytest.mark.usefixtures("installed_operators")
class TestRayJobs:
    def ended_status(self, cluster: RehearsalCluster, manifest: dict[str, Any]) -> dict[str, Any]:
        cluster.api.apply(manifest)
        path = cluster.api.path_of(manifest)
        ended = ("Complete", "Failed")
        asked = lambda: cluster.api.get(path).get("status", {})  # noqa: E731
        wait_for(lambda: asked().get("jobDeploymentStatus") in ended, 180)
        return dict(asked())

    def test_a_ray_job_succeeds(self, cluster: RehearsalCluster, namespace: str) -> None:
        ended = self.ended_status(cluster, ray_job(namespace, {}))
        assert ended["jobStatus"] == "SUCCEEDED", ended

    def test_a_failed_ray_job_reports_why(self, cluster: RehearsalCluster, namespace: str) -> None:
        ended = self.ended_status(cluster, ray_job(namespace, FAILS))
        assert (ended["jobStatus"], ended["reason"]) == ("FAILED", "AppFailed"), ended
        assert "exit" in ended["message"] or "code" in ended["message"]


@pytest.mark.usefixtures("installed_operators")
def test_an_operators_output_is_in_kubectl_logs(cluster: RehearsalCluster) -> None:
    logs = subprocess.run(
        [
            "kubectl",
            "--kubeconfig",
            cluster.kubeconfig,
            "-n",
            "kuberay",
            "logs",
            "deploy/controller",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Starting" in logs.stdout, logs.stderr
