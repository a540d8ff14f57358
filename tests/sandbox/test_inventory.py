"""Whose things are: a name alone makes nothing a deployment's."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from botocore.exceptions import ClientError

from jarkkit.aws import Account
from jarkkit.aws.inventory import PLACES, _Look
from jarkkit.aws.session import Session
from jarkkit.errors import JarkkitError
from jarkkit.sandbox import control
from tests.conftest import pointed_at

REGION = "eu-west-1"
TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": "pods.eks.amazonaws.com"},
                "Action": "sts:AssumeRole",
            }
        ],
    }
)
NOTHING = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Deny", "Action": "s3:*", "Resource": "*"}],
    }
)


def make_everything(client: Callable[[str], Any], name: str, tags: dict[str, str]) -> None:
    """One of each kind that the inventory finds by its name, with these tags."""
    pairs = [{"Key": key, "Value": value} for key, value in tags.items()]
    iam, kms = client("iam"), client("kms")
    iam.create_role(RoleName=f"{name}-{REGION}-node", AssumeRolePolicyDocument=TRUST, Tags=pairs)
    iam.create_policy(PolicyName=f"{name}-{REGION}-x", PolicyDocument=NOTHING, Tags=pairs)
    iam.create_instance_profile(InstanceProfileName=f"{name}-{REGION}-node", Tags=pairs)
    key = kms.create_key(Tags=[{"TagKey": k, "TagValue": v} for k, v in tags.items()])
    kms.create_alias(AliasName=f"alias/eks/{name}", TargetKeyId=key["KeyMetadata"]["KeyId"])
    client("sqs").create_queue(QueueName=f"karpenter-{name}", tags=tags)
    s3, bucket = client("s3"), f"{name}-artifacts-1"
    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
    if pairs:
        s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": pairs})
    client("amp").create_workspace(alias=name, tags=tags)
    client("budgets").create_budget(
        AccountId=client("sts").get_caller_identity()["Account"],
        Budget={
            "BudgetName": name,
            "BudgetLimit": {"Amount": "10", "Unit": "USD"},
            "TimeUnit": "MONTHLY",
            "BudgetType": "COST",
        },
        ResourceTags=pairs,
    )


def kinds(sandbox: control.Running, deployment: str) -> set[str]:
    found, _, refused = Account(REGION, pointed_at(sandbox)).owned(deployment)
    assert refused == ()
    return {owned.terraform_type for owned in found}


def test_what_has_a_deployments_tag_is_its_own(
    sandbox: control.Running, client: Callable[[str], Any]
) -> None:
    make_everything(client, "mine", {"jarkkit:deployment": "mine"})
    assert kinds(sandbox, "mine") == {
        "aws_iam_role",
        "aws_iam_policy",
        "aws_iam_instance_profile",
        "aws_kms_key",
        "aws_kms_alias",
        "aws_sqs_queue",
        "aws_s3_bucket",
        "aws_prometheus_workspace",
        "aws_budgets_budget",
    }


@pytest.mark.parametrize(
    ("name", "tags"), [("untagged", {}), ("others", {"jarkkit:deployment": "somebody"})]
)
def test_what_only_has_its_name_is_somebody_elses(
    sandbox: control.Running, client: Callable[[str], Any], name: str, tags: dict[str, str]
) -> None:
    make_everything(client, name, tags)
    assert kinds(sandbox, name) == set()


def test_a_log_group_is_known_by_its_name(
    sandbox: control.Running, client: Callable[[str], Any]
) -> None:
    client("logs").create_log_group(logGroupName="/aws/eks/logged-alone/cluster")
    assert kinds(sandbox, "logged-alone") == {"aws_cloudwatch_log_group"}


def test_a_region_without_managed_prometheus_can_be_looked_at(
    sandbox_of_faults: control.Running,
) -> None:
    account = Account(REGION, pointed_at(sandbox_of_faults))
    control.set_faults(sandbox_of_faults.home, ["api-unreachable:aps"])
    found, looked, refused = account.owned("nobodys")
    control.set_faults(sandbox_of_faults.home, ["api-unreachable:ec2"])
    with pytest.raises(JarkkitError):
        account.owned("nobodys")
    control.set_faults(sandbox_of_faults.home, ())
    assert found == ()
    assert refused == ("amp workspaces: JK-AWS-UNREACHABLE",)
    assert "kms keys" in looked


@pytest.fixture
def sandbox_of_faults(tmp_path: Path) -> Iterator[control.Running]:
    yield control.start(tmp_path, account_only=True)
    control.stop(tmp_path)


class Keys:
    """KMS with keys, of which some may be read by nobody here."""

    def __init__(self, **tags: dict[str, str] | None) -> None:
        self.tags = tags

    def can_paginate(self, _operation: str) -> bool:
        return False

    def list_keys(self) -> dict[str, Any]:
        return {"Keys": [{"KeyId": key} for key in self.tags]}

    def describe_key(self, KeyId: str) -> dict[str, Any]:  # noqa: N803
        if self.tags[KeyId] is None:
            raise ClientError({"Error": {"Code": "AccessDeniedException"}}, "DescribeKey")
        return {"KeyMetadata": {"KeyManager": "CUSTOMER", "KeyState": "Enabled"}}

    def list_resource_tags(self, KeyId: str) -> dict[str, Any]:  # noqa: N803
        pairs = (self.tags[KeyId] or {}).items()
        return {"Tags": [{"TagKey": key, "TagValue": value} for key, value in pairs]}


class KeySession:
    """A session that has nothing but keys."""

    region = REGION

    def __init__(self, keys: Keys) -> None:
        self.keys = keys

    def client(self, _service: str) -> Keys:
        return self.keys


def keys_found(**tags: dict[str, str] | None) -> list[str]:
    look = _Look(cast("Session", KeySession(Keys(**tags))), "mine")
    return [owned.import_id for owned in PLACES["kms keys"](look)]


def test_keys_that_shut_everybody_out_do_not_hide_the_others() -> None:
    own = {"jarkkit:deployment": "mine"}
    assert keys_found(locked=None, own=own, others={}) == ["own"]


def test_where_no_key_may_be_read_nobody_knows() -> None:
    with pytest.raises(ClientError):
        keys_found(locked=None, locked_too=None)


def test_places_are_named_in_words() -> None:
    assert {"ec2 VPCs", "ec2 NAT gateways", "ec2 network interfaces", "budgets"} <= set(PLACES)
