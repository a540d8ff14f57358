"""The Spot market: price history and placement scores.

The values are made up, and always the same for a type, a zone and a day. The responses follow
DescribeSpotPriceHistory and GetSpotPlacementScores in the EC2 API reference and "Spot placement
score" in the user guide, read 2026-11.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from moto.ec2.exceptions import EC2ClientError, InvalidInstanceTypeError
from moto.ec2.models import EC2Backend
from moto.ec2.models.availability_zones_and_regions import RegionsAndZonesBackend

from jarkkit.sandbox import regions
from jarkkit.sandbox.account.ec2 import instance_types as type_catalog
from jarkkit.sandbox.account.ec2 import prices

_DAY = 86_400
_KEPT_DAYS = 90
_PRODUCTS = ("Linux/UNIX", "Linux/UNIX (Amazon VPC)")

# Scores: how many zones or Regions are listed, and below how many types the score is low.
_BEST, _FEW_TYPES, _LOW = 10, 3, 3


class SpotMarketOperations(EC2Backend):
    """DescribeSpotPriceHistory and GetSpotPlacementScores of a Region."""

    def spot_price_history(
        self,
        instance_types: list[str],
        filters: dict[str, list[str]],
        start: float | None,
        end: float | None,
        page: tuple[int, int],
    ) -> list[dict[str, Any]]:
        """List the prices in force between two times, newest first.

        This includes the last price set before the start.

        Args:
            start, end: seconds since the epoch; None means 90 days ago, and now.
            page: begin (inclusive) and end (exclusive) of the page in the whole list.
        """
        now = time.time()
        since = now - _KEPT_DAYS * _DAY
        last = now if end is None else min(end, now)
        first = since if start is None else min(max(start, since), now)
        about = {k: v for k, v in filters.items() if k != "product-description"}
        if not set(filters.get("product-description", _PRODUCTS)) & set(_PRODUCTS):
            return []
        pools = [
            (pool["InstanceType"], pool["Location"])
            for pool in self.describe_spot_price_history(instance_types, about)
            if "spot"
            in type_catalog.type_info(pool["InstanceType"]).get("SupportedUsageClasses", ())
        ]
        return list(islice(_history(pools, first, last), *page))

    def spot_placement_scores(
        self,
        instance_types: Sequence[str],
        capacity: int,
        region_names: Sequence[str],
        *,
        by_zone: bool,
    ) -> list[dict[str, Any]]:
        """Score how likely the capacity is available, 1 to 10, for the ten best zones or Regions.

        Raises InvalidInstanceType, InvalidParameterValue.
        """
        if not instance_types:
            raise EC2ClientError("MissingParameter", "The request must contain InstanceTypes")
        if unknown := {name for name in instance_types if not type_catalog.type_info(name)}:
            raise InvalidInstanceTypeError(unknown, error_type="InvalidInstanceType")
        found: list[dict[str, Any]] = []
        for region in region_names or regions.ENABLED:
            if region not in regions.ENABLED:
                raise EC2ClientError("InvalidParameterValue", f"Invalid region: {region}")
            scores = _scores(instance_types, capacity, region)
            if by_zone:
                zones = RegionsAndZonesBackend.zones.get(region, ())
                ids = {zone.name: zone.zone_id for zone in zones}
                found += [
                    {"Region": region, "AvailabilityZoneId": ids[zone], "Score": score}
                    for zone, score in scores.items()
                    if zone in ids
                ]
            elif scores:
                found.append({"Region": region, "Score": max(scores.values())})
        return sorted(found, key=lambda item: -item["Score"])[:_BEST]


def _digest(*words: object) -> bytes:
    return hashlib.sha256(" ".join(map(str, words)).encode()).digest()


def _history(
    pools: Iterable[tuple[str, str]], first: float, last: float
) -> Iterator[dict[str, Any]]:
    """Yield price changes: each price changes once a day, at its own time."""
    places = [(*pool, int.from_bytes(_digest(*pool)[:4]) % _DAY) for pool in pools]
    places.sort(key=lambda place: -place[2])
    for day in range(int(last // _DAY), int(first // _DAY) - 2, -1):
        for instance_type, zone, second in places:
            changed = day * _DAY + second
            if changed <= last and changed + _DAY > first:
                yield {
                    "InstanceType": instance_type,
                    "ProductDescription": _PRODUCTS[0],
                    "SpotPrice": f"{_price(instance_type, zone, day):.6f}",
                    "AvailabilityZone": zone,
                    "Timestamp": datetime.fromtimestamp(changed, UTC),
                }


def _price(instance_type: str, zone: str, day: int) -> float:
    """Return a price within 5 percent of the usual one."""
    swing = _digest(instance_type, zone, day)[0] / 255 - 0.5
    return prices.spot(instance_type, zone) * (1 + swing / 10)


def _scores(instance_types: Sequence[str], capacity: int, region: str) -> dict[str, int]:
    """Score each zone that offers any of the types; the largest accelerators score low."""
    found: dict[str, int] = {}
    for name in instance_types:
        for zone in type_catalog.zones_of(region).get(name, ()):
            most = 3 if type_catalog.vcpus_of(name) >= 96 and name[0] in "pt" else 9
            score = 1 + _digest(name, zone)[1] % most
            found[zone] = max(found.get(zone, 1), score)
    few = len(set(instance_types)) < _FEW_TYPES
    less = len(str(max(1, capacity))) - 3  # a point for each factor of ten, from a hundred on
    return {
        zone: max(1, min(score - max(0, less), _LOW if few else 10))
        for zone, score in found.items()
    }
