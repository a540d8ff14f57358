"""Latency and request rate limits: what makes real APIs slower than a loopback.

Rate limits are token buckets per Region and operation, as AWS describes them: "Request throttling
for the Amazon EC2 API" in the EC2 developer guide, "Service quotas for Service Quotas" in its user
guide, "Using the AWS Price List Query API" in the billing user guide, all read 2026-11. Those of
EKS and IAM are not published; here they are round figures below what users report.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from jarkkit.sandbox.api_calls import READ_ONLY_PREFIXES, Call


class Rate(NamedTuple):
    """Size of a token bucket and its refill per second, in calls."""

    capacity: float
    refill: float


_EC2_LOOKING, _EC2_UNFILTERED, _EC2_CHANGING = Rate(100, 20), Rate(50, 10), Rate(50, 5)

# Operations with a smaller EC2 bucket when the request has neither filter nor page size.
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

# By signing name; services that are not listed have no limits.
_SERVICES: dict[str, Rate] = {
    "servicequotas": Rate(10, 5),
    "pricing": Rate(10, 5),
    "eks": Rate(20, 10),
    "iam": Rate(30, 15),
}


def rate_of(call: Call, *, filtered: bool = True) -> Rate | None:
    """Return the published rate of a call; None if there is none.

    Args:
        filtered: the call has a filter or asks for a page.
    """
    if call.service == "ec2":
        if not filtered and call.operation in _EC2_LARGE_ANSWERS:
            return _EC2_UNFILTERED
        looks = call.operation.startswith((*READ_ONLY_PREFIXES, "Search"))
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
class Throttling:
    """Latency and rate limits of the account's API.

    Attributes:
        latency: seconds that every call takes in transit.
        rate_limited: whether AWS' rates apply.
    """

    latency: float = 0.0
    rate_limited: bool = False
    clock: Callable[[], float] = time.monotonic
    _buckets: dict[tuple[str, str, Rate], _Bucket] = field(default_factory=dict)

    def configure(self, latency_ms: float | None = None, limited: bool | None = None) -> None:
        """Change the given settings. Rate limits start with full buckets."""
        if latency_ms is not None:
            self.latency = latency_ms / 1000
        if limited is not None:
            self.rate_limited = limited
            self._buckets.clear()

    def delay(self) -> None:
        """Sleep for the latency. Concurrent calls wait in parallel."""
        if self.latency:
            time.sleep(self.latency)

    def exceeds_rate(self, call: Call, *, filtered: bool = True) -> bool:
        """Count the call and return True if it exceeds its rate. Not safe for concurrent use."""
        rate = rate_of(call, filtered=filtered) if self.rate_limited else None
        if rate is None:
            return False
        key = (call.region, f"{call.service}.{call.operation}", rate)
        now = self.clock()
        bucket = self._buckets.setdefault(key, _Bucket(rate, rate.capacity, now))
        return not bucket.take(now)


THROTTLING = Throttling()
"""The daemon's latency and rate limits."""
