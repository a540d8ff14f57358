"""Quotas that decide whether a JARK cluster fits into an account, as Service Quotas lists them.

Codes, names and defaults come from "Amazon EC2 instance type quotas" in the EC2 user guide and from
the endpoints-and-quotas page of each service in the AWS General Reference, read 2026-11; the
dimensions of AWS/Usage from listings of real accounts. The profiles `workshop` and `half-used` are
an account with quotas for GPUs and Neuron; `no-gpu-quota` has none for accelerators;
`fresh-account` has only the defaults.
"""

from __future__ import annotations

from typing import NamedTuple

GLOBAL_REGION = "us-east-1"


class ListedQuota(NamedTuple):
    """A quota.

    Attributes:
        default: the value in a new account.
        prepared: the value applied in a prepared account; None means the default.
        usage: the dimension `Class` of AWS/Usage that counts its vCPUs; empty if there is none.
        regions: the Regions that list it; empty means all.
    """

    name: str
    default: float
    prepared: float | None = None
    usage: str = ""
    adjustable: bool = True
    is_global: bool = False
    regions: tuple[str, ...] = ()

    def is_listed_in(self, region: str) -> bool:
        """Return True where Service Quotas lists it. One Region alone lists global quotas."""
        if self.is_global:
            return region == GLOBAL_REGION
        return not self.regions or region in self.regions


SERVICES: dict[str, str] = {
    "ec2": "Amazon Elastic Compute Cloud (Amazon EC2)",
    "vpc": "Amazon Virtual Private Cloud (Amazon VPC)",
    "ebs": "Amazon Elastic Block Store (Amazon EBS)",
    "eks": "Amazon Elastic Kubernetes Service (Amazon EKS)",
    "elasticloadbalancing": "Elastic Load Balancing (ELB)",
    "elasticfilesystem": "Amazon Elastic File System (EFS)",
    "iam": "AWS Identity and Access Management (IAM)",
    "events": "Amazon EventBridge (CloudWatch Events)",
}

# AWS is merging the two quotas of Spot P instances into one. It does not document which Regions
# still list both, so here some do.
SEPARATE_P5_QUOTA_REGIONS = ("us-east-2", "ap-northeast-1", "eu-north-1")
P_SPOT, P5_SPOT = "L-7212CCBC", "L-C4BD4855"
P_SPOT_FORMER_NAME = "All P4, P3 and P2 Spot Instance Requests"

_FAMILIES: dict[str, ListedQuota] = {
    "L-1216C47A": ListedQuota(
        "Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances",
        5, 256, "Standard/OnDemand",
    ),
    "L-34B43A08": ListedQuota(
        "All Standard (A, C, D, H, I, M, R, T, Z) Spot Instance Requests", 5, 256, "Standard/Spot"
    ),
    "L-DB2E81BA": ListedQuota("Running On-Demand G and VT instances", 0, 64, "G/OnDemand"),
    "L-3819A6DF": ListedQuota("All G and VT Spot Instance Requests", 0, 64, "G/Spot"),
    "L-417A185B": ListedQuota("Running On-Demand P instances", 0, 192, "P/OnDemand"),
    P_SPOT: ListedQuota("All P Spot Instance Requests", 0, usage="P/Spot"),
    P5_SPOT: ListedQuota(
        "All P5 Spot Instance Requests", 0, usage="P5/Spot", regions=SEPARATE_P5_QUOTA_REGIONS
    ),
    "L-1945791B": ListedQuota("Running On-Demand Inf instances", 0, 64, "Inf/OnDemand"),
    "L-B5D1601B": ListedQuota("All Inf Spot Instance Requests", 0, 64, "Inf/Spot"),
    "L-2C3B7624": ListedQuota("Running On-Demand Trn instances", 0, 256, "Trn/OnDemand"),
    "L-6B0D517C": ListedQuota("All Trn Spot Instance Requests", 0, 128, "Trn/Spot"),
    "L-6E869C2A": ListedQuota("Running On-Demand DL instances", 0, usage="DL/OnDemand"),
    "L-85EED4F7": ListedQuota("All DL Spot Instance Requests", 0, usage="DL/Spot"),
    "L-74FC7D96": ListedQuota("Running On-Demand F instances", 0, usage="F/OnDemand"),
    "L-88CF9481": ListedQuota("All F Spot Instance Requests", 0, usage="F/Spot"),
    "L-7295265B": ListedQuota("Running On-Demand X instances", 0, usage="X/OnDemand"),
    "L-E3A00192": ListedQuota("All X Spot Instance Requests", 0, usage="X/Spot"),
    "L-F7808C92": ListedQuota("Running On-Demand HPC instances", 0, usage="HPC/OnDemand"),
    "L-43DA4232": ListedQuota(
        "Running On-Demand High Memory instances", 0, usage="HighMem/OnDemand"
    ),
}  # fmt: skip

