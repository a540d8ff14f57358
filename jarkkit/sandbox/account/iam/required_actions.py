"""The permissions that a call needs.

Most calls need the action of the same name on the resources that they name. Some actions have
another name in policies, and some calls act on other services on the caller's behalf.

An action that is not in `action_reference` needs permission on `*`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from jarkkit.sandbox.account.iam import service_linked
from jarkkit.sandbox.account.iam.action_reference import action_reference
from jarkkit.sandbox.account.iam.arns import CallScope, Parameters, named_arns, wildcard_arn
from jarkkit.sandbox.account.iam.policies import RequiredPermission
from jarkkit.sandbox.api_calls import Call

# Services whose name in policies differs from the signing name.
_SERVICES = {"monitoring": "cloudwatch", "tagging": "tag"}

# Operations whose action has another name.
_S3 = {
    "DeleteBucketEncryption": "PutEncryptionConfiguration",
    "DeleteBucketLifecycle": "PutLifecycleConfiguration",
    "DeleteBucketTagging": "PutBucketTagging",
    "DeleteObjects": "DeleteObject",
    "DeletePublicAccessBlock": "PutBucketPublicAccessBlock",
    "GetBucketAccelerateConfiguration": "GetAccelerateConfiguration",
    "GetBucketCors": "GetBucketCORS",
    "GetBucketEncryption": "GetEncryptionConfiguration",
    "GetBucketLifecycleConfiguration": "GetLifecycleConfiguration",
    "GetBucketReplication": "GetReplicationConfiguration",
    "GetObjectLockConfiguration": "GetBucketObjectLockConfiguration",
    "GetPublicAccessBlock": "GetBucketPublicAccessBlock",
    "HeadBucket": "ListBucket",
    "HeadObject": "GetObject",
    "ListBuckets": "ListAllMyBuckets",
    "ListObjectVersions": "ListBucketVersions",
    "ListObjects": "ListBucket",
    "ListObjectsV2": "ListBucket",
    "PutBucketEncryption": "PutEncryptionConfiguration",
    "PutBucketLifecycleConfiguration": "PutLifecycleConfiguration",
    "PutPublicAccessBlock": "PutBucketPublicAccessBlock",
}
_BUDGETS = {
    "CreateBudget": "ModifyBudget",
    "CreateNotification": "ModifyBudget",
    "CreateSubscriber": "ModifyBudget",
    "DeleteBudget": "ModifyBudget",
    "DeleteNotification": "ModifyBudget",
    "DeleteSubscriber": "ModifyBudget",
    "DescribeBudget": "ViewBudget",
    "DescribeBudgets": "ViewBudget",
    "DescribeNotificationsForBudget": "ViewBudget",
    "DescribeSubscribersForNotification": "ViewBudget",
    "UpdateBudget": "ModifyBudget",
    "UpdateNotification": "ModifyBudget",
}
_RENAMED = {"s3": _S3, "budgets": _BUDGETS}

# Names of the tagging action for calls that create and tag a resource.
_TAGGING = {
    "CreateInstanceProfile": "TagInstanceProfile",
    "CreateQueue": "TagQueue",
    "CreateRole": "TagRole",
}
_TAGS_APART = ("aps", "budgets", "eks", "elasticfilesystem", "events", "iam", "kms", "logs", "sqs")


def required_permissions(
    call: Call, given: Parameters, scope: CallScope
) -> tuple[RequiredPermission, ...]:
    """Return the permissions that a call needs, each once."""
    service = _SERVICES.get(call.service, call.service)
    name = _RENAMED.get(service, {}).get(call.operation, call.operation)
    found = [
        *_needs(f"{service}:{name}", call, given, scope),
        *_tagging(service, call, given, scope),
        *(n for extra in _ALSO.get(str(call), ()) for n in extra(given, scope)),
        *_service_linked(call, scope),
    ]
    return tuple({json.dumps([n.action, n.resource, n.context]): n for n in found}.values())


# -- the call itself -------------------------------------------------------------------------------


def _needs(
    action: str, call: Call, given: Parameters, scope: CallScope
) -> Iterator[RequiredPermission]:
    service = action.partition(":")[0]
    kinds = action_reference().get(action, {"*": ""})
    if "*" in kinds:
        yield RequiredPermission(action, "*", _context(given, kinds["*"], call, "*", "", scope))
        return
    first = next(iter(kinds))
    about = list(_about(service, kinds, given, scope))
    for kind, arn in about or [(first, wildcard_arn(service, first, given, scope))]:
        yield RequiredPermission(action, arn, _context(given, kinds[kind], call, kind, arn, scope))


def _about(
    service: str, kinds: Mapping[str, str], given: Parameters, scope: CallScope
) -> Iterator[tuple[str, str]]:
    """Yield kinds and ARNs of the resources that the call names or creates."""
    tagged = {str(spec.get("ResourceType")) for spec in given.get("TagSpecifications") or ()}
    for kind, flags in kinds.items():
        arns = named_arns(service, kind, given, scope)
        if not arns and ("!" in flags or kind in tagged):
            arns = (wildcard_arn(service, kind, given, scope),)
        yield from ((kind, arn) for arn in arns)


def _context(
    given: Parameters, flags: str, call: Call, kind: str, arn: str, scope: CallScope
) -> dict[str, tuple[str, ...]]:
    """Return the action's condition keys that have a value."""
    context: dict[str, tuple[str, ...]] = {"aws:RequestedRegion": (scope.region,)}
    if "Q" in flags and (tags := _request_tags(given, kind)):
        context |= {f"aws:RequestTag/{key}": (value,) for key, value in tags.items()}
        context["aws:TagKeys"] = tuple(tags)
    if "R" in flags and not arn.endswith("/*"):
        tags = scope.resources.tags(arn)
        context |= {f"aws:ResourceTag/{key}": (value,) for key, value in tags.items()}
    if kind == "role" and (boundary := _boundary(given, scope)):
        context["iam:PermissionsBoundary"] = (boundary,)
    if call.service == "iam" and call.operation.startswith(("Attach", "Detach")):
        context["iam:PolicyARN"] = (str(given["PolicyArn"]),)
    if call.operation == "CreateServiceLinkedRole":
        context["iam:AWSServiceName"] = (str(given.get("AWSServiceName")),)
    return context


