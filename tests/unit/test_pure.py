"""Targets, adoption, estimates, Terraform's messages, catalogue: pure decisions."""

from __future__ import annotations

import itertools
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jarkkit.addons import choice
from jarkkit.addons.catalogue import catalogue
from jarkkit.adoption import Adoption, adoptions, import_blocks, key_of
from jarkkit.durations.resources import CREATE_SECONDS, Progress, critical_path
from jarkkit.errors import JarkkitError
from jarkkit.records import Action, Caller, Event, Owned, ResourceChange, Target
from jarkkit.settings import Settings
from jarkkit.targets import check_target, target_of
from jarkkit.terraform_messages import area_of, changes_of, event_of, failure, planned

CALLER = Caller(account_id="111122223333", arn="arn:aws:iam::111122223333:user/me")
TARGET = target_of(CALLER, "us-west-2", "demo", rehearsal=False)


def change(kind: str, name: str = "", action: Action = "create") -> ResourceChange:
    address = f"{kind}.{name or 'this'}"
    return ResourceChange(address=address, type=kind, area=area_of(kind), action=action, name=name)


# -- targets --------------------------------------------------------------------------------------


def test_the_target_names_the_cluster_in_its_partition() -> None:
    assert TARGET.cluster_arn == "arn:aws:eks:us-west-2:111122223333:cluster/demo"
    other = Caller(account_id="1", arn="arn:aws-us-gov:sts::1:assumed-role/x/y")
    assert target_of(other, "us-gov-west-1", "d", rehearsal=False).cluster_arn.startswith(
        "arn:aws-us-gov:eks"
    )


@pytest.mark.parametrize(
    ("update", "word"),
    [
        ({"account_id": "444455556666"}, "account"),
        ({"region": "eu-west-1"}, "Region"),
        ({"cluster_arn": "arn:other"}, "cluster"),
        ({"rehearsal": True}, "rehearsal"),
    ],
)
def test_any_other_target_is_refused(update: dict[str, object], word: str) -> None:
    check_target(None, TARGET)
    check_target(TARGET, TARGET)
    with pytest.raises(JarkkitError, match="JK-TARGET-MISMATCH") as caught:
        check_target(TARGET, TARGET.model_copy(update=update))
    assert word in caught.value.message


# -- adoption -------------------------------------------------------------------------------------


def owned(kind: str, name: str, import_id: str) -> Owned:
    return Owned(terraform_type=kind, name=name, import_id=import_id)


def test_what_the_plan_wants_and_the_account_has_is_taken_over() -> None:
    planned = [change("aws_vpc", "demo"), change("aws_subnet", "demo-a")]
    found = [owned("aws_vpc", "demo", "vpc-1"), owned("aws_eip", "demo", "eip-1")]
    assert adoptions(planned, found) == (Adoption("aws_vpc.demo", "vpc-1"),)


def test_two_planned_resources_of_one_name_are_left_alone() -> None:
    twins = [change("aws_vpc", "demo"), change("aws_vpc", "demo").model_copy(
        update={"address": "aws_vpc.twin"})]  # fmt: skip
    assert adoptions(twins, [owned("aws_vpc", "demo", "vpc-1")]) == ()


def test_of_two_findings_one_is_taken() -> None:
    found = [owned("aws_vpc", "demo", "vpc-1"), owned("aws_vpc", "demo", "vpc-2")]
    assert adoptions([change("aws_vpc", "demo")], found) == (Adoption("aws_vpc.demo", "vpc-1"),)


def test_only_creations_are_replaced_by_imports() -> None:
    found = [owned("aws_vpc", "demo", "vpc-1")]
    assert adoptions([change("aws_vpc", "demo", action="update")], found) == ()


@pytest.mark.parametrize(
    ("kind", "attributes", "key"),
    [
        ("aws_vpc", {"tags_all": {"Name": "demo"}}, "demo"),
        ("aws_iam_role", {"name": "r", "tags_all": {"Name": "other"}}, "r"),
        ("aws_eks_cluster", {"name": "demo"}, "demo"),
        ("aws_route", {"route_table_id": "rtb-1", "destination_cidr_block": "0/0"}, "rtb-1_0/0"),
        ("aws_route", {"destination_cidr_block": "0/0"}, ""),
        ("aws_eks_pod_identity_association", {"namespace": "a", "service_account": "b"}, "a/b"),
        ("aws_iam_role_policy_attachment", {"role": "r"}, ""),
    ],
)
def test_keys(kind: str, attributes: dict[str, object], key: str) -> None:
    assert key_of(kind, attributes) == key


