"""The service quotas that can block a deployment. Pure.

Names, defaults and their sources are in `catalog/facts/quotas.yaml`. jarkkit reads the applied
values from the account; a default is only the value of a new account. `UNVERIFIED` marks codes that
no AWS document contains.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from jarkkit.catalog import facts
from jarkkit.decisions.node_demand import Purchase
from jarkkit.decisions.quotas.families import QuotaFamily

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


def _quota(code: str, unit: str = "", **scope: Any) -> ServiceQuota:
    known = facts.quotas()[code]
    where = facts.sources("quotas")[known.source].where
    return ServiceQuota(known.service, code, known.name, known.default, where, unit, **scope)


def _vcpus(code: str, family: QuotaFamily, purchase: Purchase) -> ServiceQuota:
    return _quota(code, "vCPUs", family=family, purchase=purchase)


_INSTANCES = (
    _vcpus("L-1216C47A", "Standard", "on-demand"),
    _vcpus("L-DB2E81BA", "G and VT", "on-demand"),
    _vcpus("L-417A185B", "P", "on-demand"),
    _vcpus("L-1945791B", "Inf", "on-demand"),
    _vcpus("L-2C3B7624", "Trn", "on-demand"),
    _vcpus("L-6E869C2A", "DL", "on-demand"),
    _vcpus("L-74FC7D96", "F", "on-demand"),
    _vcpus("L-7295265B", "X", "on-demand"),
    _vcpus("L-F7808C92", "HPC", "on-demand"),
    _vcpus("L-43DA4232", "High Memory", "on-demand"),
    _vcpus("L-34B43A08", "Standard", "spot"),
    _vcpus("L-3819A6DF", "G and VT", "spot"),
    # Named "All P4, P3 and P2 Spot Instance Requests" where the P5 quota is still listed.
    _vcpus("L-7212CCBC", "P", "spot"),
    _vcpus("L-C4BD4855", "P5", "spot"),
    _vcpus("L-B5D1601B", "Inf", "spot"),
    _vcpus("L-6B0D517C", "Trn", "spot"),
    _vcpus("L-85EED4F7", "DL", "spot"),
    _vcpus("L-88CF9481", "F", "spot"),
    _vcpus("L-E3A00192", "X", "spot"),
)

# By family: the quota of an account, and that of an organization.
_BLOCKS = {
    "p4d": ("L-2C8F52B3", "L-B67430DE"),
    "p4de": ("L-CFF3E941", "L-9AC70153"),
    "p5": ("L-DA6814F2", "L-8131B2C6"),
    "p5e": ("L-C45F30BC", "L-AD1D1866"),
    "p5en": ("L-4F9BB70B", "L-7EA86503"),
    "p6-b200": ("L-8B23CEF3", ""),
    "p6-b300": ("L-9C38E5AB", ""),
    "trn1": ("L-2E30FD7D", "L-C4947F9A"),
    "trn2": ("L-64569A79", "L-24E8B4C0"),
}

CAPACITY_BLOCKS: dict[str, ServiceQuota] = {
    family: _quota(account, "vCPUs", each="account") for family, (account, _) in _BLOCKS.items()
}
"""By instance family: vCPUs of concurrently active Capacity Blocks of this account."""

_ORGANIZATION = tuple(
    _quota(organization, "vCPUs", each="organization")
    for _, organization in _BLOCKS.values()
    if organization
)

ELASTIC_IPS = _quota("L-0263D0A3")
VPCS = _quota("L-F678F1CE")
NAT_GATEWAYS = _quota("L-FE5A380F", each="zone")
INTERNET_GATEWAYS = _quota("L-A4707A72")
CIDR_BLOCKS = _quota("L-83CA0A9D", each="VPC")
SUBNETS = _quota("L-407747CB", each="VPC")
SECURITY_GROUPS = _quota("L-E79EC296")
SECURITY_GROUP_RULES = _quota("L-0EA8095F", each="security group")
GROUPS_PER_INTERFACE = _quota("L-2AFB9258", each="network interface")
NETWORK_INTERFACES = _quota("L-DF5E4CA3")
CLUSTERS = _quota("L-1194D53C")
NODE_GROUPS = _quota("L-6D54EA21", each="cluster")
NODES = _quota("L-BD136A63", each="node group")
NLBS = _quota("L-69A177A2")
ALBS = _quota("L-53DA6B97")
FILE_SYSTEMS = _quota("L-848C634D")
GP3_TIB = _quota("L-7A658B76", "TiB")
ROLES = _quota("L-FE177D64", worldwide=True)
OIDC_PROVIDERS = _quota("L-858F3967", worldwide=True)
POLICIES_PER_ROLE = _quota("L-0DA4ABF3", each="role", worldwide=True)
EVENT_RULES = _quota("L-244521F2", each="event bus")

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
