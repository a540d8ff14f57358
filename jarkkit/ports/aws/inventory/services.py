"""Scanners of EKS, IAM, KMS, CloudWatch, storage and the other services.

IAM, KMS, SQS and others list no tags, and a name alone proves nothing: another resource may already
have had it. So these scanners read the tags of the resources whose name fits.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from botocore.exceptions import ClientError

from jarkkit.decisions.ownership import tag_mapping
from jarkkit.model.records import OwnedResource
from jarkkit.model.unknown import known_or_raise
from jarkkit.ports.aws.inventory.scan_context import ScanContext, Scanner
from jarkkit.ports.aws.session import client_error_code, paginate

# CloudWatch agents of all clusters in the Region write to these log groups.
_SHARED_LOG_GROUPS = ("/aws/application-signals/data",)
_SHARED = "all clusters of the account and Region write to it"
_GIB = 2.0**30


# -- EKS -------------------------------------------------------------------------------------------


def _eks(context: ScanContext) -> Iterator[OwnedResource]:
    eks, cluster = context.client("eks"), known_or_raise(context.cluster)
    if cluster is None or not context.owner.of_cluster or cluster["status"] == "DELETING":
        return
    yield OwnedResource(
        terraform_type="aws_eks_cluster",
        import_id=context.name,
        name=context.name,
        arn=cluster["arn"],
        billable=True,
    )
    parts = (
        ("aws_eks_node_group", "list_nodegroups", "nodegroups"),
        ("aws_eks_addon", "list_addons", "addons"),
        ("aws_eks_access_entry", "list_access_entries", "accessEntries"),
    )
    for terraform_type, operation, key in parts:
        for name in getattr(eks, operation)(clusterName=context.name)[key]:
            yield OwnedResource(
                terraform_type=terraform_type, import_id=f"{context.name}:{name}", name=name
            )
    associations = eks.list_pod_identity_associations(clusterName=context.name)["associations"]
    for item in associations:
        yield OwnedResource(
            terraform_type="aws_eks_pod_identity_association",
            import_id=f"{context.name},{item['associationId']}",
            name=f"{item['namespace']}/{item['serviceAccount']}",
        )


# -- IAM -------------------------------------------------------------------------------------------


def _roles(context: ScanContext) -> Iterator[OwnedResource]:
    iam = context.client("iam")
    for role in paginate(iam, "list_roles", "Roles"):
        name = role["RoleName"]
        if name.startswith(context.prefix):
            tags = iam.get_role(RoleName=name)["Role"].get("Tags")
            yield from context.owned("aws_iam_role", name, tags, name=name, arn=role["Arn"])


def _policies(context: ScanContext) -> Iterator[OwnedResource]:
    iam = context.client("iam")
    for policy in paginate(iam, "list_policies", "Policies", Scope="Local"):
        arn, name = policy["Arn"], policy["PolicyName"]
        if name.startswith(context.prefix):
            tags = iam.get_policy(PolicyArn=arn)["Policy"].get("Tags")
            yield from context.owned("aws_iam_policy", arn, tags, name=name, arn=arn)


def _profiles(context: ScanContext) -> Iterator[OwnedResource]:
    iam = context.client("iam")
    for profile in paginate(iam, "list_instance_profiles", "InstanceProfiles"):
        name = profile["InstanceProfileName"]
        if name.startswith((context.prefix, f"{context.name}_")):  # Karpenter writes NAME_hash
            found = iam.get_instance_profile(InstanceProfileName=name)["InstanceProfile"]
            yield from context.owned("aws_iam_instance_profile", name, found.get("Tags"), name=name)


# -- KMS -------------------------------------------------------------------------------------------


def _keys(context: ScanContext) -> Iterator[OwnedResource]:
    """Yield the deployment's keys.

    A key policy may deny everyone. That key is not the deployment's, whose policy allows the
    account. If the caller cannot read any key, it lacks the permission: raises that error.
    """
    kms = context.client("kms")
    refusal, read = None, 0
    for key in paginate(kms, "list_keys", "Keys"):
        try:
            described = kms.describe_key(KeyId=key["KeyId"])["KeyMetadata"]
            if described["KeyManager"] != "CUSTOMER":
                continue
            tags = _tags_of_key(kms, key["KeyId"])
        except ClientError as error:
            if client_error_code(error) != "AccessDeniedException":
                raise
            refusal = error
            continue
        read += 1
        why_kept = _pending_deletion(described)
        yield from context.owned(
            "aws_kms_key", key["KeyId"], tags, billable=not why_kept, why_kept=why_kept
        )
    if refusal and not read:
        raise refusal


def _pending_deletion(key: dict[str, Any]) -> str:
    """Return when AWS deletes the key; empty if it is not pending deletion."""
    if key["KeyState"] != "PendingDeletion":
        return ""
    day = key.get("DeletionDate")
    return f"AWS deletes it{f' on {day:%Y-%m-%d}' if day else ''}; until then it costs nothing"


def _aliases(context: ScanContext) -> Iterator[OwnedResource]:
    """Yield the aliases of the deployment's keys. An alias has no tags: it belongs to its key."""
    kms = context.client("kms")
    for alias in paginate(kms, "list_aliases", "Aliases"):
        name, key = alias["AliasName"], alias.get("TargetKeyId")
        named = context.name in name.split("/")[1:] and "aws/" not in name
        if named and key:
            yield from context.owned("aws_kms_alias", name, _tags_of_key(kms, key), name=name)


