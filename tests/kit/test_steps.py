"""All steps on fakes: their order, resuming, rejections and the status."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest

from jarkkit.decisions.terraform_failures import terraform_error
from jarkkit.deployment import Deployment
from jarkkit.model.checks import Check
from jarkkit.model.clock import now
from jarkkit.model.errors import JarkkitError
from jarkkit.model.events import ProgressStatus, ResourceProgress, StepEvent
from jarkkit.model.records import (
    AddonState,
    ClusterComponent,
    ClusterState,
    ClusterVersion,
    EksCluster,
    Event,
    LedgerEntry,
    OwnedResource,
    Receipt,
    Target,
)
from jarkkit.render.text import text as text_of
from jarkkit.settings import CLUSTER_VERSIONS
from jarkkit.steps import emptying
from jarkkit.steps.cleanup import receipt_report
from jarkkit.steps.leftover_removal import unblock
from tests.support.fakes.cluster import FakeKube
from tests.support.fakes.deployment import (
    DeploymentHarness,
    EmptyingConnect,
    FakeConnect,
    active_components,
    protected_cluster,
)
from tests.support.stacks import BARE

BOOM = JarkkitError("JK-TF-FAILED", "boom", "again")


def receipt_of(harness: DeploymentHarness) -> Receipt:
    """Return the receipt of the last cleanup."""
    receipt = harness.deployment.last_receipt()
    assert receipt is not None
    return receipt


def test_from_settings_to_receipt(harness: DeploymentHarness) -> None:
    deployment = harness.deployment
    assert deployment.status().state == "new"
    deployment.preflight()
    assert deployment.status().next_command == "jarkkit plan demo"
    harness.plan()
    assert deployment.status().state == "planned"
    events = list(deployment.deploy())
    assert [e.done for e in events if e.kind == "resource"] == [1, 2]
    assert deployment.status().state == "deployed"
    assert deployment.workspace.kubeconfig.stat().st_mode & 0o077 == 0
    list(deployment.cleanup(confirm="demo"))
    assert not deployment.workspace.kubeconfig.exists()
    assert deployment.status().state == "removed"
    assert harness.terraform.state == []
    receipt = receipt_of(harness)
    assert receipt.clean
    assert receipt.destroyed == 2


def test_cleanup_twice_gives_a_receipt_twice(harness: DeploymentHarness) -> None:
    harness.deploy()
    list(harness.deployment.cleanup(confirm="demo"))
    list(harness.deployment.cleanup(confirm="demo"))
    receipt = receipt_of(harness)
    assert receipt.destroyed == 0
    assert receipt.clean


@pytest.mark.parametrize("typed", ["", "Demo", "yes"])
def test_cleanup_requires_the_name(harness: DeploymentHarness, typed: str) -> None:
    harness.deploy()
    with pytest.raises(JarkkitError, match="JK-CONFIRM"):
        harness.deployment.cleanup(confirm=typed)
    assert harness.terraform.state


def test_deploy_without_a_plan_is_rejected(harness: DeploymentHarness) -> None:
    with pytest.raises(JarkkitError, match="JK-PLAN-MISSING"):
        list(harness.deployment.deploy())


def test_a_plan_for_other_settings_is_rejected(harness: DeploymentHarness) -> None:
    harness.plan()
    harness.deployment.configure({"core_nodes": 3})
    assert harness.deployment.status().state == "configured"
    with pytest.raises(JarkkitError, match="JK-PLAN-STALE"):
        list(harness.deployment.deploy())
    assert harness.terraform.state == []


def test_a_plan_with_a_changed_configuration_is_rejected(harness: DeploymentHarness) -> None:
    harness.plan()
    (harness.deployment.folder / "variables.tf").write_text("# changed by hand")
    with pytest.raises(JarkkitError, match="JK-PLAN-STALE"):
        list(harness.deployment.deploy())


def test_the_wrong_account_is_rejected_before_any_change(harness: DeploymentHarness) -> None:
    harness.deploy()
    harness.account.account_id = "999999999999"
    before = list(harness.terraform.calls)
    for step in (
        harness.deployment.plan,
        harness.deployment.deploy,
        lambda: harness.deployment.cleanup(confirm="demo"),
    ):
        with pytest.raises(JarkkitError, match="JK-TARGET-MISMATCH"):
            list(step())
    assert harness.terraform.calls == before
    with pytest.raises(JarkkitError, match="JK-TARGET-MISMATCH"):
        harness.deployment.verify()


def test_another_region_is_rejected_after_the_first_apply(
    harness: DeploymentHarness,
) -> None:
    harness.deploy()
    harness.deployment.configure({"region": "eu-west-1"})
    with pytest.raises(JarkkitError, match="JK-TARGET-MISMATCH"):
        harness.plan()


def test_an_unknown_region_gets_a_suggestion(harness: DeploymentHarness) -> None:
    harness.deployment.configure({"region": "us-west-3"})
    with pytest.raises(JarkkitError, match="JK-REGION-UNKNOWN") as caught:
        harness.plan()
    assert "us-west-2" in caught.value.fix


def test_the_target_is_saved_before_the_first_change(harness: DeploymentHarness) -> None:
    harness.plan()
    harness.terraform.failing = [("aws_vpc.demo", BOOM)]
    with pytest.raises(JarkkitError, match="boom"):
        list(harness.deployment.deploy())
    assert harness.deployment.workspace.load("target", Target) is not None


def test_a_deploy_that_failed_half_way_resumes(harness: DeploymentHarness) -> None:
    harness.plan()
    harness.terraform.failing = [("aws_eks_cluster.demo", BOOM)]
    with pytest.raises(JarkkitError, match="boom"):
        list(harness.deployment.deploy())
    status = harness.deployment.status()
    assert status.state == "failed"
    assert "JK-TF-FAILED" in status.summary
    assert status.next_command == "jarkkit deploy demo"
    list(harness.deployment.deploy())
    assert harness.terraform.state == ["aws_vpc.demo", "aws_eks_cluster.demo"]
    assert harness.deployment.status().state == "deployed"


def test_a_deploy_whose_process_died_is_detected_and_resumes(harness: DeploymentHarness) -> None:
    harness.plan()
    running = harness.deployment.deploy()
    for event in running:
        if event.kind == "resource":
            break
    # as after SIGKILL: a ledger entry for the start and none for the end
    ledger = harness.deployment.folder / "ledger.jsonl"
    before = ledger.read_text()
    running.close()
    ledger.write_text(before)
    assert harness.deployment.status().state == "failed"
    list(harness.deployment.deploy())
    assert harness.deployment.status().state == "deployed"


def test_an_interrupt_is_recorded(harness: DeploymentHarness) -> None:
    harness.plan()
    harness.terraform.failing = [("aws_eks_cluster.demo", KeyboardInterrupt())]
    with pytest.raises(KeyboardInterrupt):
        list(harness.deployment.deploy())
    assert harness.deployment.ledger_entries()[-1].status == "interrupted"
    assert "interrupted" in harness.deployment.status().summary


def test_permissions_keep_what_removes_resources_of_earlier_settings(
    harness: DeploymentHarness,
) -> None:
    deployment = harness.deployment

    def can_delete_the_queue() -> bool:
        actions = {a for s in deployment.permissions("1") for a in s.actions}
        return "sqs:DeleteQueue" in actions

    harness.deploy()
    deployment.configure({"karpenter": False, "accelerators": []})
    assert can_delete_the_queue()
    harness.plan()
    work = deployment.deploy(confirm="demo")
    next(event for event in work if event.subject == "apply")
    work.close()  # interrupted: Karpenter's resources may be half deleted
    assert can_delete_the_queue()
    list(deployment.deploy(confirm="demo"))
    assert not can_delete_the_queue()
    deployment.configure({"karpenter": True})
    assert can_delete_the_queue()
    deployment.configure({"karpenter": False})
    list(deployment.cleanup(confirm="demo"))
    assert not (deployment.folder / "applied-permissions.json").exists()


def test_a_damaged_record_of_permissions_stops_a_deploy_before_the_first_change(
    harness: DeploymentHarness,
) -> None:
    harness.deploy()
    harness.deployment.configure({"karpenter": False, "accelerators": []})
    harness.plan()
    calls = list(harness.terraform.calls)
    (harness.deployment.folder / "applied-permissions.json").write_text("{}")
    with pytest.raises(JarkkitError) as caught:
        list(harness.deployment.deploy(confirm="demo"))
    assert caught.value.code == "JK-DEPLOYMENT-DAMAGED"
    assert harness.terraform.calls == calls


def test_deploying_again_changes_nothing(harness: DeploymentHarness) -> None:
    harness.deploy()
    before = harness.terraform.calls.count("apply plan.tfplan")
    list(harness.deployment.deploy())
    assert harness.terraform.calls.count("apply plan.tfplan") == before
    assert "apply resume.tfplan" not in harness.terraform.calls


def test_drift_requires_a_new_plan(harness: DeploymentHarness) -> None:
    harness.deploy()
    harness.terraform.state.remove("aws_vpc.demo")
    with pytest.raises(JarkkitError, match="JK-PLAN-STALE") as caught:
        list(harness.deployment.deploy())
    assert "1 resources differ" in caught.value.message
    harness.deploy()
    assert "aws_vpc.demo" in harness.terraform.state


def test_resources_of_a_killed_run_are_imported(harness: DeploymentHarness) -> None:
    harness.plan()
    harness.terraform.failing = [("aws_vpc.demo", BOOM)]
    with pytest.raises(JarkkitError):
        list(harness.deployment.deploy())
    harness.account.leftovers = (
        OwnedResource(terraform_type="aws_vpc", import_id="vpc-1", name="demo"),
    )
    messages = [e.message for e in harness.deployment.deploy() if e.kind == "message"]
    assert "aws_vpc.demo already exists in the account: importing it" in messages
    assert not (harness.deployment.folder / "adopt.tf.json").exists()


def test_cleanup_after_a_killed_run_imports_its_resources_first(harness: DeploymentHarness) -> None:
    harness.plan()
    harness.terraform.failing = [("aws_vpc.demo", BOOM)]
    with pytest.raises(JarkkitError):
        list(harness.deployment.deploy())
    harness.account.leftovers = (
        OwnedResource(terraform_type="aws_vpc", import_id="vpc-1", name="demo"),
    )
    with pytest.raises(JarkkitError, match="JK-CLEANUP-LEFT"):
        list(harness.deployment.cleanup(confirm="demo"))
    assert "plan adopt.tfplan aws_vpc.demo" in harness.terraform.calls
    assert "apply adopt.tfplan" in harness.terraform.calls
    harness.account.leftovers = ()
    list(harness.deployment.cleanup(confirm="demo"))
    assert harness.terraform.state == []


def test_leftovers_are_not_imported_if_that_creates_a_cluster(
    harness: DeploymentHarness,
) -> None:
    harness.deploy()
    harness.terraform.state.clear()
    harness.terraform.dependencies = ("aws_eks_cluster.demo",)
    harness.account.leftovers = (
        OwnedResource(terraform_type="aws_vpc", import_id="vpc-1", name="demo"),
    )
    with pytest.raises(JarkkitError, match="JK-CLEANUP-LEFT"):
        list(harness.deployment.cleanup(confirm="demo"))
    assert "plan adopt.tfplan aws_vpc.demo" in harness.terraform.calls
    assert "apply adopt.tfplan" not in harness.terraform.calls


def test_a_resource_that_aws_finished_is_untainted(harness: DeploymentHarness) -> None:
    harness.plan()
    harness.terraform.failing = [("aws_eks_cluster.demo", BOOM)]
    with pytest.raises(JarkkitError):
        list(harness.deployment.deploy())
    harness.terraform.tainted = {"aws_eks_cluster.demo": "demo", "aws_nat_gateway.a": "nat-1"}
    harness.account.leftovers = (
        OwnedResource(terraform_type="aws_eks_cluster", import_id="demo", name="demo"),
    )
    list(harness.deployment.deploy())
    assert "untaint aws_eks_cluster.demo" in harness.terraform.calls
    assert "untaint aws_nat_gateway.a" not in harness.terraform.calls


def test_a_cluster_that_failed_stays_tainted(harness: DeploymentHarness) -> None:
    harness.plan()
    harness.terraform.failing = [("aws_eks_cluster.demo", BOOM)]
    with pytest.raises(JarkkitError):
        list(harness.deployment.deploy())
    harness.terraform.tainted = {"aws_eks_cluster.demo": "demo"}
    harness.account.clusters["demo"] = protected_cluster(status="FAILED")
    harness.account.leftovers = (
        OwnedResource(terraform_type="aws_eks_cluster", import_id="demo", name="demo"),
    )
    list(harness.deployment.deploy())
    assert "untaint aws_eks_cluster.demo" not in harness.terraform.calls


def test_a_terraform_that_outlived_its_process_is_followed(harness: DeploymentHarness) -> None:
    harness.plan()
    harness.terraform.failing = [("aws_vpc.demo", BOOM)]
    with pytest.raises(JarkkitError):
        list(harness.deployment.deploy())
    harness.terraform.running = True
    assert harness.deployment.status().state == "deploying"
    list(harness.deployment.deploy())
    assert "attach" in harness.terraform.calls


def test_leftovers_are_in_the_receipt_and_fail_the_cleanup(harness: DeploymentHarness) -> None:
    harness.deploy()
    harness.account.leftovers = (
        OwnedResource(
            terraform_type="aws_nat_gateway",
            import_id="nat-1",
            billable=True,
            location="ec2 instances",
        ),
    )
    harness.account.in_use = frozenset({"nat-1"})
    with pytest.raises(JarkkitError, match="JK-CLEANUP-LEFT") as caught:
        list(harness.deployment.cleanup(confirm="demo"))
    # 730 hours at 0.045 USD: https://aws.amazon.com/vpc/pricing/
    assert "nat-1 (32.85 USD per month)" in caught.value.evidence
    assert "1 resources are left, which cost 32.85 USD per month" in caught.value.message
    receipt = receipt_of(harness)
    assert not receipt.clean
    assert not receipt_report(receipt).ok
    assert harness.deployment.status().state == "failed"


# -- what Terraform does not know ------------------------------------------------------------------

ELB = OwnedResource(
    terraform_type="aws_elb",
    import_id="a1b2",
    billable=True,
    of_cluster=True,
    proof="kubernetes.io/cluster/demo=owned",
)
LOG_GROUP = OwnedResource(
    terraform_type="aws_cloudwatch_log_group", import_id="/aws/eks/demo/cluster", billable=True
)


def test_cleanup_shows_and_deletes_what_the_cluster_left(harness: DeploymentHarness) -> None:
    harness.deploy()
    harness.account.leftovers = (ELB,)
    events = list(harness.deployment.cleanup(confirm="demo"))
    messages = [event.message for event in events if "a1b2" in event.message]
    assert messages == [
        "To delete: aws_elb a1b2 (kubernetes.io/cluster/demo=owned)",
        "Deleted aws_elb a1b2",
    ]
    receipt = receipt_of(harness)
    assert receipt.clean
    assert receipt.destroyed == 3
    assert "plan adopt.tfplan" not in harness.terraform.calls


def test_cleanup_looks_again_for_what_comes_back(harness: DeploymentHarness) -> None:
    harness.deploy()
    harness.account.leftovers = (ELB,)
    harness.account.comes_back = [(LOG_GROUP,), (LOG_GROUP,)]
    list(harness.deployment.cleanup(confirm="demo"))
    receipt = receipt_of(harness)
    assert receipt.clean
    assert harness.account.comes_back == []


def test_a_second_look_waits_a_minute_of_aws(harness: DeploymentHarness) -> None:
    slept: list[float] = []
    layer = replace(harness.deployment._layer(), sleep=slept.append, pace=0.5)
    layer.wait(60)
    assert slept == [30]
    assert harness.deployment._layer().pace == 0


def test_what_cleanup_keeps_is_in_the_receipt_with_reason_and_price(
    harness: DeploymentHarness,
) -> None:
    harness.deploy()
    kept = OwnedResource(
        terraform_type="aws_ebs_snapshot",
        import_id="snap-1",
        billable=True,
        gib=100,
        why_kept="a backup",
    )
    harness.account.leftovers = (kept,)
    list(harness.deployment.cleanup(confirm="demo"))
    report = harness.deployment.cleanup_report()
    assert report is not None
    assert "snap-1 (5.00 USD per month): a backup" in text_of(report)
    assert harness.account.leftovers == (kept,)


def test_an_undeletable_resource_does_not_keep_the_others(harness: DeploymentHarness) -> None:
    harness.deploy()
    harness.account.leftovers = (ELB,)
    harness.account.failing = {"delete_resource": JarkkitError("JK-AWS-DENIED", "No.", "Ask.")}
    with pytest.raises(JarkkitError, match="JK-CLEANUP-LEFT"):
        list(harness.deployment.cleanup(confirm="demo"))
    warnings = [e for e in harness.deployment.workspace.events() if e.kind == "warning"]
    assert any("a1b2" in e.message and e.code == "JK-AWS-DENIED" for e in warnings)


class TestBlockedDestroy:
    """What prevents the deletion of a network is removed or named while Terraform waits."""

    VPC = OwnedResource(terraform_type="aws_vpc", import_id="vpc-1", name="demo")
    USERS = ("network interface eni-9 of load balancer app/theirs/1",)

    def events(
        self, harness: DeploymentHarness, *events: StepEvent, fails: JarkkitError | None = None
    ) -> list[StepEvent]:
        def terraform() -> Iterator[StepEvent]:
            yield from events
            if fails:
                raise fails

        return list(unblock(harness.deployment._layer(), terraform(), emptied=False))

    def event(self, subject: str, status: ProgressStatus, seconds: float = 0) -> ResourceProgress:
        return ResourceProgress(subject, "delete", status, seconds)

    def test_the_orphans_of_a_deleted_cluster_are_deleted(self, harness: DeploymentHarness) -> None:
        harness.account.leftovers = (self.VPC, ELB)
        self.events(harness, self.event("module.cluster.aws_eks_cluster.this", "done", 300))
        assert [o.import_id for o in harness.account.leftovers] == ["vpc-1"]

    def test_an_orphan_that_blocks_is_deleted(self, harness: DeploymentHarness) -> None:
        harness.account.leftovers = (self.VPC, ELB)
        blocked = self.event('module.network[0].aws_subnet.private["a"]', "running", 10)
        self.events(harness, self.event(blocked.subject, "running", 5))
        assert ELB in harness.account.leftovers
        self.events(harness, blocked)
        assert [o.import_id for o in harness.account.leftovers] == ["vpc-1"]

    def test_a_failed_scan_does_not_stop_terraform(self, harness: DeploymentHarness) -> None:
        unreachable = JarkkitError("JK-AWS-UNREACHABLE", "No answer.", "Wait.")
        harness.account.failing = {"scan_resources": unreachable}
        deleted = self.event("module.cluster.aws_eks_cluster.this", "done", 300)
        following = self.event("module.network[0].aws_vpc.this", "done", 1)
        found = self.events(harness, deleted, following)
        assert found[-1] == following
        assert [e.code for e in found if e.kind == "warning"] == ["JK-AWS-UNREACHABLE"]

    def test_a_foreign_culprit_is_named_once_and_at_once(self, harness: DeploymentHarness) -> None:
        harness.account.leftovers = (self.VPC,)
        harness.account.users_of_network = self.USERS
        subnet = 'module.network[0].aws_subnet.private["a"]'
        found = self.events(
            harness, *(self.event(subnet, "running", seconds) for seconds in (10, 20, 30))
        )
        (warning,) = [event for event in found if event.kind == "warning"]
        assert subnet in warning.message
        assert "eni-9 of load balancer app/theirs/1" in warning.message

    def test_a_dependency_violation_names_the_culprit(self, harness: DeploymentHarness) -> None:
        harness.account.leftovers = (self.VPC,)
        harness.account.users_of_network = self.USERS
        violation = terraform_error(1, ["DependencyViolation: has dependencies"], "", "destroy")
        with pytest.raises(JarkkitError, match="eni-9"):
            self.events(harness, fails=violation)
        other = JarkkitError("JK-TF-FAILED", "Failed.", "", evidence="other")
        with pytest.raises(JarkkitError) as caught:
            self.events(harness, fails=other)
        assert caught.value is other


def test_init_runs_once(harness: DeploymentHarness) -> None:
    harness.plan()
    harness.plan()
    assert harness.terraform.calls.count("init") == 1


def test_terraform_by_hand_refuses_other_accounts(harness: DeploymentHarness) -> None:
    harness.plan()
    override = harness.deployment.workspace.generated("account_override")
    allowed = override["provider"]["aws"]["allowed_account_ids"]
    assert allowed == [harness.account.account_id]


def test_planned_zones_never_change(harness: DeploymentHarness) -> None:
    harness.plan()
    first = harness.deployment.workspace.tfvars()["availability_zones"]
    harness.account.offerings = lambda patterns: {  # type: ignore[method-assign]
        p: frozenset({"us-west-2b", "us-west-2c"}) for p in patterns
    }
    harness.plan()
    assert harness.deployment.workspace.tfvars()["availability_zones"] == first
    harness.deployment.configure({"az_count": 3})
    with pytest.raises(JarkkitError, match="JK-ZONES-TOO-FEW"):
        harness.plan()


def test_a_zone_can_be_added_but_control_plane_and_node_groups_stay(
    harness: DeploymentHarness,
) -> None:
    harness.deploy()
    harness.deployment.configure({"az_count": 3})
    harness.plan()
    variables = harness.deployment.workspace.tfvars()
    assert variables["availability_zones"] == ["us-west-2a", "us-west-2b", "us-west-2c"]
    assert variables["initial_zones"] == ["us-west-2a", "us-west-2b"]
    harness.deployment.configure({"az_count": 2})  # the third zone was only planned
    harness.deployment.configure({"az_count": 3})
    harness.deploy()
    with pytest.raises(JarkkitError, match="JK-SETTINGS-FIXED"):
        harness.deployment.configure({"az_count": 2})
    assert harness.deployment.settings.az_count == 3


def test_settings_edited_by_hand_cannot_remove_a_zone(harness: DeploymentHarness) -> None:
    harness.deploy()
    harness.deployment.configure({"az_count": 3})
    harness.deploy()
    workspace = harness.deployment.workspace
    workspace.save_settings(workspace.settings().with_changes({"az_count": 2}))
    with pytest.raises(JarkkitError, match="JK-SETTINGS-FIXED"):
        harness.plan()


def test_cleanup_frees_the_zones(harness: DeploymentHarness) -> None:
    harness.deployment.configure({"az_count": 3})
    harness.deploy()
    list(harness.deployment.cleanup(confirm="demo"))
    harness.deployment.configure({"az_count": 2})
    harness.plan()
    assert len(harness.deployment.workspace.tfvars()["initial_zones"]) == 2


def test_the_image_of_the_node_groups_is_pinned_to_its_version(harness: DeploymentHarness) -> None:
    def planned() -> str:
        harness.plan()
        return str(harness.deployment.workspace.tfvars()["node_release_version"])

    newest = "20261101"
    harness.account.node_release_version = (  # type: ignore[method-assign]
        lambda cluster_version, ami_version="": f"{cluster_version}.0-{ami_version[1:] or newest}"
    )
    harness.deployment.configure({"cluster_version": "1.35"})
    assert planned() == "1.35.0-20261101"
    newest = "20261115"
    assert planned() == "1.35.0-20261101"  # a newer image replaces nodes only when you ask
    harness.deployment.configure({"cluster_version": "1.36"})
    assert planned() == "1.36.0-20261115"
    newest = "20261122"
    list(harness.deployment.plan(upgrade=True))
    assert planned() == "1.36.0-20261122"
    harness.deployment.configure({"ami_version": "v20261015"})
    assert planned() == "1.36.0-20261015"


# -- versions of Kubernetes -----------------------------------------------------------------------


def existing_cluster(harness: DeploymentHarness, version: str, nodes: str) -> None:
    """Let the account have the deployment's cluster and its core node group."""
    cluster = EksCluster(name="demo", arn="arn", status="ACTIVE", version=version)
    harness.account.clusters["demo"] = cluster
    harness.account.components = (
        ClusterComponent(kind="node group", name="core", status="ACTIVE", version=nodes),
    )


