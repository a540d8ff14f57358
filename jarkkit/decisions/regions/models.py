"""The comparison of Regions, as jarkkit saves and shows it."""

from __future__ import annotations

from typing import Literal

from jarkkit.model.records import Record

KubernetesSupport = Literal["standard", "extended", "no"]


class InstanceSupply(Record):
    """Availability and price of one family or instance type in one Region.

    Attributes:
        wanted: a family of accelerators, or the core nodes' instance type.
        instance_type: smallest type of the family that the Region offers; empty if there is none.
        zones: zones that EKS can use and that offer it.
        on_demand_usd, spot_usd: per hour; Spot in the cheapest of these zones, now.
    """

    wanted: str
    instance_type: str = ""
    zones: tuple[str, ...] = ()
    on_demand_usd: float | None = None
    spot_usd: float | None = None


class Headroom(Record):
    """The free vCPUs of one quota.

    Attributes:
        quota: its code.
        name: quota family and purchase option.
        need: vCPUs that must be free, so that everything can start.
        free: applied vCPUs minus usage; None if unknown.
        enough: None if unknown.
    """

    quota: str
    name: str
    need: float
    free: float | None = None
    enough: bool | None = None


class CapacitySignal(Record):
    """A signal about capacity. It is no guarantee.

    Attributes:
        wanted: the family.
        kind: Spot placement score, or capacity reservation and Capacity Block.
        good: None if unknown.
    """

    wanted: str
    kind: Literal["spot", "reserved"]
    evidence: str
    good: bool | None = None


class RegionResult(Record):
    """The result of one Region.

    Attributes:
        version: EKS support of the selected Kubernetes version in the Region.
        zones: Availability Zones that EKS accepts; None if unknown, like the other fields.
        missing: requirements that it does not meet; such a Region is never recommended.
        not_known: failed requests, with the reason.
        usd_per_hour: cost of the deployment without use, without instances of pools.
        estimated: whether that cost is partly derived from another Region's prices.
        latency_ms: one round trip to the Region's EC2 endpoint.
    """

    region: str
    eks: bool
    version: KubernetesSupport | None = None
    zones: tuple[str, ...] | None = None
    supplies: tuple[InstanceSupply, ...] | None = None
    headroom: tuple[Headroom, ...] = ()
    signals: tuple[CapacitySignal, ...] = ()
    usd_per_hour: float | None = None
    estimated: bool = False
    latency_ms: float | None = None
    missing: tuple[str, ...] = ()
    not_known: tuple[str, ...] = ()

    @property
    def is_suitable(self) -> bool | None:
        """Whether it meets all requirements; None if unknown."""
        if self.missing:
            return False
        return None if None in (self.version, self.zones, self.supplies) else True

    @property
    def has_enough_quota(self) -> bool | None:
        """Whether every quota is large enough now; None if unknown."""
        answers = {each.enough for each in self.headroom}
        if False in answers:
            return False
        return None if None in answers or not answers else True


class RegionComparison(Record):
    """The results of all Regions, the best first.

    Attributes:
        made: time of the comparison; UTC, ISO 8601.
        version, az_count, families: the requirements.
        recommended: a Region; empty if none meets the requirements.
        reason: why jarkkit recommends it.
        notes: remarks.
    """

    made: str
    version: str
    az_count: int
    families: tuple[str, ...]
    regions: tuple[RegionResult, ...]
    recommended: str = ""
    reason: str = ""
    notes: tuple[str, ...] = ()

    @property
    def best(self) -> RegionResult | None:
        """The recommended Region."""
        return next((r for r in self.regions if r.region == self.recommended), None)

    def suitable_regions(self) -> tuple[str, ...]:
        """Return the names of the Regions that meet all requirements, the best first."""
        return tuple(region.region for region in self.regions if region.is_suitable)
