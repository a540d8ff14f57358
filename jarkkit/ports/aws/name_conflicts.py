"""Existing resources with the names that a deployment needs.

`inventory` finds all resources of a deployment. This module looks up exactly the names that the
deployment is about to use, regardless of their owner.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from jarkkit.model.errors import AccessDenied, JarkkitError, ObjectNotFound
from jarkkit.model.records import Caller, UniqueName
from jarkkit.model.unknown import Unknown
from jarkkit.ports.aws.concurrency import gather
from jarkkit.ports.aws.session import AwsSession, client_error_code, translate_errors

Tags = dict[str, str]
TagLookup = Callable[[AwsSession, UniqueName, Caller], Tags | None]


class NameConflicts:
    """Existing resources by name in one Region. The constructor makes no call."""

    def __init__(self, session: AwsSession) -> None:
        self._session = session

    def tags_by_name(
        self, names: Iterable[UniqueName], caller: Caller
    ) -> dict[UniqueName, Tags | Unknown | None]:
        """Return the tags of the resource with each name; None if the name is free.

        The tags are also empty for a bucket in another account.
        """
        return gather({name: partial(self._holder, name, caller) for name in names})

    def read_state_object(self, bucket: str, key: str) -> bytes | None:
        """Return the object, or None if it does not exist.

        Raises JK-STATE-BUCKET for a bucket that does not exist or is in another Region, JK-AWS-….
        """
        s3 = self._session.client("s3")
        try:
            with translate_errors("s3 GetObject"):
                return bytes(s3.get_object(Bucket=bucket, Key=key)["Body"].read())
        except JarkkitError as error:
            code = client_error_code(error)
            if code == "NoSuchKey":
                return None
            if code in ("NoSuchBucket", "PermanentRedirect", "AuthorizationHeaderMalformed"):
                raise JarkkitError(
                    "JK-STATE-BUCKET",
                    f"The bucket {bucket} for the Terraform state does not exist in "
                    f"{self._session.region}.",
                    f"Create it (aws s3 mb s3://{bucket} --region {self._session.region}) or "
                    "correct the setting state_bucket.",
                ) from error
            raise

    def _holder(self, name: UniqueName, caller: Caller) -> Tags | None:
        doing = name.terraform_type.removeprefix("aws_").replace("_", " ")
        try:
            with translate_errors(f"the {doing} {name.name}"):
                return _ASK[name.terraform_type](self._session, name, caller)
        except ObjectNotFound:
            return None


def _role(session: AwsSession, unique: UniqueName, _: Caller) -> Tags:
    return _tags(session.client("iam").get_role(RoleName=unique.name)["Role"].get("Tags"))


def _profile(session: AwsSession, unique: UniqueName, _: Caller) -> Tags:
    found = session.client("iam").get_instance_profile(InstanceProfileName=unique.name)
    return _tags(found["InstanceProfile"].get("Tags"))


def _alias(session: AwsSession, unique: UniqueName, _: Caller) -> Tags:
    """Return the tags of the alias's key, because an alias has no tags."""
    kms = session.client("kms")
    key = kms.describe_key(KeyId=unique.name)["KeyMetadata"]["KeyId"]
    tags = kms.list_resource_tags(KeyId=key).get("Tags", [])
    return {tag["TagKey"]: tag["TagValue"] for tag in tags}


def _log_group(session: AwsSession, unique: UniqueName, _: Caller) -> Tags | None:
    logs = session.client("logs")
    groups = logs.describe_log_groups(logGroupNamePrefix=unique.name)["logGroups"]
    for group in groups:  # sorted by name, so it is on the first page
        if group["logGroupName"] == unique.name:
            arn = group["arn"].removesuffix(":*")
            return dict(logs.list_tags_for_resource(resourceArn=arn).get("tags", {}))
    return None


def _queue(session: AwsSession, unique: UniqueName, _: Caller) -> Tags:
    sqs = session.client("sqs")
    url = sqs.get_queue_url(QueueName=unique.name)["QueueUrl"]
    return dict(sqs.list_queue_tags(QueueUrl=url).get("Tags", {}))


def _rule(session: AwsSession, unique: UniqueName, _: Caller) -> Tags:
    events = session.client("events")
    arn = events.describe_rule(Name=unique.name)["Arn"]
    return _tags(events.list_tags_for_resource(ResourceARN=arn).get("Tags"))


def _template(session: AwsSession, unique: UniqueName, _: Caller) -> Tags:
    found = session.client("ec2").describe_launch_templates(LaunchTemplateNames=[unique.name])
    return _tags(found["LaunchTemplates"][0].get("Tags"))


def _security_group(session: AwsSession, unique: UniqueName, _: Caller) -> Tags | None:
    filters = [
        {"Name": "vpc-id", "Values": [unique.vpc_id]},
        {"Name": "group-name", "Values": [unique.name]},
    ]
    found = session.client("ec2").describe_security_groups(Filters=filters)["SecurityGroups"]
    return _tags(found[0].get("Tags")) if found else None


def _file_system(session: AwsSession, unique: UniqueName, _: Caller) -> Tags | None:
    """Find the file system by its creation token, which is unique per account and Region."""
    efs = session.client("efs")
    found = efs.describe_file_systems(CreationToken=unique.name)["FileSystems"]
    alive = [system for system in found if system["LifeCycleState"] != "deleting"]
    return _tags(alive[0].get("Tags")) if alive else None


def _bucket(session: AwsSession, unique: UniqueName, _: Caller) -> Tags | None:
    """Return the bucket's tags. Names are globally unique; other accounts' tags cannot be read."""
    s3 = session.client("s3")
    ours = {bucket["Name"] for bucket in s3.list_buckets().get("Buckets", [])}
    if unique.name in ours:
        return _bucket_tags(s3, unique.name)
    try:
        with translate_errors("s3 HeadBucket"):
            s3.head_bucket(Bucket=unique.name)
    except AccessDenied:
        pass  # it exists
    return {}


def _bucket_tags(s3: Any, name: str) -> Tags:
    try:
        with translate_errors("s3 GetBucketTagging"):
            return _tags(s3.get_bucket_tagging(Bucket=name)["TagSet"])
    except JarkkitError as error:
        if client_error_code(error) == "NoSuchTagSet":
            return {}
        raise


def _budget(session: AwsSession, unique: UniqueName, caller: Caller) -> Tags:
    budgets = session.client("budgets")
    budgets.describe_budget(AccountId=caller.account_id, BudgetName=unique.name)
    partition = caller.arn.split(":")[1]
    arn = f"arn:{partition}:budgets::{caller.account_id}:budget/{unique.name}"
    return _tags(budgets.list_tags_for_resource(ResourceARN=arn).get("ResourceTags"))


_ASK: dict[str, TagLookup] = {
    "aws_iam_role": _role,
    "aws_iam_instance_profile": _profile,
    "aws_kms_alias": _alias,
    "aws_cloudwatch_log_group": _log_group,
    "aws_sqs_queue": _queue,
    "aws_cloudwatch_event_rule": _rule,
    "aws_launch_template": _template,
    "aws_security_group": _security_group,
    "aws_efs_file_system": _file_system,
    "aws_s3_bucket": _bucket,
    "aws_budgets_budget": _budget,
}


def _tags(pairs: Any) -> Tags:
    return {str(pair["Key"]): str(pair["Value"]) for pair in pairs or ()}
