"""Which things a call names, as ARNs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from moto.utilities.utils import get_partition

from jarkkit.sandbox.account.iam.things import Things

Parameters = Mapping[str, Any]

# Things of EC2 by how their ids begin.
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
}
_ID = re.compile(r"([a-z]+)-[0-9a-f]{8,17}")
_ASSOCIATION = re.compile(r"(rtbassoc|eipassoc|vpc-cidr-assoc)-[0-9a-f]+")

# Everything else: what stands after the account, from the parameters named in braces.
_NAMED: dict[str, tuple[str, ...]] = {
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
    "events:rule-on-default-event-bus": ("rule/{Rule}", "rule/{Name}"),
    "iam:group": ("group/{GroupName}",),
    "iam:instance-profile": ("instance-profile/{InstanceProfileName}",),
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
class Place:
    """Where a call is made: what all ARNs in it have in common."""

    region: str
    things: Things

    def arn(self, service: str, rest: str) -> str:
        """An ARN of this account; global services have no Region, buckets no account either."""
        region = "" if service in ("iam", "s3", "budgets") else self.region
        ours = service != "s3" and not rest.startswith(("parameter/aws/", "image/", "snapshot/"))
        account = self.things.account_id if ours else ""
        return f"arn:{get_partition(self.region)}:{service}:{region}:{account}:{rest}"


def named(service: str, kind: str, given: Parameters, place: Place) -> tuple[str, ...]:
    """ARNs of the things of that kind in the call; none when it names none."""
    if service == "ec2":
        ids = (i for i in _ec2_ids(given, place.things) if _kind(i) == kind)
        return tuple(place.arn("ec2", f"{kind}/{i}") for i in ids)
    whole = [str(given[key]) for key in _GIVEN if str(given.get(key, "")).startswith("arn:")]
    if whole:
        return tuple(arn for arn in whole if _fits(arn, kind))
    for template in _NAMED.get(f"{service}:{kind}", ()):
        if rest := _filled(template, given, place.things):
            return (rest if rest.startswith("arn:") else place.arn(service, rest),)
    found = _looked_up(f"{service}:{kind}", given, place.things)
    return (place.arn(service, found),) if found else ()


def any_of(service: str, kind: str, given: Parameters, place: Place) -> str:
    """What stands for a thing that has no name yet, or for all of its kind: the ARN as far as the
    call's parameters go."""
    if service == "ec2" or f"{service}:{kind}" not in _NAMED:
        return place.arn(service, f"{kind}/*")
    text = ""
    for words, name in re.findall(r"([^{]*)(?:\{([^}]+)\})?", _NAMED[f"{service}:{kind}"][0]):
        value = _spelt(name, _at(given, name), place.things) if name else ""
        text += words + value
        if name and not value:
            return place.arn(service, text + "*")
    return place.arn(service, text)


def _fits(arn: str, kind: str) -> bool:
    """Whether an ARN that was given whole is of the kind; rules and roles begin with their word."""
    rest = arn.split(":", 5)[5]
    return re.split("[/:]", rest)[0] in (kind, kind.split("-on-")[0])


def _kind(thing: str) -> str:
    found = _ID.fullmatch(thing)
    return _EC2.get(found[1], "") if found else ""


def _ec2_ids(given: Parameters, things: Things) -> Iterator[str]:
    """Ids among the call's own parameters; what is nested deeper only refers to other things."""
    for value in given.values():
        for text in value if isinstance(value, list) else [value]:
            if isinstance(text, str) and _ASSOCIATION.fullmatch(text):
                yield from things.behind(text)
            elif isinstance(text, str) and _ID.fullmatch(text):
                yield text


def _filled(template: str, given: Parameters, things: Things) -> str:
    """The template with the call's parameters; empty when one of them is missing."""
    words: dict[str, str] = {}
    for name in re.findall(r"\{([^}]+)\}", template):
        value = _spelt(name, _at(given, name), things)
        if not value:
            return ""
        words[name] = value
    text = re.sub(r"\{([^}]+)\}", lambda m: words[m[1]], template)
    # A value that is an ARN is the whole of it; ids of EFS tell what they are of.
    arn = next((word for word in words.values() if word.startswith("arn:")), "")
    wrong = "{ResourceId}" in template and ("fsap-" in text) != ("access-point" in text)
    return "" if wrong else arn or text


def _at(given: Any, path: str) -> str:
    for key in path.split("."):
        given = given.get(key) if isinstance(given, Mapping) else None
    return given if isinstance(given, str) else ""


def _spelt(name: str, value: str, things: Things) -> str:
    """A parameter's value as the ARN has it."""
    if name == "principalArn" and value:
        account, kind_and_name = value.split(":", 5)[4:]
        kind, _, who = kind_and_name.partition("/")
        return f"{kind}/{account}/{who.rpartition('/')[2]}"
    if name == "QueueUrl":
        return value.rpartition("/")[2]
    if name == "RoleName" and value:
        return things.path_of_role(value) + value
    if name in ("KeyId", "TargetKeyId") and value.startswith("alias/"):
        return things.key_of_alias(value)
    return value


def _looked_up(kind: str, given: Parameters, things: Things) -> str:
    """A thing that the call names by something that belongs to it."""
    if kind == "elasticfilesystem:file-system" and (target := _at(given, "MountTargetId")):
        found = things.file_system_of(target)
        return f"file-system/{found}" if found else ""
    if kind == "kms:key" and (alias := _at(given, "AliasName")):
        found = things.key_of_alias(alias)
        return f"key/{found}" if found else ""
    return ""
