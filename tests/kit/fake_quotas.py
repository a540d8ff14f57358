"""Quotas, use and instance types of a fake account."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from jarkkit.errors import JarkkitError
from jarkkit.quotas.codes import QUOTAS, Quota
from jarkkit.quotas.values import Increase, InForce, InUse, Running
from jarkkit.records import InstanceType, Subnet

ASKED = "2026-11-27T12:00:00Z"
# What real types have.
TYPES = {
    item.name: item
    for item in (
        InstanceType(name="m5.xlarge", vcpus=4),
        InstanceType(name="g5.xlarge", vcpus=4, accelerators=1),
        InstanceType(name="g6.xlarge", vcpus=4, accelerators=1),
        InstanceType(name="g6.4xlarge", vcpus=16, accelerators=1),
        InstanceType(name="g6e.xlarge", vcpus=4, accelerators=1),
        InstanceType(name="p4d.24xlarge", vcpus=96, accelerators=8),
        InstanceType(name="p5.4xlarge", vcpus=16, accelerators=1),
        InstanceType(name="p5.48xlarge", vcpus=192, accelerators=8),
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
    """Plenty of everything, except what `values` says; None stands for no such quota."""

    values: dict[str, float | JarkkitError | None] = field(default_factory=dict)
    filed: list[Increase] = field(default_factory=list)
    error: JarkkitError | None = None
    refusing: JarkkitError | None = None
    home: str = "us-east-1"

    def in_force(self, quotas: Iterable[Quota]) -> dict[str, InForce | JarkkitError | None]:
        return {quota.code: self._value(quota) for quota in quotas}

    def _value(self, quota: Quota) -> InForce | JarkkitError | None:
        value = self.values.get(quota.code, 1000.0 + QUOTAS[quota.code].default)
        if value is None or isinstance(value, JarkkitError):
            return value
        return InForce(value=value, applied=True, asked=ASKED)

    def requests(self) -> tuple[Increase, ...]:
        if self.error:
            raise self.error
        return tuple(self.filed)

    def ask_for(
        self, service: str, code: str, region: str, desired: float
    ) -> tuple[Increase, bool]:
        if self.refusing:
            raise self.refusing
        for request in self.filed:
            if request.code == code and request.is_open:
                return request, True
        name = f"request-{len(self.filed)}"
        made = Increase(id=name, service=service, code=code, desired=desired, status="PENDING")
        self.filed.append(made)
        return made, False


@dataclass
class FakeUsage:
    """Nothing is in use, except what is said."""

    instances: tuple[Running, ...] = ()
    things: dict[str, InUse | JarkkitError] = field(default_factory=dict)
    free: Mapping[str, int] = field(default_factory=dict)
    error: JarkkitError | None = None

    def running(self, deployment: str, reserved: Iterable[str] = ()) -> tuple[Running, ...]:
        if self.error:
            raise self.error
        return self.instances

    def counts(self, deployment: str, zones: Iterable[str] = ()) -> dict[str, InUse | JarkkitError]:
        return dict(self.things)

    def subnets(self, ids: Iterable[str]) -> tuple[Subnet, ...]:
        if self.error:
            raise self.error
        return tuple(
            Subnet(subnet_id=name, vpc_id="vpc-1", zone="us-west-2a", free=self.free[name])
            for name in ids
        )