def planned_versions(harness: DeploymentHarness) -> tuple[str, str]:
    harness.plan()
    variables = harness.deployment.workspace.tfvars()
    return variables["cluster_version"], variables["node_version"]


def test_a_jump_of_the_version_is_refused_in_the_plan_and_in_preflight(
    harness: DeploymentHarness,
) -> None:
    existing_cluster(harness, "1.34", "1.34")
    with pytest.raises(JarkkitError, match="JK-VERSION-STEP"):
        harness.plan()
    (check,) = (c for c in harness.deployment.preflight().checks if c.code == "JK-VERSION-STEP")
    assert (check.status, "1.35" in check.fix) == ("fail", True)
    harness.deployment.configure({"cluster_version": "1.35"})
    assert planned_versions(harness) == ("1.35", "1.35")


def test_a_rollback_takes_the_nodes_back_before_the_control_plane(
    harness: DeploymentHarness,
) -> None:
    harness.deploy()
    harness.terraform.cluster_version = "1.36"
    harness.deploy()
    existing_cluster(harness, "1.36", "1.36")
    harness.account.upgraded_days_ago = 1
    harness.deployment.configure({"cluster_version": "1.35"})
    assert planned_versions(harness) == ("1.36", "1.35")
    assert any("two rounds" in event.message for event in harness.deployment.events("plan"))
    existing_cluster(harness, "1.36", "1.35")
    assert planned_versions(harness) == ("1.35", "1.35")


