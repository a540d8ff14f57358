"""Instance prices per hour: precise enough to rank types, not to plan a budget.

On-Demand, Linux, us-east-1, in USD, from jarkkit's price table. Types that are not in it have AWS'
list price of 2026-07-20 (rounded); general families have a price per vCPU, because AWS' prices grow
with the vCPUs there. Launches, Spot and Capacity Blocks cost the same in every Region here; on AWS,
and in the price list, Regions differ by up to half.
"""

from __future__ import annotations

import hashlib
from typing import Any

from moto.ec2.models.instance_types import INSTANCE_TYPES

from jarkkit.sandbox.account.pricing.reference_data import price_table

_REGION = "us-east-1"
_TYPES: dict[str, float] = {
    "p4de.24xlarge": 27.45, "p6-b300.48xlarge": 142.42, "trn1n.32xlarge": 24.78,
}  # fmt: skip

# Per vCPU.
_FAMILIES: dict[str, float] = {
    "c6g": 0.034, "c7g": 0.0363, "c8g": 0.0399, "c8i": 0.0469,
    "m6g": 0.0385, "m7g": 0.0408, "m8g": 0.0449, "m8i": 0.0529,
    "r6g": 0.0504, "r7g": 0.0536, "r8g": 0.0589, "r8i": 0.0695,
}  # fmt: skip

# All other types: price per vCPU, per GiB of memory, and per accelerator.
_VCPU, _GIB, _ACCELERATOR = 0.036, 0.004, 1.5


def on_demand(instance_type: str) -> float:
    """Return USD per hour. Unknown types are priced by vCPUs, memory and accelerators."""
    usd = price_table()["instances"].get(instance_type, {}).get(_REGION, _TYPES.get(instance_type))
    if usd is not None:
        return float(usd)
    facts = INSTANCE_TYPES.get(instance_type, {})
    vcpus = int(facts.get("VCpuInfo", {}).get("DefaultVCpus", 2))
    family = instance_type.partition(".")[0]
    per_vcpu = price_table()["per_vcpu"].get(family, {}).get(_REGION, _FAMILIES.get(family))
    if per_vcpu is not None:
        return round(vcpus * float(per_vcpu), 4)
    gib: float = facts.get("MemoryInfo", {}).get("SizeInMiB", 4096) / 1024
    return round(vcpus * _VCPU + gib * _GIB + _accelerators(facts) * _ACCELERATOR, 4)


def spot(instance_type: str, zone: str) -> float:
    """Return USD per hour as Spot: a fixed 30 to 60 percent of On-Demand per type and zone."""
    digest = hashlib.sha256(f"{instance_type} {zone}".encode()).digest()
    return round(on_demand(instance_type) * (0.3 + 0.3 * digest[0] / 255), 6)


def _accelerators(facts: dict[str, Any]) -> int:
    gpus = facts.get("GpuInfo", {}).get("Gpus", [])
    devices = facts.get("NeuronInfo", {}).get("NeuronDevices", [])
    return sum(int(item.get("Count", 0)) for item in (*gpus, *devices))
