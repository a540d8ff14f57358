"""Quotas that decide whether a JARK cluster fits into an account, as Service Quotas lists them.

Codes, names and defaults are in `catalog/facts/quotas.yaml` with their sources; the dimensions of
AWS/Usage come from listings of real accounts. The profiles `workshop` and `half-used` are
an account with quotas for GPUs and Neuron; `no-gpu-quota` has none for accelerators;
`fresh-account` has only the defaults.
"""

from __future__ import annotations

from typing import NamedTuple

from jarkkit.catalog import facts

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

# By code: the vCPUs of a prepared account (None: the default), and their class in AWS/Usage.
_FAMILIES: dict[str, tuple[float | None, str]] = {
    "L-1216C47A": (256, "Standard/OnDemand"),
    "L-34B43A08": (256, "Standard/Spot"),
    "L-DB2E81BA": (64, "G/OnDemand"),
    "L-3819A6DF": (64, "G/Spot"),
    "L-417A185B": (192, "P/OnDemand"),
    P_SPOT: (None, "P/Spot"),
    P5_SPOT: (None, "P5/Spot"),
    "L-1945791B": (64, "Inf/OnDemand"),
    "L-B5D1601B": (64, "Inf/Spot"),
    "L-2C3B7624": (256, "Trn/OnDemand"),
    "L-6B0D517C": (128, "Trn/Spot"),
    "L-6E869C2A": (None, "DL/OnDemand"),
    "L-85EED4F7": (None, "DL/Spot"),
    "L-74FC7D96": (None, "F/OnDemand"),
    "L-88CF9481": (None, "F/Spot"),
    "L-7295265B": (None, "X/OnDemand"),
    "L-E3A00192": (None, "X/Spot"),
    "L-F7808C92": (None, "HPC/OnDemand"),
    "L-43DA4232": (None, "HighMem/OnDemand"),
}

# By code: the vCPUs of Capacity Blocks of a prepared account, and of its organization.
_CAPACITY_BLOCKS: dict[str, float] = {
    **dict.fromkeys(("L-2C8F52B3", "L-B67430DE"), 192),
    **dict.fromkeys(("L-CFF3E941", "L-9AC70153"), 0),
    **dict.fromkeys(("L-DA6814F2", "L-8131B2C6"), 384),
    **dict.fromkeys(("L-C45F30BC", "L-AD1D1866"), 0),
    **dict.fromkeys(("L-4F9BB70B", "L-7EA86503"), 384),
    **dict.fromkeys(("L-2E30FD7D", "L-C4947F9A"), 256),
    **dict.fromkeys(("L-64569A79", "L-24E8B4C0"), 384),
}

# Of the control plane's security groups, and CIDR ranges of the public endpoint.
_FIXED = ("L-11427A54", "L-93A74D60")
# Capacity Blocks of P6: no account was seen that lists them.
_NOT_LISTED = ("L-8B23CEF3", "L-9C38E5AB")


def _listed(code: str, quota: facts.QuotaDefault) -> ListedQuota:
    prepared, usage = _FAMILIES.get(code, (_CAPACITY_BLOCKS.get(code), ""))
    return ListedQuota(
        quota.name,
        quota.default,
        prepared,
        usage,
        adjustable=code not in _FIXED,
        is_global=quota.service == "iam",
        regions=SEPARATE_P5_QUOTA_REGIONS if code == P5_SPOT else (),
    )


QUOTAS: dict[str, dict[str, ListedQuota]] = {
    service: {
        code: _listed(code, quota)
        for code, quota in facts.quotas().items()
        if quota.service == service and code not in _NOT_LISTED
    }
    for service in SERVICES
}

_WITHOUT_ACCELERATORS = ("Standard/", "X/", "HPC/", "HighMem/")

# The EC2 quotas of instances with accelerators.
ACCELERATORS = frozenset(
    code for code, (_, usage) in _FAMILIES.items() if not usage.startswith(_WITHOUT_ACCELERATORS)
) | frozenset(_CAPACITY_BLOCKS)


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
