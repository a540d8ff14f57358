"""Regions and zones as an account sees them: those that it may use, and those that it could enable.

Shapes after the EC2 API's reference, Local Zones after "AWS Local Zones locations", read 2026-11.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models import EC2Backend

from jarkkit.sandbox import regions

# Zone groups by Region, each with the zones' letters and the prefix of their ids.
_LOCAL_ZONES: dict[str, tuple[tuple[str, str, str], ...]] = {
    "us-west-2": (("us-west-2-lax-1", "ab", "usw2-lax1"), ("us-west-2-den-1", "a", "usw2-den1")),
    "us-east-1": (("us-east-1-bos-1", "a", "use1-bos1"), ("us-east-1-atl-2", "a", "use1-atl2")),
    "eu-central-1": (("eu-central-1-ham-1", "a", "euc1-ham1"),),
    "eu-north-1": (("eu-north-1-cph-1", "a", "eun1-cph1"),),
    "ap-northeast-1": (("ap-northeast-1-tpe-1", "a", "apne1-tpe1"),),
}
# What somebody else in the account has opted in to.
_OPTED_IN = "us-west-2-lax-1"


class Zones(EC2Backend):
    """DescribeRegions and DescribeAvailabilityZones.

    Attributes:
        has_neighbours: somebody else has moved in (profile `half-used`).
    """

    has_neighbours: bool = False

    def regions_as_seen(
        self, names: Iterable[str], filters: dict[str, list[str]], *, every: bool
    ) -> list[dict[str, str]]:
        """Enabled Regions; also the others when they are asked for, by name or altogether.

        Raises InvalidParameterValue for a name that is none.
        """
        found = {
            name: {
                "RegionName": name,
                "Endpoint": f"ec2.{name}.amazonaws.com",
                "OptInStatus": "opt-in-not-required" if enabled else "not-opted-in",
            }
            for enabled, known in ((True, regions.ENABLED), (False, regions.NOT_ENABLED))
            for name in known
        }
        if unknown := [name for name in names if name not in found]:
            raise EC2ClientError("InvalidParameterValue", f"Region not found: {unknown[0]}")
        asked = list(names) or (found if every else regions.ENABLED)
        members = {
            "region-name": "RegionName",
            "endpoint": "Endpoint",
            "opt-in-status": "OptInStatus",
        }
        return _filtered([found[name] for name in asked], filters, members)

    def zones_as_seen(
        self,
        filters: dict[str, list[str]],
        names: Iterable[str],
        ids: Iterable[str],
        *,
        every: bool,
    ) -> list[dict[str, Any]]:
        """Availability Zones, and Local Zones that are opted in to, or all when asked for.

        Raises InvalidParameterValue for a name that is none.
        """
        found = [_availability_zone(zone) for zone in self.describe_availability_zones()]
        found += self._local_zones()
        seen = [zone for zone in found if every or zone["OptInStatus"] != "not-opted-in"]
        for asked, member in ((list(names), "ZoneName"), (list(ids), "ZoneId")):
            known = {zone[member] for zone in seen}
            if unknown := [name for name in asked if name not in known]:
                raise EC2ClientError(
                    "InvalidParameterValue", f"Invalid availability zone: [{unknown[0]}]"
                )
            seen = [zone for zone in seen if not asked or zone[member] in asked]
        return _filtered(seen, filters, _ZONE_FILTERS)

    def _local_zones(self) -> list[dict[str, Any]]:
        parent = next(iter(self.describe_availability_zones()), None)
        return [
            {
                **_zone(f"{group}{letter}", f"{prefix}-az{number}", self.region_name),
                "ZoneType": "local-zone",
                "GroupName": group,
                "NetworkBorderGroup": group,
                "OptInStatus": "opted-in"
                if group == _OPTED_IN and self.has_neighbours
                else "not-opted-in",
                "ParentZoneName": parent.name if parent else "",
                "ParentZoneId": parent.zone_id if parent else "",
            }
            for group, letters, prefix in _LOCAL_ZONES.get(self.region_name, ())
            for number, letter in enumerate(letters, 1)
        ]


_ZONE_FILTERS = {
    "group-name": "GroupName",
    "opt-in-status": "OptInStatus",
    "parent-zone-id": "ParentZoneId",
    "parent-zone-name": "ParentZoneName",
    "region-name": "RegionName",
    "state": "State",
    "zone-id": "ZoneId",
    "zone-name": "ZoneName",
    "zone-type": "ZoneType",
}


def _zone(name: str, zone_id: str, region: str) -> dict[str, Any]:
    return {
        "ZoneName": name,
        "ZoneId": zone_id,
        "RegionName": region,
        "State": "available",
        "Messages": [],
    }


def _availability_zone(zone: Any) -> dict[str, Any]:
    return {
        **_zone(zone.name, zone.zone_id, zone.region_name),
        "ZoneType": "availability-zone",
        "GroupName": f"{zone.region_name}-zg-1",
        "NetworkBorderGroup": zone.region_name,
        "OptInStatus": "opt-in-not-required",
    }


def _filtered(
    found: list[dict[str, Any]], filters: dict[str, list[str]], members: dict[str, str]
) -> list[dict[str, Any]]:
    if unknown := [name for name in filters if name not in members]:
        raise EC2ClientError("InvalidParameterValue", f"The filter '{unknown[0]}' is invalid")
    return [
        item
        for item in found
        if all(item.get(members[name]) in values for name, values in filters.items())
    ]
