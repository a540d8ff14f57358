"""ARNs of the resources that a call names."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from moto.utilities.utils import get_partition

from jarkkit.sandbox.account.iam.resource_tags import AccountResources

Parameters = Mapping[str, Any]

# EC2 resource types by the prefix of their ids.
_EC2 = {
    "ami": "image",
    "cr": "capacity-reservation",
    "eipalloc": "elastic-ip",
    "eni": "network-interface",
    "fl": "vpc-flow-log",
    "i": "instance",
    "igw": "internet-gateway",
    "lt": "launch-template",
    "nat": "natgateway",
    "rtb": "route-table",
    "sg": "security-group",
    "sgr": "security-group-rule",
    "snap": "snapshot",
    "subnet": "subnet",
    "vol": "volume",
    "vpc": "vpc",
    "vpce": "vpc-endpoint",
}
_ID = re.compile(r"([a-z]+)-[0-9a-f]{8,17}")
_ASSOCIATION = re.compile(r"(rtbassoc|eipassoc|vpc-cidr-assoc)-[0-9a-f]+")

# Other services: the ARN after the account id, with the call's parameters in braces.
_NAMED: dict[str, tuple[str, ...]] = {
    "acm:certificate": ("{CertificateArn}",),
    "autoscaling:autoScalingGroup": (
        "autoScalingGroup:*:autoScalingGroupName/{AutoScalingGroupName}",
    ),
    "aps:workspace": ("workspace/{workspaceId}",),
    "budgets:budget": (
        "budget/{BudgetName}",
        "budget/{Budget.BudgetName}",
        "budget/{NewBudget.BudgetName}",
    ),
    "eks:access-entry": ("access-entry/{clusterName}/{principalArn}/0",),
    "eks:addon": ("addon/{clusterName}/{addonName}/0", "addon/{name}/{addonName}/0"),
    "eks:cluster": ("cluster/{clusterName}", "cluster/{name}"),
    "eks:nodegroup": (
        "nodegroup/{clusterName}/{nodegroupName}/0",
        "nodegroup/{name}/{nodegroupName}/0",
    ),
    "eks:podidentityassociation": ("podidentityassociation/{clusterName}/{associationId}",),
    "elasticfilesystem:access-point": ("access-point/{AccessPointId}", "access-point/{ResourceId}"),
    "elasticfilesystem:file-system": ("file-system/{FileSystemId}", "file-system/{ResourceId}"),
    "elasticloadbalancing:loadbalancer": (
        "{LoadBalancerArn}",
        "loadbalancer/{LoadBalancerName}",
    ),
    "elasticloadbalancing:targetgroup": ("{TargetGroupArn}",),
    "events:rule-on-default-event-bus": ("rule/{Rule}", "rule/{Name}"),
    "fsx:file-system": ("file-system/{FileSystemId}",),
    "iam:group": ("group/{GroupName}",),
    "iam:instance-profile": ("instance-profile/{InstanceProfileName}",),
    "iam:policy": ("{PolicyArn}",),
    "iam:role": ("role{RoleName}",),
    "iam:user": ("user/{UserName}",),
    "kms:alias": ("{AliasName}",),
    "kms:key": ("key/{TargetKeyId}", "key/{KeyId}"),
    "logs:log-group": ("log-group:{logGroupName}",),
    "s3:bucket": ("{Bucket}",),
    "s3:object": ("{Bucket}/{Key}",),
    "secretsmanager:Secret": ("secret:{SecretId}",),
    "servicequotas:quota": ("{ServiceCode}/{QuotaCode}",),
    "sqs:queue": ("{QueueName}", "{QueueUrl}"),
    "ssm:parameter": ("parameter{Name}",),
}
_GIVEN = ("resourceArn", "ResourceARN", "ResourceArn", "PolicySourceArn")


@dataclass(frozen=True)
class CallScope:
    """The Region and account of a call, which all its ARNs share."""

    region: str
    resources: AccountResources

    def arn(self, service: str, rest: str) -> str:
        """Build an ARN of this account; global services omit the Region, S3 the account too."""
        region = "" if service in ("iam", "s3", "budgets") else self.region
        ours = service != "s3" and not rest.startswith(("parameter/aws/", "image/", "snapshot/"))
        account = self.resources.account_id if ours else ""
        return f"arn:{get_partition(self.region)}:{service}:{region}:{account}:{rest}"


def resource_types(service: str) -> frozenset[str]:
    """Return the resource types whose ARNs can be built from a call's parameters."""
    if service == "ec2":
        return frozenset(_EC2.values())
    found = (kind.partition(":") for kind in _NAMED)
    return frozenset(kind for prefix, _, kind in found if prefix == service)


