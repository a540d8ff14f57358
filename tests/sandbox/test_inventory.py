"""Whose things are: a name alone makes nothing a deployment's."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from jarkkit.aws import Account
from jarkkit.sandbox import control
from tests.conftest import pointed_at
from tests.sandbox.test_account import make_client

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


@pytest.fixture
def client(sandbox: control.Running) -> Callable[[str], Any]:
    return lambda service: make_client(sandbox, service, REGION)


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
    client("logs").create_log_group(logGroupName="/aws/eks/logged/cluster")
    assert kinds(sandbox, "logged") == {"aws_cloudwatch_log_group"}
