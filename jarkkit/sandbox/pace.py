"""What makes real APIs slower than a loopback: time on the way, and limits on how often to call.

Limits are token buckets, per Region and operation, as AWS describes them: "Request throttling for
the Amazon EC2 API" in the EC2 developer guide, "Service quotas for Service Quotas" in its user
guide, "Using the AWS Price List Query API" in the billing user guide, all read 2026-11. Those of
EKS and IAM are not published; theirs are round figures below what users report.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from jarkkit.sandbox.calls import LOOKING, Call


class Rate(NamedTuple):
    """A bucket: so many calls at once, then so many a second."""

    capacity: float
    refill: float


_EC2_LOOKING, _EC2_UNFILTERED, _EC2_CHANGING = Rate(100, 20), Rate(50, 10), Rate(50, 5)

# EC2's smaller buckets for those who ask for everything.
_EC2_LARGE_ANSWERS = frozenset(
    (
        "DescribeInstances", "DescribeInstanceStatus", "DescribeNetworkInterfaces",
        "DescribeSecurityGroups", "DescribeSnapshots", "DescribeSpotInstanceRequests",
        "DescribeVolumes",
    )
)  # fmt: skip

_EC2: dict[str, Rate] = {
    **dict.fromkeys(("RunInstances", "StartInstances"), Rate(5, 2)),
    **dict.fromkeys(("CreateNatGateway", "DeleteNatGateway"), Rate(10, 1)),
    **dict.fromkeys(("CreateVpcEndpoint", "DeleteVpcEndpoints", "ModifyVpcEndpoint"), Rate(4, 0.3)),
    **dict.fromkeys(("CreateTags", "DeleteTags"), Rate(100, 10)),
    **dict.fromkeys(
        (
            "CreateLaunchTemplateVersion", "CreateNetworkInterface", "CreateSnapshot",
            "CreateVolume", "DeleteNetworkInterface", "DeleteSnapshot", "DeleteVolume",
            "ModifyLaunchTemplate", "ModifyNetworkInterfaceAttribute", "TerminateInstances",
        ),
        Rate(100, 5),
    ),
    **dict.fromkeys(
        ("DescribeCapacityBlockOfferings", "PurchaseCapacityBlock"), Rate(10, 0.15)
    ),
}  # fmt: skip

_QUOTAS: dict[str, Rate] = {
    **dict.fromkeys(
        ("ListServiceQuotas", "ListAWSDefaultServiceQuotas", "ListServices"), Rate(20, 10)
    ),
    "RequestServiceQuotaIncrease": Rate(6, 3),
}

# By signing name; what is not here has no limits.
_SERVICES: dict[str, Rate] = {
    "servicequotas": Rate(10, 5),
    "pricing": Rate(10, 5),
    "eks": Rate(20, 10),
    "iam": Rate(30, 15),
}


def rate_of(call: Call, *, narrowed: bool = True) -> Rate | None:
    """The published rate of a call; None where there is none.

    Args:
        narrowed: it asks for a page, or has a filter.
    """
    if call.service == "ec2":
        if not narrowed and call.operation in _EC2_LARGE_ANSWERS:
            return _EC2_UNFILTERED
        looks = call.operation.startswith((*LOOKING, "Search"))
        return _EC2.get(call.operation, _EC2_LOOKING if looks else _EC2_CHANGING)
    if call.service == "servicequotas" and call.operation in _QUOTAS:
        return _QUOTAS[call.operation]
    return _SERVICES.get(call.service)


@dataclass
class _Bucket:
    rate: Rate
    tokens: float
    filled: float

    def take(self, now: float) -> bool:
        grown = self.tokens + (now - self.filled) * self.rate.refill
        self.tokens, self.filled = min(self.rate.capacity, grown), now
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True


@dataclass
class Pace:
    """How fast the account may be asked.

    Attributes:
        latency: seconds that every call takes on its way.
        limited: whether AWS' rates hold.
    """

    latency: float = 0.0
    limited: bool = False
    clock: Callable[[], float] = time.monotonic
    _buckets: dict[tuple[str, str, Rate], _Bucket] = field(default_factory=dict)

    def set(self, latency_ms: float | None = None, limited: bool | None = None) -> None:
        """Change what is given. Limits begin with full buckets."""
        if latency_ms is not None:
            self.latency = latency_ms / 1000
        if limited is not None:
            self.limited = limited
            self._buckets.clear()

    def wait(self) -> None:
        """Be on the way. Calls wait side by side."""
        if self.latency:
            time.sleep(self.latency)

    def exceeded(self, call: Call, *, narrowed: bool = True) -> bool:
        """Count the call; True when there are too many of its kind. Calls are counted one at a
        time."""
        rate = rate_of(call, narrowed=narrowed) if self.limited else None
        if rate is None:
            return False
        key = (call.region, f"{call.service}.{call.operation}", rate)
        now = self.clock()
        bucket = self._buckets.setdefault(key, _Bucket(rate, rate.capacity, now))
        return not bucket.take(now)


PACE = Pace()
"""The daemon's pace."""
