"""Every choice that a user can make, defined once.

The fields of `Settings` feed the settings file, the environment (`JARKKIT_…`), `-p KEY=VALUE`, the
notebooks' parameters, the form, Terraform's variables and docs/settings.md. No I/O happens here.
`settings_sources` reads them, `settings_rules` says what must fit together.

A field's `title` is its label, its description says what it is and why one would change it, and
`json_schema_extra` carries the group it is shown in and its unit.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import re
import textwrap
from collections.abc import Iterable, Mapping
from ipaddress import IPv4Network
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)
from pydantic.config import JsonDict
from pydantic_core import ErrorDetails, PydanticCustomError

from jarkkit.errors import JarkkitError
from jarkkit.settings_rules import CLUSTER_VERSIONS as CLUSTER_VERSIONS
from jarkkit.settings_rules import problems

GROUPS = (
    "Deployment",
    "Network",
    "Cluster",
    "Nodes",
    "Accelerators",
    "Add-ons",
    "JupyterHub",
    "Cost",
)

FAMILIES = {
    "g4dn": "NVIDIA T4",
    "g5": "NVIDIA A10G",
    "g6": "NVIDIA L4",
    "g6e": "NVIDIA L40S",
    "g7e": "NVIDIA RTX PRO 6000",
    "p4d": "NVIDIA A100",
    "p5": "NVIDIA H100",
    "p5en": "NVIDIA H200",
    "p6-b200": "NVIDIA B200",
    "inf2": "AWS Inferentia2",
    "trn1": "AWS Trainium",
    "trn2": "AWS Trainium2",
}
Family = Literal[
    "g4dn", "g5", "g6", "g6e", "g7e", "p4d", "p5", "p5en", "p6-b200", "inf2", "trn1", "trn2"
]
Capacity = Literal["on-demand", "spot", "reserved"]

_NAME = r"^[a-z][a-z0-9-]{1,22}[a-z0-9]$"
_REFERENCE = (
    r"^(env:[A-Za-z_][A-Za-z0-9_]*|arn:aws[a-z-]*:secretsmanager:[a-z0-9-]+:\d{12}:secret:.+)$"
)
_PRINCIPAL = r"^arn:aws[a-z-]*:iam::\d{12}:(role|user)/.+$"


def _cidr(value: str) -> str:
    try:
        return str(IPv4Network(value))
    except ValueError as error:
        raise PydanticCustomError(
            "cidr", "is not an IPv4 CIDR block: {reason}", {"reason": str(error)}
        ) from error


def _secret(value: str) -> str:
    # The value is never put into the message: it may be the secret itself.
    if value and not re.match(_REFERENCE, value):
        raise PydanticCustomError(
            "secret",
            "holds a reference, never the secret itself: env:VARIABLE_NAME or the ARN of an "
            "AWS Secrets Manager secret",
        )
    return value


def _family_shorthand(value: object) -> object:
    return {"family": value} if isinstance(value, str) else value


Cidr = Annotated[str, AfterValidator(_cidr)]
SecretReference = Annotated[str, AfterValidator(_secret)]
Reservation = Annotated[str, Field(pattern=r"^cr-[0-9a-f]{8,17}$")]
Principal = Annotated[str, Field(pattern=_PRINCIPAL)]


class Accelerator(BaseModel):
    """A Karpenter pool of accelerated instances of one family."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    family: Family
    capacity: tuple[Capacity, ...] = Field(default=("on-demand",), min_length=1)
    max_vcpus: int = Field(default=64, ge=4, le=10_000)


AcceleratorPool = Annotated[Accelerator, BeforeValidator(_family_shorthand)]


def _field(default: Any, group: str, title: str, why: str, unit: str = "", **limits: Any) -> Any:
    extra: JsonDict = {"group": group, "unit": unit}
    return Field(default, title=title, description=why, json_schema_extra=extra, **limits)


