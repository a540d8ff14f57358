"""Rules of single services that their API models do not say. Pure.

EC2's model has no constraints on text, IAM's counts whitespace in policies, and EKS checks names
of node groups and labels of Kubernetes itself. `aws_rules/` lists these rules with their sources.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from jarkkit.sandbox.account.validation.wording import ParameterError, eks_name

Parameters = Mapping[str, Any]
Rule = Callable[[str, Parameters], ParameterError | None]


def error_in_rules(service: str, operation: str, parameters: Parameters) -> ParameterError | None:
    """Return the service's error for the first rule that a call breaks; None if it breaks none."""
    errors = (rule(operation, parameters) for rule in _RULES.get(service, ()))
    return next((error for error in errors if error), None)


# -- EC2 -------------------------------------------------------------------------------------------

_GROUP_TEXT = re.compile(r"[a-zA-Z0-9 ._\-:/()#,@\[\]+=&;{}!$*]{0,255}")
_GROUP_RULE = (
    "Valid {} are strings less than 256 characters from the following set:  "
    "a-zA-Z0-9. _-:/()#,@[]+=&;{{}}!$*"
)
# Versions of IP that a parameter can have a CIDR block of.
_CIDR_VERSIONS: Mapping[str, tuple[int, ...]] = {
    **dict.fromkeys(("CidrBlock", "CidrIp", "CidrIpv4", "DestinationCidrBlock"), (4,)),
    **dict.fromkeys(("Ipv6CidrBlock", "CidrIpv6", "DestinationIpv6CidrBlock"), (6,)),
    "Cidr": (4, 6),
}


def _security_group_text(operation: str, parameters: Parameters) -> ParameterError | None:
    if operation != "CreateSecurityGroup":
        return None
    name, text = str(parameters.get("GroupName", "")), str(parameters.get("Description", ""))
    if name.startswith("sg-"):
        return _ec2_error("GroupName", name, "Group names may not be in the format sg-*.")
    if not _GROUP_TEXT.fullmatch(name):
        return _ec2_error("GroupName", name, _GROUP_RULE.format("names"))
    if not _GROUP_TEXT.fullmatch(text):
        return _ec2_error("GroupDescription", text, _GROUP_RULE.format("descriptions"))
    return None


def _ec2_error(name: str, value: str, why: str) -> ParameterError:
    message = f"Value ({value}) for parameter {name} is invalid. {why}"
    return ParameterError("InvalidParameterValue", message)


def _rule_descriptions(operation: str, parameters: Parameters) -> ParameterError | None:
    """Check the descriptions of a security group's rules."""
    if "SecurityGroup" not in operation:
        return None
    for permission in parameters.get("IpPermissions") or ():
        for name in ("IpRanges", "Ipv6Ranges", "PrefixListIds", "UserIdGroupPairs"):
            for source in permission.get(name) or ():
                text = str(source.get("Description", ""))
                if not _GROUP_TEXT.fullmatch(text):
                    why = f"Invalid rule description. {_GROUP_RULE.format('descriptions')}"
                    return ParameterError("InvalidParameterValue", why)
    return None


# Operations with 5 to 1000 results a page, whose model does not say so.
_PAGES = frozenset(
    ("DescribeInstances", "DescribeInstanceStatus", "DescribeTags", "DescribeVolumes")
)


def _page_size(operation: str, parameters: Parameters) -> ParameterError | None:
    size = parameters.get("MaxResults")
    if operation not in _PAGES or size is None or 5 <= size <= 1000:
        return None
    bound = "greater than 5" if size < 5 else "less than 1000"
    return _ec2_error("maxResults", f" {size} ", f"Expecting a value {bound}.")


def _cidr_form(operation: str, parameters: Parameters) -> ParameterError | None:
    """Check the form of every CIDR block in a call that creates or changes something."""
    if operation.startswith(("Describe", "Get", "Search")):
        return None
    for name, text in _texts(parameters):
        if name in _CIDR_VERSIONS and not _is_network(text, _CIDR_VERSIONS[name]):
            if "SecurityGroup" in operation:
                return ParameterError("InvalidParameterValue", f"CIDR block {text} is malformed")
            where = name[0].lower() + name[1:]
            return _ec2_error(where, text, "This is not a valid CIDR block.")
    return None


def _is_network(text: str, versions: tuple[int, ...]) -> bool:
    """Return True for an address with a prefix length; EC2 clears the bits after the prefix."""
    try:
        return "/" in text and ipaddress.ip_network(text, strict=False).version in versions
    except ValueError:
        return False


