"""May instances be launched? A decision from plain facts, and AWS' words where the answer is no.

The quota families are those of "Amazon EC2 instance type quotas" in the EC2 user guide, the error
codes and their words those of the EC2 API's reference and of re:Post articles on each of them,
read 2026-11.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from jarkkit.sandbox.account.servicequotas.facts import P5_SPOT, P_SPOT


class Bucket(NamedTuple):
    """Instance families that share their quotas.

    Attributes:
        on_demand: code of the quota of running On-Demand instances, in vCPUs.
        spot: code of the quota of Spot requests; empty where AWS has none.
    """

    name: str
    on_demand: str
    spot: str


STANDARD = Bucket("Standard", "L-1216C47A", "L-34B43A08")
_G = Bucket("G and VT", "L-DB2E81BA", "L-3819A6DF")
_HIGH_MEMORY = Bucket("High Memory", "L-43DA4232", "")

# By what a type's name begins with; the longest that fits counts (`inf2` is no I, `dl1` no D). Macs
# run on dedicated hosts, whose quotas count hosts.
_BUCKETS: dict[str, Bucket | None] = {
    **dict.fromkeys(("a", "c", "d", "h", "i", "m", "r", "t", "z"), STANDARD),
    **dict.fromkeys(("g", "vt", "gr"), _G),
    "p": Bucket("P", "L-417A185B", P_SPOT),
    "inf": Bucket("Inf", "L-1945791B", "L-B5D1601B"),
    "trn": Bucket("Trn", "L-2C3B7624", "L-6B0D517C"),
    "dl": Bucket("DL", "L-6E869C2A", "L-85EED4F7"),
    "f": Bucket("F", "L-74FC7D96", "L-88CF9481"),
    "x": Bucket("X", "L-7295265B", "L-E3A00192"),
    "hpc": Bucket("HPC", "L-F7808C92", ""),
    "u": _HIGH_MEMORY,
    "mac": None,
}


def bucket_of(instance_type: str) -> Bucket | None:
    """The quota family of an instance type; None where no vCPU quota counts it."""
    fitting = [prefix for prefix in _BUCKETS if instance_type.startswith(prefix)]
    return _BUCKETS[max(fitting, key=len)] if fitting else None


def quota_code(instance_type: str, *, spot: bool, p5_apart: bool = False) -> str:
    """Code of the quota that limits the type; empty where there is none.

    Args:
        p5_apart: the Region still has a quota of its own for Spot P5.
    """
    bucket = bucket_of(instance_type)
    if bucket is None:
        return ""
    if spot and p5_apart and instance_type.startswith("p5"):
        return P5_SPOT
    return bucket.spot if spot else bucket.on_demand


class Running(NamedTuple):
    """An instance that is running or pending."""

    instance_type: str
    vcpus: int
    spot: bool


@dataclass(frozen=True)
class Question:
    """What is to be launched where, and what is known of that place.

    Attributes:
        vcpus: of one instance.
        limit: the quota in force, in vCPUs; None where nothing limits the type.
        zones: the zones of the Region that offer the type; empty where that is not known.
        short: AWS is to have no capacity for the type in the zone.
        free_addresses: of the subnet; None where no subnet was chosen.
        p5_apart: the Region still has a quota of its own for Spot P5.
    """

    instance_type: str
    count: int
    zone: str
    spot: bool
    vcpus: int
    limit: float | None
    zones: tuple[str, ...] = ()
    short: bool = False
    subnet: str = ""
    free_addresses: int | None = None
    p5_apart: bool = False


class Refusal(NamedTuple):
    """Why not, as EC2 says it."""

    code: str
    message: str


def refusal(question: Question, running: Iterable[Running]) -> Refusal | None:
    """Why these instances may not be launched; None when they may.

    Args:
        running: all instances of the account in the Region that count.
    """
    if question.zones and question.zone not in question.zones:
        return _not_offered(question)
    if _over_quota(question, running):
        return _too_many(question)
    if question.short:
        return _no_capacity(question)
    if question.free_addresses is not None and question.free_addresses < question.count:
        return Refusal(
            "InsufficientFreeAddressesInSubnet",
            f"There are not enough free addresses in subnet '{question.subnet}' to satisfy the "
            "requested number of instances.",
        )
    return None


def _over_quota(question: Question, running: Iterable[Running]) -> bool:
    if question.limit is None:
        return False

    def code_of(instance_type: str, spot: bool) -> str:
        return quota_code(instance_type, spot=spot, p5_apart=question.p5_apart)

    code = code_of(question.instance_type, question.spot)
    used = sum(r.vcpus for r in running if code_of(r.instance_type, r.spot) == code)
    return used + question.count * question.vcpus > question.limit


def _too_many(question: Question) -> Refusal:
    if question.spot:
        return Refusal("MaxSpotInstanceCountExceeded", "Max spot instance count exceeded")
    return Refusal(
        "VcpuLimitExceeded",
        f"You have requested more vCPU capacity than your current vCPU limit of {question.limit:g} "
        "allows for the instance bucket that the specified instance type belongs to. Please visit "
        "http://aws.amazon.com/contact-us/ec2-request to request an adjustment to this limit.",
    )


def _no_capacity(question: Question) -> Refusal:
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


def _not_offered(question: Question) -> Refusal:
    return Refusal(
        "Unsupported",
        f"Your requested instance type ({question.instance_type}) is not supported in your "
        f"requested Availability Zone ({question.zone}). Please retry your request by not "
        f"specifying an Availability Zone or choosing {', '.join(question.zones)}.",
    )