def test_an_upgrade_by_aws_is_reported_by_every_step(harness: DeploymentHarness) -> None:
    harness.deployment.configure({"cluster_version": "1.35"})
    harness.deploy()
    existing_cluster(harness, "1.36", "1.35")
    with pytest.raises(JarkkitError, match="JK-VERSION-DRIFT") as caught:
        harness.plan()
    assert "cluster_version=1.36" in caught.value.fix
    deployment = harness.deployment
    for report in (deployment.preflight(), deployment.verify(), deployment.diagnose()):
        (check,) = (c for c in report.checks if c.code == "JK-VERSION-DRIFT")
        assert "cluster_version=1.36" in check.fix
    assert "1.36, but cluster_version is 1.35" in deployment.status().summary
    deployment.configure({"cluster_version": "1.36"})
    assert "but cluster_version" not in deployment.status().summary
    assert planned_versions(harness) == ("1.36", "1.36")


class TestStatusOfTheCluster:
    @pytest.fixture
    def deployed(self, harness: DeploymentHarness) -> DeploymentHarness:
        harness.deployment.configure({"cluster_version": "1.35"})
        harness.terraform.cluster_version = "1.35"
        harness.deploy()
        self.let_it_run(harness, "1.35")
        return harness

    @staticmethod
    def let_it_run(harness: DeploymentHarness, version: str) -> None:
        target = harness.deployment.status().target
        assert target
        cluster = EksCluster(name="demo", arn=target.cluster_arn, status="ACTIVE", version=version)
        harness.account.clusters["demo"] = cluster

    def test_an_upgrade_by_aws_is_seen_at_once(self, deployed: DeploymentHarness) -> None:
        assert deployed.deployment.status(ask=True).cluster_version == "1.35"
        assert "1.35" not in deployed.deployment.status(ask=True).summary
        self.let_it_run(deployed, "1.36")
        found = deployed.deployment.status(ask=True)
        assert found.cluster_version == "1.36"
        assert "1.36, but cluster_version is 1.35" in found.summary
        assert "cluster_version=1.36" in found.summary
        assert "1.36" not in deployed.deployment.status().summary  # which makes no call
        deployed.deployment.configure({"cluster_version": "1.36"})
        assert "but cluster_version" not in deployed.deployment.status(ask=True).summary

    def test_a_planned_rollback_is_no_drift(self, deployed: DeploymentHarness) -> None:
        deployed.deployment.configure({"cluster_version": "1.34"})
        assert "but cluster_version" not in deployed.deployment.status(ask=True).summary

    def test_a_missing_or_foreign_cluster_is_named(self, deployed: DeploymentHarness) -> None:
        del deployed.account.clusters["demo"]
        assert "has no cluster 'demo'" in deployed.deployment.status(ask=True).summary
        foreign = EksCluster(name="demo", arn="arn:other", status="ACTIVE", version="1.36")
        deployed.account.clusters["demo"] = foreign
        found = deployed.deployment.status(ask=True)
        assert ("has no cluster 'demo'" in found.summary, found.cluster_version) == (True, "")

    @pytest.mark.parametrize("ended", ["started", "interrupted", "failed"])
    def test_a_cluster_that_a_cleanup_deleted_is_not_missing(
        self, deployed: DeploymentHarness, ended: Literal["started", "interrupted", "failed"]
    ) -> None:
        del deployed.account.clusters["demo"]
        deployed.deployment.workspace.record(
            LedgerEntry(time=now(), step="cleanup", status=ended, code="JK-CLEANUP-LEFT")
        )
        found = deployed.deployment.status(ask=True)
        assert found.state == "failed"
        assert "has no cluster" not in found.summary

    def test_an_account_that_does_not_answer_is_no_failure(
        self, deployed: DeploymentHarness
    ) -> None:
        deployed.account.failing["cluster"] = JarkkitError("JK-AWS-EXPIRED", "Expired.", "Log in.")
        found = deployed.deployment.status(ask=True)
        assert found.state == "deployed"
        assert "The cluster was not checked: JK-AWS-EXPIRED." in found.summary


