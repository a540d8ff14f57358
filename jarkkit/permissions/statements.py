"""Reads `statements.yaml`, and fills it in for a deployment."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from pydantic import Field

from jarkkit.addons.choice import needs_file_system, pod_identities
from jarkkit.records import Record, Step
from jarkkit.settings import Settings

# The conditions of one statement: operator, condition key, values.
Conditions = Mapping[str, Mapping[str, tuple[str, ...]]]

SERVICE_LINKED: dict[str, str] = {
    "eks.amazonaws.com": "AWSServiceRoleForAmazonEKS",
    "eks-nodegroup.amazonaws.com": "AWSServiceRoleForAmazonEKSNodegroup",
    "autoscaling.amazonaws.com": "AWSServiceRoleForAutoScaling",
    "elasticloadbalancing.amazonaws.com": "AWSServiceRoleForElasticLoadBalancing",
    "elasticfilesystem.amazonaws.com": "AWSServiceRoleForAmazonElasticFileSystem",
    "spot.amazonaws.com": "AWSServiceRoleForEC2Spot",
}
"""Service-linked roles that a deployment uses, by service. Names: the "Using service-linked roles"
pages of each service's user guide, read 2026-11."""

# What terraform/ attaches itself; the add-ons' own come from the catalogue.
_OWN_POLICIES = (
    "AmazonEC2ContainerRegistryPullOnly",
    "AmazonEKSClusterPolicy",
    "AmazonEKSWorkerNodePolicy",
    "AmazonSSMManagedInstanceCore",
)
_ALONE = re.compile(r"\{([a-z_]+)\}")


class Statement(Record):
    """Permissions that belong together: one statement of a policy.

    Attributes:
        sid: its name.
        purpose: what it is for, in a few words.
        why: why these actions, and why no narrower.
        steps: the steps that fail without it; none for what only happens where a user asks for it.
        when: which settings it is for; empty for all.
        look: True for what changes nothing.
        unbound: why no resource or condition could be narrower; empty where they are narrow.
        unseen: actions that no rehearsal makes, with who makes them and when.
    """

    sid: str
    purpose: str
    why: str
    steps: tuple[Step, ...]
    when: str = ""
    look: bool = False
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    conditions: Conditions = Field(default_factory=dict)
    unbound: str = ""
    unseen: dict[str, str] = Field(default_factory=dict)

    def in_policy(self) -> dict[str, Any]:
        """As a policy has it."""
        conditions = {
            operator: {key: _one_or_list(values) for key, values in pairs.items()}
            for operator, pairs in self.conditions.items()
        }
        return {
            "Sid": self.sid,
            "Effect": "Allow",
            "Action": _one_or_list(self.actions),
            "Resource": _one_or_list(self.resources),
            **({"Condition": conditions} if conditions else {}),
        }


def needed(settings: Settings, account: str = "*") -> tuple[Statement, ...]:
    """The permissions that a deployment with these settings needs, filled in.

    Args:
        account: the account's id; `*` stands for any.
    """
    words = _words(settings, account)
    return tuple(_filled(s, words) for s in templates() if _WHEN[s.when](settings))


@cache
def templates() -> tuple[Statement, ...]:
    """All statements, with words in braces still in them."""
    text = (Path(__file__).parent / "statements.yaml").read_text(encoding="utf-8")
    return tuple(_read(item) for item in yaml.safe_load(text))


def _read(item: Mapping[str, Any]) -> Statement:
    conditions = {
        operator: {
            key: values if isinstance(values, list) else [values] for key, values in p.items()
        }
        for operator, p in item.get("conditions", {}).items()
    }
    return Statement.model_validate({**item, "conditions": conditions})


_WHEN: dict[str, Callable[[Settings], bool]] = {
    "": lambda settings: True,
    "artifact_bucket": lambda settings: settings.artifact_bucket,
    "brought_network": lambda settings: bool(settings.vpc_id),
    "budget": lambda settings: settings.budget_usd_per_month > 0,
    "efs": needs_file_system,
    "karpenter": lambda settings: settings.karpenter,
    "own_network": lambda settings: not settings.vpc_id,
    "secrets": lambda settings: bool(_secrets(settings)),
    "state_bucket": lambda settings: bool(settings.state_bucket),
}


def _words(settings: Settings, account: str) -> dict[str, tuple[str, ...]]:
    """What the words in braces stand for."""
    region, name = settings.region, settings.name
    partition = partition_of(region)
    return {
        "account": (account,),
        "bucket": (f"{name}-artifacts-{account}-{region}",),
        "create_actions": _creating(),
        "managed_policies": tuple(
            f"arn:{partition}:iam::aws:policy/{p}" for p in _managed(settings)
        ),
        "name": (name,),
        "partition": (partition,),
        "region": (region,),
        "role_prefix": (f"{name}-{region}-",),
        "secrets": _secrets(settings),
        "service_linked": tuple(SERVICE_LINKED),
        "state_bucket": (settings.state_bucket,),
        "vpc": (settings.vpc_id,),
    }


def partition_of(region: str) -> str:
    """The partition that a Region is in: `aws`, `aws-cn` or `aws-us-gov`."""
    begins = {"cn-": "aws-cn", "us-gov-": "aws-us-gov"}
    return next((name for start, name in begins.items() if region.startswith(start)), "aws")


def _creating() -> tuple[str, ...]:
    """The EC2 calls that tag what they make."""
    beginnings = ("ec2:Allocate", "ec2:Authorize", "ec2:Create", "ec2:RunInstances")
    actions = {action for statement in templates() for action in statement.actions}
    making = {action for action in actions - _NO_TAGS if action.startswith(beginnings)}
    return tuple(sorted(action.partition(":")[2] for action in making))


_NO_TAGS = frozenset(
    f"ec2:{call}"
    for call in (
        "CreateLaunchTemplateVersion",
        "CreateNetworkInterface",
        "CreateRoute",
        "CreateTags",
    )
)


def _managed(settings: Settings) -> list[str]:
    identities = pod_identities(settings).values()
    of_addons = {policy for identity in identities for policy in identity["managed_policies"]}
    return sorted({*_OWN_POLICIES, *of_addons})


def _secrets(settings: Settings) -> tuple[str, ...]:
    references = (settings.huggingface_token, settings.jupyterhub_oidc_client_secret)
    return tuple(r for r in dict.fromkeys(references) if r.startswith("arn:"))


def _filled(statement: Statement, words: Mapping[str, tuple[str, ...]]) -> Statement:
    return statement.model_copy(
        update={
            "resources": _fill_all(statement.resources, words),
            "conditions": {
                operator: {key: _fill_all(values, words) for key, values in pairs.items()}
                for operator, pairs in statement.conditions.items()
            },
        }
    )


def _fill_all(texts: Iterable[str], words: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(filled for text in texts for filled in _fill(text, words))


def _fill(text: str, words: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """A text that is one word in braces may stand for several values."""
    if alone := _ALONE.fullmatch(text):
        return words[alone[1]]
    return (_ALONE.sub(lambda m: words[m[1]][0], text),)


def _one_or_list(values: tuple[str, ...]) -> str | list[str]:
    return values[0] if len(values) == 1 else list(values)