def _tags_of_key(kms: Any, key_id: str) -> dict[str, str]:
    return tag_mapping(kms.list_resource_tags(KeyId=key_id).get("Tags", []))


# -- CloudWatch, SQS, EventBridge ------------------------------------------------------------------


def _log_groups(context: ScanContext) -> Iterator[OwnedResource]:
    """Yield log groups by name only, because AWS services create groups of these names untagged.

    EKS and the CloudWatch agents also create them again after their deletion. If the cluster of
    that name is another's, so are its log groups.
    """
    logs = context.client("logs")
    of_cluster = ("eks", "containerinsights") if context.owner.of_cluster else ()
    for service in ("vpc", *of_cluster):
        prefix = f"/aws/{service}/{context.name}/"
        for group in paginate(logs, "describe_log_groups", "logGroups", logGroupNamePrefix=prefix):
            yield _log_group(group)
    for shared in _SHARED_LOG_GROUPS:
        for group in paginate(logs, "describe_log_groups", "logGroups", logGroupNamePrefix=shared):
            if group["logGroupName"] == shared:
                yield _log_group(group, why_kept=_SHARED)


def _log_group(group: dict[str, Any], why_kept: str = "") -> OwnedResource:
    name = group["logGroupName"]
    return OwnedResource(
        terraform_type="aws_cloudwatch_log_group",
        import_id=name,
        name=name,
        billable=True,
        proof=f"name {name}",
        gib=group.get("storedBytes", 0) / _GIB,
        why_kept=why_kept,
    )


def _queues(context: ScanContext) -> Iterator[OwnedResource]:
    name = f"karpenter-{context.name}"
    sqs = context.client("sqs")
    for url in sqs.list_queues(QueueNamePrefix=name).get("QueueUrls", []):
        if url.rsplit("/", 1)[-1] == name:
            tags = sqs.list_queue_tags(QueueUrl=url).get("Tags")
            yield from context.owned("aws_sqs_queue", url, tags, name=name)


def _rules(context: ScanContext) -> Iterator[OwnedResource]:
    events = context.client("events")
    for rule in events.list_rules(NamePrefix=f"{context.name}-").get("Rules", []):
        tags = events.list_tags_for_resource(ResourceARN=rule["Arn"]).get("Tags", [])
        yield from context.owned(
            "aws_cloudwatch_event_rule", f"default/{rule['Name']}", tags, name=rule["Name"]
        )


# -- storage ---------------------------------------------------------------------------------------


