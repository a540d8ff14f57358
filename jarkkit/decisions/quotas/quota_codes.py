"""The service quotas that can block a deployment, with their codes and defaults. Pure.

jarkkit reads the applied values from the account; a default here is only the value of a new
account. All were read on 2026-11-27 from the source of each group. `UNVERIFIED` marks codes that no
AWS document contains.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from jarkkit.decisions.node_demand import Purchase
from jarkkit.decisions.quotas.families import QuotaFamily

_GR = "https://docs.aws.amazon.com/general/latest/gr"
INSTANCES = "https://docs.aws.amazon.com/ec2/latest/instancetypes/ec2-instance-quotas.html"
SPOT = "https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/using-spot-limits.html"
VPC = f"{_GR}/vpc-service.html"
EC2 = f"{_GR}/ec2-service.html"
EKS = f"{_GR}/eks.html"
ELB = f"{_GR}/elb.html"
EFS = f"{_GR}/elasticfilesystem.html"
EBS = "https://docs.aws.amazon.com/rosa/latest/userguide/service-quotas-rosa.html"
IAM = f"{_GR}/iam-service.html"
EVENTS = f"{_GR}/ev.html"
UNVERIFIED = "UNVERIFIED"


@dataclass(frozen=True)
class ServiceQuota:
    """One quota of Service Quotas.

    Attributes:
        service: service code, such as `ec2`.
        code: quota code, such as `L-1216C47A`.
        default: value of a new account; EventBridge's is 100 in af-south-1 and eu-south-1.
        unit: `vCPUs`, `TiB`; empty for a number of resources.
        family, purchase: instance family and purchase option, for vCPUs.
        each: the scope, if it is not the Region: `zone`, `VPC`, …
        worldwide: whether the quota is in the partition's home Region (IAM).
        source: source of code and default, or `UNVERIFIED`.
    """

    service: str
    code: str
    name: str
    default: float
    source: str
    unit: str = ""
    family: QuotaFamily | None = field(default=None, kw_only=True)
    purchase: Purchase | None = field(default=None, kw_only=True)
    each: str = field(default="", kw_only=True)
    worldwide: bool = field(default=False, kw_only=True)


def _vcpus(
    code: str, name: str, family: QuotaFamily, purchase: Purchase, default: float = 0
) -> ServiceQuota:
    source = INSTANCES if purchase == "on-demand" else SPOT
    return ServiceQuota(
        "ec2", code, name, default, source, "vCPUs", family=family, purchase=purchase
    )


_STANDARD = "Standard (A, C, D, H, I, M, R, T, Z)"

_INSTANCES = (
    _vcpus("L-1216C47A", f"Running On-Demand {_STANDARD} instances", "Standard", "on-demand", 5),
    _vcpus("L-DB2E81BA", "Running On-Demand G and VT instances", "G and VT", "on-demand"),
    _vcpus("L-417A185B", "Running On-Demand P instances", "P", "on-demand"),
    _vcpus("L-1945791B", "Running On-Demand Inf instances", "Inf", "on-demand"),
    _vcpus("L-2C3B7624", "Running On-Demand Trn instances", "Trn", "on-demand"),
    _vcpus("L-6E869C2A", "Running On-Demand DL instances", "DL", "on-demand"),
    _vcpus("L-74FC7D96", "Running On-Demand F instances", "F", "on-demand"),
    _vcpus("L-7295265B", "Running On-Demand X instances", "X", "on-demand"),
    _vcpus("L-F7808C92", "Running On-Demand HPC instances", "HPC", "on-demand"),
    _vcpus("L-43DA4232", "Running On-Demand High Memory instances", "High Memory", "on-demand"),
    _vcpus("L-34B43A08", f"All {_STANDARD} Spot Instance Requests", "Standard", "spot", 5),
    _vcpus("L-3819A6DF", "All G and VT Spot Instance Requests", "G and VT", "spot"),
    # Named "All P4, P3 and P2 Spot Instance Requests" where the P5 quota is still listed.
    _vcpus("L-7212CCBC", "All P Spot Instance Requests", "P", "spot"),
    _vcpus("L-C4BD4855", "All P5 Spot Instance Requests", "P5", "spot"),
    _vcpus("L-B5D1601B", "All Inf Spot Instance Requests", "Inf", "spot"),
    _vcpus("L-6B0D517C", "All Trn Spot Instance Requests", "Trn", "spot"),
    _vcpus("L-85EED4F7", "All DL Spot Instance Requests", "DL", "spot"),
    _vcpus("L-88CF9481", "All F Spot Instance Requests", "F", "spot"),
    _vcpus("L-E3A00192", "All X Spot Instance Requests", "X", "spot"),
)

# family: quota per account, quota per organization, source
_BLOCKS = {
    "p4d": ("L-2C8F52B3", "L-B67430DE", INSTANCES),
    "p4de": ("L-CFF3E941", "L-9AC70153", UNVERIFIED),
    "p5": ("L-DA6814F2", "L-8131B2C6", INSTANCES),
    "p5e": ("L-C45F30BC", "L-AD1D1866", INSTANCES),
    "p5en": ("L-4F9BB70B", "L-7EA86503", INSTANCES),
    "p6-b200": ("L-8B23CEF3", "", UNVERIFIED),
    "p6-b300": ("L-9C38E5AB", "", UNVERIFIED),
    "trn1": ("L-2E30FD7D", "L-C4947F9A", INSTANCES),
    "trn2": ("L-64569A79", "L-24E8B4C0", INSTANCES),
}


def _block(family: str, code: str, source: str, per: str) -> ServiceQuota:
    name = f"Concurrent {family.capitalize()} Capacity Blocks per {per}"
    return ServiceQuota("ec2", code, name, 0, source, "vCPUs", each=per)


CAPACITY_BLOCKS: dict[str, ServiceQuota] = {
    family: _block(family, account, source, "account")
    for family, (account, _, source) in _BLOCKS.items()
}
"""By instance family: vCPUs of concurrently active Capacity Blocks of this account."""

_ORGANIZATION = tuple(
    _block(family, organization, source, "organization")
    for family, (_, organization, source) in _BLOCKS.items()
    if organization
)

ELASTIC_IPS = ServiceQuota("ec2", "L-0263D0A3", "EC2-VPC Elastic IPs", 5, EC2)
VPCS = ServiceQuota("vpc", "L-F678F1CE", "VPCs per Region", 5, VPC)
NAT_GATEWAYS = ServiceQuota(
    "vpc", "L-FE5A380F", "NAT gateways per Availability Zone", 5, VPC, each="zone"
)
INTERNET_GATEWAYS = ServiceQuota("vpc", "L-A4707A72", "Internet gateways per Region", 5, VPC)
CIDR_BLOCKS = ServiceQuota("vpc", "L-83CA0A9D", "IPv4 CIDR blocks per VPC", 5, VPC, each="VPC")
SUBNETS = ServiceQuota("vpc", "L-407747CB", "Subnets per VPC", 200, VPC, each="VPC")
SECURITY_GROUPS = ServiceQuota("vpc", "L-E79EC296", "VPC security groups per Region", 2500, VPC)
SECURITY_GROUP_RULES = ServiceQuota(
    "vpc",
    "L-0EA8095F",
    "Inbound or outbound rules per security group",
    60,
    VPC,
    each="security group",
)
GROUPS_PER_INTERFACE = ServiceQuota(
    "vpc",
    "L-2AFB9258",
    "Security groups per network interface",
    5,
    VPC,
    each="network interface",
)
NETWORK_INTERFACES = ServiceQuota("vpc", "L-DF5E4CA3", "Network interfaces per Region", 5000, VPC)
CLUSTERS = ServiceQuota("eks", "L-1194D53C", "Clusters", 100, EKS)
NODE_GROUPS = ServiceQuota(
    "eks", "L-6D54EA21", "Managed node groups per cluster", 30, EKS, each="cluster"
)
NODES = ServiceQuota(
    "eks", "L-BD136A63", "Nodes per managed node group", 450, EKS, each="node group"
)
NLBS = ServiceQuota(
    "elasticloadbalancing", "L-69A177A2", "Network Load Balancers per Region", 50, ELB
)
ALBS = ServiceQuota(
    "elasticloadbalancing", "L-53DA6B97", "Application Load Balancers per Region", 50, ELB
)
FILE_SYSTEMS = ServiceQuota(
    "elasticfilesystem", "L-848C634D", "File systems per account", 1000, EFS
)
GP3_TIB = ServiceQuota(
    "ebs", "L-7A658B76", "Storage for General Purpose SSD (gp3) volumes, in TiB", 50, EBS, "TiB"
)
ROLES = ServiceQuota("iam", "L-FE177D64", "Roles per account", 1000, IAM, worldwide=True)
OIDC_PROVIDERS = ServiceQuota(
    "iam", "L-858F3967", "OpenId connect providers per account", 100, IAM, worldwide=True
)
POLICIES_PER_ROLE = ServiceQuota(
    "iam", "L-0DA4ABF3", "Managed policies per role", 10, IAM, each="role", worldwide=True
)
EVENT_RULES = ServiceQuota("events", "L-244521F2", "Number of rules", 300, EVENTS, each="event bus")

QUOTAS: dict[str, ServiceQuota] = {
    quota.code: quota
    for quota in (
        *_INSTANCES,
        *CAPACITY_BLOCKS.values(),
        *_ORGANIZATION,
        ELASTIC_IPS,
        VPCS,
        NAT_GATEWAYS,
        INTERNET_GATEWAYS,
        CIDR_BLOCKS,
        SUBNETS,
        SECURITY_GROUPS,
        SECURITY_GROUP_RULES,
        GROUPS_PER_INTERFACE,
        NETWORK_INTERFACES,
        CLUSTERS,
        NODE_GROUPS,
        NODES,
        NLBS,
        ALBS,
        FILE_SYSTEMS,
        GP3_TIB,
        ROLES,
        OIDC_PROVIDERS,
        POLICIES_PER_ROLE,
        EVENT_RULES,
    )
}
"""By code."""

P5_SPOT = QUOTAS["L-C4BD4855"]
"""The older quota for Spot P5 instances; not every Region lists it."""

_VCPUS = {(quota.family, quota.purchase): quota for quota in _INSTANCES}


def vcpu_quota(family: QuotaFamily, purchase: Purchase) -> ServiceQuota | None:
    """Return the quota of a family's vCPUs; None if AWS has none (Spot HPC and High Memory)."""
    return _VCPUS.get((family, purchase))
