"""What the market for Spot instances shows: how prices went, and how likely a launch is.

The market is the rehearsal's own: always the same for a type, a zone and a day. What is shown and
when is after DescribeSpotPriceHistory and GetSpotPlacementScores in the EC2 API's reference and
"Spot placement score" in the user guide, read 2026-11.
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
from jarkkit.sandbox.account.ec2 import catalogue, prices

_DAY = 86_400
_KEPT_DAYS = 90
_PRODUCTS = ("Linux/UNIX", "Linux/UNIX (Amazon VPC)")

# Scores: how many places are named, and below how many types the score is low.
_BEST, _FEW_TYPES, _LOW = 10, 3, 3


class Spot(EC2Backend):
    """The market as seen from a Region."""

    def spot_price_history(
        self,
        instance_types: list[str],
        filters: dict[str, list[str]],
        start: float | None,
        end: float | None,
        page: tuple[int, int],
    ) -> list[dict[str, Any]]:
        """Prices that held between two moments, newest first: so also the last one from before.

        Args:
            start, end: seconds since the epoch; None means 90 days ago, and now.
            page: of the whole list, the first that is wanted, and the first that is not.
        """
        now = time.time()
        since = now - _KEPT_DAYS * _DAY
        last = now if end is None else min(end, now)
        first = since if start is None else min(max(start, since), now)
        about = {k: v for k, v in filters.items() if k != "product-description"}
        if not set(filters.get("product-description", _PRODUCTS)) & set(_PRODUCTS):
            return []
        offers = [
            (offer["InstanceType"], offer["Location"])
            for offer in self.describe_spot_price_history(instance_types, about)
            if "spot" in catalogue.facts_of(offer["InstanceType"]).get("SupportedUsageClasses", ())
        ]
        return list(islice(_history(offers, first, last), *page))

    def spot_placement_scores(
        self,
        instance_types: Sequence[str],
        capacity: int,
        region_names: Sequence[str],
        *,
        by_zone: bool,
    ) -> list[dict[str, Any]]:
        """How likely that much can be had, 1 to 10, for the ten best places.

        Raises InvalidInstanceType, InvalidParameterValue.
        """
        if not instance_types:
            raise EC2ClientError("MissingParameter", "The request must contain InstanceTypes")
        if unknown := {name for name in instance_types if not catalogue.facts_of(name)}:
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
    offers: Iterable[tuple[str, str]], first: float, last: float
) -> Iterator[dict[str, Any]]:
    """A price changes once a day, at a time of its own."""
    places = [(*offer, int.from_bytes(_digest(*offer)[:4]) % _DAY) for offer in offers]
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
    """Up to a twentieth above or below the usual one."""
    swing = _digest(instance_type, zone, day)[0] / 255 - 0.5
    return prices.spot(instance_type, zone) * (1 + swing / 10)


def _scores(instance_types: Sequence[str], capacity: int, region: str) -> dict[str, int]:
    """By zone, where any of the types is offered; the largest accelerators are always scarce."""
    found: dict[str, int] = {}
    for name in instance_types:
        for zone in catalogue.zones_of(region).get(name, ()):
            most = 3 if catalogue.vcpus_of(name) >= 96 and name[0] in "pt" else 9
            score = 1 + _digest(name, zone)[1] % most
            found[zone] = max(found.get(zone, 1), score)
    few = len(set(instance_types)) < _FEW_TYPES
    less = len(str(max(1, capacity))) - 3  # a point for each factor of ten, from a hundred on
    return {
        zone: max(1, min(score - max(0, less), _LOW if few else 10))
        for zone, score in found.items()
    }