def _boundary(given: Parameters, scope: CallScope) -> str:
    """Return the permissions boundary that the call sets, or that its role has; empty for none."""
    named = given.get("PermissionsBoundary")
    return str(named or scope.resources.boundary_of_role(str(given.get("RoleName") or "")))


def _request_tags(given: Parameters, kind: str = "") -> Mapping[str, str]:
    """Return the tags in the call for new resources of that kind, or for any."""
    for spec in given.get("TagSpecifications") or ():
        if spec.get("ResourceType") == kind:
            return _mapping(spec.get("Tags"))
    if "TagSpecifications" in given:
        return {}
    names = ("tags", "Tags", "ResourceTags")
    return next((_mapping(given[name]) for name in names if given.get(name)), {})


def _mapping(tags: Any) -> dict[str, str]:
    if isinstance(tags, Mapping):
        return {str(key): str(value) for key, value in tags.items()}
    pairs = [tag for tag in tags or () if isinstance(tag, Mapping)]
    return {
        str(t.get("Key") or t.get("TagKey")): str(t.get("Value") or t.get("TagValue") or "")
        for t in pairs
    }


# -- additional permissions ------------------------------------------------------------------------


def _tagging(
    service: str, call: Call, given: Parameters, scope: CallScope
) -> Iterator[RequiredPermission]:
    """Yield the permission to tag the new resource, if the call has tags."""
    if not call.operation.startswith(("Create", "Put", "Allocate", "Authorize")):
        return
    if service == "ec2" and call.operation != "CreateTags":
        for spec in given.get("TagSpecifications") or ():
            kind, tags = str(spec.get("ResourceType")), _mapping(spec.get("Tags"))
            yield RequiredPermission(
                "ec2:CreateTags",
                wildcard_arn("ec2", kind, given, scope),
                {
                    "aws:RequestedRegion": (scope.region,),
                    "aws:TagKeys": tuple(tags),
                    "ec2:CreateAction": (call.operation,),
                    **{f"aws:RequestTag/{key}": (value,) for key, value in tags.items()},
                },
            )
    elif service in _TAGS_APART and _request_tags(given):
        action = f"{service}:{_TAGGING.get(call.operation, 'TagResource')}"
        kinds, made = action_reference().get(action, {}), _MADE.get(str(call))
        kinds = {made: "!" + kinds[made]} if made else kinds
        for kind, arn in list(_about(service, kinds, given, scope))[:1]:
            yield RequiredPermission(
                action, arn, _context(given, kinds[kind], call, kind, arn, scope)
            )


# The type of the new resource, where the parameters also name others.
_MADE = {
    "aps:CreateWorkspace": "workspace",
    "eks:CreateAccessEntry": "access-entry",
    "eks:CreateAddon": "addon",
    "eks:CreateCluster": "cluster",
    "eks:CreateNodegroup": "nodegroup",
    "eks:CreatePodIdentityAssociation": "podidentityassociation",
    "elasticfilesystem:CreateAccessPoint": "access-point",
    "elasticfilesystem:CreateFileSystem": "file-system",
    "iam:CreateInstanceProfile": "instance-profile",
    "iam:CreateRole": "role",
    "kms:CreateKey": "key",
}


