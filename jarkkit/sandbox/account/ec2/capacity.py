"""Checks whether EC2 would launch instances: a pure decision, with AWS' messages for rejections.

The quota families are those of "Amazon EC2 instance type quotas" in the EC2 user guide. The error
codes and messages are those of the EC2 API reference and of re:Post articles on each of them, read
2026-11.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from jarkkit.sandbox.account.servicequotas.reference_data import P5_SPOT, P_SPOT


class QuotaBucket(NamedTuple):
    """Instance families that share their quotas.

    Attributes:
        on_demand: code of the quota for running On-Demand instances, in vCPUs.
        spot: code of the quota for Spot requests; empty if AWS has none.
    """

    name: str
    on_demand: str
    spot: str


STANDARD = QuotaBucket("Standard", "L-1216C47A", "L-34B43A08")
_G = QuotaBucket("G and VT", "L-DB2E81BA", "L-3819A6DF")
_HIGH_MEMORY = QuotaBucket("High Memory", "L-43DA4232", "")

# By prefix of the type's name; the longest match counts (`inf2` is not I, `dl1` is not D). Macs run
# on dedicated hosts, whose quotas count hosts.
_BUCKETS: dict[str, QuotaBucket | None] = {
    **dict.fromkeys(("a", "c", "d", "h", "i", "m", "r", "t", "z"), STANDARD),
    **dict.fromkeys(("g", "vt", "gr"), _G),
    "p": QuotaBucket("P", "L-417A185B", P_SPOT),
    "inf": QuotaBucket("Inf", "L-1945791B", "L-B5D1601B"),
    "trn": QuotaBucket("Trn", "L-2C3B7624", "L-6B0D517C"),
    "dl": QuotaBucket("DL", "L-6E869C2A", "L-85EED4F7"),
    "f": QuotaBucket("F", "L-74FC7D96", "L-88CF9481"),
    "x": QuotaBucket("X", "L-7295265B", "L-E3A00192"),
    "hpc": QuotaBucket("HPC", "L-F7808C92", ""),
    "u": _HIGH_MEMORY,
    "mac": None,
}


def quota_bucket(instance_type: str) -> QuotaBucket | None:
    """Return the quota family of an instance type; None if no vCPU quota counts it."""
    fitting = [prefix for prefix in _BUCKETS if instance_type.startswith(prefix)]
    return _BUCKETS[max(fitting, key=len)] if fitting else None


def quota_code(instance_type: str, *, spot: bool, separate_p5_quota: bool = False) -> str:
    """Return the code of the quota that limits the type; empty if there is none.

    Args:
        separate_p5_quota: True if the Region still has a separate quota for Spot P5.
    """
    bucket = quota_bucket(instance_type)
    if bucket is None:
        return ""
    if spot and separate_p5_quota and instance_type.startswith("p5"):
        return P5_SPOT
    return bucket.spot if spot else bucket.on_demand


class CountedInstance(NamedTuple):
    """A running or pending instance that counts towards a quota."""

    instance_type: str
    vcpus: int
    spot: bool


@dataclass(frozen=True)
class LaunchAttempt:
    """A launch to check, with the facts about its zone, quota and subnet.

    Attributes:
        vcpus: vCPUs of one instance.
        limit: the quota in force, in vCPUs; None if no quota limits the type.
        zones: the zones of the Region that offer the type; empty if unknown.
        lacks_capacity: True if a fault leaves no capacity for the type in the zone.
        free_addresses: free addresses of the subnet; None if no subnet is set.
        separate_p5_quota: True if the Region still has a separate quota for Spot P5.
    """

    instance_type: str
    count: int
    zone: str
    spot: bool
    vcpus: int
    limit: float | None
    zones: tuple[str, ...] = ()
    lacks_capacity: bool = False
    subnet: str = ""
    free_addresses: int | None = None
    separate_p5_quota: bool = False


class Refusal(NamedTuple):
    """The error with which EC2 rejects a launch."""

    code: str
    message: str


def launch_refusal(attempt: LaunchAttempt, running: Iterable[CountedInstance]) -> Refusal | None:
    """Return why EC2 rejects the launch; None when it accepts.

    Args:
        running: all instances in the Region that count towards quotas.
    """
    if attempt.zones and attempt.zone not in attempt.zones:
        return _not_offered(attempt)
    if _over_quota(attempt, running):
        return _too_many(attempt)
    if attempt.lacks_capacity:
        return _no_capacity(attempt)
    if attempt.free_addresses is not None and attempt.free_addresses < attempt.count:
        return Refusal(
            "InsufficientFreeAddressesInSubnet",
            f"There are not enough free addresses in subnet '{attempt.subnet}' to satisfy the "
            "requested number of instances.",
        )
    return None


def _over_quota(question: LaunchAttempt, running: Iterable[CountedInstance]) -> bool:
    if question.limit is None:
        return False

    def code_of(instance_type: str, spot: bool) -> str:
        return quota_code(instance_type, spot=spot, separate_p5_quota=question.separate_p5_quota)

    code = code_of(question.instance_type, question.spot)
    used = sum(r.vcpus for r in running if code_of(r.instance_type, r.spot) == code)
    return used + question.count * question.vcpus > question.limit


def _too_many(question: LaunchAttempt) -> Refusal:
    if question.spot:
        return Refusal("MaxSpotInstanceCountExceeded", "Max spot instance count exceeded")
    return Refusal(
        "VcpuLimitExceeded",
        f"You have requested more vCPU capacity than your current vCPU limit of {question.limit:g} "
        "allows for the instance bucket that the specified instance type belongs to. Please visit "
        "http://aws.amazon.com/contact-us/ec2-request to request an adjustment to this limit.",
    )


def _no_capacity(question: LaunchAttempt) -> Refusal:
    others = ", ".join(zone for zone in question.zones if zone != question.zone)
    advice = (
        f" You can currently get {question.instance_type} capacity by not specifying an "
        f"Availability Zone in your request or choosing {others}."
        if others
        else ""
    )
    return Refusal(
        "InsufficientInstanceCapacity",
        f"We currently do not have sufficient {question.instance_type} capacity in the "
        f"Availability Zone you requested ({question.zone}). Our system will be working on "
        f"provisioning additional capacity.{advice}",
    )


def _not_offered(question: LaunchAttempt) -> Refusal:
    return Refusal(
        "Unsupported",
        f"Your requested instance type ({question.instance_type}) is not supported in your "
        f"requested Availability Zone ({question.zone}). Please retry your request by not "
        f"specifying an Availability Zone or choosing {', '.join(question.zones)}.",
    )
