"""The vCPU quota that an instance type counts against, by the longest matching prefix. Pure.

https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-on-demand-instances.html (read 2026-11-27).
"""

from __future__ import annotations

from typing import Literal

QuotaFamily = Literal[
    "Standard", "G and VT", "P", "P5", "Inf", "Trn", "DL", "F", "X", "HPC", "High Memory"
]

# `inf` must not match I, nor `trn` T, `dl` D, `hpc` H or `mac` M. Mac instances run on Dedicated
# Hosts, and their quotas count hosts.

_PREFIXES: dict[str, QuotaFamily | None] = {
    **dict.fromkeys("acdhimrtz", "Standard"),
    "g": "G and VT",
    "gr": "G and VT",
    "vt": "G and VT",
    "p": "P",
    "inf": "Inf",
    "trn": "Trn",
    "dl": "DL",
    "f": "F",
    "x": "X",
    "hpc": "HPC",
    "u-": "High Memory",
    "u7": "High Memory",
    "mac": None,
}
_LONGEST_FIRST = sorted(_PREFIXES, key=len, reverse=True)


def quota_family(instance_type: str) -> QuotaFamily | None:
    """Return the quota family of an instance type (`g6.xlarge`) or instance family (`g6`).

    None for Mac instances and for unknown kinds of instances.
    """
    prefix = next((p for p in _LONGEST_FIRST if instance_type.startswith(p)), None)
    return _PREFIXES[prefix] if prefix else None


def is_known_instance_type(instance_type: str) -> bool:
    """Return False for a kind of instance that this release does not know."""
    return any(instance_type.startswith(prefix) for prefix in _PREFIXES)


def spot_quota_family(instance_type: str, *, has_p5_spot_quota: bool) -> QuotaFamily | None:
    """Return the quota family of an instance type for Spot Instances.

    Args:
        has_p5_spot_quota: whether the Region still lists the older quota for Spot P5 instances,
            L-C4BD4855.
    """
    family = quota_family(instance_type)
    return (
        "P5" if family == "P" and has_p5_spot_quota and instance_type.startswith("p5") else family
    )