class Settings(BaseModel):
    """All choices of one deployment. Frozen; unknown names are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    # Deployment
    name: str = _field(
        "demo",
        "Deployment",
        "Name",
        "Names the cluster and everything around it in the account. Two deployments in one account "
        "need different names. 3 to 24 lower-case letters, digits and hyphens: IAM role names "
        "carry it together with the Region and may have 64 characters.",
        pattern=_NAME,
    )
    region: str = _field(
        "us-west-2",
        "Deployment",
        "Region",
        "AWS Region to build in. It decides price, which accelerators are offered and which quotas "
        "apply.",
        pattern=r"^[a-z]{2}(-[a-z]+)+-\d$",
    )
    tags: dict[str, str] = _field(
        {},
        "Deployment",
        "Tags",
        "Put on every AWS resource, beside the deployment's own tags; for cost allocation or "
        "organisation rules.",
    )
    state_bucket: str = _field(
        "",
        "Deployment",
        "State bucket",
        "S3 bucket for the Terraform state, with S3's own locking. Empty keeps the state in the "
        "deployment's folder. Name a bucket when more than one person or machine looks after the "
        "deployment; it must exist.",
        pattern=r"^$|^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$",
    )

    # Network
    az_count: int = _field(
        2,
        "Network",
        "Availability Zones",
        "How many Availability Zones the subnets span. EKS needs two; more give accelerators more "
        "places to be found in, and one more NAT gateway each when NAT is per zone.",
        unit="zones",
        ge=2,
        le=4,
    )
    availability_zones: tuple[str, ...] = _field(
        (),
        "Network",
        "Zone names",
        "The zones by name, when you want to choose them. Empty lets the kit choose zones that EKS "
        "accepts and that offer the chosen accelerators; the choice is kept for the deployment's "
        "life.",
    )
    vpc_cidr: Cidr = _field(
        "10.0.0.0/16",
        "Network",
        "VPC CIDR",
        "Address range of the VPC: load balancers, NAT and the control plane's network interfaces. "
        "Change it when it overlaps a network that will be peered.",
    )
    pod_cidr: Cidr = _field(
        "100.64.0.0/16",
        "Network",
        "Pod CIDR",
        "Secondary range for nodes and pods, from the shared address space of RFC 6598, so that "
        "pods do not use up the routable range.",
    )
    nat: Literal["single", "per-az"] = _field(
        "single",
        "Network",
        "NAT gateways",
        "One NAT gateway is cheaper; one per zone keeps a zone's nodes online when another zone "
        "fails.",
    )
    vpc_id: str = _field(
        "",
        "Network",
        "Existing VPC",
        "Bring your own VPC: its id. Empty makes a new one.",
        pattern=r"^$|^vpc-[0-9a-f]{8,17}$",
    )
    private_subnet_ids: tuple[str, ...] = _field(
        (),
        "Network",
        "Existing private subnets",
        "With an existing VPC: subnets in at least two zones, with a route to the internet, for "
        "control plane, nodes and pods.",
    )
    public_subnet_ids: tuple[str, ...] = _field(
        (),
        "Network",
        "Existing public subnets",
        "With an existing VPC: subnets for internet-facing load balancers, where there are any.",
    )

    # Cluster
    cluster_version: str = _field(
        CLUSTER_VERSIONS[-1],
        "Cluster",
        "Kubernetes version",
        "Minor version of Kubernetes. A version in extended support costs six times as much per "
        "hour.",
    )
    endpoint_public_cidrs: tuple[Cidr, ...] = _field(
        ("0.0.0.0/0",),
        "Cluster",
        "Who may reach the API",
        "Networks that may open a connection to the Kubernetes API; every call still needs IAM "
        "credentials with an access entry. Narrow it to your own address for anything that lives "
        "longer than a workshop. An empty list makes the endpoint private.",
    )
    cluster_log_types: tuple[
        Literal["api", "audit", "authenticator", "controllerManager", "scheduler"], ...
    ] = _field(
        ("api", "audit", "authenticator", "controllerManager", "scheduler"),
        "Cluster",
        "Control-plane logs",
        "Which control-plane logs go to CloudWatch. The audit log is the largest, and the one that "
        "answers who did what.",
    )
    log_retention_days: Literal[1, 3, 5, 7, 14, 30, 60, 90, 180, 365] = _field(
        14,
        "Cluster",
        "Log retention",
        "How long CloudWatch keeps the cluster's logs.",
        unit="days",
    )
    admin_principals: tuple[Principal, ...] = _field(
        (),
        "Cluster",
        "More administrators",
        "ARNs of IAM roles or users that become cluster administrators beside the one who deploys. "
        "For a role of IAM Identity Center give the role's full ARN.",
    )

    # Nodes
    core_instance_type: str = _field(
        "m5.xlarge",
        "Nodes",
        "Core node type",
        "Instance type of the managed node group that carries Karpenter and the system pods.",
        pattern=r"^[a-z][a-z0-9-]*\.[a-z0-9-]+$",
    )
    core_nodes: int = _field(
        2,
        "Nodes",
        "Core nodes",
        "How many core nodes there are at least. Karpenter runs two replicas on different nodes.",
        unit="nodes",
        ge=2,
        le=20,
    )
    core_nodes_max: int = _field(
        4,
        "Nodes",
        "Core nodes at most",
        "Upper bound of the core node group, for the room a rolling update needs.",
        unit="nodes",
        ge=2,
        le=40,
    )
    core_disk_gib: int = _field(
        100,
        "Nodes",
        "Core node disk",
        "Root volume of a core node (gp3, encrypted).",
        unit="GiB",
        ge=20,
        le=1000,
    )
    karpenter: bool = _field(
        True,
        "Nodes",
        "Karpenter",
        "Karpenter adds nodes when pods need them and removes them when they do not. Without it "
        "only the node groups below exist.",
    )

    cpu_capacity: tuple[Capacity, ...] = _field(
        ("on-demand",),
        "Nodes",
        "CPU pool capacity",
        "How Karpenter may buy CPU nodes: on-demand, spot, reserved. Spot is cheaper, and AWS "
        "takes it back with two minutes' notice.",
        min_length=1,
    )
    cpu_max_vcpus: int = _field(
        64,
        "Nodes",
        "CPU pool at most",
        "How many vCPUs Karpenter's CPU nodes may have together. The default add-ons ask for about "
        "six in all, for which two m5.xlarge have room; users' notebooks and jobs come on top.",
        unit="vCPUs",
        ge=4,
        le=10_000,
    )
    ami_version: str = _field(
        "",
        "Nodes",
        "Node image version",
        "Version of the Amazon Linux 2023 images that Karpenter launches, such as `v20261101`. "
        "Empty takes the newest at the first deploy and keeps it, so that nodes are not replaced "
        "by surprise.",
        pattern=r"^$|^v\d{8}$",
    )

    # Accelerators
    accelerators: tuple[AcceleratorPool, ...] = _field(
        (Accelerator(family="g6"),),
        "Accelerators",
        "Accelerator pools",
        "Families of GPU or Neuron instances that Karpenter may launch when a pod asks for one; "
        "nothing runs, and nothing is paid, until then. Each is a family name, or a mapping with "
        "`family`, `capacity` (on-demand, spot, reserved) and `max_vcpus`.",
    )
    capacity_reservations: tuple[Reservation, ...] = _field(
        (),
        "Accelerators",
        "Capacity reservations",
        "Ids of capacity reservations and Capacity Blocks that pools with the capacity `reserved` "
        "launch into.",
    )
    static_gpu_instance_type: str = _field(
        "g6.4xlarge",
        "Accelerators",
        "Static GPU node type",
        "Instance type of the GPU nodes that run all the time.",
        pattern=r"^[a-z][a-z0-9-]*\.[a-z0-9-]+$",
    )
    static_gpu_nodes: int = _field(
        0,
        "Accelerators",
        "Static GPU nodes",
        "GPU nodes that run all the time, paid all the time: for a workshop that cannot wait for "
        "Karpenter. 0 makes no such group.",
        unit="nodes",
        ge=0,
        le=50,
    )

    # Add-ons
    addons: dict[str, bool] = _field(
        {},
        "Add-ons",
        "Add-ons",
        "Switches add-ons on or off by name; what is not named keeps the catalogue's default "
        "(`jarkkit addons`).",
    )
    addon_timeout_seconds: int = _field(
        0,
        "Add-ons",
        "Patience with add-ons",
        "How long the workloads of one add-on may take to become ready, images and new nodes "
        "included. 0 takes what the catalogue says of each (5 to 20 minutes).",
        unit="seconds",
        ge=0,
        le=7200,
    )
    artifact_bucket: bool = _field(
        False,
        "Add-ons",
        "Artifact bucket",
        "An S3 bucket for Argo's artifacts and Ray's results. It goes, with what is in it, at "
        "cleanup.",
    )
    managed_prometheus: bool = _field(
        False,
        "Add-ons",
        "Managed Prometheus",
        "An Amazon Managed Service for Prometheus workspace, for metrics that outlive the cluster.",
    )
    huggingface_token: SecretReference = _field(
        "",
        "Add-ons",
        "Hugging Face token",
        "Where the token is: `env:VARIABLE` or the ARN of a Secrets Manager secret. Needed for "
        "gated models only.",
    )

    # JupyterHub
    attendees: int = _field(
        1,
        "JupyterHub",
        "People at the same time",
        "How many people work at the same time, each with an accelerator of the first pool where "
        "there is one. Preflight says whether pools and quotas are large enough for them; nothing "
        "is built for it.",
        unit="people",
        ge=1,
        le=1000,
    )
    jupyterhub_auth: Literal["password", "cognito", "oidc"] = _field(
        "password",
        "JupyterHub",
        "JupyterHub login",
        "A shared password that the kit generates (workshops), Amazon Cognito, or any OpenID "
        "Connect provider.",
    )
    jupyterhub_oidc_issuer: str = _field(
        "",
        "JupyterHub",
        "Issuer URL",
        "With Cognito or OpenID Connect: the provider's issuer URL.",
        pattern=r"^$|^https://\S+$",
    )
    jupyterhub_oidc_client_id: str = _field(
        "",
        "JupyterHub",
        "Client id",
        "With Cognito or OpenID Connect: the client that JupyterHub is.",
    )
    jupyterhub_oidc_client_secret: SecretReference = _field(
        "",
        "JupyterHub",
        "Client secret",
        "With Cognito or OpenID Connect: where the client's secret is, `env:VARIABLE` or the ARN "
        "of a Secrets Manager secret.",
    )

    # Cost
    budget_usd_per_month: int = _field(
        0,
        "Cost",
        "Budget",
        "AWS Budgets mails you when the deployment's cost passes 80 % and 100 % of this. It counts "
        "by the deployment's tag, which must be activated as a cost allocation tag. 0 makes none.",
        unit="USD per month",
        ge=0,
    )
    budget_emails: tuple[Annotated[str, Field(pattern=r"^[^@\s]+@[^@\s]+\.[^@\s]+$")], ...] = (
        _field(
            (),
            "Cost",
            "Budget e-mail",
            "Who gets the budget's mails.",
            max_length=10,
        )
    )

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if found := problems(self):
            raise PydanticCustomError("rules", "{problems}", {"problems": "\n".join(found)})
        return self

    # -- reading -----------------------------------------------------------------------------

    @classmethod
    def make(cls, values: Mapping[str, Any], *, source: str = "settings") -> Self:
        """The settings that these values stand for; what is not named gets its default.

        Raises JK-SETTINGS-UNKNOWN for unknown names, JK-SETTINGS-INVALID for all wrong values at
        once. `source` is where the values came from, for the message.
        """
        unknown = [name for name in values if name not in cls.model_fields]
        if unknown:
            raise unknown_name(unknown[0], cls.model_fields, source=source)
        try:
            return cls.model_validate(dict(values))
        except ValidationError as error:
            lines = [_explain(detail) for detail in error.errors()]
            raise JarkkitError(
                "JK-SETTINGS-INVALID",
                f"In {source}: " + "; ".join(lines) + ".",
                "Correct the value; docs/settings.md describes each setting with its limits.",
            ) from None

    def changed(self, values: Mapping[str, Any], *, source: str = "the change") -> Self:
        """These settings with some values replaced. Raises as `make` does."""
        unknown = [name for name in values if name not in type(self).model_fields]
        if unknown:
            raise unknown_name(unknown[0], type(self).model_fields, source=source)
        return self.make({**self.model_dump(), **values}, source=source)

    # -- writing -----------------------------------------------------------------------------

    def to_yaml(self) -> str:
        """The settings file: every setting, grouped, each with its reason as a comment."""
        dumped = self.model_dump(mode="json")
        parts = ["# Settings of a jarkkit deployment. docs/settings.md explains each of them."]
        for group in GROUPS:
            parts.append(f"\n# --- {group} " + "-" * (86 - len(group)))
            for name in fields_of(group):
                parts += [
                    f"# {line}"
                    for line in _wrapped(type(self).model_fields[name].description or "")
                ]
                text = yaml.safe_dump({name: dumped[name]}, sort_keys=False, allow_unicode=True)
                parts.append(text.rstrip())
        return "\n".join(parts) + "\n"

    def digest(self) -> str:
        """A short fingerprint: equal settings, equal digest."""
        canonical = json.dumps(self.model_dump(mode="json"), sort_keys=True)
        return hashlib.sha256(canonical.encode()).hexdigest()[:16]

    def to_tfvars(
        self,
        *,
        availability_zones: Iterable[str],
        eks_addons: Mapping[str, Any],
        pod_identities: Mapping[str, Any],
        efs: bool,
    ) -> dict[str, Any]:
        """Terraform's variables (terraform.tfvars.json).

        The zones are pinned by the plan step and the add-on maps come from the catalogue; all
        else is a setting of the same name. Secrets are no variables: Terraform writes its
        variables into its state.
        """
        same = {name: getattr(self, name) for name in _TERRAFORM_NAMES}
        existing = {
            "vpc_id": self.vpc_id,
            "private_subnet_ids": self.private_subnet_ids,
            "public_subnet_ids": self.public_subnet_ids,
        }
        return {
            **same,
            "existing_vpc": existing if self.vpc_id else None,
            "availability_zones": list(availability_zones),
            "eks_addons": dict(eks_addons),
            "pod_identities": dict(pod_identities),
            "efs": efs,
        }


_TERRAFORM_NAMES = (
    "name", "region", "tags", "vpc_cidr", "pod_cidr", "nat", "cluster_version",
    "endpoint_public_cidrs", "cluster_log_types", "log_retention_days", "admin_principals",
    "core_instance_type", "core_nodes", "core_nodes_max", "core_disk_gib", "karpenter",
    "static_gpu_instance_type", "static_gpu_nodes", "artifact_bucket", "managed_prometheus",
    "budget_usd_per_month", "budget_emails",
)  # fmt: skip


# -- asking about fields ---------------------------------------------------------------------------


def fields_of(group: str) -> list[str]:
    """Names of the settings in a group, in their order."""
    fields = Settings.model_fields.items()
    return [name for name, field in fields if field_extra(field)["group"] == group]


def field_extra(field: Any) -> dict[str, str]:
    """Group and unit of a field of `Settings`."""
    return dict(field.json_schema_extra)


def unknown_name(name: str, known: Iterable[str], *, source: str) -> JarkkitError:
    """JK-SETTINGS-UNKNOWN, with the nearest known name."""
    known = list(known)
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"Did you mean {near[0]!r}?" if near else "docs/settings.md lists the known names."
    return JarkkitError(
        "JK-SETTINGS-UNKNOWN", f"{source} names {name!r}, which does not exist.", hint
    )


# -- explaining ------------------------------------------------------------------------------------


def _explain(detail: ErrorDetails) -> str:
    """One wrong value in words. Values of secret references are never shown."""
    place = ".".join(str(part) for part in detail["loc"])
    if detail["type"] == "rules":
        return detail["msg"].replace("\n", "; ")
    if detail["type"] in ("secret", "cidr"):
        shown = "" if detail["type"] == "secret" else f" {detail['input']!r}"
        return f"{place}{shown} {detail['msg']}"
    if detail["type"] == "extra_forbidden":
        return f"{place} does not exist"
    return f"{place} = {detail['input']!r}: {detail['msg'][0].lower()}{detail['msg'][1:]}"


def _wrapped(text: str, width: int = 94) -> list[str]:
    return textwrap.wrap(text, width)
