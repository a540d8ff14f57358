"""What a plan destroys or replaces, in users' words."""

from __future__ import annotations

from typing import Any

import pytest

from jarkkit.decisions.plan_losses import (
    CLUSTER,
    FILE_SYSTEM,
    change_name,
    loses,
    name_claims,
    plan_losses,
    require_confirmation,
)
from jarkkit.decisions.terraform_messages import area_of, changes_from_plan
from jarkkit.model.errors import JarkkitError
from jarkkit.model.records import Action, Plan, ResourceChange, Target


def change(kind: str, action: Action, **more: Any) -> ResourceChange:
    return ResourceChange(
        address=f"{kind}.this", type=kind, area=area_of(kind), action=action, **more
    )


def plan_of(*changes: ResourceChange) -> Plan:
    target = Target(account_id="1", region="us-west-2", cluster_arn="a:cluster/lab", rehearsal=True)
    return Plan(
        made="2026-01-01T00:00:00Z",
        digest="d",
        file="plan.tfplan",
        terraform="terraform 1.11.4",
        target=target,
        changes=changes,
        seconds=1.0,
        losses=plan_losses(changes),
    )


GUARDED = (
    CLUSTER, FILE_SYSTEM, "aws_s3_bucket", "aws_eks_node_group", "aws_vpc", "aws_subnet",
    "aws_nat_gateway", "aws_kms_key", "aws_prometheus_workspace",
)  # fmt: skip


@pytest.mark.parametrize("action", ["replace", "delete"])
@pytest.mark.parametrize("kind", GUARDED)
def test_losing_what_people_work_with_needs_the_name(kind: str, action: Action) -> None:
    plan = plan_of(change(kind, action, name="lab"))
    assert plan.needs_confirmation
    for typed in ("", "yes", "Lab"):
        with pytest.raises(JarkkitError, match="JK-CONFIRM") as caught:
            require_confirmation("lab", plan, typed)
        assert "--confirm lab" in caught.value.fix
        assert plan.losses[0].lost in caught.value.evidence
    require_confirmation("lab", plan, "lab")


@pytest.mark.parametrize("kind", GUARDED)
@pytest.mark.parametrize("action", ["create", "update", "import"])
def test_other_actions_lose_nothing(kind: str, action: Action) -> None:
    plan = plan_of(change(kind, action))
    assert not plan.losses
    require_confirmation("lab", plan, "")


def test_a_lost_log_group_is_listed_and_needs_no_name() -> None:
    plan = plan_of(change("aws_cloudwatch_log_group", "delete", name="/aws/x"))
    assert [loss.lost for loss in plan.losses] == ["the logs in it"]
    assert not plan.needs_confirmation


def test_what_needs_the_name_comes_first() -> None:
    plan = plan_of(change("aws_cloudwatch_log_group", "delete"), change("aws_vpc", "replace"))
    assert [loss.confirm for loss in plan.losses] == [True, False]


def test_a_tainted_resource_of_an_interrupted_run_never_worked() -> None:
    tainted = change("aws_eks_node_group", "replace", reason="tainted")
    assert not plan_losses([tainted], ignore_tainted=True)
    # After a run that ended well, only a person marks a resource as tainted.
    assert plan_losses([tainted])


def test_claims_are_named_with_what_they_are_on() -> None:
    def volume(name: str, driver: str) -> dict[str, Any]:
        claim = {"namespace": "team", "name": name}
        return {"spec": {"csi": {"driver": driver}, "claimRef": claim}}

    volumes = [
        volume("b", "ebs.csi.aws.com"),
        volume("a", "efs.csi.aws.com"),
        {"spec": {"csi": {"driver": "ebs.csi.aws.com"}}},
    ]
    plan = plan_of(change(CLUSTER, "replace"), change(FILE_SYSTEM, "delete"))
    objects = {loss.resource.split()[0]: loss.objects for loss in name_claims(plan, volumes).losses}
    assert objects == {"cluster": ("team/b",), "file": ("team/a",)}


def test_terraforms_plan_names_what_it_replaces_and_why() -> None:
    item = {
        "address": "module.file_system[0].aws_efs_file_system.this",
        "type": FILE_SYSTEM,
        "mode": "managed",
        "action_reason": "replace_because_cannot_update",
        "change": {
            "actions": ["delete", "create"],
            "before": {"id": "fs-1", "tags_all": {"Name": "lab"}},
            "after": {"tags_all": {"Name": "lab"}},
            "replace_paths": [["encrypted"], ["lifecycle_policy", 0, "x"], ["encrypted"]],
        },
    }
    (found,) = changes_from_plan({"resource_changes": [item]})
    assert change_name(found) == "lab (fs-1)"
    assert found.reason == "cannot_update"
    assert found.forced_by == ("encrypted", "lifecycle_policy.x")
    assert loses([found], FILE_SYSTEM)
    assert not loses([found], CLUSTER)
    (loss,) = plan_losses([found])
    assert loss.resource == "file system lab (fs-1)"
    assert "home folders" in loss.lost