def _service_linked(call: Call, scope: CallScope) -> Iterator[RequiredPermission]:
    """Yield the permission to create the service-linked role, if the account lacks it."""
    for service in service_linked.used_by(call):
        role = service_linked.NAMES[service]
        if not scope.resources.has_role(role):
            yield RequiredPermission(
                "iam:CreateServiceLinkedRole",
                scope.arn("iam", f"role/aws-service-role/{service}/{role}"),
                {"iam:AWSServiceName": (service,), "aws:RequestedRegion": (scope.region,)},
            )


ExtraPermissions = Callable[[Parameters, CallScope], Iterator[RequiredPermission]]


def _passing(parameter: str, to: str) -> ExtraPermissions:
    """Return a function that yields the permission to pass a role to a service."""

    def needs(given: Parameters, scope: CallScope) -> Iterator[RequiredPermission]:
        if role := str(given.get(parameter) or ""):
            arn = role if role.startswith("arn:") else scope.arn("iam", f"role/{role}")
            yield RequiredPermission("iam:PassRole", arn, {"iam:PassedToService": (to,)})

    return needs


def _granting_key(given: Parameters, scope: CallScope) -> Iterator[RequiredPermission]:
    """Yield KMS permissions. CreateCluster does not support kms:GrantIsForAWSResource.

    Sources: https://docs.aws.amazon.com/eks/latest/userguide/enable-kms.html and security-k8s.html.
    """
    for config in given.get("encryptionConfig") or ():
        arn = str(config.get("provider", {}).get("keyArn"))
        tags = {f"aws:ResourceTag/{k}": (v,) for k, v in scope.resources.tags(arn).items()}
        yield RequiredPermission("kms:DescribeKey", arn, tags)
        yield RequiredPermission("kms:CreateGrant", arn, tags)


def _launching(given: Parameters, scope: CallScope) -> Iterator[RequiredPermission]:
    """Yield launch permissions: EKS tests the launch template with the caller's permissions.

    Source: https://docs.aws.amazon.com/eks/latest/userguide/launch-templates.html
    """
    template = str((given.get("launchTemplate") or {}).get("id") or "")
    if not template:
        return
    launched = {"ec2:LaunchTemplate": (scope.arn("ec2", f"launch-template/{template}"),)}
    kinds = ("image", "instance", "network-interface", "security-group", "volume")
    for kind in kinds:
        yield RequiredPermission(
            "ec2:RunInstances", wildcard_arn("ec2", kind, given, scope), launched
        )
    for resource in (f"launch-template/{template}", *(f"subnet/{s}" for s in given["subnets"])):
        yield RequiredPermission("ec2:RunInstances", scope.arn("ec2", resource), launched)


def _mounting(given: Parameters, scope: CallScope) -> Iterator[RequiredPermission]:
    """Yield EC2 permissions: https://docs.aws.amazon.com/efs/latest/ug/API_CreateMountTarget.html"""
    yield RequiredPermission("ec2:DescribeSubnets")
    yield RequiredPermission("ec2:DescribeNetworkInterfaces")
    resources = [f"subnet/{given.get('SubnetId')}", "network-interface/*"]
    resources += [f"security-group/{group}" for group in given.get("SecurityGroups") or ()]
    for resource in resources:
        yield RequiredPermission("ec2:CreateNetworkInterface", scope.arn("ec2", resource))


def _unmounting(given: Parameters, scope: CallScope) -> Iterator[RequiredPermission]:
    yield RequiredPermission(
        "ec2:DeleteNetworkInterface", wildcard_arn("ec2", "network-interface", given, scope)
    )


_ALSO: dict[str, tuple[ExtraPermissions, ...]] = {
    "ec2:CreateFlowLogs": (_passing("DeliverLogsPermissionArn", "vpc-flow-logs.amazonaws.com"),),
    "eks:CreateCluster": (_passing("roleArn", "eks.amazonaws.com"), _granting_key),
    "eks:CreateNodegroup": (_passing("nodeRole", "ec2.amazonaws.com"), _launching),
    "eks:CreatePodIdentityAssociation": (_passing("roleArn", "pods.eks.amazonaws.com"),),
    "eks:UpdatePodIdentityAssociation": (_passing("roleArn", "pods.eks.amazonaws.com"),),
    "elasticfilesystem:CreateMountTarget": (_mounting,),
    "elasticfilesystem:DeleteMountTarget": (_unmounting,),
    "iam:AddRoleToInstanceProfile": (_passing("RoleName", "ec2.amazonaws.com"),),
}
