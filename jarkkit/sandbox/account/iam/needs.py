"""Which permissions a call needs. Most calls need the action of their own name on what they name;
some have another name in policies, and some act on more services in the caller's name.

The Service Authorization Reference says which things an action is about and which condition keys
it knows (`reference.json`). What no call of a deployment does is left out: for an action that is
not in that file the need is the action on `*`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from jarkkit.sandbox.account.iam import service_linked
from jarkkit.sandbox.account.iam.arns import Parameters, Place, any_of, named
from jarkkit.sandbox.account.iam.policies import Need
from jarkkit.sandbox.calls import Call

# The service in the signature, where policies call it otherwise.
_SERVICES = {"monitoring": "cloudwatch", "tagging": "tag"}

# Operations whose permission has another name.
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

# What tagging is called where a call that makes something tags it as well.
_TAGGING = {
    "CreateInstanceProfile": "TagInstanceProfile",
    "CreateQueue": "TagQueue",
    "CreateRole": "TagRole",
}
_TAGS_APART = ("aps", "budgets", "eks", "elasticfilesystem", "events", "iam", "kms", "logs", "sqs")


def needed(call: Call, given: Parameters, place: Place) -> tuple[Need, ...]:
    """The permissions that a call needs, each once."""
    service = _SERVICES.get(call.service, call.service)
    name = _RENAMED.get(service, {}).get(call.operation, call.operation)
    found = [
        *_needs(f"{service}:{name}", call, given, place),
        *_tagging(service, call, given, place),
        *(n for extra in _ALSO.get(str(call), ()) for n in extra(given, place)),
        *_service_linked(call, place),
    ]
    return tuple({json.dumps([n.action, n.resource, n.context]): n for n in found}.values())


@cache
def reference() -> Mapping[str, Mapping[str, str]]:
    """Resource types of each action, with their flags."""
    text = (Path(__file__).parent / "reference.json").read_text()
    return {action: kinds for action, kinds in json.loads(text).items() if action != "_"}


# -- the call itself -------------------------------------------------------------------------------


def _needs(action: str, call: Call, given: Parameters, place: Place) -> Iterator[Need]:
    service = action.partition(":")[0]
    kinds = reference().get(action, {"*": ""})
    if "*" in kinds:
        yield Need(action, "*", _context(given, kinds["*"], call, "*", "", place))
        return
    first = next(iter(kinds))
    about = list(_about(service, kinds, given, place))
    for kind, arn in about or [(first, any_of(service, first, given, place))]:
        yield Need(action, arn, _context(given, kinds[kind], call, kind, arn, place))


def _about(
    service: str, kinds: Mapping[str, str], given: Parameters, place: Place
) -> Iterator[tuple[str, str]]:
    """Kinds and ARNs of what the call is about: what it names, and what it makes."""
    tagged = {str(spec.get("ResourceType")) for spec in given.get("TagSpecifications") or ()}
    for kind, flags in kinds.items():
        arns = named(service, kind, given, place)
        if not arns and ("!" in flags or kind in tagged):
            arns = (any_of(service, kind, given, place),)
        yield from ((kind, arn) for arn in arns)


def _context(
    given: Parameters, flags: str, call: Call, kind: str, arn: str, place: Place
) -> dict[str, tuple[str, ...]]:
    """The condition keys that have a value, of those that the action knows."""
    context: dict[str, tuple[str, ...]] = {"aws:RequestedRegion": (place.region,)}
    if "Q" in flags and (tags := _request_tags(given, kind)):
        context |= {f"aws:RequestTag/{key}": (value,) for key, value in tags.items()}
        context["aws:TagKeys"] = tuple(tags)
    if "R" in flags and not arn.endswith("/*"):
        tags = place.things.tags(arn)
        context |= {f"aws:ResourceTag/{key}": (value,) for key, value in tags.items()}
    if call.service == "iam" and "PolicyArn" in given:
        context["iam:PolicyARN"] = (str(given["PolicyArn"]),)
    if call.operation == "CreateServiceLinkedRole":
        context["iam:AWSServiceName"] = (str(given.get("AWSServiceName")),)
    return context


def _request_tags(given: Parameters, kind: str = "") -> Mapping[str, str]:
    """The tags that the call gives: to what it makes of that kind, or at all."""
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


# -- what comes with it ----------------------------------------------------------------------------


def _tagging(service: str, call: Call, given: Parameters, place: Place) -> Iterator[Need]:
    """The right to tag what is being made, where the call gives tags."""
    if not call.operation.startswith(("Create", "Put", "Allocate", "Authorize")):
        return
    if service == "ec2" and call.operation != "CreateTags":
        for spec in given.get("TagSpecifications") or ():
            kind, tags = str(spec.get("ResourceType")), _mapping(spec.get("Tags"))
            yield Need(
                "ec2:CreateTags",
                any_of("ec2", kind, given, place),
                {
                    "aws:RequestedRegion": (place.region,),
                    "aws:TagKeys": tuple(tags),
                    "ec2:CreateAction": (call.operation,),
                    **{f"aws:RequestTag/{key}": (value,) for key, value in tags.items()},
                },
            )
    elif service in _TAGS_APART and _request_tags(given):
        action = f"{service}:{_TAGGING.get(call.operation, 'TagResource')}"
        kinds, made = reference().get(action, {}), _MADE.get(str(call))
        kinds = {made: "!" + kinds[made]} if made else kinds
        for kind, arn in list(_about(service, kinds, given, place))[:1]:
            yield Need(action, arn, _context(given, kinds[kind], call, kind, arn, place))


# What a call makes, where its parameters name more than that.
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


def _service_linked(call: Call, place: Place) -> Iterator[Need]:
    """The role of the service itself, where the account has none yet."""
    for service in service_linked.used_by(call):
        role = service_linked.NAMES[service]
        if not place.things.exists(role):
            yield Need(
                "iam:CreateServiceLinkedRole",
                place.arn("iam", f"role/aws-service-role/{service}/{role}"),
                {"iam:AWSServiceName": (service,), "aws:RequestedRegion": (place.region,)},
            )


Extra = Callable[[Parameters, Place], Iterator[Need]]


def _passing(parameter: str, to: str) -> Extra:
    """A role that is given to a service."""

    def needs(given: Parameters, place: Place) -> Iterator[Need]:
        if role := str(given.get(parameter) or ""):
            arn = role if role.startswith("arn:") else place.arn("iam", f"role/{role}")
            yield Need("iam:PassRole", arn, {"iam:PassedToService": (to,)})

    return needs


def _lending_key(given: Parameters, place: Place) -> Iterator[Need]:
    """https://docs.aws.amazon.com/eks/latest/userguide/enable-kms.html"""
    for config in given.get("encryptionConfig") or ():
        arn = str(config.get("provider", {}).get("keyArn"))
        tags = {f"aws:ResourceTag/{k}": (v,) for k, v in place.things.tags(arn).items()}
        yield Need("kms:DescribeKey", arn, tags)
        yield Need("kms:CreateGrant", arn, {**tags, "kms:GrantIsForAWSResource": ("true",)})


