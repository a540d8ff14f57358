"""The fields of `Settings`: type, default, label, description, unit and limits of each.

A field's `title` is its label, its description says what it is and why you would change it, and
`json_schema_extra` carries the group it is shown in, its unit and, in words, what its pattern
expects.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Network
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
)
from pydantic.config import JsonDict
from pydantic_core import PydanticCustomError

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
CapacityType = Literal["on-demand", "spot", "reserved"]

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
    # The message never contains the value: it may be the secret itself.
    if value and not re.match(_REFERENCE, value):
        raise PydanticCustomError(
            "secret",
            "must be a reference, never the secret itself: env:VARIABLE_NAME or the ARN of an "
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
    """A Karpenter node pool of accelerated instances of one family."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    family: Family
    capacity: tuple[CapacityType, ...] = Field(default=("on-demand",), min_length=1)
    max_vcpus: int = Field(default=64, ge=4, le=10_000)


AcceleratorPool = Annotated[Accelerator, BeforeValidator(_family_shorthand)]


def _field(
    default: Any,
    group: str,
    title: str,
    why: str,
    unit: str = "",
    expects: str = "",
    **limits: Any,
) -> Any:
    extra: JsonDict = {"group": group, "unit": unit, "expects": expects}
    return Field(default, title=title, description=why, json_schema_extra=extra, **limits)


# Kubernetes versions that jarkkit's Terraform configuration and add-ons are tested with. Newest
# last; the newest is the default. Before planning, preflight asks EKS which of them it offers.
CLUSTER_VERSIONS = ("1.34", "1.35", "1.36")


