"""Reads `catalog/permissions.yaml`, and renders it for a deployment."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from importlib import resources
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field

from jarkkit.decisions.stack import ResolvedStack
from jarkkit.model.records import Record, Step
from jarkkit.settings import Settings

# The conditions of one statement: operator, condition key, values.
Conditions = Mapping[str, Mapping[str, tuple[str, ...]]]

SERVICE_LINKED_ROLES: dict[str, str] = {
    "eks.amazonaws.com": "AWSServiceRoleForAmazonEKS",
    "eks-nodegroup.amazonaws.com": "AWSServiceRoleForAmazonEKSNodegroup",
    "autoscaling.amazonaws.com": "AWSServiceRoleForAutoScaling",
    "elasticloadbalancing.amazonaws.com": "AWSServiceRoleForElasticLoadBalancing",
    "elasticfilesystem.amazonaws.com": "AWSServiceRoleForAmazonElasticFileSystem",
    "spot.amazonaws.com": "AWSServiceRoleForEC2Spot",
}
"""Service-linked roles that a deployment uses, by service. Names: the "Using service-linked roles"
pages of each service's user guide, read 2026-11."""

# Policies that terraform/ attaches; those of add-ons come from the catalog.
_OWN_POLICIES = (
    "AmazonEC2ContainerRegistryPullOnly",
    "AmazonEKSClusterPolicy",
    "AmazonEKSWorkerNodePolicy",
    "AmazonSSMManagedInstanceCore",
)
_PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")


class Statement(Record):
    """One statement of a policy: permissions for one purpose.

    Attributes:
        sid: its name.
        purpose: what it is for, in a few words.
        why: the reason for these actions and their scope.
        steps: the steps that fail without it; empty if only an explicit command needs it.
        when: name of the condition on the settings; empty for all settings.
        read_only: True if its actions change nothing.
        why_not_narrower: why no narrower resource or condition is possible; empty if it is narrow.
        unrehearsed: actions that no rehearsal calls, with their caller and reason.
    """

    sid: str
    purpose: str
    why: str
    steps: tuple[Step, ...]
    when: str = ""
    read_only: bool = False
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    conditions: Conditions = Field(default_factory=dict)
    why_not_narrower: str = ""
    unrehearsed: dict[str, str] = Field(default_factory=dict)

    def to_policy_statement(self) -> dict[str, Any]:
        """Return the statement as in a policy document."""
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


def needed_statements(stack: ResolvedStack, account: str = "*") -> tuple[Statement, ...]:
    """Return the statements that a deployment needs, rendered.

    Args:
        account: the account's ID; `*` for any account.
    """
    settings, context = stack.settings, _context(stack, account)
    return tuple(_rendered(s, context) for s in statement_templates() if _WHEN[s.when](settings))


