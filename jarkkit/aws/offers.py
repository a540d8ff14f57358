"""What AWS offers in a Region: zones, instance types, prices of Spot, signs of capacity, versions.

All of it only looks. Answers are remembered (`answers`): what seldom changes for an hour or a day,
what the market decides for minutes.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from botocore.utils import get_environ_proxies

from jarkkit.aws.answers import DAY, MINUTE
from jarkkit.aws.session import Session, home_region, paged, translated
from jarkkit.errors import JarkkitError
from jarkkit.records import CapacityBlock, CapacityReservation, ClusterVersion, Zone
from jarkkit.zones import matches

# DescribeSpotPriceHistory names a product; that of Amazon Linux in a VPC.
_LINUX = "Linux/UNIX"
# GetSpotPlacementScores answers for the ten best of the Regions that it is asked about:
# https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_GetSpotPlacementScores.html
SCORED_AT_ONCE = 10
# It scores fewer than three types low whatever there is:
# https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-placement-score.html
FEWEST_SCORED_TYPES = 3
_CONNECT_SECONDS = 3.0
_HOUR, _MARKET = 60 * MINUTE, 5 * MINUTE


class Offers:
    """What one Region offers to this account. Making one calls nobody."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def enabled_regions(self) -> tuple[str, ...]:
        """Regions that are enabled in this account."""

        def ask() -> list[str]:
            try:
                regions = self._call("describe_regions")["Regions"]
            except JarkkitError as error:
                home = home_region(self._session.region)
                if error.code != "JK-AWS-EXPIRED" or home == self._session.region:
                    raise
                # A Region that is not enabled knows no keys of the account.
                return list(Offers(self._session.elsewhere(home)).enabled_regions())
            return sorted(region["RegionName"] for region in regions)

        return tuple(self._session.remembered("enabled Regions", _HOUR, ask).value)

    def zones(self) -> tuple[Zone, ...]:
        """All zones that the account sees in the Region, Local and Wavelength Zones included."""

        def ask() -> list[dict[str, str]]:
            return [
                {
                    "name": zone["ZoneName"],
                    "zone_id": zone["ZoneId"],
                    "zone_type": zone.get("ZoneType", "availability-zone"),
                    "opt_in_status": zone.get("OptInStatus", "opt-in-not-required"),
                    "state": zone.get("State", "available"),
                }
                for zone in self._call("describe_availability_zones")["AvailabilityZones"]
            ]

        found = self._session.remembered("zones", _HOUR, ask).value
        return tuple(Zone.model_validate(zone) for zone in found)

    def types(self, patterns: Iterable[str]) -> dict[str, frozenset[str]]:
        """The instance types that match one of the patterns (`g6.*`, `m5.xlarge`), each with the
        names of the zones that offer it. One question for all patterns."""
        wanted = sorted(set(patterns))

        def ask() -> dict[str, list[str]]:
            found: dict[str, list[str]] = {}
            for offer in self._pages(
                "describe_instance_type_offerings",
                "InstanceTypeOfferings",
                LocationType="availability-zone",
                Filters=[{"Name": "instance-type", "Values": wanted}],
            ):
                found.setdefault(offer["InstanceType"], []).append(offer["Location"])
            return found

        question = f"zones that offer {' '.join(wanted)}"
        found = self._session.remembered(question, DAY, ask).value
        return {name: frozenset(zones) for name, zones in sorted(found.items())}

    def cluster_versions(self) -> tuple[ClusterVersion, ...]:
        """The Kubernetes versions that EKS offers here today."""

        def ask() -> list[dict[str, str]]:
            with translated("eks DescribeClusterVersions"):
                answer = self._session.client("eks").describe_cluster_versions()
            return [
                {
                    "version": item["clusterVersion"],
                    "support": str(item.get("versionStatus") or item.get("status") or ""),
                    "end_of_standard_support": str(item.get("endOfStandardSupportDate", ""))[:10],
                }
                for item in answer["clusterVersions"]
            ]

        found = self._session.remembered("cluster versions", _HOUR, ask).value
        return tuple(ClusterVersion.model_validate(version) for version in found)

    def spot_prices(self, types: Sequence[str]) -> dict[str, dict[str, float]]:
        """What these instance types cost as Spot now: USD per hour by type, then by zone."""
        if not types:
            return {}
        wanted = sorted(set(types))
        question = f"Spot prices of {' '.join(wanted)}"
        found = self._session.remembered(question, _MARKET, lambda: self._spot_prices(wanted))
        return dict(found.value)

    def _spot_prices(self, types: list[str]) -> dict[str, dict[str, float]]:
        newest: dict[tuple[str, str], tuple[datetime, float]] = {}
        for price in self._pages(
            "describe_spot_price_history",
            "SpotPriceHistory",
            InstanceTypes=types,
            ProductDescriptions=[_LINUX],
            # From now on: of each type and zone the one price that holds.
            StartTime=datetime.now(UTC),
        ):
            place = (price["InstanceType"], price["AvailabilityZone"])
            dated = (price["Timestamp"], float(price["SpotPrice"]))
            newest[place] = max(newest.get(place, dated), dated)
        found: dict[str, dict[str, float]] = {}
        for (instance_type, zone), (_, usd) in sorted(newest.items()):
            found.setdefault(instance_type, {})[zone] = usd
        return found

    def spot_scores(
        self, types: Sequence[str], vcpus: int, regions: Sequence[str]
    ) -> dict[str, int]:
        """How likely Spot instances of these types with so many vCPUs in all can be had: 1 (not
        likely) to 10 (highly likely), by Region. A sign and no promise.

        Args:
            types: at least three; with fewer AWS always answers low.
            regions: may be any; this Region's endpoint answers for all of them.
        """
        wanted, places = sorted(set(types)), sorted(set(regions))
        scores: dict[str, int] = {}
        for first in range(0, len(places), SCORED_AT_ONCE):
            some = places[first : first + SCORED_AT_ONCE]
            question = f"Spot placement scores: {vcpus} vCPUs, {' '.join(wanted + some)}"
            answer = self._session.remembered(
                question, _MARKET, partial(self._spot_scores, wanted, vcpus, some)
            )
            scores |= answer.value
        return scores

    def _spot_scores(self, types: list[str], vcpus: int, regions: list[str]) -> dict[str, int]:
        found = self._pages(
            "get_spot_placement_scores",
            "SpotPlacementScores",
            InstanceTypes=types,
            TargetCapacity=vcpus,
            TargetCapacityUnitType="vcpu",
            SingleAvailabilityZone=False,
            RegionNames=regions,
        )
        return {item["Region"]: int(item["Score"]) for item in found}

    def reservations(self, patterns: Iterable[str]) -> tuple[CapacityReservation, ...]:
        """The account's capacity reservations and Capacity Blocks here, of instance types that
        match one of the patterns; not those that are over."""
        wanted = list(patterns)
        states = [{"Name": "state", "Values": ["active", "scheduled"]}]
        return tuple(
            CapacityReservation(
                reservation_id=item["CapacityReservationId"],
                instance_type=item["InstanceType"],
                zone=item.get("AvailabilityZone", ""),
                state=item["State"],
                total=item["TotalInstanceCount"],
                free=item["AvailableInstanceCount"],
                block=item.get("ReservationType") == "capacity-block",
                ends=_moment(item.get("EndDate")),
            )
            for item in self._pages(
                "describe_capacity_reservations", "CapacityReservations", Filters=states
            )
            if matches(item["InstanceType"], wanted)
        )

    def blocks(self, instance_type: str) -> tuple[CapacityBlock, ...]:
        """Capacity Blocks of one instance of that type for a day that can be bought now, the
        earliest first."""
        found = self._pages(
            "describe_capacity_block_offerings",
            "CapacityBlockOfferings",
            InstanceType=instance_type,
            InstanceCount=1,
            CapacityDurationHours=24,
        )
        blocks = (
            CapacityBlock(
                instance_type=item["InstanceType"],
                zone=item["AvailabilityZone"],
                starts=_moment(item["StartDate"]),
                hours=item["CapacityBlockDurationHours"],
                instances=item["InstanceCount"],
                usd=float(item["UpfrontFee"]),
            )
            for item in found
        )
        return tuple(sorted(blocks, key=lambda block: block.starts))

    def connect_seconds(self) -> float | None:
        """How long it takes to open a TCP connection to the Region's EC2 endpoint, which is one
        round trip; looking up its name is not counted. None behind a proxy, where it would be the
        way to the proxy. Raises JK-AWS-UNREACHABLE."""
        found: float | None = self._session.remembered("latency", _MARKET, self._connect).value
        return found

    def _connect(self) -> float | None:
        url = self._session.client("ec2").meta.endpoint_url
        if get_environ_proxies(url):
            return None
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        try:
            family, kind, _, _, address = socket.getaddrinfo(
                parts.hostname, port, type=socket.SOCK_STREAM
            )[0]
            with socket.socket(family, kind) as connection:
                connection.settimeout(_CONNECT_SECONDS)
                began = time.perf_counter()
                connection.connect(address)
                return time.perf_counter() - began
        except OSError as error:
            raise JarkkitError(
                "JK-AWS-UNREACHABLE",
                f"The endpoint does not answer ({parts.hostname}).",
                "Check network, proxy and endpoint. In a rehearsal: jarkkit sandbox status",
                evidence=str(error),
            ) from error

    # -- asking EC2 ----------------------------------------------------------------------------

    def _call(self, operation: str, **arguments: Any) -> Mapping[str, Any]:
        with translated(f"ec2 {_words(operation)}"):
            answer: Mapping[str, Any] = getattr(self._session.client("ec2"), operation)(**arguments)
        return answer

    def _pages(self, operation: str, key: str, **arguments: Any) -> list[Any]:
        with translated(f"ec2 {_words(operation)}"):
            return list(paged(self._session.client("ec2"), operation, key, **arguments))


def _words(operation: str) -> str:
    return "".join(word.capitalize() for word in operation.split("_"))


def _moment(when: datetime | None) -> str:
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if when else ""
