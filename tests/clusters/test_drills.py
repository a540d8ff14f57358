"""Drills on a deployed cluster: diagnose reports each fault's code, and the cluster recovers."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from jarkkit.catalog.drills import NAMESPACE, drill
from jarkkit.model.checks import Check, Report
from jarkkit.notebook.ui.drill_session import DrillSession
from jarkkit.sandbox import daemon_client
from tests.support.deployments import CliDeployment, deployed_in_sandbox, kubectl
from tests.support.poll import wait_for
from tests.support.stacks import BARE

# JupyterHub for pod faults, Karpenter for capacity faults, and what these two need.
ADDONS = {**BARE["addons"], "jupyterhub": True}


@pytest.fixture(scope="module")
def cli_deployment(terraform: str) -> Iterator[CliDeployment]:
    """A detached sandbox and a small deployment in it."""
    with deployed_in_sandbox(
        "drills", addons=ADDONS, accelerators=[], cpu_capacity=["spot"]
    ) as created:
        yield created


def faults_on(cli_deployment: CliDeployment) -> list[str]:
    return list(daemon_client.status(cli_deployment.home / ".sandbox")["faults"])


def start_drill(cli_deployment: CliDeployment, name: str) -> DrillSession:
    """Start a drill as a notebook does, in the deployment's sandbox."""
    home = cli_deployment.home / ".sandbox"

    def switch(words: tuple[str, ...]) -> tuple[str, ...]:
        before = tuple(daemon_client.status(home)["faults"])
        daemon_client.set_faults(home, words)
        return before

    return DrillSession(
        cli_deployment.deployment,
        drill(name),
        cli_deployment.deployment.why_drill_not_runnable(name),
        set_faults=switch,
    )


def report_of(cli_deployment: CliDeployment, name: str) -> Report:
    """Run a drill until the cluster has recovered; return what diagnose reported meanwhile."""
    with start_drill(cli_deployment, name) as drilled:
        assert not drilled.skip_reason
        report = drilled.diagnosis()
    assert faults_on(cli_deployment) == []
    drilled.recovery(120)
    return report


@pytest.mark.parametrize(
    "name",
    ["image-pull", "crash-loop", "oom", "node-unhealthy",
     "expired-credentials", "access-denied", "throttled", "api-unreachable"],
)  # fmt: skip
def test_diagnose_finds_a_fault_and_the_deployment_recovers(
    cli_deployment: CliDeployment, name: str
) -> None:
    report = report_of(cli_deployment, name)
    check = next(check for check in report.checks if check.code == drill(name).code)
    assert check.found
    assert check.fix


def test_missing_capacity_is_the_cause_and_the_pod_its_symptom(
    cli_deployment: CliDeployment,
) -> None:
    (cause,) = report_of(cli_deployment, "insufficient-capacity").failures()
    assert cause.name == "Instances for Karpenter"
    assert any("needs-a-node" in line for line in cause.follows)
    assert NAMESPACE not in kubectl(cli_deployment, "get", "namespaces", "-o", "name")


def test_an_instance_that_does_not_join_is_the_cause_for_the_waiting_pod(
    cli_deployment: CliDeployment,
) -> None:
    def cause() -> Check | None:
        checks = cli_deployment.deployment.diagnose().checks
        lost = (check for check in checks if check.name.startswith("Instance i-"))
        return next((check for check in lost if "needs-a-node" in str(check.follows)), None)

    with start_drill(cli_deployment, "node-not-joining") as drilled:
        found = wait_for(cause)
    assert found is not None
    assert found.code == "JK-NODE-NOT-JOINED"
    assert any(line.startswith("NodeClaim ") for line in found.follows)
    drilled.recovery(120)


def test_the_diagnose_command_reports_the_fault_and_exits_with_one(
    cli_deployment: CliDeployment,
) -> None:
    with start_drill(cli_deployment, "image-pull") as drilled:
        drilled.diagnosis()
        broken = cli_deployment.run("diagnose", "drills", "--json")
    assert broken.returncode == 1
    codes = {check["code"] for check in json.loads(broken.stdout)["checks"]}
    assert "JK-ADDON-IMAGE" in codes
    drilled.recovery()
    healthy = cli_deployment.run("diagnose", "drills")
    assert healthy.returncode == 0, healthy.stdout
    assert "Is everything healthy? Yes" in healthy.stdout


def test_verify_passes_after_the_drills(cli_deployment: CliDeployment) -> None:
    cli_deployment.ok("verify", "drills")


def test_a_reclaimed_spot_instance_is_reported_and_leaves_no_fault(
    cli_deployment: CliDeployment,
) -> None:
    """Runs last: Karpenter needs minutes to notice an instance that died while it was joining."""
    with start_drill(cli_deployment, "spot-interruption") as drilled:
        report = drilled.diagnosis()
    assert any(check.code == "JK-NODE-RECLAIMED" for check in report.checks)
    assert faults_on(cli_deployment) == []