def test_import_blocks() -> None:
    assert import_blocks([]) is None
    assert import_blocks([Adoption("a.b", "1")]) == {"import": [{"to": "a.b", "id": "1"}]}


# -- estimates ------------------------------------------------------------------------------------


def test_parts_of_a_stage_run_side_by_side() -> None:
    cluster = [change("aws_eks_cluster")]
    both = [*cluster, change("aws_nat_gateway")]
    assert critical_path(both) == critical_path(cluster)
    assert critical_path([*both, change("aws_eks_node_group")]) == (
        critical_path(both) + CREATE_SECONDS["aws_eks_node_group"]
    )


def test_nothing_takes_no_time() -> None:
    assert critical_path([]) == 0


def done(subject: str) -> Event:
    return Event(time="t", step="deploy", kind="resource", subject=subject, status="done")


def test_the_time_left_begins_with_the_published_figure_and_ends_at_zero() -> None:
    changes = (change("aws_vpc"), change("aws_eks_cluster"))
    events = [Event(time="t", step="deploy", kind="message"), *map(done, ["aws_vpc.this"])]
    events.append(done("aws_eks_cluster.this"))
    seen = list(Progress(changes).follow(events, itertools.count(0.0, 1.0)))
    assert seen[0].seconds_left == critical_path(changes)
    assert [e.done for e in seen] == [0, 1, 2]
    assert seen[-1].seconds_left == 0


@given(st.floats(0.01, 10.0))
def test_a_faster_world_is_noticed(pace: float) -> None:
    changes = (change("aws_eks_cluster"), change("aws_eks_addon"))
    progress = Progress(changes)
    published = CREATE_SECONDS["aws_eks_cluster"]
    list(progress.follow([done("aws_eks_cluster.this")], iter([published * pace])))
    left = progress.seconds_left(published * pace)
    honest = critical_path([change("aws_eks_addon")])
    assert left == pytest.approx(honest * (1 + (pace - 1) * 0.88), rel=0.15, abs=2)


# -- Terraform's messages -------------------------------------------------------------------------


def test_a_resource_event() -> None:
    message = {
        "type": "apply_complete",
        "@timestamp": "2026-01-01T00:00:00Z",
        "hook": {"resource": {"addr": "aws_vpc.x"}, "action": "create", "elapsed_seconds": 3},
    }
    event = event_of(message, "deploy")
    assert event is not None
    assert (event.subject, event.action, event.status, event.seconds) == (
        "aws_vpc.x", "create", "done", 3,
    )  # fmt: skip


def test_noise_is_no_event() -> None:
    assert event_of({"type": "version"}, "plan") is None


def test_plan_changes() -> None:
    plan = {
        "resource_changes": [
            {
                "address": "aws_vpc.x",
                "type": "aws_vpc",
                "mode": "managed",
                "change": {"actions": ["create"], "after": {"tags_all": {"Name": "demo"}}},
            },
            {
                "address": "aws_eip.x",
                "type": "aws_eip",
                "mode": "managed",
                "change": {"actions": ["no-op"], "after": {}},
            },
            {
                "address": "aws_kms_key.x",
                "type": "aws_kms_key",
                "mode": "managed",
                "change": {"actions": ["update"], "after": {}, "importing": {"id": "k"}},
            },
            {
                "address": "data.aws_x.x",
                "type": "aws_x",
                "mode": "data",
                "change": {"actions": ["read"], "after": {}},
            },
        ]
    }
    assert [(c.address, c.action, c.name, c.area) for c in changes_of(plan)] == [
        ("aws_vpc.x", "create", "demo", "network"),
        ("aws_kms_key.x", "import", "", "cluster"),
    ]


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ("Error acquiring the state lock\nLock Info: ID: 123", "JK-TF-LOCKED"),
        ("Saved plan is stale", "JK-PLAN-STALE"),
        ("api error ExpiredToken: The security token included is expired", "JK-AWS-EXPIRED"),
        ("No valid credential sources found", "JK-AWS-NO-CREDENTIALS"),
        ("User x is not authorized to perform: eks:CreateCluster", "JK-AWS-DENIED"),
        ("InsufficientInstanceCapacity: We do not have", "JK-AWS-CAPACITY"),
        ("VcpuLimitExceeded: You have requested more", "JK-AWS-QUOTA"),
        ("api error VpcLimitExceeded: The maximum number", "JK-AWS-QUOTA"),
        ("ThrottlingException: Rate exceeded", "JK-AWS-THROTTLED"),
        ("EntityAlreadyExists: Role with name x already exists", "JK-NAME-TAKEN"),
        ("dial tcp 127.0.0.1:9: connect: connection refused", "JK-AWS-UNREACHABLE"),
        ("Failed to query available provider packages", "JK-TF-PROVIDER"),
        ('Invalid value for variable "name"', "JK-TF-INVALID"),
        ("something nobody foresaw", "JK-TF-FAILED"),
    ],
)
def test_known_failures_have_codes(said: str, code: str) -> None:
    error = failure(1, [said], "", "apply")
    assert error.code == code
    assert said.splitlines()[0] in error.evidence
    assert error.fix


