"""An account with many Regions, each of which offers, refuses or keeps silent."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from jarkkit.errors import JarkkitError
from jarkkit.quotas.codes import Quota
from jarkkit.quotas.values import InForce, Running
from jarkkit.records import CapacityBlock, CapacityReservation, ClusterVersion, Zone
from jarkkit.settings import CLUSTER_VERSIONS
from jarkkit.zones import matches
from tests.kit.fake_pricing import FakePricing

DENIED = JarkkitError("JK-AWS-DENIED", "these credentials are not allowed to do that.", "Ask.")
SILENT = JarkkitError("JK-AWS-UNREACHABLE", "the endpoint does not answer.", "Wait.")
THROTTLED = JarkkitError("JK-AWS-THROTTLED", "there are too many calls.", "Wait.")
EXPIRED = JarkkitError("JK-AWS-EXPIRED", "the credentials are expired.", "Renew them.")

TYPES = ("m5.xlarge", "g6.xlarge", "g6.2xlarge", "g6.48xlarge", "p5.48xlarge")


@dataclass
class FakeOffers:
    """What one Region offers; `failing` maps a method to its error. `asked` is what was asked."""

    region: str = "us-west-2"
    regions: tuple[str, ...] = ()
    offered: tuple[str, ...] = TYPES
    letters: str = "abc"
    seconds: float | None = 0.01
    spot: float = 0.3
    scores: dict[str, int] = field(default_factory=dict)
    reserved: tuple[CapacityReservation, ...] = ()
    on_sale: tuple[CapacityBlock, ...] = ()
    failing: dict[str, JarkkitError] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def _ask(self, method: str) -> None:
        self.asked.append(method)
        if method in self.failing:
            raise self.failing[method]

    @property
    def _names(self) -> list[str]:
        return [f"{self.region}{letter}" for letter in self.letters]

    def enabled_regions(self) -> tuple[str, ...]:
        self._ask("enabled_regions")
        return self.regions

    def connect_seconds(self) -> float | None:
        self._ask("connect_seconds")
        return self.seconds

    def zones(self) -> tuple[Zone, ...]:
        self._ask("zones")
        return tuple(Zone(name=n, zone_id=f"x-az{i}") for i, n in enumerate(self._names, 1))

    def types(self, patterns: Iterable[str]) -> dict[str, frozenset[str]]:
        self._ask("types")
        wanted = list(patterns)
        return {t: frozenset(self._names) for t in self.offered if matches(t, wanted)}

    def cluster_versions(self) -> tuple[ClusterVersion, ...]:
        self._ask("cluster_versions")
        return tuple(ClusterVersion(version=v, support="STANDARD") for v in CLUSTER_VERSIONS)

    def spot_prices(self, types: Sequence[str]) -> dict[str, dict[str, float]]:
        self._ask("spot_prices")
        return {name: dict.fromkeys(self._names, self.spot) for name in types}

    def spot_scores(
        self, types: Sequence[str], vcpus: int, regions: Sequence[str]
    ) -> dict[str, int]:
        self._ask("spot_scores")
        return {region: self.scores[region] for region in regions if region in self.scores}

    def reservations(self, patterns: Iterable[str]) -> tuple[CapacityReservation, ...]:
        self._ask("reservations")
        wanted = list(patterns)
        return tuple(item for item in self.reserved if matches(item.instance_type, wanted))

    def blocks(self, instance_type: str, hours: int = 24) -> tuple[CapacityBlock, ...]:
        self._ask("blocks")
        return self.on_sale


@dataclass
class FakeVcpus:
    """Quotas and their use: `value` in force of each, `used` vCPUs of m5 On-Demand."""

    value: float = 256
    used: int = 0
    failing: JarkkitError | None = None

    def in_force(self, quotas: Iterable[Quota]) -> dict[str, InForce | JarkkitError | None]:
        held = InForce(value=self.value, applied=True, asked="2026-11-27T00:00:00Z")
        return {quota.code: self.failing or held for quota in quotas}

    def running(self, deployment: str, reserved: Iterable[str] = ()) -> tuple[Running, ...]:
        if self.failing:
            raise self.failing
        if not self.used:
            return ()
        return (Running(instance_type="m5.xlarge", purchase="on-demand", count=1, vcpus=self.used),)


@dataclass
class FakeRegions:
    """The account in one of its Regions. Regions without offers of their own are like `usual`."""

    region: str = "us-west-2"
    names: tuple[str, ...] = ("eu-west-1", "us-east-1", "us-west-2")
    places: dict[str, FakeOffers] = field(default_factory=dict)
    rooms: dict[str, FakeVcpus] = field(default_factory=dict)
    pricing: FakePricing = field(default_factory=FakePricing)
    forgotten: int = 0

    def known_regions(self) -> tuple[str, ...]:
        return ("ap-south-1", "eu-west-1", "us-east-1", "us-west-2")

    def in_region(self, region: str) -> FakeRegions:
        return replace(self, region=region)

    def forget(self) -> None:
        self.forgotten += 1

    @property
    def offers(self) -> FakeOffers:
        found = self.places.setdefault(self.region, FakeOffers(self.region))
        found.regions = found.regions or self.names
        return found

    @property
    def quotas(self) -> FakeVcpus:
        return self.rooms.setdefault(self.region, FakeVcpus())

    @property
    def usage(self) -> FakeVcpus:
        return self.quotas