def test_cleanup_works_whatever_the_settings_and_versions_are(harness: DeploymentHarness) -> None:
    harness.deployment.configure({"az_count": 3, "cluster_version": "1.35"})
    harness.deploy()
    existing_cluster(harness, "1.36", "1.34")
    workspace = harness.deployment.workspace
    workspace.save_settings(workspace.settings().with_changes({"az_count": 2}))
    harness.account.node_release_version = None  # type: ignore[assignment, method-assign]
    list(harness.deployment.cleanup(confirm="demo"))
    assert harness.deployment.status().state == "removed"


def test_the_end_of_standard_support_is_a_warning_and_no_start(
    harness: DeploymentHarness,
) -> None:
    def check(support: str, ends: str) -> Check:
        version = ClusterVersion(version="1.36", support=support, end_of_standard_support=ends)
        harness.account.cluster_versions = lambda: (version,)  # type: ignore[method-assign]
        found = {c.name: c for c in harness.deployment.preflight().checks}
        return found["Kubernetes version"]

    soon = check("STANDARD", now()[:10])
    assert (soon.status, "AWS upgrades the cluster by itself" in soon.why) == ("warn", True)
    over = check("EXTENDED", "2020-01-01")
    assert (over.status, over.code) == ("fail", "JK-VERSION-UNSUPPORTED")
    existing_cluster(harness, "1.36", "1.36")
    assert check("EXTENDED", "2020-01-01").status == "warn"
    assert check("STANDARD", "2099-01-01").status == "pass"