def _file_systems(context: ScanContext) -> Iterator[OwnedResource]:
    efs = context.client("efs")
    for system in paginate(efs, "describe_file_systems", "FileSystems"):
        system_id = system["FileSystemId"]
        ours = list(
            context.owned(
                "aws_efs_file_system",
                system_id,
                system.get("Tags"),
                billable=True,
                gib=(system.get("SizeInBytes") or {}).get("Value", 0) / _GIB,
            )
        )
        if not ours or system["LifeCycleState"] == "deleting":
            continue
        yield from ours
        for target in efs.describe_mount_targets(FileSystemId=system_id)["MountTargets"]:
            yield OwnedResource(
                terraform_type="aws_efs_mount_target",
                import_id=target["MountTargetId"],
                name=target["SubnetId"],
            )
        points = efs.describe_access_points(FileSystemId=system_id)["AccessPoints"]
        for point in points:
            yield OwnedResource(
                terraform_type="aws_efs_access_point",
                import_id=point["AccessPointId"],
                name=tag_mapping(point.get("Tags")).get("Name", ""),
            )


def _fsx(context: ScanContext) -> Iterator[OwnedResource]:
    """Yield FSx file systems: the FSx drivers create them for claims."""
    for system in paginate(context.client("fsx"), "describe_file_systems", "FileSystems"):
        if system.get("Lifecycle") != "DELETING":
            yield from context.owned(
                "aws_fsx_file_system",
                system["FileSystemId"],
                system.get("Tags"),
                name=system.get("FileSystemType", ""),
                billable=True,
                gib=system.get("StorageCapacity"),
            )


def _buckets(context: ScanContext) -> Iterator[OwnedResource]:
    s3 = context.client("s3")
    for bucket in s3.list_buckets().get("Buckets", []):
        name = bucket["Name"]
        if name.startswith(f"{context.name}-artifacts-"):
            yield from context.owned(
                "aws_s3_bucket", name, _tags_of_bucket(s3, name), name=name, billable=True
            )


def _tags_of_bucket(s3: Any, name: str) -> object:
    """Return the bucket's tags; empty if it has none, for which S3 returns an error."""
    try:
        return s3.get_bucket_tagging(Bucket=name).get("TagSet")
    except ClientError as error:
        if client_error_code(error) == "NoSuchTagSet":
            return {}
        raise


# -- Managed Prometheus, budgets -------------------------------------------------------------------


def _workspaces(context: ScanContext) -> Iterator[OwnedResource]:
    for item in paginate(
        context.client("amp"), "list_workspaces", "workspaces", alias=context.name
    ):
        if item["status"]["statusCode"] != "DELETING" and item.get("alias") == context.name:
            yield from context.owned(
                "aws_prometheus_workspace",
                item["workspaceId"],
                item.get("tags"),
                name=context.name,
                billable=True,
            )


def _budgets(context: ScanContext) -> Iterator[OwnedResource]:
    caller, budgets = context.client("sts").get_caller_identity(), context.client("budgets")
    account, partition = caller["Account"], caller["Arn"].split(":")[1]
    budget = budgets.describe_budget(AccountId=account, BudgetName=context.name)
    arn = f"arn:{partition}:budgets::{account}:budget/{context.name}"
    tags = budgets.list_tags_for_resource(ResourceARN=arn).get("ResourceTags")
    yield from context.owned(
        "aws_budgets_budget",
        f"{account}:{context.name}",
        tags,
        name=budget["Budget"]["BudgetName"],
    )


# Scanners of what the cluster, its controllers and its agents create.
OF_CONTROLLERS = frozenset({"fsx file systems", "logs groups", "iam instance profiles"})
CLUSTER: dict[str, Scanner] = {"eks clusters and their components": _eks}
SCANNERS: dict[str, Scanner] = {
    "efs file systems": _file_systems,
    "fsx file systems": _fsx,
    "s3 buckets": _buckets,
    "logs groups": _log_groups,
    "kms keys": _keys,
    "kms aliases": _aliases,
    "iam roles": _roles,
    "iam policies": _policies,
    "iam instance profiles": _profiles,
    "sqs queues": _queues,
    "events rules": _rules,
    "amp workspaces": _workspaces,
    "budgets": _budgets,
}