class SettingsFields(BaseModel):
    """All fields. `Settings` adds the rules that they must satisfy together."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    # Deployment
    name: str = _field(
        "demo",
        "Deployment",
        "Name",
        "Name of the cluster and prefix of its resources in the account. Two deployments in one "
        "account need different names. Use 3 to 24 lower-case letters, digits and hyphens: many "
        "names of AWS resources contain it, and those have limits.",
        expects="3 to 24 lower-case letters, digits and hyphens, beginning with a letter and "
        "ending with a letter or digit",
        pattern=_NAME,
    )
    region: str = _field(
        "us-west-2",
        "Deployment",
        "Region",
        "AWS Region to deploy to. It determines prices, available accelerators and quotas.",
        expects="a Region such as us-west-2",
        pattern=r"^[a-z]{2}(-[a-z]+)+-\d$",
    )
    tags: dict[str, str] = _field(
        {},
        "Deployment",
        "Tags",
        "Tags for every AWS resource, in addition to the deployment's own tags, and for what the "
        "cluster creates: nodes, volumes, load balancers, network interfaces. Use them for cost "
        "allocation or to follow your organization's rules. Only resources without a price lack "
        "them: EKS's own security group and interfaces, and access points of claims. File systems "
        "of the FSx driver get their tags from your StorageClass.",
    )
    state_bucket: str = _field(
        "",
        "Deployment",
        "State bucket",
        "Existing S3 bucket for the Terraform state, with S3 native locking. Empty keeps the state "
        "in the deployment's folder. Set a bucket when more than one person or machine manages the "
        "deployment.",
        expects="the name of a bucket, or nothing",
        pattern=r"^$|^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$",
    )

    # Network
    az_count: int = _field(
        2,
        "Network",
        "Availability Zones",
        "Number of Availability Zones that the subnets span. EKS needs two. More zones raise the "
        "chance of accelerator capacity. With NAT per zone, each one adds a NAT gateway. You can "
        "add zones later, for Karpenter's nodes, but not remove any.",
        unit="zones",
        ge=2,
        le=4,
    )
    availability_zones: tuple[str, ...] = _field(
        (),
        "Network",
        "Zone names",
        "Names of the zones, if you want to choose them. If empty, jarkkit chooses zones that EKS "
        "accepts and that offer the selected accelerators, and keeps them for the life of the "
        "deployment.",
    )
    vpc_cidr: Cidr = _field(
        "10.0.0.0/16",
        "Network",
        "VPC CIDR",
        "Address range of the VPC, used by load balancers, NAT gateways and the control plane's "
        "network interfaces. Change it if it overlaps a network that you want to peer with.",
    )
    pod_cidr: Cidr = _field(
        "100.64.0.0/16",
        "Network",
        "Pod CIDR",
        "Secondary address range for nodes and pods. The default comes from the shared address "
        "space of RFC 6598, so that pods do not use up the routable range.",
    )
    nat: Literal["single", "per-az"] = _field(
        "single",
        "Network",
        "NAT gateways",
        "A single NAT gateway is cheaper. One per zone keeps the nodes of a zone online when "
        "another zone fails.",
    )
    vpc_id: str = _field(
        "",
        "Network",
        "Existing VPC",
        "ID of an existing VPC to deploy into. Empty creates a new VPC.",
        expects="an id such as vpc-0123456789abcdef0, or nothing",
        pattern=r"^$|^vpc-[0-9a-f]{8,17}$",
    )
    private_subnet_ids: tuple[str, ...] = _field(
        (),
        "Network",
        "Existing private subnets",
        "With an existing VPC: IDs of subnets for control plane, nodes and pods. They must be in "
        "at least two zones and have a route to the internet.",
    )
    public_subnet_ids: tuple[str, ...] = _field(
        (),
        "Network",
        "Existing public subnets",
        "With an existing VPC: IDs of subnets for internet-facing load balancers, if you use any.",
    )

    # Cluster
    cluster_version: str = _field(
        CLUSTER_VERSIONS[-1],
        "Cluster",
        "Kubernetes version",
        "Minor version of Kubernetes. You can raise it later, one minor version at a time. At the "
        "end of a version's standard support, AWS upgrades the cluster by itself.",
    )
    endpoint_public_cidrs: tuple[Cidr, ...] = _field(
        ("0.0.0.0/0",),
        "Cluster",
        "Networks with API access",
        "Networks that can connect to the Kubernetes API. Every call still needs IAM credentials "
        "with an access entry. Restrict the list to your own address for a deployment that "
        "outlives a workshop: the public one, as https://checkip.amazonaws.com shows it. An empty "
        "list makes the endpoint private.",
    )
    cluster_log_types: tuple[
        Literal["api", "audit", "authenticator", "controllerManager", "scheduler"], ...
    ] = _field(
        ("api", "audit", "authenticator", "controllerManager", "scheduler"),
        "Cluster",
        "Control-plane logs",
        "Control-plane logs to send to CloudWatch. The audit log is the largest. It records who "
        "did what.",
    )
    deletion_protection: bool = _field(
        True,
        "Cluster",
        "Deletion protection",
        "EKS refuses to delete the cluster, also from the console and other programs. jarkkit "
        "switches it off only in a cleanup, and in a deploy that replaces the cluster, both of "
        "which you confirm with the deployment's name.",
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
        "Additional administrators",
        "ARNs of IAM roles or users that become cluster administrators, in addition to the one "
        "that created the cluster. They must exist. For an IAM Identity Center role, give the full "
        "role ARN.",
        expects="the ARN of an IAM role or user, such as arn:aws:iam::123456789012:role/team",
    )

    permissions_boundary_arn: str = _field(
        "",
        "Cluster",
        "Permissions boundary",
        "ARN of an IAM policy that limits every role of the deployment, if your account requires "
        "one for new roles. It must allow what the roles do, or pods and nodes fail.",
        expects="the ARN of an IAM policy, or nothing",
        pattern=r"^$|^arn:aws[a-z-]*:iam::([0-9]{12}|aws):policy/[A-Za-z0-9_+=,.@/-]+$",
    )

    # Nodes
    core_instance_type: str = _field(
        "m5.xlarge",
        "Nodes",
        "Core node type",
        "Instance type of the managed node group that runs Karpenter and the system pods.",
        expects="an instance type such as m5.xlarge",
        pattern=r"^[a-z][a-z0-9-]*\.[a-z0-9-]+$",
    )
    core_nodes: int = _field(
        2,
        "Nodes",
        "Core nodes",
        "Number of core nodes. Karpenter runs two replicas on separate nodes.",
        unit="nodes",
        ge=2,
        le=20,
    )
    core_nodes_max: int = _field(
        4,
        "Nodes",
        "Maximum core nodes",
        "Maximum size of the core node group. A rolling update needs the extra nodes.",
        unit="nodes",
        ge=2,
        le=40,
    )
    core_disk_gib: int = _field(
        100,
        "Nodes",
        "Core node disk",
        "Size of a core node's root volume (gp3, encrypted).",
        unit="GiB",
        ge=20,
        le=1000,
    )
    karpenter: bool = _field(
        True,
        "Nodes",
        "Karpenter",
        "Karpenter adds nodes when pods need them and removes unused ones. Without Karpenter, only "
        "the node groups exist.",
    )

    cpu_capacity: tuple[CapacityType, ...] = _field(
        ("on-demand",),
        "Nodes",
        "CPU pool capacity types",
        "Capacity types that Karpenter can use for CPU nodes: on-demand, spot, reserved. Spot is "
        "cheaper, but AWS can reclaim the instances with two minutes' notice.",
        min_length=1,
    )
    cpu_max_vcpus: int = _field(
        64,
        "Nodes",
        "CPU pool limit",
        "Maximum vCPUs of all CPU nodes that Karpenter launches. The default add-ons request about "
        "six vCPUs in total and fit on two m5.xlarge core nodes. Your users' notebooks and jobs "
        "run on these additional nodes.",
        unit="vCPUs",
        ge=4,
        le=10_000,
    )
    ami_version: str = _field(
        "",
        "Nodes",
        "Node image version",
        "Version of the Amazon Linux 2023 AMI of all nodes, such as `v20261101`. If empty, jarkkit "
        "pins the newest version at first, so that neither EKS nor Karpenter replaces nodes "
        "unexpectedly.",
        expects="a version such as v20261101, or nothing",
        pattern=r"^$|^v\d{8}$",
    )

    # Accelerators
    accelerators: tuple[AcceleratorPool, ...] = _field(
        (Accelerator(family="g6"),),
        "Accelerators",
        "Accelerator pools",
        "Families of GPU or Neuron instances that Karpenter can launch when a pod requests one. "
        "Until then no instance runs and you pay nothing. Each item is a family name, or a mapping "
        "with `family`, `capacity` (on-demand, spot, reserved) and `max_vcpus`.",
    )
    capacity_reservations: tuple[Reservation, ...] = _field(
        (),
        "Accelerators",
        "Capacity reservations",
        "IDs of the capacity reservations and Capacity Blocks that node pools with the capacity "
        "type `reserved` use.",
        expects="an id such as cr-0123456789abcdef0",
    )
    static_gpu_instance_type: str = _field(
        "g6.4xlarge",
        "Accelerators",
        "Static GPU node type",
        "Instance type of the static GPU nodes.",
        expects="an instance type such as m5.xlarge",
        pattern=r"^[a-z][a-z0-9-]*\.[a-z0-9-]+$",
    )
    static_gpu_nodes: int = _field(
        0,
        "Accelerators",
        "Static GPU nodes",
        "Number of GPU nodes that always run, and that you always pay for. Use them for a workshop "
        "that cannot wait for Karpenter. 0 creates no such node group.",
        unit="nodes",
        ge=0,
        le=50,
    )

    # Add-ons
    addons: dict[str, bool] = _field(
        {},
        "Add-ons",
        "Add-ons",
        "Enables or disables add-ons by name. Add-ons that you do not name keep the default of the "
        "catalog (`jarkkit addons`).",
    )
    addon_timeout_seconds: int = _field(
        0,
        "Add-ons",
        "Add-on timeout",
        "Time for the workloads of one add-on to become ready, including image pulls and new "
        "nodes. 0 uses the timeout of each add-on in the catalog (5 to 20 minutes).",
        unit="seconds",
        ge=0,
        le=7200,
    )
    shared_files: bool = _field(
        True,
        "Add-ons",
        "Shared file system",
        "Keeps an Amazon EFS file system with the home folders of JupyterHub's users, the shared "
        "folder and claims of the storage class `efs`. It outlives the add-ons that use it: "
        "switching JupyterHub or the EFS driver off deletes no files. Switching this setting off "
        "deletes the file system with all files, and a deploy does that only if you confirm it "
        "with the deployment's name. An empty file system costs nothing.",
    )
    artifact_bucket: bool = _field(
        False,
        "Add-ons",
        "Artifact bucket",
        "Creates an S3 bucket for Argo artifacts and Ray results. Cleanup deletes the bucket and "
        "everything in it.",
    )
    managed_prometheus: bool = _field(
        False,
        "Add-ons",
        "Managed Prometheus",
        "Creates an Amazon Managed Service for Prometheus workspace, for metrics that outlive the "
        "cluster.",
    )
    application_signals: bool = _field(
        False,
        "Add-ons",
        "Application Signals",
        "Lets the CloudWatch add-on instrument every pod behind a Service: it adds OpenTelemetry "
        "to Java, Python, Node.js and .NET programs, JupyterHub among them. AWS charges for each "
        "signal.",
    )
    huggingface_token: SecretReference = _field(
        "",
        "Add-ons",
        "Hugging Face token",
        "Reference to the token: `env:VARIABLE` or the ARN of a Secrets Manager secret. Only gated "
        "models need it.",
    )

    # JupyterHub
    attendees: int = _field(
        1,
        "JupyterHub",
        "Concurrent users",
        "Number of people who work at the same time, each with an accelerator of the first pool, "
        "if there is one. Preflight checks whether limits and quotas are large enough for them. "
        "The setting creates no resources.",
        unit="people",
        ge=1,
        le=1000,
    )
    jupyterhub_auth: Literal["password", "cognito", "oidc"] = _field(
        "password",
        "JupyterHub",
        "JupyterHub login",
        "Login method: a shared password that jarkkit generates (for workshops), Amazon Cognito, "
        "or any OpenID Connect provider.",
    )
    jupyterhub_oidc_issuer: str = _field(
        "",
        "JupyterHub",
        "Issuer URL",
        "With Cognito or OpenID Connect: issuer URL of the provider.",
        expects="a URL that begins with https://, or nothing",
        pattern=r"^$|^https://\S+$",
    )
    jupyterhub_oidc_client_id: str = _field(
        "",
        "JupyterHub",
        "Client ID",
        "With Cognito or OpenID Connect: client ID of JupyterHub at the provider.",
    )
    jupyterhub_oidc_client_secret: SecretReference = _field(
        "",
        "JupyterHub",
        "Client secret",
        "With Cognito or OpenID Connect: reference to the client secret, `env:VARIABLE` or the ARN "
        "of a Secrets Manager secret.",
    )
    jupyterhub_domain: str = _field(
        "",
        "JupyterHub",
        "Public host name",
        "Host name under which users reach JupyterHub, such as `hub.example.com`. jarkkit puts an "
        "Application Load Balancer with HTTPS in front of the hub; you point a DNS record at it. "
        "Empty: the hub is reachable only through `jarkkit use open jupyterhub`.",
        expects="a host name such as hub.example.com, without https://, or nothing",
        pattern=r"^$|^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}$",
    )
    jupyterhub_certificate_arn: str = _field(
        "",
        "JupyterHub",
        "Certificate",
        "With a public host name: ARN of its certificate in AWS Certificate Manager, in the Region "
        "of the deployment.",
        expects="the ARN of a certificate, or nothing",
        pattern=r"^$|^arn:aws[a-z-]*:acm:[a-z0-9-]+:[0-9]{12}:certificate/[0-9a-f-]{36}$",
    )

    # Cost
    budget_usd_per_month: int = _field(
        0,
        "Cost",
        "Budget",
        "AWS Budgets sends an email when the deployment's cost exceeds 80 % and 100 % of this "
        "amount. It counts cost by the deployment's tag, which you must activate as a cost "
        "allocation tag. 0 creates no budget.",
        unit="USD per month",
        ge=0,
    )
    budget_emails: tuple[Annotated[str, Field(pattern=r"^[^@\s]+@[^@\s]+\.[^@\s]+$")], ...] = (
        _field(
            (),
            "Cost",
            "Budget email",
            "Email addresses that receive the budget alerts.",
            expects="an email address",
            max_length=10,
        )
    )
