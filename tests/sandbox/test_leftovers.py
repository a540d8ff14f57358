"""Who has a name already, what the state says, what time it is: asked of the pretend account."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jarkkit.aws import Account
from jarkkit.aws.session import Session
from jarkkit.aws.skew import between, skew_seconds
from jarkkit.errors import JarkkitError
from jarkkit.kit import Kit
from jarkkit.records import UniqueName
from jarkkit.sandbox import control
from jarkkit.settings import Settings
from jarkkit.steps.preflight.names import unique_names
from jarkkit.terraform import Terraform
from jarkkit.terraform_messages import changes_of
from tests.conftest import pointed_at

REGION = "eu-west-1"
TAGS = {"jarkkit:deployment": "taken"}
PAIRS = [{"Key": key, "Value": value} for key, value in TAGS.items()]
EVERYTHING = {
    "region": REGION,
    "static_gpu_nodes": 1,
    "artifact_bucket": True,
    "managed_prometheus": True,
    "budget_usd_per_month": 10,
    "budget_emails": ["a@example.org"],
}


def test_the_names_are_those_of_the_plan(
    sandbox: control.Running, tmp_path: Path, terraform: str
) -> None:
    environ = pointed_at(sandbox)
    kit = Kit.create("named", rehearsal=True, values=EVERYTHING, home=tmp_path, environ=environ)
    list(kit.plan())
    plan = kit.last_plan()
    assert plan is not None
    changes = changes_of(Terraform(kit.folder, environ, kit.workspace.new_log).show(plan.file))
    expected = unique_names(kit.settings, sandbox.account_id)
    types = {name.terraform_type for name in expected}
    # In a network of its own nobody has a security group.
    assert {change.type for change in changes if _has_a_name_of_its_own(change.type)} <= types
    made = {(c.type, c.name) for c in changes if c.action == "create" and c.type in types}
    assert {(name.terraform_type, name.name) for name in expected} == made


def _has_a_name_of_its_own(terraform_type: str) -> bool:
    """Named by us and unique, so far as the name of a type tells."""
    return terraform_type in (
        "aws_iam_role", "aws_iam_instance_profile", "aws_iam_policy", "aws_iam_user",
        "aws_kms_alias", "aws_cloudwatch_log_group", "aws_cloudwatch_metric_alarm",
        "aws_sqs_queue", "aws_sns_topic", "aws_cloudwatch_event_rule", "aws_launch_template",
        "aws_efs_file_system", "aws_s3_bucket", "aws_budgets_budget", "aws_ecr_repository",
        "aws_secretsmanager_secret", "aws_ssm_parameter", "aws_dynamodb_table", "aws_lb",
    )  # fmt: skip


@pytest.fixture
def taken(client: Callable[[str], Any], account: Account) -> tuple[UniqueName, ...]:
    """Every name of a deployment has somebody, with its tag."""
    settings = Settings.make({**EVERYTHING, "name": "taken"})
    names = unique_names(settings, account.caller().account_id)
    for name in names:
        _MAKE[name.terraform_type](client, name.name)
    return names


def _role(client: Callable[[str], Any], name: str) -> None:
    client("iam").create_role(RoleName=name, AssumeRolePolicyDocument="{}", Tags=PAIRS)


def _profile(client: Callable[[str], Any], name: str) -> None:
    client("iam").create_instance_profile(InstanceProfileName=name, Tags=PAIRS)


def _alias(client: Callable[[str], Any], name: str) -> None:
    tags = [{"TagKey": key, "TagValue": value} for key, value in TAGS.items()]
    key = client("kms").create_key(Tags=tags)["KeyMetadata"]["KeyId"]
    client("kms").create_alias(AliasName=name, TargetKeyId=key)


def _log_group(client: Callable[[str], Any], name: str) -> None:
    client("logs").create_log_group(logGroupName=f"{name}-other")
    client("logs").create_log_group(logGroupName=name, tags=TAGS)


def _queue(client: Callable[[str], Any], name: str) -> None:
    client("sqs").create_queue(QueueName=name, tags=TAGS)


def _rule(client: Callable[[str], Any], name: str) -> None:
    client("events").put_rule(Name=name, EventPattern="{}", Tags=PAIRS)


def _template(client: Callable[[str], Any], name: str) -> None:
    client("ec2").create_launch_template(
        LaunchTemplateName=name,
        LaunchTemplateData={"InstanceType": "m5.large"},
        TagSpecifications=[{"ResourceType": "launch-template", "Tags": PAIRS}],
    )


def _file_system(client: Callable[[str], Any], name: str) -> None:
    client("efs").create_file_system(CreationToken=name, Tags=PAIRS)


def _bucket(client: Callable[[str], Any], name: str) -> None:
    client("s3").create_bucket(
        Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION}
    )
    client("s3").put_bucket_tagging(Bucket=name, Tagging={"TagSet": PAIRS})


def _budget(client: Callable[[str], Any], name: str) -> None:
    account_id = client("sts").get_caller_identity()["Account"]
    limit = {"Amount": "10", "Unit": "USD"}
    client("budgets").create_budget(
        AccountId=account_id,
        Budget={
            "BudgetName": name,
            "BudgetType": "COST",
            "TimeUnit": "MONTHLY",
            "BudgetLimit": limit,
        },
        ResourceTags=PAIRS,
    )


_MAKE: dict[str, Callable[[Callable[[str], Any], str], None]] = {
    "aws_iam_role": _role,
    "aws_iam_instance_profile": _profile,
    "aws_kms_alias": _alias,
    "aws_cloudwatch_log_group": _log_group,
    "aws_sqs_queue": _queue,
    "aws_cloudwatch_event_rule": _rule,
    "aws_launch_template": _template,
    "aws_efs_file_system": _file_system,
    "aws_s3_bucket": _bucket,
    "aws_budgets_budget": _budget,
}


def test_whoever_has_a_name_is_known_by_the_tags(
    account: Account, taken: tuple[UniqueName, ...]
) -> None:
    found = account.leftovers.holders(taken, account.caller())
    wrong = {
        name.name: tags
        for name, tags in found.items()
        if isinstance(tags, JarkkitError) or not tags or not TAGS.items() <= tags.items()
    }
    assert wrong == {}


def test_a_name_that_nobody_has_is_free(account: Account) -> None:
    settings = Settings.make({**EVERYTHING, "name": "free-one"})
    caller = account.caller()
    found = account.leftovers.holders(unique_names(settings, caller.account_id), caller)
    assert {name.name: tags for name, tags in found.items() if tags is not None} == {}


def test_in_a_vpc_that_was_brought_a_security_group_may_be_taken(
    account: Account, client: Callable[[str], Any]
) -> None:
    ec2 = client("ec2")
    vpc, other = (ec2.create_vpc(CidrBlock=f"10.{n}.0.0/16")["Vpc"]["VpcId"] for n in (80, 81))
    ec2.create_security_group(GroupName="brought-efs", Description="theirs", VpcId=vpc)
    names = [
        UniqueName(terraform_type="aws_security_group", name="brought-efs", vpc_id=place)
        for place in (vpc, other)
    ]
    assert list(account.leftovers.holders(names, account.caller()).values()) == [{}, None]


def test_a_bucket_without_tags_is_somebodys(account: Account, client: Callable[[str], Any]) -> None:
    client("s3").create_bucket(
        Bucket="untagged", CreateBucketConfiguration={"LocationConstraint": REGION}
    )
    name = UniqueName(terraform_type="aws_s3_bucket", name="untagged")
    assert account.leftovers.holders([name], account.caller()) == {name: {}}


class TestState:
    def test_of_a_bucket(self, account: Account, client: Callable[[str], Any]) -> None:
        s3 = client("s3")
        s3.create_bucket(Bucket="states", CreateBucketConfiguration={"LocationConstraint": REGION})
        assert account.leftovers.state("states", "a/b.tfstate") is None
        s3.put_object(Bucket="states", Key="a/b.tfstate", Body=json.dumps({"resources": []}))
        assert account.leftovers.state("states", "a/b.tfstate") == b'{"resources": []}'

    def test_a_bucket_that_is_not_there_is_refused(self, account: Account) -> None:
        with pytest.raises(JarkkitError, match="JK-STATE-BUCKET"):
            account.leftovers.state("nobody-has-this", "a")


class TestTheClock:
    @pytest.mark.parametrize("wrong", [0.0, 300.0, -300.0])
    def test_is_compared_with_the_answers_date(
        self, sandbox: control.Running, wrong: float
    ) -> None:
        session = Session(REGION, pointed_at(sandbox))
        found = skew_seconds(session, lambda: time.time() + wrong)
        assert found == pytest.approx(wrong, abs=2.5)

    @pytest.mark.parametrize(
        ("sent", "received", "told", "ahead"),
        [
            (100.0, 104.0, 102.0, 0.0),  # within the time of the call
            (100.9, 100.95, 100.0, 0.0),  # what was told is cut off
            (200.0, 201.0, 100.0, 99.0),
            (100.0, 101.0, 200.0, -99.0),
        ],
    )
    def test_what_the_call_took_is_not_held_against_it(
        self, sent: float, received: float, told: float, ahead: float
    ) -> None:
        assert between(sent, received, told) == ahead


def test_a_proxy_never_sees_what_is_for_the_sandbox(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    assert account.caller().account_id
