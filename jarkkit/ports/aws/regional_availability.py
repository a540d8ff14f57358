"""What AWS offers in a Region: zones, instance types, Spot prices, capacity signals, versions.

All calls are read-only. Responses are cached: for an hour or a day if they seldom change, for
minutes if they depend on the market.
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

from jarkkit.decisions.zones import matches_pattern
from jarkkit.model.errors import CredentialsExpired, JarkkitError
from jarkkit.model.records import CapacityBlock, ClusterVersion, Ec2CapacityReservation, Zone
from jarkkit.ports.aws.response_cache import DAY, MINUTE
from jarkkit.ports.aws.session import AwsSession, home_region, paginate, translate_errors

# The product description of Amazon Linux in a VPC, for DescribeSpotPriceHistory.
_LINUX = "Linux/UNIX"
# GetSpotPlacementScores returns at most the ten best of the requested Regions:
# https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_GetSpotPlacementScores.html
REGIONS_PER_SCORE_CALL = 10
# It always returns a low score for fewer than three types:
# https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-placement-score.html
MIN_SCORED_TYPES = 3
_CONNECT_SECONDS = 3.0
_HOUR, _MARKET = 60 * MINUTE, 5 * MINUTE


class Availability:
    """What one Region offers to this account. The constructor makes no call."""

    def __init__(self, session: AwsSession) -> None:
        self._session = session

    def enabled_regions(self) -> tuple[str, ...]:
        """Return the Regions that are enabled in this account."""

        def ask() -> list[str]:
            try:
                regions = self._call("describe_regions")["Regions"]
            except CredentialsExpired:
                home = home_region(self._session.region)
                if home == self._session.region:
                    raise
                # A Region that is not enabled rejects the account's credentials.
                return list(Availability(self._session.in_region(home)).enabled_regions())
            return sorted(region["RegionName"] for region in regions)

        return tuple(self._session.cached("enabled Regions", _HOUR, ask).value)

    def zones(self) -> tuple[Zone, ...]:
        """Return all zones of the Region that the account can see, including Local and Wavelength
        Zones."""

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

        found = self._session.cached("zones", _HOUR, ask).value
        return tuple(Zone.model_validate(zone) for zone in found)

    def zones_by_type(self, patterns: Iterable[str]) -> dict[str, frozenset[str]]:
        """Return the instance types that match one of the patterns (`g6.*`, `m5.xlarge`), each with
        the names of the zones that offer it. One request covers all patterns."""
        unique = sorted(set(patterns))

        def ask() -> dict[str, list[str]]:
            found: dict[str, list[str]] = {}
            for offering in self._pages(
                "describe_instance_type_offerings",
                "InstanceTypeOfferings",
                LocationType="availability-zone",
                Filters=[{"Name": "instance-type", "Values": unique}],
            ):
                found.setdefault(offering["InstanceType"], []).append(offering["Location"])
            return found

        question = f"zones that offer {' '.join(unique)}"
        found = self._session.cached(question, DAY, ask).value
        return {name: frozenset(zones) for name, zones in sorted(found.items())}

    def cluster_versions(self) -> tuple[ClusterVersion, ...]:
        """Return the Kubernetes versions that EKS currently offers in this Region."""

        def ask() -> list[dict[str, str]]:
            with translate_errors("eks DescribeClusterVersions"):
                answer = self._session.client("eks").describe_cluster_versions()
            return [
                {
                    "version": item["clusterVersion"],
                    "support": str(item.get("versionStatus") or item.get("status") or ""),
                    "end_of_standard_support": str(item.get("endOfStandardSupportDate", ""))[:10],
                }
                for item in answer["clusterVersions"]
            ]

        found = self._session.cached("cluster versions", _HOUR, ask).value
        return tuple(ClusterVersion.model_validate(version) for version in found)

    def spot_prices(self, types: Sequence[str]) -> dict[str, dict[str, float]]:
        """Return the current Spot prices of these types: USD per hour by type, then by zone."""
        if not types:
            return {}
        unique = sorted(set(types))
        question = f"Spot prices of {' '.join(unique)}"
        found = self._session.cached(question, _MARKET, lambda: self._spot_prices(unique))
        return dict(found.value)

    def _spot_prices(self, types: list[str]) -> dict[str, dict[str, float]]:
        newest: dict[tuple[str, str], tuple[datetime, float]] = {}
        for price in self._pages(
            "describe_spot_price_history",
            "SpotPriceHistory",
            InstanceTypes=types,
            ProductDescriptions=[_LINUX],
            # From now on: returns only the current price of each type and zone.
            StartTime=datetime.now(UTC),
        ):
            key = (price["InstanceType"], price["AvailabilityZone"])
            dated = (price["Timestamp"], float(price["SpotPrice"]))
            newest[key] = max(newest.get(key, dated), dated)
        found: dict[str, dict[str, float]] = {}
        for (instance_type, zone), (_, usd) in sorted(newest.items()):
            found.setdefault(instance_type, {})[zone] = usd
        return found

    def spot_scores(
        self, types: Sequence[str], vcpus: int, regions: Sequence[str]
    ) -> dict[str, int]:
        """Return how likely a Spot request for so many vCPUs of these types succeeds, by Region: 1
        (not likely) to 10 (highly likely). The score is no guarantee.

        Args:
            types: at least three; AWS always returns a low score for fewer.
            regions: any Regions; this Region's endpoint answers for all of them.
        """
        wanted, places = sorted(set(types)), sorted(set(regions))
        scores: dict[str, int] = {}
        for first in range(0, len(places), REGIONS_PER_SCORE_CALL):
            some = places[first : first + REGIONS_PER_SCORE_CALL]
            question = f"Spot placement scores: {vcpus} vCPUs, {' '.join(wanted + some)}"
            answer = self._session.cached(
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

    def capacity_reservations(self, patterns: Iterable[str]) -> tuple[Ec2CapacityReservation, ...]:
        """Return the account's active and scheduled capacity reservations and Capacity Blocks in
        this Region, for instance types that match one of the patterns."""
        wanted = list(patterns)
        states = [{"Name": "state", "Values": ["active", "scheduled"]}]
        return tuple(
            Ec2CapacityReservation(
                reservation_id=item["CapacityReservationId"],
                instance_type=item["InstanceType"],
                zone=item.get("AvailabilityZone", ""),
                state=item["State"],
                total=item["TotalInstanceCount"],
                free=item["AvailableInstanceCount"],
                block=item.get("ReservationType") == "capacity-block",
                ends=_iso_time(item.get("EndDate")),
            )
            for item in self._pages(
                "describe_capacity_reservations", "CapacityReservations", Filters=states
            )
            if matches_pattern(item["InstanceType"], wanted)
        )

    def capacity_blocks(self, instance_type: str) -> tuple[CapacityBlock, ...]:
        """Return the Capacity Blocks of one instance of that type for a day that you can buy now,
        the earliest first."""
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
                starts=_iso_time(item["StartDate"]),
                hours=item["CapacityBlockDurationHours"],
                instances=item["InstanceCount"],
                usd=float(item["UpfrontFee"]),
            )
            for item in found
        )
        return tuple(sorted(blocks, key=lambda block: block.starts))

    def connect_seconds(self) -> float | None:
        """Return the time to open a TCP connection to the Region's EC2 endpoint: one round trip,
        without the DNS lookup. None behind a proxy, where it would measure the proxy. Raises
        JK-AWS-UNREACHABLE."""
        found: float | None = self._session.cached("latency", _MARKET, self._connect).value
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
                "Check your network, proxy and endpoint. In the sandbox: jarkkit sandbox status",
                evidence=str(error),
            ) from error

    # -- EC2 calls -----------------------------------------------------------------------------

    def _call(self, operation: str, **arguments: Any) -> Mapping[str, Any]:
        with translate_errors(f"ec2 {_words(operation)}"):
            answer: Mapping[str, Any] = getattr(self._session.client("ec2"), operation)(**arguments)
        return answer

    def _pages(self, operation: str, key: str, **arguments: Any) -> list[Any]:
        with translate_errors(f"ec2 {_words(operation)}"):
            return list(paginate(self._session.client("ec2"), operation, key, **arguments))


def _words(operation: str) -> str:
    return "".join(word.capitalize() for word in operation.split("_"))


def _iso_time(when: datetime | None) -> str:
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if when else ""
