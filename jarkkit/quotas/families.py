"""Which vCPU quota an instance type counts against, by the longest prefix of its name. Pure.

https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-on-demand-instances.html (read 2026-11-27).
"""

from __future__ import annotations

from typing import Literal

QuotaFamily = Literal[
    "Standard", "G and VT", "P", "P5", "Inf", "Trn", "DL", "F", "X", "HPC", "High Memory"
]

# `inf` must not fall under I, `trn` under T, `dl` under D, `hpc` under H, `mac` under M. Macs run
# on Dedicated Hosts, which are counted by the host.

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


def family_of(instance_type: str) -> QuotaFamily | None:
    """The family whose vCPU quotas count this instance type (`g6.xlarge`) or family (`g6`); None
    for Macs and for names of a kind that is not known here."""
    prefix = next((p for p in _LONGEST_FIRST if instance_type.startswith(p)), None)
    return _PREFIXES[prefix] if prefix else None


def is_known(instance_type: str) -> bool:
    """False for a kind of instance that this release has never heard of."""
    return any(instance_type.startswith(prefix) for prefix in _PREFIXES)


def spot_family_of(instance_type: str, *, p5_apart: bool) -> QuotaFamily | None:
    """The same for Spot Instances.

    Args:
        p5_apart: the Region still lists the older quota of Spot P5 instances, L-C4BD4855.
    """
    family = family_of(instance_type)
    return "P5" if family == "P" and p5_apart and instance_type.startswith("p5") else family
