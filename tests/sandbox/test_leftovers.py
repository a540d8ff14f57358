"""Taken names, remote state and clock skew, read from the sandbox account."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jarkkit.decisions.terraform_messages import changes_from_plan
from jarkkit.deployment import Deployment
from jarkkit.model.errors import JarkkitError
from jarkkit.model.records import UniqueName
from jarkkit.model.unknown import Unknown
from jarkkit.ports.aws import Account
from jarkkit.ports.aws.clock_skew import skew_between, skew_seconds
from jarkkit.ports.aws.session import AwsSession
from jarkkit.ports.terraform import Terraform
from jarkkit.sandbox import daemon_client
from jarkkit.settings import Settings
from jarkkit.steps.preflight.unique_names import unique_names
from tests.support.account import sandbox_environment
from tests.support.stacks import resolved

REGION = "eu-west-1"
TAGS = {"jarkkit:deployment": "taken"}
PAIRS = [{"Key": key, "Value": value} for key, value in TAGS.items()]
ALL_FEATURES = {
    "region": REGION,
    "static_gpu_nodes": 1,
    "artifact_bucket": True,
    "managed_prometheus": True,
    "budget_usd_per_month": 10,
    "budget_emails": ["a@example.org"],
}


def test_the_unique_names_match_the_plan(
    sandbox: daemon_client.RunningSandbox, tmp_path: Path, terraform: str
) -> None:
    environ = sandbox_environment(sandbox)
    values = {**ALL_FEATURES, "region": "ap-southeast-1"}  # long, and so is the name
    deployment = Deployment.create(
        "named-with-24-characters", rehearsal=True, values=values, home=tmp_path, environ=environ
    )
    list(deployment.plan())
    plan = deployment.last_plan()
    assert plan is not None
    changes = changes_from_plan(
        Terraform(deployment.folder, environ, deployment.workspace.new_log).show(plan.file)
    )
    expected = unique_names(resolved(deployment.settings), sandbox.account_id)
    types = {name.terraform_type for name in expected}
    # In a deployment's own VPC no security group exists yet.
    assert {change.type for change in changes if _has_unique_name(change.type)} <= types
    created = {(c.type, c.name) for c in changes if c.action == "create" and c.type in types}
    assert {(name.terraform_type, name.name) for name in expected} == created


def _has_unique_name(terraform_type: str) -> bool:
    """Return whether resources of a type have unique names that jarkkit chooses."""
    return terraform_type in (
        "aws_iam_role", "aws_iam_instance_profile", "aws_iam_policy", "aws_iam_user",
        "aws_kms_alias", "aws_cloudwatch_log_group", "aws_cloudwatch_metric_alarm",
        "aws_sqs_queue", "aws_sns_topic", "aws_cloudwatch_event_rule", "aws_launch_template",
        "aws_efs_file_system", "aws_s3_bucket", "aws_budgets_budget", "aws_ecr_repository",
        "aws_secretsmanager_secret", "aws_ssm_parameter", "aws_dynamodb_table", "aws_lb",
    )  # fmt: skip


@pytest.fixture
def taken_names(client: Callable[[str], Any], account: Account) -> tuple[UniqueName, ...]:
    """All names of a deployment, taken by resources with its tag."""
    settings = Settings.from_values({**ALL_FEATURES, "name": "taken"})
    names = unique_names(resolved(settings), account.caller().account_id)
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


def test_the_owner_of_a_taken_name_is_known_by_its_tags(
    account: Account, taken_names: tuple[UniqueName, ...]
) -> None:
    found = account.name_conflicts.tags_by_name(taken_names, account.caller())
    offset = {
        name.name: tags
        for name, tags in found.items()
        if isinstance(tags, Unknown) or not tags or not TAGS.items() <= tags.items()
    }
    assert offset == {}


def test_an_unused_name_is_free(account: Account) -> None:
    settings = Settings.from_values({**ALL_FEATURES, "name": "free-one"})
    caller = account.caller()
    found = account.name_conflicts.tags_by_name(
        unique_names(resolved(settings), caller.account_id), caller
    )
    assert {name.name: tags for name, tags in found.items() if tags is not None} == {}


def test_a_security_group_name_can_be_taken_in_an_existing_vpc(
    account: Account, client: Callable[[str], Any]
) -> None:
    ec2 = client("ec2")
    vpc, another = (ec2.create_vpc(CidrBlock=f"10.{n}.0.0/16")["Vpc"]["VpcId"] for n in (80, 81))
    ec2.create_security_group(GroupName="brought-efs", Description="theirs", VpcId=vpc)
    names = [
        UniqueName(terraform_type="aws_security_group", name="brought-efs", vpc_id=vpc_id)
        for vpc_id in (vpc, another)
    ]
    assert list(account.name_conflicts.tags_by_name(names, account.caller()).values()) == [{}, None]


def test_a_bucket_without_tags_counts_as_taken(
    account: Account, client: Callable[[str], Any]
) -> None:
    client("s3").create_bucket(
        Bucket="untagged", CreateBucketConfiguration={"LocationConstraint": REGION}
    )
    name = UniqueName(terraform_type="aws_s3_bucket", name="untagged")
    assert account.name_conflicts.tags_by_name([name], account.caller()) == {name: {}}


class TestState:
    def test_the_state_is_read_from_a_bucket(
        self, account: Account, client: Callable[[str], Any]
    ) -> None:
        s3 = client("s3")
        s3.create_bucket(Bucket="states", CreateBucketConfiguration={"LocationConstraint": REGION})
        assert account.name_conflicts.read_state_object("states", "a/b.tfstate") is None
        s3.put_object(Bucket="states", Key="a/b.tfstate", Body=json.dumps({"resources": []}))
        assert (
            account.name_conflicts.read_state_object("states", "a/b.tfstate")
            == b'{"resources": []}'
        )

    def test_a_missing_state_bucket_is_an_error(self, account: Account) -> None:
        with pytest.raises(JarkkitError, match="JK-STATE-BUCKET"):
            account.name_conflicts.read_state_object("no-such-bucket", "a")


class TestClockSkew:
    @pytest.mark.parametrize("offset", [0.0, 300.0, -300.0])
    def test_the_clock_skew_is_the_difference_to_the_servers_date(
        self, sandbox: daemon_client.RunningSandbox, offset: float
    ) -> None:
        session = AwsSession(REGION, sandbox_environment(sandbox))
        began = time.monotonic()
        found = skew_seconds(session, lambda: time.time() + offset)
        duration = time.monotonic() - began
        # The server's time is truncated to seconds, and is from some moment of the call.
        assert found == pytest.approx(offset, abs=1 + duration)

    @pytest.mark.parametrize(
        ("sent", "received", "server_time", "skew"),
        [
            (100.0, 104.0, 102.0, 0.0),  # within the duration of the call
            (100.9, 100.95, 100.0, 0.0),  # the server's time is truncated to seconds
            (200.0, 201.0, 100.0, 99.0),
            (100.0, 101.0, 200.0, -99.0),
        ],
    )
    def test_the_duration_of_the_call_is_not_counted_as_skew(
        self, sent: float, received: float, server_time: float, skew: float
    ) -> None:
        assert skew_between(sent, received, server_time) == skew


def test_calls_to_the_sandbox_bypass_a_proxy(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    assert account.caller().account_id
