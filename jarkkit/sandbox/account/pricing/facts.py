"""How the price list names things: usage types, variants of one instance, what is free.

As in AWS' offer files, read 2026-11.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any

# What usage types begin with; nothing in us-east-1.
REGIONS: dict[str, str] = {
    "us-east-1": "", "us-east-2": "USE2", "us-west-1": "USW1", "us-west-2": "USW2",
    "ca-central-1": "CAN1", "sa-east-1": "SAE1", "eu-central-1": "EUC1", "eu-west-1": "EU",
    "eu-west-2": "EUW2", "eu-west-3": "EUW3", "eu-north-1": "EUN1", "ap-south-1": "APS3",
    "ap-northeast-1": "APN1", "ap-northeast-2": "APN2", "ap-northeast-3": "APN3",
    "ap-southeast-1": "APS1", "ap-southeast-2": "APS2",
}  # fmt: skip


@dataclass(frozen=True)
class Item:
    """One product that is no instance.

    Attributes:
        key: of its price in the kit's table.
        scale: how many of the list's units the table's price is for.
        free: so many units of a month cost nothing.
    """

    key: str
    service: str
    usage: str
    family: str
    more: Mapping[str, str] = field(default_factory=dict)
    scale: float = 1.0
    free: float = 0.0


_NETWORK = {"operation": "LoadBalancing:Network"}
_APPLICATION = {"operation": "LoadBalancing:Application"}
_NAT = {"operation": "NatGateway"}

ITEMS = (
    Item("eks-standard", "AmazonEKS", "AmazonEKS-Hours:perCluster", "Compute"),
    Item("eks-extended", "AmazonEKS", "AmazonEKS-Hours:extendedSupport", "Compute"),
    Item("nat-hour", "AmazonEC2", "NatGateway-Hours", "NAT Gateway", _NAT),
    Item("nat-gb", "AmazonEC2", "NatGateway-Bytes", "NAT Gateway", _NAT),
    Item("ipv4", "AmazonVPC", "PublicIPv4:InUseAddress", ""),
    Item("ipv4", "AmazonVPC", "PublicIPv4:IdleAddress", ""),
    Item("nlb-hour", "AWSELB", "LoadBalancerUsage", "Load Balancer-Network", _NETWORK),
    Item("nlb-lcu", "AWSELB", "LCUUsage", "Load Balancer-Network", _NETWORK),
    Item("alb-hour", "AWSELB", "LoadBalancerUsage", "Load Balancer-Application", _APPLICATION),
    Item("alb-lcu", "AWSELB", "LCUUsage", "Load Balancer-Application", _APPLICATION),
    Item("gp3", "AmazonEC2", "EBS:VolumeUsage.gp3", "Storage", {"volumeApiName": "gp3"}),
    Item("efs", "AmazonEFS", "TimedStorage-ByteHrs", "Storage"),
    Item("efs", "AmazonEFS", "TimedStorage-Z-ByteHrs", "Storage"),
    Item("logs-gb", "AmazonCloudWatch", "DataProcessing-Bytes", "Data Payload"),
    Item("logs-gb", "AmazonCloudWatch", "VendedLog-Bytes", "Data Payload"),
    Item("logs-stored", "AmazonCloudWatch", "TimedStorage-ByteHrs", "Storage Snapshot"),
    Item("insights", "AmazonCloudWatch", "CW:ObservationUsage", "Metric", scale=1e6),
    Item("prometheus", "AmazonPrometheus", "AMP:MetricSampleCount", "", scale=1e6, free=4e7),
    Item("kms-key", "awskms", "KMS-Keys", "Encryption Key"),
    Item("s3", "AmazonS3", "TimedStorage-ByteHrs", "Storage"),
)

INSTANCE = {
    "operatingSystem": "Linux",
    "tenancy": "Shared",
    "preInstalledSw": "NA",
    "capacitystatus": "Used",
    "licenseModel": "No License required",
    "operation": "RunInstances",
    "marketoption": "OnDemand",
}
# The same instance bought otherwise, and by how much that is dearer. One that is paid by a
# reservation costs nothing when it runs.
VARIANTS: tuple[tuple[dict[str, str], float], ...] = (
    ({}, 1.0),
    ({"tenancy": "Dedicated", "usage": "DedicatedUsage"}, 1.06),
    ({"operatingSystem": "Windows"}, 1.9),
    ({"operatingSystem": "Linux", "preInstalledSw": "SQL Web"}, 1.4),
    ({"capacitystatus": "UnusedCapacityReservation", "usage": "UnusedBox"}, 1.0),
    ({"capacitystatus": "AllocatedCapacityReservation", "usage": "Reservation"}, 0.0),
)
_SIZES = {"large": 2, "xlarge": 4, "2xlarge": 8, "4xlarge": 16, "8xlarge": 32}


@cache
def figures() -> dict[str, Any]:
    """The kit's own table."""
    text = (resources.files("jarkkit.costs") / "prices.json").read_text(encoding="utf-8")
    return dict(json.loads(text))


def services() -> list[str]:
    """Their codes."""
    return sorted({"AmazonEC2", *(item.service for item in ITEMS)})


def usage(region: str, name: str) -> str:
    """A usage type in a Region."""
    prefix = REGIONS[region]
    return f"{prefix}-{name}" if prefix else name


def instances(region: str) -> Iterator[tuple[str, float]]:
    """The instance types of a Region with their price, USD per hour."""
    for kind, usd in figures()["instances"].items():
        if region in usd:
            yield kind, usd[region]
    for family, usd in figures()["per_vcpu"].items():
        for size, vcpus in _SIZES.items():
            if region in usd:
                yield f"{family}.{size}", usd[region] * vcpus