# -- preflight and verify -------------------------------------------------------------------------


def status_of(report: object, name: str) -> str:
    checks = {check.name: check for check in report.checks}  # type: ignore[attr-defined]
    return str(checks[name].status)


def test_preflight_passes_and_warns_about_an_open_api(harness: DeploymentHarness) -> None:
    found = harness.deployment.preflight()
    assert found.ok, text_of(found)
    assert status_of(found, "Access to the Kubernetes API") == "warn"
    assert harness.account.account_id not in text_of(found)


def test_a_denied_call_is_unknown(harness: DeploymentHarness) -> None:
    denied = JarkkitError("JK-AWS-DENIED", "no", "ask")
    harness.account.failing = {"cluster_versions": denied}
    found = harness.deployment.preflight()
    assert status_of(found, "Kubernetes version") == "unknown"
    assert found.ok


def test_without_credentials_the_account_is_unknown_and_other_checks_run(
    harness: DeploymentHarness,
) -> None:
    harness.account.failing = {"caller": JarkkitError("JK-AWS-NO-CREDENTIALS", "none", "log in")}
    found = harness.deployment.preflight()
    assert [check.name for check in found.failures()] == ["AWS credentials"]
    assert status_of(found, "Kubernetes version") == "unknown"
    assert status_of(found, "Add-on dependencies") == "pass"


def test_an_unknown_region_fails_even_without_an_answer(
    harness: DeploymentHarness,
) -> None:
    harness.deployment.configure({"region": "us-west-9"})
    harness.account.failing = {"caller": JarkkitError("JK-AWS-UNREACHABLE", "no answer", "look")}
    assert status_of(harness.deployment.preflight(), "Region") == "fail"


def test_a_cluster_of_others_blocks_the_name(harness: DeploymentHarness) -> None:
    harness.account.clusters["demo"] = EksCluster(
        name="demo", arn="a", status="ACTIVE", version="1.36"
    )
    assert status_of(harness.deployment.preflight(), "Cluster name") == "pass"
    harness.account.foreign_clusters = frozenset({"demo"})
    assert status_of(harness.deployment.preflight(), "Cluster name") == "fail"