def _launching(given: Parameters, place: Place) -> Iterator[Need]:
    """EKS tries the launch template of a node group with the caller's rights:
    https://docs.aws.amazon.com/eks/latest/userguide/launch-templates.html"""
    template = str((given.get("launchTemplate") or {}).get("id") or "")
    if not template:
        return
    launched = {"ec2:LaunchTemplate": (place.arn("ec2", f"launch-template/{template}"),)}
    kinds = ("image", "instance", "network-interface", "security-group", "volume")
    for kind in kinds:
        yield Need("ec2:RunInstances", any_of("ec2", kind, given, place), launched)
    for thing in (f"launch-template/{template}", *(f"subnet/{s}" for s in given["subnets"])):
        yield Need("ec2:RunInstances", place.arn("ec2", thing), launched)


def _mounting(given: Parameters, place: Place) -> Iterator[Need]:
    """https://docs.aws.amazon.com/efs/latest/ug/API_CreateMountTarget.html"""
    yield Need("ec2:DescribeSubnets")
    yield Need("ec2:DescribeNetworkInterfaces")
    things = [f"subnet/{given.get('SubnetId')}", "network-interface/*"]
    things += [f"security-group/{group}" for group in given.get("SecurityGroups") or ()]
    for thing in things:
        yield Need("ec2:CreateNetworkInterface", place.arn("ec2", thing))


def _unmounting(given: Parameters, place: Place) -> Iterator[Need]:
    yield Need("ec2:DeleteNetworkInterface", any_of("ec2", "network-interface", given, place))


_ALSO: dict[str, tuple[Extra, ...]] = {
    "ec2:CreateFlowLogs": (_passing("DeliverLogsPermissionArn", "vpc-flow-logs.amazonaws.com"),),
    "eks:CreateCluster": (_passing("roleArn", "eks.amazonaws.com"), _lending_key),
    "eks:CreateNodegroup": (_passing("nodeRole", "ec2.amazonaws.com"), _launching),
    "eks:CreatePodIdentityAssociation": (_passing("roleArn", "pods.eks.amazonaws.com"),),
    "eks:UpdatePodIdentityAssociation": (_passing("roleArn", "pods.eks.amazonaws.com"),),
    "elasticfilesystem:CreateMountTarget": (_mounting,),
    "elasticfilesystem:DeleteMountTarget": (_unmounting,),
    "iam:AddRoleToInstanceProfile": (_passing("RoleName", "ec2.amazonaws.com"),),
}