def test_a_signal_is_told_apart() -> None:
    assert failure(-9, [], "last words", "apply").code == "JK-TF-KILLED"


# -- catalogue ------------------------------------------------------------------------------------


def test_every_entry_explains_itself() -> None:
    for addon in catalogue().values():
        assert addon.what.endswith("."), addon.name
        assert addon.link.startswith("https://"), addon.name


def test_switching_off_and_on() -> None:
    names = {a.name for a in choice.chosen(Settings())}
    changed = Settings(addons={"metrics-server": False, "eks-node-monitoring-agent": True})
    after = {a.name for a in choice.chosen(changed)}
    assert names - after == {"metrics-server"}
    assert after - names == {"eks-node-monitoring-agent"}
    assert "metrics-server" not in choice.eks_addons(changed)


def test_an_unknown_add_on_gets_the_nearest_name() -> None:
    with pytest.raises(JarkkitError, match="JK-SETTINGS-UNKNOWN") as caught:
        choice.chosen(Settings(addons={"core-dns": True}))
    assert "coredns" in caught.value.fix


def test_identities_come_with_their_add_on() -> None:
    assert "aws-ebs-csi-driver" in choice.pod_identities(Settings())
    data = ("aws-ebs-csi-driver", "aws-efs-csi-driver", "jupyterhub")
    off = Settings(addons=dict.fromkeys(data, False))
    assert "aws-ebs-csi-driver" not in choice.pod_identities(off)
    assert not choice.needs_file_system(off)


def test_records_refuse_unknown_keys() -> None:
    with pytest.raises(ValueError, match="extra"):
        Target.model_validate({**TARGET.model_dump(), "more": 1})


class TestPermissionsOfAddons:
    @staticmethod
    def statements() -> list[tuple[str, dict[str, Any]]]:
        return [
            (addon.name, statement)
            for addon in catalogue().values()
            if addon.aws is not None
            for statement in addon.aws.statements
        ]

    def test_everything_is_open_only_to_looking(self) -> None:
        for name, statement in self.statements():
            if statement["Resource"] == "*":
                looking = re.compile(r"^[a-z0-9-]+:(Describe|List|Get)")
                assert all(looking.match(action) for action in statement["Action"]), name

    def test_a_role_can_hold_its_policy(self) -> None:
        # IAM: the inline policies of a role have 10,240 characters at most, white space left out.
        for addon in catalogue().values():
            policies = choice.pod_identities(Settings(artifact_bucket=True))
            text = policies.get(addon.name, {}).get("policy") or ""
            assert len(text.replace(" ", "")) < 9000, addon.name

    def test_what_needs_the_bucket_gets_its_role_with_the_bucket_only(self) -> None:
        without = choice.pod_identities(Settings())
        with_bucket = choice.pod_identities(Settings(artifact_bucket=True))
        assert set(with_bucket) - set(without) == {"argo-workflows", "jupyterhub"}


def test_the_stream_of_a_plan_tells_what_the_plan_does() -> None:
    def message(action: str, **more: Any) -> dict[str, Any]:
        resource = {"addr": f"aws_vpc.{action}", "resource_type": "aws_vpc"}
        return {"type": "planned_change", "change": {"resource": resource, "action": action} | more}

    stream = [
        {"type": "version"},
        *(message(a) for a in ("noop", "create", "read", "update", "replace", "delete", "forget")),
        message("noop-and-import", importing={"id": "vpc-1"}),
    ]
    found = [(c.address.removeprefix("aws_vpc."), c.action, c.area) for c in planned(stream)]
    assert found == [
        ("create", "create", "network"),
        ("update", "update", "network"),
        ("replace", "replace", "network"),
        ("delete", "delete", "network"),
        ("noop-and-import", "import", "network"),
    ]