def test_verify_passes_when_everything_is_active(harness: DeploymentHarness) -> None:
    harness.deploy()
    harness.account.clusters["demo"] = EksCluster(
        name="demo", arn="a", status="ACTIVE", version="1.36", endpoint="https://x"
    )
    harness.account.components = active_components()
    found = harness.deployment.verify()
    assert found.ok, text_of(found)


@pytest.mark.parametrize("missing", ["vpc-cni", "core"])
def test_verify_names_what_is_missing(harness: DeploymentHarness, missing: str) -> None:
    harness.deploy()
    harness.account.clusters["demo"] = EksCluster(
        name="demo", arn="a", status="ACTIVE", version="1.36", endpoint="https://x"
    )
    harness.account.components = tuple(p for p in active_components() if p.name != missing)
    assert not harness.deployment.verify().ok


def test_verify_warns_of_node_groups_of_another_version(harness: DeploymentHarness) -> None:
    harness.deploy()
    existing_cluster(harness, "1.36", "1.35")
    harness.account.components += active_components()[:-1]
    checks = {check.name: check for check in harness.deployment.verify().checks}
    behind = checks["Node group core"]
    assert (behind.status, behind.needed) == ("warn", "1.36")
    assert "jarkkit deploy" in behind.fix


def test_verify_without_the_cluster_fails(harness: DeploymentHarness) -> None:
    harness.deploy()
    found = harness.deployment.verify()
    assert not found.ok
    assert status_of(found, "Cluster") == "fail"


def test_verify_before_a_deploy_is_an_error(harness: DeploymentHarness) -> None:
    with pytest.raises(JarkkitError, match="JK-PLAN-MISSING"):
        harness.deployment.verify()


# -- opening and creating -------------------------------------------------------------------------


def test_the_only_deployment_needs_no_name(tmp_path: Path) -> None:
    with pytest.raises(JarkkitError, match="JK-DEPLOYMENT-MISSING"):
        Deployment.open(home=tmp_path, environ={})
    Deployment.create("one", rehearsal=False, home=tmp_path, environ={})
    assert Deployment.open(home=tmp_path, environ={}).name == "one"
    Deployment.create("two", rehearsal=False, home=tmp_path, environ={})
    with pytest.raises(JarkkitError, match="one, two"):
        Deployment.open(home=tmp_path, environ={})


def test_values_override_the_environment_on_creation(tmp_path: Path) -> None:
    environ = {"JARKKIT_AZ_COUNT": "3", "JARKKIT_CORE_NODES": "3"}
    deployment = Deployment.create(
        "one", rehearsal=False, values={"core_nodes": 4}, home=tmp_path, environ=environ
    )
    assert (deployment.settings.az_count, deployment.settings.core_nodes) == (3, 4)
    with pytest.raises(JarkkitError, match="JK-DEPLOYMENT-EXISTS"):
        Deployment.create("one", rehearsal=False, home=tmp_path, environ={})
    again = Deployment.create(
        "one", rehearsal=False, values={"core_disk_gib": 50}, home=tmp_path, environ={},
        exist_ok=True,
    )  # fmt: skip
    assert (again.settings.az_count, again.settings.core_disk_gib) == (3, 50)


def test_a_rehearsal_stays_a_rehearsal(tmp_path: Path) -> None:
    Deployment.create("one", rehearsal=True, home=tmp_path, environ={})
    with pytest.raises(JarkkitError, match="JK-TARGET-MISMATCH"):
        Deployment.create("one", rehearsal=False, home=tmp_path, environ={}, exist_ok=True)


def test_a_rehearsal_without_its_sandbox_makes_no_real_calls(tmp_path: Path) -> None:
    real = {"AWS_ACCESS_KEY_ID": "AKIAREAL", "AWS_SECRET_ACCESS_KEY": "x", "AWS_PROFILE": "work"}
    deployment = Deployment.create("one", rehearsal=True, home=tmp_path, environ=real)
    with pytest.raises(JarkkitError) as caught:
        deployment.caller_identity()
    assert caught.value.code in ("JK-AWS-UNREACHABLE", "JK-TARGET-REHEARSAL")


def test_a_deployment_keeps_its_name(tmp_path: Path) -> None:
    deployment = Deployment.create("one", rehearsal=False, home=tmp_path, environ={})
    with pytest.raises(JarkkitError, match="keeps its name"):
        deployment.configure({"name": "two"})


# -- the cluster layer ------------------------------------------------------------------------


def unreachable() -> FakeConnect:
    """Return a way to a cluster that does not answer."""
    return FakeConnect(JarkkitError("JK-KUBE-UNREACHABLE", "No answer.", "Wait."))


def cleanup_events(harness: DeploymentHarness, status: str, connect: FakeConnect) -> list[Event]:
    """Return the events of a cleanup while the account has a cluster with that status."""
    harness.deploy()
    harness.account.clusters["demo"] = EksCluster(
        name="demo", arn="a", status=status, version="1.36", endpoint="https://x"
    )
    harness.deployment._connecting = connect
    return list(harness.deployment.cleanup(confirm="demo"))


def test_an_unreachable_cluster_is_a_warning_and_cleanup_continues(
    harness: DeploymentHarness,
) -> None:
    events = cleanup_events(harness, "ACTIVE", unreachable())
    (warning,) = [event for event in events if event.kind == "warning"]
    assert warning.code == "JK-KUBE-UNREACHABLE"
    receipt = receipt_of(harness)
    assert receipt.left == ()
    assert not receipt.clean
    assert "not proven that nothing is left: the cluster was not emptied" in receipt.verdict
    report = receipt_report(receipt)
    assert "not emptied: No answer." in text_of(report)
    status = harness.deployment.status()
    assert (status.state, status.summary) == ("removed", f"Cleaned up: {receipt.verdict}.")


def test_a_receipt_stays_not_proven_when_cleanup_runs_again(harness: DeploymentHarness) -> None:
    cleanup_events(harness, "ACTIVE", unreachable())
    harness.account.clusters.clear()
    list(harness.deployment.cleanup(confirm="demo"))
    receipt = receipt_of(harness)
    assert receipt.not_emptied == "No answer."


def test_a_cluster_that_was_deleted_with_add_ons_in_it_is_not_proven_empty(
    harness: DeploymentHarness,
) -> None:
    harness.deploy()
    installed = {name: AddonState(namespace="x") for name in ("coredns", "argo-cd")}
    harness.deployment.workspace.save("cluster", ClusterState(addons=installed))
    harness.deployment._connecting = FakeConnect()
    list(harness.deployment.cleanup(confirm="demo"))
    receipt = receipt_of(harness)
    assert receipt.not_emptied == "It was deleted while argo-cd ran in it."