class AppliedStatement(BaseModel):
    """What a policy needs of a statement, with the account's ID as a placeholder.

    Attributes: see `Statement`.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    sid: str
    read_only: bool = False
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    conditions: Conditions = Field(default_factory=dict)


class AppliedPermissions(Record):
    """What removes the resources that can exist: of the last complete apply, and of later ones.

    These are statements and not settings, because a later release may no longer know a version, a
    setting or an add-on of then.
    """

    statements: tuple[AppliedStatement, ...]


def applied_permissions(
    stack: ResolvedStack, earlier: AppliedPermissions | None
) -> AppliedPermissions:
    """Return what removes the resources of these settings, and those of earlier ones."""
    kept = earlier.statements if earlier else ()
    own = [
        AppliedStatement.model_validate(statement.model_dump())
        for statement in needed_statements(stack, "{account}")
        if "cleanup" in statement.steps
    ]
    return AppliedPermissions(statements=(*kept, *(s for s in own if s not in kept)))


def deployment_statements(
    stack: ResolvedStack, applied: AppliedPermissions | None, account: str = "*"
) -> tuple[Statement, ...]:
    """Return the statements for these settings, and those of earlier ones that remove resources.

    Args:
        applied: None before the first apply.
        account: the account's ID; `*` for any account.
    """
    found = list(needed_statements(stack, account))
    known = [_permissions(statement) for statement in found]
    for earlier in applied.statements if applied else ():
        statement = _rendered(_removing(earlier), {"account": (account,)})
        if _permissions(statement) not in known:
            number = 1 + sum(s.sid.rpartition("Before")[0] == earlier.sid for s in found)
            sid = f"{earlier.sid}Before{number}"
            found.append(statement.model_copy(update={"sid": sid}))
    return tuple(found)


def _removing(earlier: AppliedStatement) -> Statement:
    return Statement(
        **dict(earlier),
        purpose="to remove what earlier settings created",
        why="Terraform reads and deletes what the settings no longer contain.",
        steps=("plan", "deploy", "cleanup"),
    )


def _permissions(statement: Statement) -> dict[str, Any]:
    return {k: v for k, v in statement.to_policy_statement().items() if k != "Sid"}


@cache
def statement_templates() -> tuple[Statement, ...]:
    """Return all statements, with their placeholders."""
    text = (resources.files("jarkkit.catalog") / "permissions.yaml").read_text(encoding="utf-8")
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
    "boundary": lambda settings: bool(settings.permissions_boundary_arn),
    "certificate": lambda settings: bool(settings.jupyterhub_certificate_arn),
    "existing_vpc": lambda settings: bool(settings.vpc_id),
    "budget": lambda settings: settings.budget_usd_per_month > 0,
    "efs": lambda settings: settings.shared_files,
    "karpenter": lambda settings: settings.karpenter,
    "new_vpc": lambda settings: not settings.vpc_id,
    "no_boundary": lambda settings: not settings.permissions_boundary_arn,
    "secrets": lambda settings: bool(_secrets(settings)),
    "state_bucket": lambda settings: bool(settings.state_bucket),
}


def _context(stack: ResolvedStack, account: str) -> dict[str, tuple[str, ...]]:
    """Return the values of the placeholders."""
    settings = stack.settings
    region, name = settings.region, settings.name
    partition = partition_of(region)
    return {
        "account": (account,),
        "boundary": (settings.permissions_boundary_arn,),
        "bucket": (f"{name}-artifacts-{account}-{region}",),
        "certificate": (settings.jupyterhub_certificate_arn,),
        "create_actions": _creating(),
        "managed_policies": tuple(f"arn:{partition}:iam::aws:policy/{p}" for p in _managed(stack)),
        "name": (name,),
        "partition": (partition,),
        "region": (region,),
        "role_prefix": (f"{name}-{region}-",),
        "secrets": _secrets(settings),
        "service_linked": tuple(SERVICE_LINKED_ROLES),
        "state_bucket": (settings.state_bucket,),
        "vpc": (settings.vpc_id,),
    }


def partition_of(region: str) -> str:
    """Return the partition of a Region: `aws`, `aws-cn` or `aws-us-gov`."""
    prefixes = {"cn-": "aws-cn", "us-gov-": "aws-us-gov"}
    return next((name for start, name in prefixes.items() if region.startswith(start)), "aws")


def _creating() -> tuple[str, ...]:
    """Return the EC2 calls that tag what they create."""
    beginnings = ("ec2:Allocate", "ec2:Authorize", "ec2:Create", "ec2:RunInstances")
    actions = {action for statement in statement_templates() for action in statement.actions}
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


def _managed(stack: ResolvedStack) -> list[str]:
    identities = stack.pod_identities.values()
    of_addons = {policy for identity in identities for policy in identity["managed_policies"]}
    return sorted({*_OWN_POLICIES, *of_addons})


def _secrets(settings: Settings) -> tuple[str, ...]:
    references = (settings.huggingface_token, settings.jupyterhub_oidc_client_secret)
    return tuple(r for r in dict.fromkeys(references) if r.startswith("arn:"))


def _rendered(statement: Statement, context: Mapping[str, tuple[str, ...]]) -> Statement:
    return statement.model_copy(
        update={
            "resources": _render_all(statement.resources, context),
            "conditions": {
                operator: {
                    _render(key, context)[0]: _render_all(values, context)
                    for key, values in pairs.items()
                }
                for operator, pairs in statement.conditions.items()
            },
        }
    )


def _render_all(texts: Iterable[str], context: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(rendered for text in texts for rendered in _render(text, context))


def _render(text: str, context: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """Return the rendered text; a text that is only a placeholder can have several values."""
    if alone := _PLACEHOLDER.fullmatch(text):
        return context[alone[1]]
    return (_PLACEHOLDER.sub(lambda m: context[m[1]][0], text),)


def _one_or_list(values: tuple[str, ...]) -> str | list[str]:
    return values[0] if len(values) == 1 else list(values)
