"""A deploy that replaces the cluster stops if the cluster cannot be emptied first."""

from __future__ import annotations

import pytest

from jarkkit.model.errors import JarkkitError
from jarkkit.model.records import AddonState, ClusterState, OwnedResource, UnemptiedCluster
from jarkkit.steps import emptying
from jarkkit.steps.cluster import uninstaller
from tests.support.fakes.cluster import FakeKube
from tests.support.fakes.deployment import (
    DeploymentHarness,
    EmptyingConnect,
    FakeConnect,
    protected_cluster,
)
from tests.support.stacks import BARE

UNREACHABLE = JarkkitError("JK-KUBE-UNREACHABLE", "The API server does not answer.", "Wait.")
BOOM = JarkkitError("JK-TF-FAILED", "boom", "again")
VOLUME = OwnedResource(terraform_type="aws_ebs_volume", import_id="vol-1", of_cluster=True)
SERVICE = {
    "kind": "Service",
    "metadata": {"name": "web", "namespace": "team"},
    "spec": {"type": "LoadBalancer"},
}


@pytest.fixture
def replacing(harness: DeploymentHarness) -> DeploymentHarness:
    """A deployed deployment with an active cluster, which the next deploy replaces."""
    harness.deployment.configure(BARE)  # no charts
    harness.deploy()
    harness.account.clusters["demo"] = protected_cluster()
    harness.terraform.replacing = ("aws_eks_cluster.demo",)
    harness.plan()
    return harness


def stopped(harness: DeploymentHarness) -> JarkkitError:
    """Deploy with the name; return the error, after which the cluster is as it was."""
    calls = list(harness.terraform.calls)
    with pytest.raises(JarkkitError) as caught:
        list(harness.deployment.deploy(confirm="demo"))
    applied = [call for call in harness.terraform.calls[len(calls) :] if call.startswith("apply")]
    assert applied == []
    assert harness.account.protections == []
    assert harness.deployment.last_deploy_result() is not None
    return caught.value


def test_an_unreachable_api_server_stops_it_before_the_first_change(
    replacing: DeploymentHarness,
) -> None:
    replacing.deployment._connecting = FakeConnect(UNREACHABLE)
    replacing.account.leftovers = (VOLUME,)
    replacing.account.launched = ("i-1",)
    error = stopped(replacing)
    assert error.code == "JK-CLUSTER-NOT-EMPTIED"
    assert "The API server does not answer" in error.message
    assert "The cluster is as it was" in error.message
    assert "set the setting back" in error.fix
    assert "--allow-orphans" in error.fix
    assert "jarkkit cleanup demo --confirm demo" in error.fix
    assert error.evidence.splitlines() == [
        "would be left: aws_ebs_volume vol-1",
        "would be left: aws_instance i-1 (launched by Karpenter)",
    ]
    assert replacing.account.launched == ("i-1",)  # still running: nothing was changed


def test_it_stops_again_when_it_is_run_again(replacing: DeploymentHarness) -> None:
    replacing.deployment._connecting = FakeConnect(UNREACHABLE)
    assert stopped(replacing).code == stopped(replacing).code == "JK-CLUSTER-NOT-EMPTIED"


def test_denied_access_to_the_cluster_stops_it(replacing: DeploymentHarness) -> None:
    replacing.account.cluster_access.error = JarkkitError("JK-AWS-DENIED", "No.", "Ask.")
    replacing.deployment._connecting = FakeConnect()
    assert stopped(replacing).code == "JK-CLUSTER-NOT-EMPTIED"


def test_a_load_balancer_that_stays_stops_it(
    replacing: DeploymentHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uninstaller, "_DELETION_SECONDS", 0.0)
    kube = FakeKube()
    kube.put(SERVICE)
    kube.stuck.add("Service")
    replacing.deployment._connecting = EmptyingConnect(replacing, kube)
    error = stopped(replacing)
    assert error.code == "JK-CLUSTER-NOT-EMPTIED"
    assert "what was in it is deleted already" in error.message
    assert "except: load balancers: 1 not deleted in time: team/web" in error.message
    assert "set the setting back" not in error.fix


