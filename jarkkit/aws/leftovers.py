"""Who has a name already: what an account answers about one thing by its name.

`inventory` looks for everything that is a deployment's; this looks at exactly the names that it is
about to use, whoever has them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from jarkkit.aws.asking import together
from jarkkit.aws.session import Session, client_error_code, translated
from jarkkit.errors import JarkkitError
from jarkkit.records import Caller, UniqueName

Tags = dict[str, str]
Ask = Callable[[Session, UniqueName, Caller], Tags | None]

_NOT_THERE = frozenset(
    {
        "NoSuchEntity",  # IAM
        "NotFoundException",  # KMS, Budgets
        "ResourceNotFoundException",  # EventBridge
        "AWS.SimpleQueueService.NonExistentQueue",
        "QueueDoesNotExist",
        "InvalidLaunchTemplateName.NotFoundException",
        "NoSuchBucket",
        "NoSuchKey",
        "404",  # S3's HeadBucket has no body
    }
)


class Leftovers:
    """What carries a certain name in one Region. Making one calls nobody."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def holders(
        self, names: Iterable[UniqueName], caller: Caller
    ) -> dict[UniqueName, Tags | JarkkitError | None]:
        """The tags of what has each name; None where it is free, the error where AWS did not say.

        Empty tags also stand for a bucket in somebody else's account.
        """
        return together({name: partial(self._holder, name, caller) for name in names})

    def state(self, bucket: str, key: str) -> bytes | None:
        """The object, or None where there is none.

        Raises JK-STATE-BUCKET for a bucket that does not exist or is in another Region, JK-AWS-….
        """
        s3 = self._session.client("s3")
        try:
            with translated("s3 GetObject"):
                return bytes(s3.get_object(Bucket=bucket, Key=key)["Body"].read())
        except JarkkitError as error:
            code = client_error_code(error)
            if code == "NoSuchKey":
                return None
            if code in ("NoSuchBucket", "PermanentRedirect", "AuthorizationHeaderMalformed"):
                raise JarkkitError(
                    "JK-STATE-BUCKET",
                    f"There is no bucket {bucket} in {self._session.region}, where the state is "
                    "to be kept.",
                    f"Make it (aws s3 mb s3://{bucket} --region {self._session.region}) or "
                    "correct the setting state_bucket.",
                ) from error
            raise

    def _holder(self, name: UniqueName, caller: Caller) -> Tags | None:
        doing = name.terraform_type.removeprefix("aws_").replace("_", " ")
        try:
            with translated(f"the {doing} {name.name}"):
                return _ASK[name.terraform_type](self._session, name, caller)
        except JarkkitError as error:
            if client_error_code(error) in _NOT_THERE:
                return None
            raise


def _role(session: Session, wanted: UniqueName, _: Caller) -> Tags:
    return _tags(session.client("iam").get_role(RoleName=wanted.name)["Role"].get("Tags"))


def _profile(session: Session, wanted: UniqueName, _: Caller) -> Tags:
    found = session.client("iam").get_instance_profile(InstanceProfileName=wanted.name)
    return _tags(found["InstanceProfile"].get("Tags"))


def _alias(session: Session, wanted: UniqueName, _: Caller) -> Tags:
    """An alias has no tags: its key's."""
    kms = session.client("kms")
    key = kms.describe_key(KeyId=wanted.name)["KeyMetadata"]["KeyId"]
    tags = kms.list_resource_tags(KeyId=key).get("Tags", [])
    return {tag["TagKey"]: tag["TagValue"] for tag in tags}


def _log_group(session: Session, wanted: UniqueName, _: Caller) -> Tags | None:
    logs = session.client("logs")
    groups = logs.describe_log_groups(logGroupNamePrefix=wanted.name)["logGroups"]
    for group in groups:  # sorted by name, so it is on the first page
        if group["logGroupName"] == wanted.name:
            arn = group["arn"].removesuffix(":*")
            return dict(logs.list_tags_for_resource(resourceArn=arn).get("tags", {}))
    return None


def _queue(session: Session, wanted: UniqueName, _: Caller) -> Tags:
    sqs = session.client("sqs")
    url = sqs.get_queue_url(QueueName=wanted.name)["QueueUrl"]
    return dict(sqs.list_queue_tags(QueueUrl=url).get("Tags", {}))


def _rule(session: Session, wanted: UniqueName, _: Caller) -> Tags:
    events = session.client("events")
    arn = events.describe_rule(Name=wanted.name)["Arn"]
    return _tags(events.list_tags_for_resource(ResourceARN=arn).get("Tags"))


def _template(session: Session, wanted: UniqueName, _: Caller) -> Tags:
    found = session.client("ec2").describe_launch_templates(LaunchTemplateNames=[wanted.name])
    return _tags(found["LaunchTemplates"][0].get("Tags"))


def _security_group(session: Session, wanted: UniqueName, _: Caller) -> Tags | None:
    filters = [
        {"Name": "vpc-id", "Values": [wanted.vpc_id]},
        {"Name": "group-name", "Values": [wanted.name]},
    ]
    found = session.client("ec2").describe_security_groups(Filters=filters)["SecurityGroups"]
    return _tags(found[0].get("Tags")) if found else None


def _file_system(session: Session, wanted: UniqueName, _: Caller) -> Tags | None:
    """By its creation token, of which an account has one in a Region."""
    efs = session.client("efs")
    found = efs.describe_file_systems(CreationToken=wanted.name)["FileSystems"]
    alive = [system for system in found if system["LifeCycleState"] != "deleting"]
    return _tags(alive[0].get("Tags")) if alive else None


def _bucket(session: Session, wanted: UniqueName, _: Caller) -> Tags | None:
    """Bucket names are unique in the world; one that is not ours cannot be asked for its tags."""
    s3 = session.client("s3")
    ours = {bucket["Name"] for bucket in s3.list_buckets().get("Buckets", [])}
    if wanted.name in ours:
        return _bucket_tags(s3, wanted.name)
    try:
        with translated("s3 HeadBucket"):
            s3.head_bucket(Bucket=wanted.name)
    except JarkkitError as error:
        if client_error_code(error) != "403":
            raise
    return {}


def _bucket_tags(s3: Any, name: str) -> Tags:
    try:
        with translated("s3 GetBucketTagging"):
            return _tags(s3.get_bucket_tagging(Bucket=name)["TagSet"])
    except JarkkitError as error:
        if client_error_code(error) == "NoSuchTagSet":
            return {}
        raise


def _budget(session: Session, wanted: UniqueName, caller: Caller) -> Tags:
    budgets = session.client("budgets")
    budgets.describe_budget(AccountId=caller.account_id, BudgetName=wanted.name)
    partition = caller.arn.split(":")[1]
    arn = f"arn:{partition}:budgets::{caller.account_id}:budget/{wanted.name}"
    return _tags(budgets.list_tags_for_resource(ResourceARN=arn).get("ResourceTags"))


_ASK: dict[str, Ask] = {
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
