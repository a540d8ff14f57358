"""A failed preflight stops the deploy of the same settings; a plan only warns."""

from __future__ import annotations

import pytest

from jarkkit.model.checks import Check
from jarkkit.model.errors import JarkkitError, NotAllowed
from tests.support.fakes.deployment import DeploymentHarness, protected_cluster

CORE_VCPUS = "L-1216C47A"


@pytest.fixture
def too_small(harness: DeploymentHarness) -> DeploymentHarness:
    """A planned deployment whose preflight found a quota of 0."""
    harness.account.quotas.values[CORE_VCPUS] = 0.0
    assert not harness.deployment.preflight().ok
    harness.plan()
    return harness


def test_it_stops_the_deploy_before_it_is_recorded(too_small: DeploymentHarness) -> None:
    deployment, before = too_small.deployment, too_small.deployment.ledger_entries()
    with pytest.raises(NotAllowed, match="JK-PREFLIGHT-BLOCKED") as caught:
        deployment.deploy()
    assert "(needed: " in caught.value.message
    assert CORE_VCPUS in caught.value.message
    assert "jarkkit preflight demo" in caught.value.fix
    assert "--skip-preflight" in caught.value.fix
    assert deployment.ledger_entries() == before
    assert too_small.terraform.state == []


def test_a_plan_warns(too_small: DeploymentHarness) -> None:
    warnings = [e.code for e in too_small.deployment.plan() if e.kind == "warning"]
    assert warnings == ["JK-PREFLIGHT-BLOCKED"]
    assert too_small.deployment.last_plan() is not None


def test_it_can_be_skipped(too_small: DeploymentHarness) -> None:
    list(too_small.deployment.deploy(skip_preflight=True))
    assert too_small.deployment.status().state == "deployed"


def test_a_preflight_that_passes_lifts_it(too_small: DeploymentHarness) -> None:
    too_small.account.quotas.values.clear()
    assert too_small.deployment.preflight().ok
    list(too_small.deployment.deploy())
    assert too_small.deployment.status().state == "deployed"


def test_it_says_nothing_about_other_settings(too_small: DeploymentHarness) -> None:
    too_small.deployment.configure({"core_nodes": 3})
    too_small.deploy()
    assert too_small.deployment.status().state == "deployed"


def test_without_a_preflight_nothing_is_refused(harness: DeploymentHarness) -> None:
    harness.account.quotas.values[CORE_VCPUS] = 0.0
    harness.deploy()
    assert harness.deployment.status().state == "deployed"


def test_a_deploy_that_finishes_disproves_it(too_small: DeploymentHarness) -> None:
    list(too_small.deployment.deploy(skip_preflight=True))
    too_small.deploy()  # of the same settings
    assert too_small.deployment.status().state == "deployed"


def test_after_a_cleanup_it_says_nothing(too_small: DeploymentHarness) -> None:
    list(too_small.deployment.cleanup(confirm="demo"))
    too_small.deploy()
    assert too_small.deployment.status().state == "deployed"


def test_a_deploy_that_fails_disproves_nothing(too_small: DeploymentHarness) -> None:
    boom = JarkkitError("JK-TF-FAILED", "boom", "again")
    too_small.terraform.failing = [("aws_eks_cluster.demo", boom)]
    with pytest.raises(JarkkitError, match="boom"):
        list(too_small.deployment.deploy(skip_preflight=True))
    with pytest.raises(JarkkitError, match="JK-PREFLIGHT-BLOCKED"):
        too_small.deployment.deploy()


@pytest.mark.parametrize("code", ["JK-AWS-EXPIRED", "JK-AWS-NO-CREDENTIALS", "JK-AWS-UNREACHABLE"])
def test_a_preflight_that_learned_nothing_refuses_nothing(
    harness: DeploymentHarness, code: str
) -> None:
    harness.account.failing = {"caller": JarkkitError(code, "No.", "Log in.")}
    assert failed(harness) == ["AWS credentials"]
    harness.account.failing = {}
    harness.deploy()
    assert harness.deployment.status().state == "deployed"


@pytest.mark.parametrize("status", ["FAILED", "DELETING"])
def test_the_deployments_own_half_made_cluster_does_not_stop_its_deploy(
    harness: DeploymentHarness, status: str
) -> None:
    harness.account.clusters["demo"] = protected_cluster(status=status)
    assert failed(harness) == ["Cluster name"]
    harness.plan()
    harness.account.clusters.clear()
    list(harness.deployment.deploy())
    assert harness.deployment.status().state == "deployed"


def failed(harness: DeploymentHarness) -> list[str]:
    """Return the checks of a preflight that failed."""
    checks: tuple[Check, ...] = harness.deployment.preflight().failures()
    return [check.name for check in checks]


def test_an_unreadable_report_of_other_settings_is_not_read(too_small: DeploymentHarness) -> None:
    too_small.deployment.configure({"core_nodes": 3})
    (too_small.deployment.folder / "reports" / "preflight.json").write_text("{}")
    too_small.deploy()
    assert too_small.deployment.status().state == "deployed"
