"""Request handlers of EC2."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any, cast

from moto.core.common_types import TYPE_RESPONSE
from moto.core.responses import ActionResult, EmptyResult
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models import ec2_backends
from moto.ec2.responses import EC2Response

from jarkkit.sandbox.account.ec2 import preexisting_usage, response_cache
from jarkkit.sandbox.account.ec2.models import Ec2Backend


def _seconds(moment: datetime | str | None) -> float | None:
    """Return seconds since the epoch."""
    if not moment:
        return None
    read = moment if isinstance(moment, datetime) else datetime.fromisoformat(moment)
    return (read if read.tzinfo else read.replace(tzinfo=UTC)).timestamp()


class Ec2Response(EC2Response):
    """moto's handlers, and those that moto lacks."""

    @property
    def ec2_backend(self) -> Ec2Backend:
        """Backend of the caller's account and Region, after its due work has run."""
        backend = cast(Ec2Backend, ec2_backends[self.current_account][self.region])
        preexisting_usage.create_preexisting_usage(backend)
        backend.later.catch_up(backend)
        return backend

    def _tags(self, kind: str) -> dict[str, str]:
        return dict(self._parse_tag_specification().get(kind, {}))

    def _members(self, *names: str) -> dict[str, Any]:
        """Return those members that the request has."""
        found = {name: self._get_param(name) for name in names}
        return {name: value for name, value in found.items() if value is not None}

    def create_fleet(self) -> ActionResult:
        """Handle CreateFleet; moto handles fleets of other types than instant."""
        if self._get_param("Type") != "instant":
            return super().create_fleet()
        self.error_on_dryrun()
        fleet = self.ec2_backend.create_instant_fleet(
            self._members(
                "LaunchTemplateConfigs",
                "TargetCapacitySpecification",
                "SpotOptions",
                "OnDemandOptions",
                "TagSpecifications",
                "Context",
            )
        )
        return ActionResult(
            {"FleetId": fleet.id, "Instances": fleet.instances, "Errors": fleet.errors}
        )

    def describe_instance_types(self) -> TYPE_RESPONSE:  # type: ignore[override]
        """Handle DescribeInstanceTypes with cached responses.

        Rendering the response to Karpenter's request takes seconds, and each of its replicas sends
        the request twice.
        """
        request = json.dumps([self.region, self._get_params()], sort_keys=True, default=str)
        return response_cache.get_or_create(
            request, lambda: self.serialized(super(Ec2Response, self).describe_instance_types())
        )

    def register_image(self) -> ActionResult:
        """Handle RegisterImage with all of its members."""
        self.error_on_dryrun()
        given = self._members(
            "Name",
            "Description",
            "Architecture",
            "VirtualizationType",
            "RootDeviceName",
            "BootMode",
            "ImageLocation",
            "EnaSupport",
            "BlockDeviceMappings",
        )
        image = self.ec2_backend.register_own_image(given, self._tags("image"))
        return ActionResult({"ImageId": image.id})

    def describe_regions(self) -> ActionResult:
        """Handle DescribeRegions: enabled ones, or all."""
        self.error_on_dryrun()
        found = self.ec2_backend.list_regions(
            self._get_param("RegionNames", []),
            self._listed_filters(),
            every=bool(self._get_param("AllRegions", False)),
        )
        return ActionResult({"Regions": found})

    def describe_availability_zones(self) -> ActionResult:
        """Handle DescribeAvailabilityZones, with Local Zones on request."""
        self.error_on_dryrun()
        found = self.ec2_backend.list_zones(
            self._listed_filters(),
            self._get_param("ZoneNames", []),
            self._get_param("ZoneIds", []),
            every=bool(self._get_param("AllAvailabilityZones", False)),
        )
        return ActionResult({"AvailabilityZones": found})

    def describe_spot_price_history(self) -> ActionResult:
        """Handle DescribeSpotPriceHistory, with pagination."""
        self.error_on_dryrun()
        filters = self._listed_filters()
        if products := self._get_param("ProductDescriptions", []):
            filters["product-description"] = products
        if zone := self._get_param("AvailabilityZone"):
            filters["availability-zone"] = [zone]
        begin, end = self._page(1000)
        found = self.ec2_backend.spot_price_history(
            self._get_param("InstanceTypes", []),
            filters,
            _seconds(self._get_param("StartTime")),
            _seconds(self._get_param("EndTime")),
            (begin, end + 1),
        )
        more = str(end) if len(found) > end - begin else ""
        return ActionResult({"SpotPriceHistory": found[: end - begin], "NextToken": more})

    def get_spot_placement_scores(self) -> ActionResult:
        """Handle GetSpotPlacementScores."""
        self.error_on_dryrun()
        found = self.ec2_backend.spot_placement_scores(
            self._get_param("InstanceTypes", []),
            int(self._get_param("TargetCapacity", 1)),
            self._get_param("RegionNames", []),
            by_zone=bool(self._get_param("SingleAvailabilityZone", False)),
        )
        return ActionResult({"SpotPlacementScores": found})

    def _listed_filters(self) -> dict[str, list[str]]:
        return {name: list(values) for name, values in self._filters_from_querystring().items()}

    def _page(self, usual: int) -> tuple[int, int]:
        """Return begin and end of the page; a token is the index where the next page begins."""
        token = self._get_param("NextToken") or "0"
        if not str(token).isdigit():
            raise EC2ClientError("InvalidParameterValue", "The token is invalid")
        return int(token), int(token) + int(self._get_param("MaxResults") or usual)

    def create_capacity_reservation(self) -> ActionResult:
        """Handle CreateCapacityReservation."""
        self.error_on_dryrun()
        given = {
            "instance_type": self._get_param("InstanceType"),
            "availability_zone": self._get_param("AvailabilityZone"),
            "total_instance_count": int(self._get_param("InstanceCount")),
            "instance_platform": self._get_param("InstancePlatform"),
            "instance_match_criteria": self._get_param("InstanceMatchCriteria", "open"),
            "tenancy": self._get_param("Tenancy", "default"),
            "end_date_type": self._get_param("EndDateType", "unlimited"),
            "end_date": self._get_param("EndDate"),
            "ebs_optimized": bool(self._get_param("EbsOptimized", False)),
        }
        tags = self._tags("capacity-reservation")
        made = self.ec2_backend.create_capacity_reservation(tags, **given)
        return ActionResult({"CapacityReservation": made})

    def describe_capacity_reservations(self) -> ActionResult:
        """Handle DescribeCapacityReservations."""
        found = self.ec2_backend.describe_capacity_reservations(
            self._get_param("CapacityReservationIds", []), self._filters_from_querystring()
        )
        return ActionResult({"CapacityReservations": found})

    def cancel_capacity_reservation(self) -> ActionResult:
        """Handle CancelCapacityReservation: its instances keep running."""
        self.error_on_dryrun()
        requested = self._get_param("CapacityReservationId")
        self.ec2_backend.capacity_reservation(requested).cancelled = True
        return ActionResult({"Return": True})

    def describe_capacity_block_offerings(self) -> ActionResult:
        """Handle DescribeCapacityBlockOfferings."""
        found = self.ec2_backend.capacity_block_offerings(
            self._get_param("InstanceType", ""),
            int(self._get_param("InstanceCount", 1)),
            int(self._get_param("CapacityDurationHours", 24)),
        )
        return ActionResult({"CapacityBlockOfferings": found})

    def purchase_capacity_block(self) -> ActionResult:
        """Handle PurchaseCapacityBlock."""
        self.error_on_dryrun()
        made = self.ec2_backend.purchase_capacity_block(
            self._get_param("CapacityBlockOfferingId"),
            self._get_param("InstancePlatform"),
            self._tags("capacity-reservation"),
        )
        return ActionResult({"CapacityReservation": made})

    def create_placement_group(self) -> ActionResult:
        """Handle CreatePlacementGroup."""
        self.error_on_dryrun()
        partitions = self._get_param("PartitionCount")
        made = self.ec2_backend.create_placement_group(
            self._tags("placement-group"),
            group_name=self._get_param("GroupName"),
            strategy=self._get_param("Strategy", "cluster"),
            partition_count=int(partitions) if partitions else None,
            spread_level=self._get_param("SpreadLevel"),
        )
        return ActionResult({"PlacementGroup": made})

    def describe_placement_groups(self) -> ActionResult:
        """Handle DescribePlacementGroups."""
        found = self.ec2_backend.describe_placement_groups(
            self._get_param("GroupNames", []),
            self._get_param("GroupIds", []),
            self._filters_from_querystring(),
        )
        return ActionResult({"PlacementGroups": found})

    def delete_placement_group(self) -> EmptyResult:
        """Handle DeletePlacementGroup."""
        self.error_on_dryrun()
        self.ec2_backend.delete_placement_group(self._get_param("GroupName"))
        return EmptyResult()