# Quota codes per account and per organization, and the prepared value.
_CAPACITY_BLOCKS: dict[str, tuple[str, str, float]] = {
    "P4d": ("L-2C8F52B3", "L-B67430DE", 192),
    "P4de": ("L-CFF3E941", "L-9AC70153", 0),
    "P5": ("L-DA6814F2", "L-8131B2C6", 384),
    "P5e": ("L-C45F30BC", "L-AD1D1866", 0),
    "P5en": ("L-4F9BB70B", "L-7EA86503", 384),
    "Trn1": ("L-2E30FD7D", "L-C4947F9A", 256),
    "Trn2": ("L-64569A79", "L-24E8B4C0", 384),
}


def _blocks() -> dict[str, ListedQuota]:
    found = {}
    for kind, (account, organization, prepared) in _CAPACITY_BLOCKS.items():
        name = f"Concurrent {kind} Capacity Blocks per"
        found[account] = ListedQuota(f"{name} account", 0, prepared)
        found[organization] = ListedQuota(f"{name} organization", 0, prepared)
    return found


QUOTAS: dict[str, dict[str, ListedQuota]] = {
    "ec2": {
        **_FAMILIES,
        **_blocks(),
        "L-0263D0A3": ListedQuota("EC2-VPC Elastic IPs", 5),
    },
    "vpc": {
        "L-F678F1CE": ListedQuota("VPCs per Region", 5),
        "L-FE5A380F": ListedQuota("NAT gateways per Availability Zone", 5),
        "L-A4707A72": ListedQuota("Internet gateways per Region", 5),
        "L-83CA0A9D": ListedQuota("IPv4 CIDR blocks per VPC", 5),
        "L-E79EC296": ListedQuota("VPC security groups per Region", 2500),
        "L-DF5E4CA3": ListedQuota("Network interfaces per Region", 5000),
        "L-407747CB": ListedQuota("Subnets per VPC", 200),
        "L-589F43AA": ListedQuota("Route tables per VPC", 200),
        "L-93826ACB": ListedQuota("Routes per route table", 50),
        "L-0EA8095F": ListedQuota("Inbound or outbound rules per security group", 60),
        "L-2AFB9258": ListedQuota("Security groups per network interface", 5),
    },
    "ebs": {
        "L-7A658B76": ListedQuota("Storage for General Purpose SSD (gp3) volumes, in TiB", 50),
        "L-D18FCD1D": ListedQuota("Storage for General Purpose SSD (gp2) volumes, in TiB", 50),
    },
    "eks": {
        "L-1194D53C": ListedQuota("Clusters", 100),
        "L-6D54EA21": ListedQuota("Managed node groups per cluster", 30),
        "L-BD136A63": ListedQuota("Nodes per managed node group", 450),
        "L-11427A54": ListedQuota("Control plane security groups per cluster", 4, adjustable=False),
        "L-93A74D60": ListedQuota(
            "Public endpoint access CIDR ranges per cluster", 40, adjustable=False
        ),
    },
    "elasticloadbalancing": {
        "L-53DA6B97": ListedQuota("Application Load Balancers per Region", 50),
        "L-69A177A2": ListedQuota("Network Load Balancers per Region", 50),
        "L-E9E9831D": ListedQuota("Classic Load Balancers per Region", 20),
        "L-B22855CB": ListedQuota("Target Groups per Region", 3000),
    },
    "elasticfilesystem": {
        "L-848C634D": ListedQuota("File systems per account", 1000),
    },
    "iam": {
        "L-FE177D64": ListedQuota("Roles per account", 1000, is_global=True),
        "L-858F3967": ListedQuota("OpenId connect providers per account", 100, is_global=True),
        "L-0DA4ABF3": ListedQuota("Managed policies per role", 10, is_global=True),
        "L-E95E4862": ListedQuota("Customer managed policies per account", 1500, is_global=True),
        "L-6E65F259": ListedQuota("Instance profiles per account", 1000, is_global=True),
    },
    "events": {"L-244521F2": ListedQuota("Number of rules", 300)},
}

_WITHOUT_ACCELERATORS = ("Standard/", "X/", "HPC/", "HighMem/")

# The EC2 quotas of instances with accelerators.
ACCELERATORS = frozenset(
    code for code, quota in _FAMILIES.items() if not quota.usage.startswith(_WITHOUT_ACCELERATORS)
) | frozenset(_blocks())


def quotas_of(service: str, region: str) -> dict[str, ListedQuota]:
    """Return the quotas of a service that a Region lists, by code; empty for unknown services."""
    listed = {c: q for c, q in QUOTAS.get(service, {}).items() if q.is_listed_in(region)}
    if P5_SPOT in listed:
        listed[P_SPOT] = listed[P_SPOT]._replace(name=P_SPOT_FORMER_NAME)
    return listed


def usage_dimensions(usage: str) -> dict[str, str]:
    """Return the dimensions of AWS/Usage for the vCPUs of a class."""
    return {"Class": usage, "Resource": "vCPU", "Service": "EC2", "Type": "Resource"}


def applied(profile: str, code: str, quota: ListedQuota) -> float | None:
    """Return the value that AWS applied to the account; None if it never applied one."""
    if profile == "fresh-account":
        return None
    if profile == "no-gpu-quota" and code in ACCELERATORS:
        return 0.0
    return quota.default if quota.prepared is None else quota.prepared
