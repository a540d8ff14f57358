"""An account with many Regions, each of which answers, denies or does not answer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from jarkkit.decisions.quotas.models import AppliedQuota, RunningInstances
from jarkkit.decisions.quotas.quota_codes import ServiceQuota
from jarkkit.decisions.zones import matches_pattern
from jarkkit.model.errors import JarkkitError
from jarkkit.model.records import CapacityBlock, ClusterVersion, Ec2CapacityReservation, Zone
from jarkkit.model.unknown import Unknown
from jarkkit.settings import CLUSTER_VERSIONS
from tests.support.fakes.pricing import FakePricing

DENIED = JarkkitError("JK-AWS-DENIED", "these credentials are not allowed to do that.", "Ask.")
SILENT = JarkkitError("JK-AWS-UNREACHABLE", "the endpoint does not answer.", "Wait.")
THROTTLED = JarkkitError("JK-AWS-THROTTLED", "there are too many calls.", "Wait.")
EXPIRED = JarkkitError("JK-AWS-EXPIRED", "the credentials are expired.", "Renew them.")

TYPES = ("m5.xlarge", "g6.xlarge", "g6.2xlarge", "g6.48xlarge", "p5.48xlarge")


@dataclass
class FakeAvailability:
    """What one Region offers; `failing` maps a method to its error, `calls` lists the calls."""

    region: str = "us-west-2"
    regions: tuple[str, ...] = ()
    offered: tuple[str, ...] = TYPES
    zone_letters: str = "abc"
    seconds: float | None = 0.01
    spot: float = 0.3
    scores: dict[str, int] = field(default_factory=dict)
    reserved: tuple[Ec2CapacityReservation, ...] = ()
    blocks_for_sale: tuple[CapacityBlock, ...] = ()
    failing: dict[str, JarkkitError] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)

    def _record_call(self, method: str) -> None:
        self.calls.append(method)
        if method in self.failing:
            raise self.failing[method]

    @property
    def _names(self) -> list[str]:
        return [f"{self.region}{letter}" for letter in self.zone_letters]

    def enabled_regions(self) -> tuple[str, ...]:
        self._record_call("enabled_regions")
        return self.regions

    def connect_seconds(self) -> float | None:
        self._record_call("connect_seconds")
        return self.seconds

    def zones(self) -> tuple[Zone, ...]:
        self._record_call("zones")
        return tuple(Zone(name=n, zone_id=f"x-az{i}") for i, n in enumerate(self._names, 1))

    def zones_by_type(self, patterns: Iterable[str]) -> dict[str, frozenset[str]]:
        self._record_call("types")
        wanted = list(patterns)
        return {t: frozenset(self._names) for t in self.offered if matches_pattern(t, wanted)}

    def cluster_versions(self) -> tuple[ClusterVersion, ...]:
        self._record_call("cluster_versions")
        return tuple(ClusterVersion(version=v, support="STANDARD") for v in CLUSTER_VERSIONS)

    def spot_prices(self, types: Sequence[str]) -> dict[str, dict[str, float]]:
        self._record_call("spot_prices")
        return {name: dict.fromkeys(self._names, self.spot) for name in types}

    def spot_scores(
        self, types: Sequence[str], vcpus: int, regions: Sequence[str]
    ) -> dict[str, int]:
        self._record_call("spot_scores")
        return {region: self.scores[region] for region in regions if region in self.scores}

    def capacity_reservations(self, patterns: Iterable[str]) -> tuple[Ec2CapacityReservation, ...]:
        self._record_call("reservations")
        wanted = list(patterns)
        return tuple(item for item in self.reserved if matches_pattern(item.instance_type, wanted))

    def capacity_blocks(self, instance_type: str, hours: int = 24) -> tuple[CapacityBlock, ...]:
        self._record_call("blocks")
        return self.blocks_for_sale


@dataclass
class FakeVcpuQuotas:
    """Quotas and their usage: the applied `value` of each, `used` vCPUs of m5 On-Demand."""

    value: float = 256
    used: int = 0
    failing: JarkkitError | None = None

    def applied_quotas(
        self, quotas: Iterable[ServiceQuota]
    ) -> dict[str, AppliedQuota | Unknown | None]:
        applied_quota = AppliedQuota(value=self.value, applied=True, asked="2026-11-27T00:00:00Z")
        unknown = Unknown(self.failing) if self.failing else None
        return {quota.code: unknown or applied_quota for quota in quotas}

    def running_instances(
        self, deployment: str, reservation_ids: Iterable[str] = ()
    ) -> tuple[RunningInstances, ...]:
        if self.failing:
            raise self.failing
        if not self.used:
            return ()
        return (
            RunningInstances(
                instance_type="m5.xlarge", purchase="on-demand", count=1, vcpus=self.used
            ),
        )


@dataclass
class FakeRegions:
    """The account in one of its Regions; Regions that the test does not set have the defaults."""

    region: str = "us-west-2"
    names: tuple[str, ...] = ("eu-west-1", "us-east-1", "us-west-2")
    availability_by_region: dict[str, FakeAvailability] = field(default_factory=dict)
    quotas_by_region: dict[str, FakeVcpuQuotas] = field(default_factory=dict)
    pricing: FakePricing = field(default_factory=FakePricing)
    cache_resets: int = 0

    def known_regions(self) -> tuple[str, ...]:
        return ("ap-south-1", "eu-west-1", "us-east-1", "us-west-2")

    def in_region(self, region: str) -> FakeRegions:
        return replace(self, region=region)

    def ignore_cache(self) -> None:
        self.cache_resets += 1

    @property
    def availability(self) -> FakeAvailability:
        found = self.availability_by_region.setdefault(self.region, FakeAvailability(self.region))
        found.regions = found.regions or self.names
        return found

    @property
    def quotas(self) -> FakeVcpuQuotas:
        return self.quotas_by_region.setdefault(self.region, FakeVcpuQuotas())

    @property
    def usage(self) -> FakeVcpuQuotas:
        return self.quotas
