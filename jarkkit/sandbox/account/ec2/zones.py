"""Regions and zones of an account: those that are enabled, and those that it could enable.

Formats after the EC2 API reference, Local Zones after "AWS Local Zones locations", read 2026-11.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models import EC2Backend

from jarkkit.sandbox import regions

# Zone groups by Region: name, letters of the zones, prefix of their ids.
_LOCAL_ZONES: dict[str, tuple[tuple[str, str, str], ...]] = {
    "us-west-2": (("us-west-2-lax-1", "ab", "usw2-lax1"), ("us-west-2-den-1", "a", "usw2-den1")),
    "us-east-1": (("us-east-1-bos-1", "a", "use1-bos1"), ("us-east-1-atl-2", "a", "use1-atl2")),
    "eu-central-1": (("eu-central-1-ham-1", "a", "euc1-ham1"),),
    "eu-north-1": (("eu-north-1-cph-1", "a", "eun1-cph1"),),
    "ap-northeast-1": (("ap-northeast-1-tpe-1", "a", "apne1-tpe1"),),
}
# The zone group that the preexisting workloads use (profile `half-used`).
_OPTED_IN = "us-west-2-lax-1"


class ZoneOperations(EC2Backend):
    """DescribeRegions and DescribeAvailabilityZones.

    Attributes:
        has_preexisting_usage: other workloads have resources here (profile `half-used`).
    """

    has_preexisting_usage: bool = False

    def list_regions(
        self, names: Iterable[str], filters: dict[str, list[str]], *, every: bool
    ) -> list[dict[str, str]]:
        """List enabled Regions, and the others if requested, by name or with `every`.

        Raises InvalidParameterValue for an unknown name.
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
        requested = list(names) or (found if every else regions.ENABLED)
        members = {
            "region-name": "RegionName",
            "endpoint": "Endpoint",
            "opt-in-status": "OptInStatus",
        }
        return _filtered([found[name] for name in requested], filters, members)

    def list_zones(
        self,
        filters: dict[str, list[str]],
        names: Iterable[str],
        ids: Iterable[str],
        *,
        every: bool,
    ) -> list[dict[str, Any]]:
        """List Availability Zones and opted-in Local Zones, or all zones with `every`.

        Raises InvalidParameterValue for an unknown name.
        """
        found = [_availability_zone(zone) for zone in self.describe_availability_zones()]
        found += self._local_zones()
        seen = [zone for zone in found if every or zone["OptInStatus"] != "not-opted-in"]
        for requested, member in ((list(names), "ZoneName"), (list(ids), "ZoneId")):
            known = {zone[member] for zone in seen}
            if unknown := [name for name in requested if name not in known]:
                raise EC2ClientError(
                    "InvalidParameterValue", f"Invalid availability zone: [{unknown[0]}]"
                )
            seen = [zone for zone in seen if not requested or zone[member] in requested]
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
                if group == _OPTED_IN and self.has_preexisting_usage
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