def _texts(given: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Yield every text of the parameters with the name of its member."""
    if isinstance(given, Mapping):
        for key, value in given.items():
            yield from _texts(value, key)
    elif isinstance(given, list):
        for item in given:
            yield from _texts(item, name)
    elif isinstance(given, str):
        yield name, given


# -- IAM -------------------------------------------------------------------------------------------

_WHITESPACE = re.compile(r"\s+")
# Operation: parameter with the policy, most characters without whitespace, AWS' message.
_POLICIES = {
    "CreatePolicy": ("PolicyDocument", 6144, "Cannot exceed quota for PolicySize: 6144"),
    "CreatePolicyVersion": ("PolicyDocument", 6144, "Cannot exceed quota for PolicySize: 6144"),
    "CreateRole": (
        "AssumeRolePolicyDocument", 2048, "Cannot exceed quota for ACLSizePerRole: 2048",
    ),
    "UpdateAssumeRolePolicy": (
        "PolicyDocument", 2048, "Cannot exceed quota for ACLSizePerRole: 2048",
    ),
    "PutRolePolicy": (
        "PolicyDocument", 10240, "Maximum policy size of 10240 bytes exceeded for role {RoleName}",
    ),
    "PutUserPolicy": (
        "PolicyDocument", 2048, "Maximum policy size of 2048 bytes exceeded for user {UserName}",
    ),
    "PutGroupPolicy": (
        "PolicyDocument", 5120, "Maximum policy size of 5120 bytes exceeded for group {GroupName}",
    ),
}  # fmt: skip


def _policy_size(operation: str, parameters: Parameters) -> ParameterError | None:
    name, most, message = _POLICIES.get(operation, ("", 0, ""))
    text = _WHITESPACE.sub("", str(parameters.get(name, "")))
    if name and len(text) > most:
        return ParameterError("LimitExceeded", message.format_map(parameters), 409)
    return None


# -- EKS -------------------------------------------------------------------------------------------

_EKS_NAME = re.compile(r"[0-9A-Za-z][A-Za-z0-9\-_]*")
_LABEL_NAME = re.compile(r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]")
_DOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")


def _cluster_name(operation: str, parameters: Parameters) -> ParameterError | None:
    for name in ("name", "clusterName"):
        if name in parameters and not _EKS_NAME.fullmatch(parameters[name]):
            return ParameterError("InvalidParameterException", eks_name(name))
    return None


def _node_group_name(operation: str, parameters: Parameters) -> ParameterError | None:
    name = str(parameters.get("nodegroupName", ""))
    if operation != "CreateNodegroup":
        return None
    if len(name) > 63:
        message = "nodeGroupName can't be longer than 63 characters!"
        return ParameterError("InvalidParameterException", message)
    if not _EKS_NAME.fullmatch(name):
        return ParameterError(
            "InvalidParameterException",
            "The nodegroupName parameter contains invalid characters. It should begin with letter "
            "or digit and can have any of the following characters: the set of Unicode letters, "
            "digits, hyphens and underscores.",
        )
    return None


def _node_labels(operation: str, parameters: Parameters) -> ParameterError | None:
    """Check the labels of a node group, which must be valid for Kubernetes."""
    labels = parameters.get("labels") or {}
    if operation == "UpdateNodegroupConfig":
        labels = labels.get("addOrUpdateLabels") or {}
    if operation not in ("CreateNodegroup", "UpdateNodegroupConfig"):
        return None
    for key, value in labels.items():
        prefix, slash, name = key.rpartition("/")
        if slash and not _DOMAIN.fullmatch(prefix):
            return _invalid_label(key)
        if not _LABEL_NAME.fullmatch(name):
            return _invalid_label(name)
        if value and not _LABEL_NAME.fullmatch(value):
            return _invalid_label(value)
    return None


def _invalid_label(text: str) -> ParameterError:
    return ParameterError(
        "InvalidParameterException",
        f"Invalid value: {text}: field must consist of alphanumeric characters, '-', '_' or '.', "
        "and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or "
        f"'123-abc', regex used for validation is '{_LABEL_NAME.pattern}')",
    )


_RULES: dict[str, tuple[Rule, ...]] = {
    "ec2": (_page_size, _security_group_text, _rule_descriptions, _cidr_form),
    "iam": (_policy_size,),
    "eks": (_cluster_name, _node_group_name, _node_labels),
}
