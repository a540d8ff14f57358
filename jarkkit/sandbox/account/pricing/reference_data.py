"""Names in the price list: usage types, variants of an instance, free tiers.

From AWS' offer files, read 2026-11.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any

# Prefixes of usage types; us-east-1 has none.
REGIONS: dict[str, str] = {
    "us-east-1": "", "us-east-2": "USE2", "us-west-1": "USW1", "us-west-2": "USW2",
    "ca-central-1": "CAN1", "sa-east-1": "SAE1", "eu-central-1": "EUC1", "eu-west-1": "EU",
    "eu-west-2": "EUW2", "eu-west-3": "EUW3", "eu-north-1": "EUN1", "ap-south-1": "APS3",
    "ap-northeast-1": "APN1", "ap-northeast-2": "APN2", "ap-northeast-3": "APN3",
    "ap-southeast-1": "APS1", "ap-southeast-2": "APS2",
}  # fmt: skip


@dataclass(frozen=True)
class PricedProduct:
    """A product other than an instance.

    Attributes:
        key: key of its price in jarkkit's price table.
        scale: how many units of the price list the table's price covers.
        free: how many units per month are free.
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
    PricedProduct("eks-standard", "AmazonEKS", "AmazonEKS-Hours:perCluster", "Compute"),
    PricedProduct("eks-extended", "AmazonEKS", "AmazonEKS-Hours:extendedSupport", "Compute"),
    PricedProduct("nat-hour", "AmazonEC2", "NatGateway-Hours", "NAT Gateway", _NAT),
    PricedProduct("nat-gb", "AmazonEC2", "NatGateway-Bytes", "NAT Gateway", _NAT),
    PricedProduct("ipv4", "AmazonVPC", "PublicIPv4:InUseAddress", ""),
    PricedProduct("ipv4", "AmazonVPC", "PublicIPv4:IdleAddress", ""),
    PricedProduct("nlb-hour", "AWSELB", "LoadBalancerUsage", "Load Balancer-Network", _NETWORK),
    PricedProduct("nlb-lcu", "AWSELB", "LCUUsage", "Load Balancer-Network", _NETWORK),
    PricedProduct(
        "alb-hour", "AWSELB", "LoadBalancerUsage", "Load Balancer-Application", _APPLICATION
    ),
    PricedProduct("alb-lcu", "AWSELB", "LCUUsage", "Load Balancer-Application", _APPLICATION),
    PricedProduct(
        "clb-hour", "AWSELB", "LoadBalancerUsage", "Load Balancer", {"operation": "LoadBalancing"}
    ),
    PricedProduct("endpoint-hour", "AmazonVPC", "VpcEndpoint-Hours", "VpcEndpoint"),
    PricedProduct("snapshot", "AmazonEC2", "EBS:SnapshotUsage", "Storage Snapshot"),
    PricedProduct("gp3", "AmazonEC2", "EBS:VolumeUsage.gp3", "Storage", {"volumeApiName": "gp3"}),
    PricedProduct("efs", "AmazonEFS", "TimedStorage-ByteHrs", "Storage"),
    PricedProduct("efs", "AmazonEFS", "TimedStorage-Z-ByteHrs", "Storage"),
    PricedProduct("logs-gb", "AmazonCloudWatch", "DataProcessing-Bytes", "Data Payload"),
    PricedProduct("logs-gb", "AmazonCloudWatch", "VendedLog-Bytes", "Data Payload"),
    PricedProduct("logs-stored", "AmazonCloudWatch", "TimedStorage-ByteHrs", "Storage Snapshot"),
    PricedProduct("insights", "AmazonCloudWatch", "CW:ObservationUsage", "Metric", scale=1e6),
    PricedProduct(
        "prometheus", "AmazonPrometheus", "AMP:MetricSampleCount", "", scale=1e6, free=4e7
    ),
    PricedProduct("kms-key", "awskms", "KMS-Keys", "Encryption Key"),
    PricedProduct("s3", "AmazonS3", "TimedStorage-ByteHrs", "Storage"),
)

INSTANCE_ATTRIBUTES = {
    "operatingSystem": "Linux",
    "tenancy": "Shared",
    "preInstalledSw": "NA",
    "capacitystatus": "Used",
    "licenseModel": "No License required",
    "operation": "RunInstances",
    "marketoption": "OnDemand",
}
# Other ways to buy the same instance, with the price factor of each. An instance that a reservation
# pays for costs nothing when it runs.
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
def price_table() -> dict[str, Any]:
    """Return jarkkit's own price table."""
    text = (resources.files("jarkkit.catalog") / "prices.json").read_text(encoding="utf-8")
    return dict(json.loads(text))


def services() -> list[str]:
    """Return the service codes."""
    return sorted({"AmazonEC2", *(item.service for item in ITEMS)})


def usage_type(region: str, name: str) -> str:
    """Return the usage type in a Region."""
    prefix = REGIONS[region]
    return f"{prefix}-{name}" if prefix else name


def instances(region: str) -> Iterator[tuple[str, float]]:
    """Yield the instance types of a Region with their price, USD per hour."""
    for kind, usd in price_table()["instances"].items():
        if region in usd:
            yield kind, usd[region]
    for family, usd in price_table()["per_vcpu"].items():
        for size, vcpus in _SIZES.items():
            if region in usd:
                yield f"{family}.{size}", usd[region] * vcpus
