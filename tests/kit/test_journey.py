"""The journey on fakes: order, resume, refusals, and a status that tells the truth."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from jarkkit.clock import now
from jarkkit.errors import JarkkitError
from jarkkit.kit import Kit
from jarkkit.records import Cluster, Entry, Event, Owned, Part, Target
from jarkkit.steps import cleanup
from jarkkit.steps.cleanup import report
from tests.kit.conftest import World

BOOM = JarkkitError("JK-TF-FAILED", "boom", "again")


def test_from_settings_to_receipt(world: World) -> None:
    kit = world.kit
    assert kit.status().state == "new"
    kit.preflight()
    assert kit.status().next_command == "jarkkit plan demo"
    world.plan()
    assert kit.status().state == "planned"
    events = list(kit.deploy())
    assert [e.done for e in events if e.kind == "resource"] == [1, 2]
    assert kit.status().state == "deployed"
    assert kit.workspace.kubeconfig.stat().st_mode & 0o077 == 0
    list(kit.cleanup(confirm="demo"))
    assert not kit.workspace.kubeconfig.exists()
    assert kit.status().state == "removed"
    assert world.terraform.state == []
    receipt = kit.last_receipt()
    assert receipt is not None
    assert receipt.clean
    assert receipt.destroyed == 2


def test_cleanup_twice_gives_a_receipt_twice(world: World) -> None:
    world.deploy()
    list(world.kit.cleanup(confirm="demo"))
    list(world.kit.cleanup(confirm="demo"))
    receipt = world.kit.last_receipt()
    assert receipt is not None
    assert receipt.destroyed == 0
    assert receipt.clean


@pytest.mark.parametrize("typed", ["", "Demo", "yes"])
def test_cleanup_wants_the_name(world: World, typed: str) -> None:
    world.deploy()
    with pytest.raises(JarkkitError, match="JK-CONFIRM"):
        world.kit.cleanup(confirm=typed)
    assert world.terraform.state


def test_deploy_without_a_plan_is_refused(world: World) -> None:
    with pytest.raises(JarkkitError, match="JK-PLAN-MISSING"):
        list(world.kit.deploy())


def test_a_plan_for_other_settings_is_refused(world: World) -> None:
    world.plan()
    world.kit.configure({"core_nodes": 3})
    assert world.kit.status().state == "configured"
    with pytest.raises(JarkkitError, match="JK-PLAN-STALE"):
        list(world.kit.deploy())
    assert world.terraform.state == []


def test_a_plan_with_a_changed_configuration_is_refused(world: World) -> None:
    world.plan()
    (world.kit.folder / "variables.tf").write_text("# changed by hand")
    with pytest.raises(JarkkitError, match="JK-PLAN-STALE"):
        list(world.kit.deploy())


def test_the_wrong_account_is_refused_before_anything_is_done(world: World) -> None:
    world.deploy()
    world.account.account_id = "999999999999"
    before = list(world.terraform.calls)
    for step in (world.kit.plan, world.kit.deploy, lambda: world.kit.cleanup(confirm="demo")):
        with pytest.raises(JarkkitError, match="JK-TARGET-MISMATCH"):
            list(step())
    assert world.terraform.calls == before
    with pytest.raises(JarkkitError, match="JK-TARGET-MISMATCH"):
        world.kit.verify()


def test_another_region_in_the_settings_is_refused_after_the_first_apply(world: World) -> None:
    world.deploy()
    world.kit.configure({"region": "eu-west-1"})
    with pytest.raises(JarkkitError, match="JK-TARGET-MISMATCH"):
        world.plan()


def test_an_unknown_region_gets_the_nearest(world: World) -> None:
    world.kit.configure({"region": "us-west-3"})
    with pytest.raises(JarkkitError, match="JK-REGION-UNKNOWN") as caught:
        world.plan()
    assert "us-west-2" in caught.value.fix


def test_the_target_is_on_the_disk_before_the_first_change(world: World) -> None:
    world.plan()
    world.terraform.failing = [("aws_vpc.demo", BOOM)]
    with pytest.raises(JarkkitError, match="boom"):
        list(world.kit.deploy())
    assert world.kit.workspace.load("target", Target) is not None


def test_a_deploy_that_failed_half_way_goes_on(world: World) -> None:
    world.plan()
    world.terraform.failing = [("aws_eks_cluster.demo", BOOM)]
    with pytest.raises(JarkkitError, match="boom"):
        list(world.kit.deploy())
    where = world.kit.status()
    assert where.state == "failed"
    assert "JK-TF-FAILED" in where.summary
    assert where.next_command == "jarkkit deploy demo"
    list(world.kit.deploy())
    assert world.terraform.state == ["aws_vpc.demo", "aws_eks_cluster.demo"]
    assert world.kit.status().state == "deployed"


def test_a_deploy_whose_process_died_is_noticed_and_goes_on(world: World) -> None:
    world.plan()
    running = world.kit.deploy()
    for event in running:
        if event.kind == "resource":
            break
    # what SIGKILL leaves: a ledger entry without its counterpart
    ledger = world.kit.folder / "ledger.jsonl"
    before = ledger.read_text()
    running.close()
    ledger.write_text(before)
    assert world.kit.status().state == "failed"
    list(world.kit.deploy())
    assert world.kit.status().state == "deployed"


def test_an_interrupt_is_recorded_as_one(world: World) -> None:
    world.plan()
    world.terraform.failing = [("aws_eks_cluster.demo", KeyboardInterrupt())]
    with pytest.raises(KeyboardInterrupt):
        list(world.kit.deploy())
    assert world.kit.entries()[-1].status == "interrupted"
    assert "interrupted" in world.kit.status().summary


def test_deploying_again_changes_nothing(world: World) -> None:
    world.deploy()
    before = world.terraform.calls.count("apply plan.tfplan")
    list(world.kit.deploy())
    assert world.terraform.calls.count("apply plan.tfplan") == before
    assert "apply resume.tfplan" not in world.terraform.calls


def test_drift_wants_a_look_first(world: World) -> None:
    world.deploy()
    world.terraform.state.remove("aws_vpc.demo")
    with pytest.raises(JarkkitError, match="JK-PLAN-STALE") as caught:
        list(world.kit.deploy())
    assert "1 resources differ" in caught.value.message
    world.deploy()
    assert "aws_vpc.demo" in world.terraform.state


def test_strays_of_a_killed_run_are_taken_over(world: World) -> None:
    world.plan()
    world.terraform.failing = [("aws_vpc.demo", BOOM)]
    with pytest.raises(JarkkitError):
        list(world.kit.deploy())
    world.account.left = (Owned(terraform_type="aws_vpc", import_id="vpc-1", name="demo"),)
    messages = [e.message for e in world.kit.deploy() if e.kind == "message"]
    assert "aws_vpc.demo is in the account already: taking it over" in messages
    assert not (world.kit.folder / "adopt.tf.json").exists()


def test_cleanup_after_a_killed_run_imports_the_strays_first(world: World) -> None:
    world.plan()
    world.terraform.failing = [("aws_vpc.demo", BOOM)]
    with pytest.raises(JarkkitError):
        list(world.kit.deploy())
    world.account.left = (Owned(terraform_type="aws_vpc", import_id="vpc-1", name="demo"),)
    with pytest.raises(JarkkitError, match="JK-CLEANUP-LEFT"):
        list(world.kit.cleanup(confirm="demo"))
    assert "plan adopt.tfplan aws_vpc.demo" in world.terraform.calls
    assert "apply adopt.tfplan" in world.terraform.calls
    world.account.left = ()
    list(world.kit.cleanup(confirm="demo"))
    assert world.terraform.state == []


def test_what_is_left_is_not_taken_over_at_the_price_of_a_cluster(world: World) -> None:
    world.deploy()
    world.terraform.state.clear()
    world.terraform.needed = ("aws_eks_cluster.demo",)
    world.account.left = (Owned(terraform_type="aws_vpc", import_id="vpc-1", name="demo"),)
    with pytest.raises(JarkkitError, match="JK-CLEANUP-LEFT"):
        list(world.kit.cleanup(confirm="demo"))
    assert "plan adopt.tfplan aws_vpc.demo" in world.terraform.calls
    assert "apply adopt.tfplan" not in world.terraform.calls


def test_what_aws_finished_by_itself_is_kept(world: World) -> None:
    world.plan()
    world.terraform.failing = [("aws_eks_cluster.demo", BOOM)]
    with pytest.raises(JarkkitError):
        list(world.kit.deploy())
    world.terraform.tainted = {"aws_eks_cluster.demo": "demo", "aws_nat_gateway.a": "nat-1"}
    world.account.left = (Owned(terraform_type="aws_eks_cluster", import_id="demo", name="demo"),)
    list(world.kit.deploy())
    assert "untaint aws_eks_cluster.demo" in world.terraform.calls
    assert "untaint aws_nat_gateway.a" not in world.terraform.calls


def test_a_terraform_that_outlived_its_kit_is_followed(world: World) -> None:
    world.plan()
    world.terraform.failing = [("aws_vpc.demo", BOOM)]
    with pytest.raises(JarkkitError):
        list(world.kit.deploy())
    world.terraform.running = True
    assert world.kit.status().state == "deploying"
    list(world.kit.deploy())
    assert "attach" in world.terraform.calls


def test_what_is_left_is_in_the_receipt_and_fails_the_cleanup(world: World) -> None:
    world.deploy()
    world.account.left = (
        Owned(terraform_type="aws_nat_gateway", import_id="nat-1", billable=True),
    )
    with pytest.raises(JarkkitError, match="JK-CLEANUP-LEFT") as caught:
        list(world.kit.cleanup(confirm="demo"))
    assert "nat-1" in caught.value.evidence
    receipt = world.kit.last_receipt()
    assert receipt is not None
    assert not receipt.clean
    assert not report(receipt).ok or receipt.left
    assert world.kit.status().state == "failed"


def test_init_runs_once(world: World) -> None:
    world.plan()
    world.plan()
    assert world.terraform.calls.count("init") == 1


def test_zones_never_move_once_planned(world: World) -> None:
    world.plan()
    first = world.kit.workspace.tfvars()["availability_zones"]
    world.account.offerings = lambda patterns: {  # type: ignore[method-assign]
        p: frozenset({"us-west-2b", "us-west-2c"}) for p in patterns
    }
    world.plan()
    assert world.kit.workspace.tfvars()["availability_zones"] == first
    world.kit.configure({"az_count": 3})
    with pytest.raises(JarkkitError, match="JK-ZONES-TOO-FEW"):
        world.plan()


# -- preflight and verify -------------------------------------------------------------------------


def status_of(report_: object, name: str) -> str:
    checks = {check.name: check for check in report_.checks}  # type: ignore[attr-defined]
    return str(checks[name].status)


def test_preflight_passes_and_warns_of_an_open_api(world: World) -> None:
    found = world.kit.preflight()
    assert found.ok, found.text()
    assert status_of(found, "Who may reach the Kubernetes API") == "warn"
    assert world.account.account_id not in found.text()


def test_what_may_not_be_asked_is_unknown(world: World) -> None:
    denied = JarkkitError("JK-AWS-DENIED", "no", "ask")
    world.account.failing = {"cluster_versions": denied}
    found = world.kit.preflight()
    assert status_of(found, "The Kubernetes version") == "unknown"
    assert found.ok


def test_without_credentials_the_account_is_unknown_and_the_rest_is_answered(
    world: World,
) -> None:
    world.account.failing = {"caller": JarkkitError("JK-AWS-NO-CREDENTIALS", "none", "log in")}
    found = world.kit.preflight()
    assert [check.name for check in found.failures()] == ["AWS credentials"]
    assert status_of(found, "The Kubernetes version") == "unknown"
    assert status_of(found, "Add-ons fit together") == "pass"


def test_a_region_that_does_not_exist_is_told_though_nothing_answers_there(world: World) -> None:
    world.kit.configure({"region": "us-west-9"})
    world.account.failing = {"caller": JarkkitError("JK-AWS-UNREACHABLE", "no answer", "look")}
    assert status_of(world.kit.preflight(), "The Region") == "fail"


def test_somebody_elses_cluster_blocks_the_name(world: World) -> None:
    world.account.clusters["demo"] = Cluster(name="demo", arn="a", status="ACTIVE", version="1.36")
    assert status_of(world.kit.preflight(), "The cluster's name") == "pass"
    world.account.cluster_tags = lambda name: {}  # type: ignore[method-assign]
    assert status_of(world.kit.preflight(), "The cluster's name") == "fail"


def parts() -> tuple[Part, ...]:
    names = (
        "vpc-cni", "kube-proxy", "coredns", "eks-pod-identity-agent", "metrics-server",
        "aws-ebs-csi-driver", "aws-efs-csi-driver", "amazon-cloudwatch-observability",
    )  # fmt: skip
    made = [Part(kind="add-on", name=name, status="ACTIVE", version="v1") for name in names]
    return (*made, Part(kind="node group", name="core", status="ACTIVE"))


def test_verify_is_green_when_everything_is_active(world: World) -> None:
    world.deploy()
    world.account.clusters["demo"] = Cluster(
        name="demo", arn="a", status="ACTIVE", version="1.36", endpoint="https://x"
    )
    world.account.the_parts = parts()
    found = world.kit.verify()
    assert found.ok, found.text()


@pytest.mark.parametrize("missing", ["vpc-cni", "core"])
def test_verify_names_what_is_missing(world: World, missing: str) -> None:
    world.deploy()
    world.account.clusters["demo"] = Cluster(
        name="demo", arn="a", status="ACTIVE", version="1.36", endpoint="https://x"
    )
    world.account.the_parts = tuple(p for p in parts() if p.name != missing)
    assert not world.kit.verify().ok


def test_verify_without_the_cluster_fails(world: World) -> None:
    world.deploy()
    found = world.kit.verify()
    assert not found.ok
    assert status_of(found, "Cluster") == "fail"


def test_verify_before_a_deploy_says_so(world: World) -> None:
    with pytest.raises(JarkkitError, match="JK-PLAN-MISSING"):
        world.kit.verify()


# -- opening and creating -------------------------------------------------------------------------


def test_the_only_deployment_needs_no_name(tmp_path: Path) -> None:
    with pytest.raises(JarkkitError, match="JK-DEPLOYMENT-MISSING"):
        Kit.open(home=tmp_path, environ={})
    Kit.create("one", rehearsal=False, home=tmp_path, environ={})
    assert Kit.open(home=tmp_path, environ={}).name == "one"
    Kit.create("two", rehearsal=False, home=tmp_path, environ={})
    with pytest.raises(JarkkitError, match="one, two"):
        Kit.open(home=tmp_path, environ={})


def test_creating_takes_environment_then_values(tmp_path: Path) -> None:
    environ = {"JARKKIT_AZ_COUNT": "3", "JARKKIT_CORE_NODES": "3"}
    kit = Kit.create(
        "one", rehearsal=False, values={"core_nodes": 4}, home=tmp_path, environ=environ
    )
    assert (kit.settings.az_count, kit.settings.core_nodes) == (3, 4)
    with pytest.raises(JarkkitError, match="JK-DEPLOYMENT-EXISTS"):
        Kit.create("one", rehearsal=False, home=tmp_path, environ={})
    again = Kit.create(
        "one", rehearsal=False, values={"core_disk_gib": 50}, home=tmp_path, environ={},
        exist_ok=True,
    )  # fmt: skip
    assert (again.settings.az_count, again.settings.core_disk_gib) == (3, 50)


def test_a_rehearsal_stays_a_rehearsal(tmp_path: Path) -> None:
    Kit.create("one", rehearsal=True, home=tmp_path, environ={})
    with pytest.raises(JarkkitError, match="JK-TARGET-MISMATCH"):
        Kit.create("one", rehearsal=False, home=tmp_path, environ={}, exist_ok=True)


def test_a_rehearsal_without_its_sandbox_reaches_nobody(tmp_path: Path) -> None:
    real = {"AWS_ACCESS_KEY_ID": "AKIAREAL", "AWS_SECRET_ACCESS_KEY": "x", "AWS_PROFILE": "work"}
    kit = Kit.create("one", rehearsal=True, home=tmp_path, environ=real)
    with pytest.raises(JarkkitError) as caught:
        kit.where_am_i()
    assert caught.value.code in ("JK-AWS-UNREACHABLE", "JK-TARGET-REHEARSAL")


def test_a_deployment_keeps_its_name(tmp_path: Path) -> None:
    kit = Kit.create("one", rehearsal=False, home=tmp_path, environ={})
    with pytest.raises(JarkkitError, match="keeps its name"):
        kit.configure({"name": "two"})


# -- the cluster within ------------------------------------------------------------------------


class Emptied:
    """A cluster layer whose API does not answer, or that counts how often it was asked for."""

    def __init__(self, error: JarkkitError | None = None) -> None:
        self.error, self.asked = error, 0

    def __call__(self, outputs: Mapping[str, Any]) -> Any:
        self.asked += 1
        if self.error:
            raise self.error
        raise AssertionError("no test needs more")


def with_cluster(world: World, status: str, connect: Emptied) -> list[Event]:
    """Events of a cleanup while the account has a cluster of that status."""
    world.deploy()
    world.account.clusters["demo"] = Cluster(
        name="demo", arn="a", status=status, version="1.36", endpoint="https://x"
    )
    world.kit._connecting = connect
    return list(world.kit.cleanup(confirm="demo"))


def test_a_cluster_that_does_not_answer_is_told_and_cleanup_goes_on(world: World) -> None:
    silent = Emptied(JarkkitError("JK-KUBE-UNREACHABLE", "No answer.", "Wait."))
    events = with_cluster(world, "ACTIVE", silent)
    (warning,) = [event for event in events if event.kind == "warning"]
    assert warning.code == "JK-KUBE-UNREACHABLE"
    assert world.kit.last_receipt()


def test_a_cluster_that_is_not_whole_is_not_emptied_and_that_is_told(world: World) -> None:
    connect = Emptied()
    events = with_cluster(world, "FAILED", connect)
    assert connect.asked == 0
    assert any("It is FAILED" in event.message for event in events if event.kind == "warning")


def test_instances_that_karpenter_left_are_ended(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cleanup, "_LOOK_SECONDS", 0.0)
    world.account.launched = ("i-1", "i-2")
    events = with_cluster(world, "FAILED", Emptied())
    assert world.account.launched == ()
    assert any("2 instances of Karpenter's" in event.message for event in events)


def test_a_verification_leads_on_to_use_until_the_next_change(world: World) -> None:
    world.deploy()
    assert world.kit.status().next_command == "jarkkit verify demo"
    for status in ("failed", "finished"):
        world.kit.workspace.record(Entry(time=now(), step="verify", status=status))
    assert world.kit.status().next_command == "jarkkit use --deployment demo"
    world.kit.workspace.record(Entry(time=now(), step="verify", status="failed"))
    assert world.kit.status().next_command == "jarkkit verify demo"
    world.deploy()
    assert world.kit.status().next_command == "jarkkit verify demo"
