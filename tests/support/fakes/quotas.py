"""Quotas, usage and instance types of a fake account."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from jarkkit.decisions.quotas.models import (
    AppliedQuota,
    QuotaUsage,
    RequestedQuotaIncrease,
    RunningInstances,
    SentQuotaIncrease,
)
from jarkkit.decisions.quotas.quota_codes import QUOTAS, ServiceQuota
from jarkkit.model.errors import JarkkitError
from jarkkit.model.records import Ec2Subnet, InstanceType
from jarkkit.model.unknown import Unknown

ASKED = "2026-11-27T12:00:00Z"


def _nvidia(name: str, *, vcpus: int, gpus: int) -> InstanceType:
    return InstanceType(
        name=name, vcpus=vcpus, accelerators=gpus, architectures=("x86_64",), nvidia=True
    )


# As EC2 describes these types.
TYPES = {
    item.name: item
    for item in (
        InstanceType(name="m5.xlarge", vcpus=4, architectures=("x86_64",)),
        InstanceType(name="m6g.xlarge", vcpus=4, architectures=("arm64",)),
        _nvidia("g5.xlarge", vcpus=4, gpus=1),
        _nvidia("g6.xlarge", vcpus=4, gpus=1),
        _nvidia("g6.4xlarge", vcpus=16, gpus=1),
        _nvidia("g6e.xlarge", vcpus=4, gpus=1),
        _nvidia("p4d.24xlarge", vcpus=96, gpus=8),
        _nvidia("p5.4xlarge", vcpus=16, gpus=1),
        _nvidia("p5.48xlarge", vcpus=192, gpus=8),
        InstanceType(name="inf2.xlarge", vcpus=4, accelerators=1),
        InstanceType(name="trn1.2xlarge", vcpus=8, accelerators=1),
        InstanceType(name="trn1.32xlarge", vcpus=128, accelerators=16),
    )
}


@dataclass
class FakeInstanceTypes:
    """The types above."""

    error: JarkkitError | None = None

    def matching(self, patterns: Iterable[str]) -> dict[str, InstanceType]:
        if self.error:
            raise self.error
        wanted = list(patterns)
        return {n: t for n, t in TYPES.items() if any(fnmatchcase(n, p) for p in wanted)}


@dataclass
class FakeQuotas:
    """Large quotas, except those in `values`; None means that there is no such quota."""

    values: dict[str, float | Unknown | None] = field(default_factory=dict)
    requests: list[RequestedQuotaIncrease] = field(default_factory=list)
    error: JarkkitError | None = None
    request_error: JarkkitError | None = None
    home_region: str = "us-east-1"

    def applied_quotas(
        self, quotas: Iterable[ServiceQuota]
    ) -> dict[str, AppliedQuota | Unknown | None]:
        return {quota.code: self._value(quota) for quota in quotas}

    def _value(self, quota: ServiceQuota) -> AppliedQuota | Unknown | None:
        value = self.values.get(quota.code, 1000.0 + QUOTAS[quota.code].default)
        if value is None or isinstance(value, Unknown):
            return value
        return AppliedQuota(value=value, applied=True, asked=ASKED)

    def increase_requests(self) -> tuple[RequestedQuotaIncrease, ...]:
        if self.error:
            raise self.error
        return tuple(self.requests)

    def request_increase(
        self, service: str, code: str, region: str, desired: float
    ) -> SentQuotaIncrease:
        if self.request_error:
            raise self.request_error
        for request in self.requests:
            if request.code == code and request.is_open:
                return SentQuotaIncrease(request, was_open=True)
        name = f"request-{len(self.requests)}"
        created = RequestedQuotaIncrease(
            id=name, service=service, code=code, desired=desired, status="PENDING"
        )
        self.requests.append(created)
        return SentQuotaIncrease(created, was_open=False)


@dataclass
class FakeUsage:
    """Nothing is in use, except what the test sets."""

    instances: tuple[RunningInstances, ...] = ()
    by_quota: dict[str, QuotaUsage | Unknown] = field(default_factory=dict)
    free: Mapping[str, int] = field(default_factory=dict)
    error: JarkkitError | None = None

    def running_instances(
        self, deployment: str, reservation_ids: Iterable[str] = ()
    ) -> tuple[RunningInstances, ...]:
        if self.error:
            raise self.error
        return self.instances

    def usage_by_quota(
        self, deployment: str, zones: Iterable[str] = ()
    ) -> dict[str, QuotaUsage | Unknown]:
        return dict(self.by_quota)

    def subnets(self, ids: Iterable[str]) -> tuple[Ec2Subnet, ...]:
        if self.error:
            raise self.error
        return tuple(
            Ec2Subnet(subnet_id=name, vpc_id="vpc-1", zone="us-west-2a", free=self.free[name])
            for name in ids
        )