def test_a_failed_cluster_is_not_emptied_with_a_warning(
    harness: DeploymentHarness,
) -> None:
    connect = FakeConnect()
    events = cleanup_events(harness, "FAILED", connect)
    assert connect.calls == 0
    assert any("It is FAILED" in event.message for event in events if event.kind == "warning")


def test_a_second_operator_gets_access_before_the_cluster_is_emptied(
    harness: DeploymentHarness,
) -> None:
    events = cleanup_events(harness, "ACTIVE", unreachable())
    assert any("is an administrator of the cluster now" in event.message for event in events)
    assert harness.account.cluster_access.entries == {harness.account.caller().arn}


def test_cleanup_continues_when_access_to_the_cluster_is_denied(
    harness: DeploymentHarness,
) -> None:
    harness.account.cluster_access.error = JarkkitError("JK-AWS-DENIED", "No.", "Ask.")
    connect = FakeConnect()
    events = cleanup_events(harness, "ACTIVE", connect)
    (warning,) = [event for event in events if event.kind == "warning"]
    assert (warning.code, connect.calls) == ("JK-AWS-DENIED", 0)


def test_instances_from_karpenter_are_terminated(
    harness: DeploymentHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(emptying, "_POLL_SECONDS", 0.0)
    harness.account.launched = ("i-1", "i-2")
    events = cleanup_events(harness, "FAILED", FakeConnect())
    assert not harness.account.launched
    assert any("2 instances from Karpenter" in event.message for event in events)


def test_a_passed_verification_suggests_use_until_the_next_change(
    harness: DeploymentHarness,
) -> None:
    harness.deploy()
    assert harness.deployment.status().next_command == "jarkkit verify demo"
    for status in ("failed", "finished"):
        harness.deployment.workspace.record(LedgerEntry(time=now(), step="verify", status=status))
    assert harness.deployment.status().next_command == "jarkkit use --deployment demo"
    harness.deployment.workspace.record(LedgerEntry(time=now(), step="verify", status="failed"))
    assert harness.deployment.status().next_command == "jarkkit verify demo"
    harness.deploy()
    assert harness.deployment.status().next_command == "jarkkit verify demo"


class TestAddonVersions:
    """EKS publishes new builds every week; a deployment keeps those of its first plan."""

    def planned(self, harness: DeploymentHarness) -> set[str]:
        return {a["version"] for a in harness.deployment.workspace.tfvars()["eks_addons"].values()}

    def test_the_first_plan_pins_them_and_later_plans_keep_them(
        self, harness: DeploymentHarness
    ) -> None:
        harness.deploy()
        harness.account.addon_version = "v1.1.0-eksbuild.1"
        harness.deploy()  # without a pin: JK-PLAN-STALE, because the account would differ
        assert self.planned(harness) == {"v1.0.0-eksbuild.1"}

    def test_an_upgrade_moves_them_and_reports_it(self, harness: DeploymentHarness) -> None:
        harness.deploy()
        harness.account.addon_version = "v1.1.0-eksbuild.1"
        messages = [e.message for e in harness.deployment.plan(upgrade=True)]
        assert self.planned(harness) == {"v1.1.0-eksbuild.1"}
        assert "EKS add-on vpc-cni: v1.0.0-eksbuild.1 → v1.1.0-eksbuild.1" in messages

    def test_another_version_of_kubernetes_moves_them(self, harness: DeploymentHarness) -> None:
        harness.deploy()
        harness.account.addon_version = "v1.1.0-eksbuild.1"
        other = next(
            v for v in CLUSTER_VERSIONS if v != harness.deployment.settings.cluster_version
        )
        harness.deployment.configure({"cluster_version": other})
        harness.plan()
        assert self.planned(harness) == {"v1.1.0-eksbuild.1"}

    def test_cleanup_asks_for_none_and_forgets_them(self, harness: DeploymentHarness) -> None:
        harness.deploy()
        harness.account.failing["newest_addon_versions"] = BOOM
        list(harness.deployment.cleanup(confirm=harness.deployment.name))
        del harness.account.failing["newest_addon_versions"]
        harness.account.addon_version = "v1.1.0-eksbuild.1"
        harness.plan()
        assert self.planned(harness) == {"v1.1.0-eksbuild.1"}


# -- what a deploy destroys -------------------------------------------------------------------


@pytest.fixture
def replacing(harness: DeploymentHarness) -> DeploymentHarness:
    """A deployed deployment whose next plan replaces its cluster."""
    harness.deploy()
    harness.terraform.replacing = ("aws_eks_cluster.demo",)
    harness.plan()
    return harness


class TestLosses:
    def test_the_plan_names_what_is_lost(self, replacing: DeploymentHarness) -> None:
        plan = replacing.deployment.last_plan()
        assert plan is not None
        assert [c.action for c in plan.pending] == ["replace"]
        (loss,) = plan.losses
        assert loss.resource == "cluster demo (old-1)"
        assert "the cluster with everything in it" in loss.lost
        assert plan.changes[0].forced_by == ("cidr_block",)

    @pytest.mark.parametrize("typed", ["", "yes", "Demo"])
    def test_a_deploy_without_the_name_changes_nothing(
        self, replacing: DeploymentHarness, typed: str
    ) -> None:
        calls, entries = list(replacing.terraform.calls), replacing.deployment.ledger_entries()
        with pytest.raises(JarkkitError, match="JK-CONFIRM"):
            replacing.deployment.deploy(confirm=typed, agreed=True)
        assert replacing.terraform.calls == calls
        assert replacing.deployment.ledger_entries() == entries
        assert replacing.deployment.status().state == "planned"

    def test_a_deploy_with_the_name_applies_it(self, replacing: DeploymentHarness) -> None:
        list(replacing.deployment.deploy(confirm="demo"))
        assert replacing.terraform.calls.count("apply plan.tfplan") == 2
        assert replacing.deployment.status().state == "deployed"

    def test_the_plan_of_a_resumed_deploy_is_checked_too(self, harness: DeploymentHarness) -> None:
        harness.deploy()
        harness.terraform.state.remove("aws_vpc.demo")
        harness.plan()  # harmless: it creates the VPC again
        harness.terraform.failing = [("aws_vpc.demo", BOOM)]
        with pytest.raises(JarkkitError, match="boom"):
            list(harness.deployment.deploy())
        harness.terraform.replacing = ("aws_eks_cluster.demo",)
        with pytest.raises(JarkkitError, match="JK-CONFIRM"):
            list(harness.deployment.deploy())
        assert "apply resume.tfplan" not in harness.terraform.calls
        list(harness.deployment.deploy(confirm="demo"))
        assert "apply resume.tfplan" in harness.terraform.calls

    def test_a_plan_file_that_changed_is_not_applied(self, harness: DeploymentHarness) -> None:
        harness.plan()
        path = harness.deployment.folder / "plan.tfplan"
        path.write_text(path.read_text() + " ")
        with pytest.raises(JarkkitError, match="JK-PLAN-STALE"):
            list(harness.deployment.deploy())
        assert harness.terraform.state == []

    def test_a_cluster_is_emptied_before_it_is_replaced(self, harness: DeploymentHarness) -> None:
        harness.deployment.configure(BARE)  # no charts
        harness.deploy()
        harness.terraform.replacing = ("aws_eks_cluster.demo",)
        harness.plan()
        kube = FakeKube()
        kube.put(
            {
                "kind": "Service",
                "metadata": {"name": "web", "namespace": "team"},
                "spec": {"type": "LoadBalancer"},
            }
        )
        harness.account.clusters["demo"] = protected_cluster()
        connect = EmptyingConnect(harness, kube)
        harness.deployment._connecting = connect
        before = sum(call.startswith("apply") for call in harness.terraform.calls)
        list(harness.deployment.deploy(confirm="demo"))
        assert "delete Service web" in kube.calls
        assert connect.applied[0] == before  # emptied before Terraform applied
        # Off for the replacement, and on again for the new cluster.
        assert harness.account.protections == [False, True]

    def test_the_plan_names_the_claims(self, harness: DeploymentHarness) -> None:
        harness.deploy()
        harness.account.clusters["demo"] = protected_cluster()
        kube = FakeKube()
        claim = {"namespace": "team", "name": "data"}
        kube.put(
            {
                "kind": "PersistentVolume",
                "metadata": {"name": "pv"},
                "spec": {"csi": {"driver": "ebs.csi.aws.com"}, "claimRef": claim},
            }
        )
        harness.deployment._connecting = EmptyingConnect(harness, kube)
        harness.terraform.replacing = ("aws_eks_cluster.demo",)
        harness.plan()
        plan = harness.deployment.last_plan()
        assert plan is not None
        assert plan.losses[0].objects == ("team/data",)
        harness.deployment._connecting = FakeConnect(
            JarkkitError("JK-KUBE-UNREACHABLE", "No answer.", "Wait.")
        )
        warned = [e.code for e in harness.deployment.plan() if e.kind == "warning"]
        assert warned == ["JK-KUBE-UNREACHABLE"]
        assert harness.deployment.last_plan() is not None

    def test_a_real_account_needs_your_agreement_where_a_view_asks(
        self, harness: DeploymentHarness
    ) -> None:
        harness.plan()
        with pytest.raises(JarkkitError, match="JK-CONFIRM"):
            harness.deployment.deploy(agreed=False)
        assert harness.terraform.state == []


class TestDeletionProtection:
    def test_it_is_on_after_a_deploy_and_off_for_cleanup(self, harness: DeploymentHarness) -> None:
        harness.plan()
        harness.account.clusters["demo"] = protected_cluster(deletion_protection=False)
        list(harness.deployment.deploy())
        assert harness.account.protections == [True]
        list(harness.deployment.cleanup(confirm="demo"))
        assert harness.account.protections == [True, False]

    def test_the_setting_switches_it_off(self, harness: DeploymentHarness) -> None:
        harness.deployment.configure({"deletion_protection": False})
        harness.account.clusters["demo"] = protected_cluster()
        harness.deploy()
        assert harness.account.protections == [False]

    def test_a_denied_call_is_a_warning(self, harness: DeploymentHarness) -> None:
        harness.plan()
        harness.account.clusters["demo"] = protected_cluster(deletion_protection=False)
        harness.account.failing = {
            "set_deletion_protection": JarkkitError("JK-AWS-DENIED", "no", "ask")
        }
        events = list(harness.deployment.deploy())
        assert "JK-AWS-DENIED" in [e.code for e in events if e.kind == "warning"]
        assert harness.deployment.status().state == "deployed"

    def test_aws_ignores_it_on_a_failed_cluster(self, harness: DeploymentHarness) -> None:
        harness.deploy()
        harness.account.clusters["demo"] = protected_cluster(status="FAILED")
        list(harness.deployment.cleanup(confirm="demo"))
        assert harness.account.protections == []


class TestForeignCluster:
    """Another principal's cluster has the deployment's name; the deployment itself failed."""

    @pytest.fixture
    def foreign(self, harness: DeploymentHarness) -> DeploymentHarness:
        harness.plan()
        harness.terraform.failing = [("aws_eks_cluster.demo", BOOM)]
        with pytest.raises(JarkkitError, match="boom"):
            list(harness.deployment.deploy())
        harness.account.clusters["demo"] = protected_cluster()
        harness.account.foreign_clusters = frozenset({"demo"})
        harness.deployment._connecting = FakeConnect()
        return harness

    def test_cleanup_neither_enters_nor_unprotects_it(self, foreign: DeploymentHarness) -> None:
        list(foreign.deployment.cleanup(confirm="demo"))
        assert foreign.terraform.state == []
        assert foreign.account.cluster_access.entries == set()
        assert foreign.account.protections == []

    @pytest.mark.timeout(600)
    def test_no_step_waits_for_it(self, foreign: DeploymentHarness) -> None:
        foreign.account.clusters["demo"] = protected_cluster(status="UPDATING")
        list(foreign.deployment._layer().unprotect_cluster())
        assert foreign.account.protections == []

    def test_its_version_says_nothing(self, foreign: DeploymentHarness) -> None:
        foreign.account.clusters["demo"] = protected_cluster(version="1.99")
        foreign.plan()  # without JK-VERSION-DRIFT

    def test_preflight_knows_the_deployments_cluster_by_its_endpoint(
        self, harness: DeploymentHarness
    ) -> None:
        harness.deploy()
        harness.account.foreign_clusters = frozenset({"demo"})
        harness.account.clusters["demo"] = protected_cluster(endpoint="https://x")
        assert status_of(harness.deployment.preflight(), "Cluster name") == "pass"
        harness.account.clusters["demo"] = protected_cluster(endpoint="https://y")
        assert status_of(harness.deployment.preflight(), "Cluster name") == "fail"

    def test_status_does_not_report_it(self, harness: DeploymentHarness) -> None:
        harness.deploy()
        harness.account.foreign_clusters = frozenset({"demo"})
        harness.account.clusters["demo"] = protected_cluster(endpoint="https://y", version="1.99")
        assert "has no cluster 'demo'" in harness.deployment.status(ask=True).summary

    def test_a_cluster_without_its_tag_is_known_by_its_endpoint(
        self, harness: DeploymentHarness
    ) -> None:
        harness.deploy()
        harness.account.foreign_clusters = frozenset({"demo"})
        harness.account.clusters["demo"] = protected_cluster(endpoint="https://x")
        assert harness.deployment._layer().own_cluster() is not None
        harness.account.clusters["demo"] = protected_cluster(endpoint="https://y")
        assert harness.deployment._layer().own_cluster() is None
