"""Quotas that decide whether a JARK cluster fits into an account.

Codes and defaults come from "Amazon EC2 instance type quotas" in the EC2 user guide and from the
Service Quotas pages of each service, read 2026-11. `workshop` is an account that was prepared for
GPUs and Neuron; `no-gpu-quota` is the same but for accelerators, of which it may run none;
`fresh-account` has the defaults and nothing else.
"""

from __future__ import annotations

# service: code: (name, default, applied in a prepared account)
QUOTAS: dict[str, dict[str, tuple[str, float, float]]] = {
    "ec2": {
        "L-1216C47A": (
            "Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances", 5, 256,
        ),
        "L-34B43A08": (
            "All Standard (A, C, D, H, I, M, R, T, Z) Spot Instance Requests", 5, 256,
        ),
        "L-DB2E81BA": ("Running On-Demand G and VT instances", 0, 64),
        "L-3819A6DF": ("All G and VT Spot Instance Requests", 0, 64),
        "L-417A185B": ("Running On-Demand P instances", 0, 192),
        "L-7212CCBC": ("All P Spot Instance Requests", 0, 0),
        "L-1945791B": ("Running On-Demand Inf instances", 0, 64),
        "L-B5D1601B": ("All Inf Spot Instance Requests", 0, 64),
        "L-2C3B7624": ("Running On-Demand Trn instances", 0, 256),
        "L-6B0D517C": ("All Trn Spot Instance Requests", 0, 128),
        "L-6E869C2A": ("Running On-Demand DL instances", 0, 0),
        "L-85EED4F7": ("All DL Spot Instance Requests", 0, 0),
        "L-74FC7D96": ("Running On-Demand F instances", 0, 0),
        "L-88CF9481": ("All F Spot Instance Requests", 0, 0),
        "L-7295265B": ("Running On-Demand X instances", 0, 0),
        "L-E3A00192": ("All X Spot Instance Requests", 0, 0),
        "L-F7808C92": ("Running On-Demand HPC instances", 0, 0),
        "L-43DA4232": ("Running On-Demand High Memory instances", 0, 0),
        "L-0263D0A3": ("EC2-VPC Elastic IPs", 5, 5),
    },
    "vpc": {
        "L-F678F1CE": ("VPCs per Region", 5, 5),
        "L-FE5A380F": ("NAT gateways per Availability Zone", 5, 5),
        "L-A4707A72": ("Internet gateways per Region", 5, 5),
        "L-83CA0A9D": ("IPv4 CIDR blocks per VPC", 5, 5),
    },
    "ebs": {
        "L-7A658B76": ("Storage for General Purpose SSD (gp3) volumes, in TiB", 50, 50),
        "L-D18FCD1D": ("Storage for General Purpose SSD (gp2) volumes, in TiB", 50, 50),
    },
    "eks": {
        "L-1194D53C": ("Clusters", 100, 100),
        "L-6D54EA21": ("Managed node groups per cluster", 30, 30),
    },
    "iam": {"L-FE177D64": ("Roles per account", 1000, 1000)},
}  # fmt: skip

# The EC2 quotas of instances with accelerators.
ACCELERATORS = frozenset(
    (
        "L-DB2E81BA", "L-3819A6DF", "L-417A185B", "L-7212CCBC", "L-1945791B", "L-B5D1601B",
        "L-2C3B7624", "L-6B0D517C", "L-6E869C2A", "L-85EED4F7", "L-74FC7D96", "L-88CF9481",
    )
)  # fmt: skip

PROFILES = ("workshop", "no-gpu-quota", "fresh-account")


def applied(profile: str, service: str, code: str) -> float | None:
    """The value that AWS once applied to the account; None where it never did. Raises KeyError."""
    _, _, value = QUOTAS[service][code]
    if profile == "fresh-account":
        return None
    return 0.0 if profile == "no-gpu-quota" and code in ACCELERATORS else value