def named_arns(service: str, kind: str, given: Parameters, scope: CallScope) -> tuple[str, ...]:
    """Return the ARNs of the resources of that kind that the call names."""
    if service == "ec2":
        ids = (i for i in _ec2_ids(given, scope.resources) if _kind(i) == kind)
        return tuple(scope.arn("ec2", f"{kind}/{i}") for i in ids)
    whole = [str(given[key]) for key in _GIVEN if str(given.get(key, "")).startswith("arn:")]
    if whole:
        return tuple(arn for arn in whole if _fits(arn, kind))
    for template in _NAMED.get(f"{service}:{kind}", ()):
        if rest := _filled(template, given, scope.resources):
            return (rest if rest.startswith("arn:") else scope.arn(service, rest),)
    found = _looked_up(f"{service}:{kind}", given, scope.resources)
    return (scope.arn(service, found),) if found else ()


def wildcard_arn(service: str, kind: str, given: Parameters, scope: CallScope) -> str:
    """Build an ARN pattern for a resource without a known id, or for all resources of its kind.

    The pattern is the ARN as far as the call's parameters specify it.
    """
    if service == "ec2" or f"{service}:{kind}" not in _NAMED:
        return scope.arn(service, f"{kind}/*")
    text = ""
    for words, name in re.findall(r"([^{]*)(?:\{([^}]+)\})?", _NAMED[f"{service}:{kind}"][0]):
        value = _normalized(name, _at(given, name), scope.resources) if name else ""
        text += words + value
        if name and not value:
            return scope.arn(service, text + "*")
    return scope.arn(service, text)


def _fits(arn: str, kind: str) -> bool:
    """Return True when a complete ARN is of the kind; its last part starts with the kind."""
    rest = arn.split(":", 5)[5]
    return re.split("[/:]", rest)[0] in (kind, kind.split("-on-")[0])


def _kind(resource_id: str) -> str:
    found = _ID.fullmatch(resource_id)
    return _EC2.get(found[1], "") if found else ""


def _ec2_ids(given: Parameters, resources: AccountResources) -> Iterator[str]:
    """Yield ids among the top-level parameters; nested ones only refer to other resources."""
    for value in given.values():
        for text in value if isinstance(value, list) else [value]:
            if isinstance(text, str) and _ASSOCIATION.fullmatch(text):
                yield from resources.associated_ids(text)
            elif isinstance(text, str) and _ID.fullmatch(text):
                yield text


def _filled(template: str, given: Parameters, resources: AccountResources) -> str:
    """Fill the template with the call's parameters; empty when one of them is missing."""
    words: dict[str, str] = {}
    for name in re.findall(r"\{([^}]+)\}", template):
        value = _normalized(name, _at(given, name), resources)
        if not value:
            return ""
        words[name] = value
    text = re.sub(r"\{([^}]+)\}", lambda m: words[m[1]], template)
    # A value that is an ARN replaces the whole text. The prefix of an EFS id shows its type.
    arn = next((word for word in words.values() if word.startswith("arn:")), "")
    wrong = "{ResourceId}" in template and ("fsap-" in text) != ("access-point" in text)
    return "" if wrong else arn or text


def _at(given: Any, path: str) -> str:
    for key in path.split("."):
        given = given.get(key) if isinstance(given, Mapping) else None
    return given if isinstance(given, str) else ""


def _normalized(name: str, value: str, resources: AccountResources) -> str:
    """Convert a parameter's value to its form in the ARN."""
    if name == "principalArn" and value:
        account, kind_and_name = value.split(":", 5)[4:]
        kind, _, who = kind_and_name.partition("/")
        return f"{kind}/{account}/{who.rpartition('/')[2]}"
    if name == "QueueUrl":
        return value.rpartition("/")[2]
    if name == "RoleName" and value:
        return resources.path_of_role(value) + value
    if name in ("KeyId", "TargetKeyId") and value.startswith("alias/"):
        return resources.key_of_alias(value)
    return value


def _looked_up(kind: str, given: Parameters, resources: AccountResources) -> str:
    """Look up a resource that the call names through one that belongs to it."""
    if kind == "elasticfilesystem:file-system" and (target := _at(given, "MountTargetId")):
        found = resources.file_system_of(target)
        return f"file-system/{found}" if found else ""
    if kind == "kms:key" and (alias := _at(given, "AliasName")):
        found = resources.key_of_alias(alias)
        return f"key/{found}" if found else ""
    return ""
