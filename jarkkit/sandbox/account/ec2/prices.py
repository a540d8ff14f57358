"""What instances cost per hour: enough to tell types apart, not to make a budget of.

On-Demand, Linux, us-east-1, in USD, from AWS' price list as of 2026-07-20 (rounded): the types that
the kit offers one by one, general families per vCPU, since AWS' prices there grow with the vCPUs.
Every Region has these prices here, which on AWS differ by up to half.
"""

from __future__ import annotations

import hashlib
from typing import Any

from moto.ec2.models.instance_types import INSTANCE_TYPES

_TYPES: dict[str, float] = {
    "g4dn.xlarge": 0.526, "g4dn.2xlarge": 0.752, "g4dn.4xlarge": 1.204, "g4dn.8xlarge": 2.176,
    "g4dn.12xlarge": 3.912, "g4dn.16xlarge": 4.352,
    "g5.xlarge": 1.006, "g5.2xlarge": 1.212, "g5.4xlarge": 1.624, "g5.8xlarge": 2.448,
    "g5.12xlarge": 5.672, "g5.16xlarge": 4.096, "g5.24xlarge": 8.144, "g5.48xlarge": 16.288,
    "g6.xlarge": 0.805, "g6.2xlarge": 0.978, "g6.4xlarge": 1.323, "g6.8xlarge": 2.014,
    "g6.12xlarge": 4.602, "g6.16xlarge": 3.397, "g6.24xlarge": 6.675, "g6.48xlarge": 13.35,
    "g6e.xlarge": 1.861, "g6e.2xlarge": 2.242, "g6e.4xlarge": 3.004, "g6e.8xlarge": 4.529,
    "g6e.12xlarge": 10.493, "g6e.16xlarge": 7.577, "g6e.24xlarge": 15.066, "g6e.48xlarge": 30.131,
    "g7e.2xlarge": 3.363, "g7e.12xlarge": 8.286, "g7e.24xlarge": 16.572, "g7e.48xlarge": 33.144,
    "p4d.24xlarge": 21.96, "p4de.24xlarge": 27.45, "p5.4xlarge": 6.88, "p5.48xlarge": 55.04,
    "p5en.48xlarge": 63.3, "p6-b200.48xlarge": 113.93, "p6-b300.48xlarge": 142.42,
    "inf2.xlarge": 0.758, "inf2.8xlarge": 1.968, "inf2.24xlarge": 6.491, "inf2.48xlarge": 12.981,
    "trn1.2xlarge": 1.344, "trn1.32xlarge": 21.5, "trn1n.32xlarge": 24.78,
}  # fmt: skip

# Per vCPU.
_FAMILIES: dict[str, float] = {
    "c5": 0.0425, "c5a": 0.0385, "c6a": 0.0383, "c6g": 0.034, "c6i": 0.0425, "c7a": 0.0513,
    "c7g": 0.0363, "c7i": 0.0446, "c8g": 0.0399, "c8i": 0.0469,
    "m5": 0.048, "m5a": 0.043, "m6a": 0.0432, "m6g": 0.0385, "m6i": 0.048, "m7a": 0.058,
    "m7g": 0.0408, "m7i": 0.0504, "m8g": 0.0449, "m8i": 0.0529,
    "r5": 0.063, "r5a": 0.0565, "r6a": 0.0567, "r6g": 0.0504, "r6i": 0.063, "r7a": 0.0761,
    "r7g": 0.0536, "r7i": 0.0662, "r8g": 0.0589, "r8i": 0.0695,
}  # fmt: skip

# Everything else: so much per vCPU, per GiB of memory, and per accelerator.
_VCPU, _GIB, _ACCELERATOR = 0.036, 0.004, 1.5


def on_demand(instance_type: str) -> float:
    """USD per hour. Unknown types cost as much as their vCPUs, memory and accelerators suggest."""
    if instance_type in _TYPES:
        return _TYPES[instance_type]
    facts = INSTANCE_TYPES.get(instance_type, {})
    vcpus = int(facts.get("VCpuInfo", {}).get("DefaultVCpus", 2))
    family = instance_type.partition(".")[0]
    if family in _FAMILIES:
        return round(vcpus * _FAMILIES[family], 4)
    gib: float = facts.get("MemoryInfo", {}).get("SizeInMiB", 4096) / 1024
    return round(vcpus * _VCPU + gib * _GIB + _accelerators(facts) * _ACCELERATOR, 4)


def spot(instance_type: str, zone: str) -> float:
    """USD per hour as Spot: always the same 30 to 60 percent of On-Demand for a type and zone."""
    digest = hashlib.sha256(f"{instance_type} {zone}".encode()).digest()
    return round(on_demand(instance_type) * (0.3 + 0.3 * digest[0] / 255), 6)


def _accelerators(facts: dict[str, Any]) -> int:
    gpus = facts.get("GpuInfo", {}).get("Gpus", [])
    devices = facts.get("NeuronInfo", {}).get("NeuronDevices", [])
    return sum(int(item.get("Count", 0)) for item in (*gpus, *devices))