def test_an_instance_that_does_not_end_stops_it(
    replacing: DeploymentHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(emptying, "_INSTANCES_SECONDS", -1.0)
    replacing.deployment._connecting = EmptyingConnect(replacing, FakeKube())
    replacing.account.launched = ("i-1",)
    assert "Instances from Karpenter are still running: i-1" in stopped(replacing).message


def test_the_option_goes_on_and_the_receipt_is_not_proven(replacing: DeploymentHarness) -> None:
    replacing.deployment._connecting = FakeConnect(UNREACHABLE)
    with pytest.raises(JarkkitError, match="JK-KUBE-UNREACHABLE"):  # of the new cluster, too
        list(replacing.deployment.deploy(confirm="demo", allow_orphans=True))
    warnings = [e.message for e in replacing.deployment.events("deploy") if e.kind == "warning"]
    assert any("although it was not emptied" in message for message in warnings)
    assert replacing.terraform.calls.count("apply plan.tfplan") == 2
    # The next cluster answers, and its cleanup empties it: which proves nothing about the old one.
    replacing.deployment._connecting = EmptyingConnect(replacing, FakeKube())
    replacing.account.clusters["demo"] = protected_cluster(endpoint="https://new")
    list(replacing.deployment.cleanup(confirm="demo"))
    receipt = replacing.deployment.last_receipt()
    assert receipt is not None
    assert receipt.not_emptied == "The API server does not answer."
    # The next deployment of that name has nothing to do with it.
    list(replacing.deployment.cleanup(confirm="demo"))
    receipt = replacing.deployment.last_receipt()
    assert receipt is not None
    assert receipt.clean


def not_deleted(replacing: DeploymentHarness) -> None:
    """Let the deploy go on without emptying the cluster, and Terraform fail before it deletes
    it."""
    replacing.deployment._connecting = FakeConnect(UNREACHABLE)
    replacing.terraform.failing = [("aws_eks_cluster.demo", BOOM)]
    with pytest.raises(JarkkitError, match="boom"):
        list(replacing.deployment.deploy(confirm="demo", allow_orphans=True))
    assert replacing.deployment.workspace.load(emptying.UNEMPTIED, UnemptiedCluster) is not None
    replacing.deployment._connecting = EmptyingConnect(replacing, FakeKube())


def test_the_reason_is_forgotten_when_a_deploy_empties_the_same_cluster(
    replacing: DeploymentHarness,
) -> None:
    not_deleted(replacing)
    list(replacing.deployment.deploy(confirm="demo"))
    assert replacing.deployment.workspace.load(emptying.UNEMPTIED, UnemptiedCluster) is None


def test_the_reason_is_forgotten_when_cleanup_empties_the_same_cluster(
    replacing: DeploymentHarness,
) -> None:
    not_deleted(replacing)
    list(replacing.deployment.cleanup(confirm="demo"))
    receipt = replacing.deployment.last_receipt()
    assert receipt is not None
    assert receipt.clean


def test_a_cluster_that_never_worked_is_replaced_without_a_question(
    replacing: DeploymentHarness,
) -> None:
    replacing.deployment.workspace.discard("deployed")
    replacing.account.clusters["demo"] = protected_cluster(status="FAILED")
    connect = EmptyingConnect(replacing, FakeKube())
    replacing.deployment._connecting = connect
    events = list(replacing.deployment.deploy(confirm="demo"))
    assert not [event for event in events if event.kind == "warning"]
    assert replacing.terraform.calls.count("apply plan.tfplan") == 2
    assert len(connect.applied) == 1  # for the new cluster


def test_a_failed_cluster_that_once_worked_is_not(replacing: DeploymentHarness) -> None:
    replacing.account.clusters["demo"] = protected_cluster(status="FAILED")
    installed = {"argo-cd": AddonState(namespace="argocd")}
    replacing.deployment.workspace.save("cluster", ClusterState(addons=installed))
    replacing.deployment._connecting = FakeConnect()
    assert "It is FAILED" in stopped(replacing).message
