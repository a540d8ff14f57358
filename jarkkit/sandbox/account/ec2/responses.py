"""Requests in, answers out."""

from __future__ import annotations

import json
from typing import Any, cast

from moto.core.common_types import TYPE_RESPONSE
from moto.core.responses import ActionResult, EmptyResult
from moto.ec2.models import ec2_backends
from moto.ec2.responses import EC2Response

from jarkkit.sandbox.account.ec2.models import Ec2Backend

# Answers about instance types by Region and question.
_WRITTEN: dict[tuple[str, str], TYPE_RESPONSE] = {}
_KEPT = 8


class Ec2Response(EC2Response):
    """moto's handlers, and those that it has not."""

    @property
    def ec2_backend(self) -> Ec2Backend:
        """The backend of the caller's account and Region; what is due happens before the answer."""
        backend = cast(Ec2Backend, ec2_backends[self.current_account][self.region])
        backend.later.catch_up(backend)
        return backend

    def _tags(self, kind: str) -> dict[str, str]:
        return dict(self._parse_tag_specification().get(kind, {}))

    def _members(self, *names: str) -> dict[str, Any]:
        """Those members of the request that are there."""
        found = {name: self._get_param(name) for name in names}
        return {name: value for name, value in found.items() if value is not None}

    def create_fleet(self) -> ActionResult:
        """Instant fleets are ours, the others moto's."""
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
        """A question that was asked before has the same answer. To write the one to Karpenter's
        anew takes seconds, and each of its replicas asks twice."""
        asked = (self.region, json.dumps(self._get_params(), sort_keys=True, default=str))
        if asked not in _WRITTEN:
            _WRITTEN[asked] = self.serialized(super().describe_instance_types())
            while len(_WRITTEN) > _KEPT:
                _WRITTEN.pop(next(iter(_WRITTEN)))
        status, headers, body = _WRITTEN[asked]
        return status, dict(headers), body

    def register_image(self) -> ActionResult:
        """With all that describes the image."""
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

    def describe_spot_price_history(self) -> ActionResult:
        """A price of its own for each type and zone."""
        found = self.ec2_backend.spot_prices(
            self._get_param("InstanceTypes", []), self._filters_from_querystring()
        )
        return ActionResult({"SpotPriceHistory": found})

    def create_capacity_reservation(self) -> ActionResult:
        """CreateCapacityReservation."""
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
        """DescribeCapacityReservations."""
        found = self.ec2_backend.describe_capacity_reservations(
            self._get_param("CapacityReservationIds", []), self._filters_from_querystring()
        )
        return ActionResult({"CapacityReservations": found})

    def cancel_capacity_reservation(self) -> ActionResult:
        """CancelCapacityReservation: its instances go on."""
        self.error_on_dryrun()
        asked = self._get_param("CapacityReservationId")
        self.ec2_backend.capacity_reservation(asked).cancelled = True
        return ActionResult({"Return": True})

    def describe_capacity_block_offerings(self) -> ActionResult:
        """DescribeCapacityBlockOfferings."""
        found = self.ec2_backend.capacity_block_offerings(
            self._get_param("InstanceType", ""),
            int(self._get_param("InstanceCount", 1)),
            int(self._get_param("CapacityDurationHours", 24)),
        )
        return ActionResult({"CapacityBlockOfferings": found})

    def purchase_capacity_block(self) -> ActionResult:
        """PurchaseCapacityBlock."""
        self.error_on_dryrun()
        made = self.ec2_backend.purchase_capacity_block(
            self._get_param("CapacityBlockOfferingId"),
            self._get_param("InstancePlatform"),
            self._tags("capacity-reservation"),
        )
        return ActionResult({"CapacityReservation": made})

    def create_placement_group(self) -> ActionResult:
        """CreatePlacementGroup."""
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
        """DescribePlacementGroups."""
        found = self.ec2_backend.describe_placement_groups(
            self._get_param("GroupNames", []),
            self._get_param("GroupIds", []),
            self._filters_from_querystring(),
        )
        return ActionResult({"PlacementGroups": found})

    def delete_placement_group(self) -> EmptyResult:
        """DeletePlacementGroup."""
        self.error_on_dryrun()
        self.ec2_backend.delete_placement_group(self._get_param("GroupName"))
        return EmptyResult()
