"""The survey as it is saved and shown."""

from __future__ import annotations

from typing import Literal

from jarkkit.records import Record
from jarkkit.survey import shown
from jarkkit.tables import Told

Version = Literal["standard", "extended", "no"]


class Supply(Record):
    """One thing that the deployment launches, in one Region.

    Attributes:
        wanted: a family of accelerators, or the core nodes' instance type.
        instance_type: the smallest of the family that is offered; empty where there is none.
        zones: those that EKS can use and that offer it.
        on_demand_usd, spot_usd: per hour; Spot in the cheapest of these zones, now.
    """

    wanted: str
    instance_type: str = ""
    zones: tuple[str, ...] = ()
    on_demand_usd: float | None = None
    spot_usd: float | None = None


class Headroom(Record):
    """What one vCPU quota leaves.

    Attributes:
        quota: its code.
        name: whose vCPUs, and how they are bought.
        need: vCPUs that must be free, so that all can start.
        free: vCPUs in force and not in use; None where that is not known.
        enough: None where it is not known.
    """

    quota: str
    name: str
    need: float
    free: float | None = None
    enough: bool | None = None


class Signal(Record):
    """A sign of capacity: no promise.

    Attributes:
        wanted: the family.
        kind: Spot placement score, capacity reservation or Capacity Block.
        good: None where it cannot be told.
    """

    wanted: str
    kind: Literal["spot", "reserved"]
    said: str
    good: bool | None = None


class Surveyed(Record):
    """One Region.

    Attributes:
        version: the support that EKS gives the wanted version of Kubernetes there.
        zones: Availability Zones that EKS accepts; None where it is not known, and so on.
        missing: what it must have and has not, in words; such a Region is never recommended.
        not_known: what it did not answer, with the reason.
        usd_per_hour: the deployment while nobody uses it, without what pools launch.
        estimated: that figure is partly derived from another Region's prices.
        latency_ms: one round trip to the Region's EC2 endpoint.
    """

    region: str
    eks: bool
    version: Version | None = None
    zones: tuple[str, ...] | None = None
    supplies: tuple[Supply, ...] | None = None
    headroom: tuple[Headroom, ...] = ()
    signals: tuple[Signal, ...] = ()
    usd_per_hour: float | None = None
    estimated: bool = False
    latency_ms: float | None = None
    missing: tuple[str, ...] = ()
    not_known: tuple[str, ...] = ()

    @property
    def will_do(self) -> bool | None:
        """Whether it has all that it must have; None where that is not known."""
        if self.missing:
            return False
        return None if None in (self.version, self.zones, self.supplies) else True

    @property
    def enough_quota(self) -> bool | None:
        """Whether every quota leaves enough now; None where that is not known."""
        answers = {room.enough for room in self.headroom}
        if False in answers:
            return False
        return None if None in answers or not answers else True


class Survey(Told, Record):
    """All Regions, the best first.

    Attributes:
        made: UTC, ISO 8601.
        version, az_count, families: what was asked for.
        recommended: a Region; empty where none will do.
        reason: why that one, in words.
        notes: what else one should know.
    """

    made: str
    version: str
    az_count: int
    families: tuple[str, ...]
    regions: tuple[Surveyed, ...]
    recommended: str = ""
    reason: str = ""
    notes: tuple[str, ...] = ()

    @property
    def best(self) -> Surveyed | None:
        """The recommended Region."""
        return next((r for r in self.regions if r.region == self.recommended), None)

    def that_will_do(self) -> tuple[str, ...]:
        """Names of the Regions that have all that they must have, the best first."""
        return tuple(region.region for region in self.regions if region.will_do)

    def text(self) -> str:
        """For a terminal: the recommendation, then a line per Region."""
        return shown.text(self)

    def _repr_html_(self) -> str:
        return shown.html(self)
