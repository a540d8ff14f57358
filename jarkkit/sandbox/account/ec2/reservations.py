"""Reserved capacity and placement: capacity reservations, Capacity Blocks, placement groups.

After the EC2 user guide, "On-Demand Capacity Reservations", "Capacity Blocks for ML" and "Placement
groups", read 2026-11. A reservation without free instances rejects launches; it is free here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from moto.core.utils import utcnow
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models import EC2Backend
from moto.ec2.models.core import TaggedEC2Resource
from moto.ec2.utils import generic_filter, random_id

from jarkkit.sandbox.account.ec2 import instance_types, prices
from jarkkit.sandbox.account.ec2.launch_requests import LaunchRequest

# The earliest start of a Capacity Block from now.
_BLOCK_AHEAD = timedelta(minutes=30)


@dataclass(eq=False)
class StoredCapacityReservation(TaggedEC2Resource):
    """A reservation. Attribute names are the API's, so that moto's serializer finds them."""

    ec2_backend: Any
    id: str
    owner_id: str
    instance_type: str
    availability_zone: str
    total_instance_count: int
    instance_platform: str = "Linux/UNIX"
    instance_match_criteria: str = "open"
    end_date_type: str = "unlimited"
    end_date: datetime | None = None
    start_date: datetime = field(default_factory=utcnow)
    create_date: datetime = field(default_factory=utcnow)
    tenancy: str = "default"
    reservation_type: str = "default"
    ebs_optimized: bool = False
    cancelled: bool = False

    @property
    def capacity_reservation_id(self) -> str:
        """Id of the reservation."""
        return self.id

    @property
    def capacity_reservation_arn(self) -> str:
        """ARN of the reservation."""
        prefix = f"arn:{self.ec2_backend.partition}:ec2:{self.ec2_backend.region_name}"
        return f"{prefix}:{self.owner_id}:capacity-reservation/{self.id}"

    @property
    def state(self) -> str:
        """State, as in the API."""
        if self.cancelled:
            return "cancelled"
        now = utcnow()
        if self.end_date and self.end_date <= now:
            return "expired"
        return "active" if self.start_date <= now else "scheduled"

    @property
    def available_instance_count(self) -> int:
        """Instances that are still free."""
        used = [
            instance
            for instance in self.ec2_backend.all_instances()
            if getattr(instance, "capacity_reservation_id", None) == self.id
            and instance.state in ("pending", "running")
        ]
        return max(0, self.total_instance_count - len(used))

    @property
    def tags(self) -> list[dict[str, str]]:
        """Tags of the reservation."""
        return self.get_tags()


@dataclass(eq=False)
class PlacementGroup(TaggedEC2Resource):
    """A placement group. Attribute names are the API's."""

    ec2_backend: Any
    id: str
    group_name: str
    strategy: str
    partition_count: int | None = None
    spread_level: str | None = None
    state: str = "available"

    @property
    def group_id(self) -> str:
        """Id of the group."""
        return self.id

    @property
    def group_arn(self) -> str:
        """ARN of the group."""
        backend = self.ec2_backend
        region_and_account = f"{backend.region_name}:{backend.account_id}"
        return f"arn:{backend.partition}:ec2:{region_and_account}:placement-group/{self.group_name}"

    @property
    def tags(self) -> list[dict[str, str]]:
        """Tags of the group."""
        return self.get_tags()


class ReservationOperations(EC2Backend):
    """CreateCapacityReservation, CreatePlacementGroup and related operations."""

    def __init__(self, region_name: str, account_id: str) -> None:
        super().__init__(region_name, account_id)
        self.capacity_reservations: dict[str, StoredCapacityReservation] = {}
        self.placement_groups: dict[str, PlacementGroup] = {}

    # -- capacity reservations -----------------------------------------------------------------

    def create_capacity_reservation(
        self, tags: dict[str, str], **given: Any
    ) -> StoredCapacityReservation:
        """Handle CreateCapacityReservation; the reservation is active immediately."""
        reservation = StoredCapacityReservation(self, random_id("cr"), self.account_id, **given)
        offered = instance_types.zones_of(self.region_name).get(reservation.instance_type, ())
        if reservation.availability_zone not in offered:
            raise EC2ClientError(
                "Unsupported",
                "The requested configuration is currently not supported. Please check the "
                "documentation for supported configurations.",
            )
        self.capacity_reservations[reservation.id] = reservation
        reservation.add_tags(tags)
        return reservation

    def describe_capacity_reservations(
        self, ids: list[str] | None = None, filters: Any = None
    ) -> list[StoredCapacityReservation]:
        """List those with the ids, or all. Raises InvalidCapacityReservationId.NotFound."""
        for requested in ids or ():
            self.capacity_reservation(requested)
        found = [r for r in self.capacity_reservations.values() if not ids or r.id in ids]
        return generic_filter(filters, found)

    def capacity_reservation(self, reservation_id: str) -> StoredCapacityReservation:
        """Return one reservation. Raises InvalidCapacityReservationId.NotFound."""
        if reservation_id not in self.capacity_reservations:
            raise EC2ClientError(
                "InvalidCapacityReservationId.NotFound",
                f"The capacity reservation ID '{reservation_id}' does not exist",
            )
        return self.capacity_reservations[reservation_id]

    def matching_reservation(
        self, order: LaunchRequest, zone: str, count: int
    ) -> StoredCapacityReservation | None:
        """Return the reservation that the instances use, or None.

        Raises ReservationCapacityExceeded when they must use one that has no free instances.
        """
        preference = order.reservation.get("CapacityReservationPreference") or "open"
        target = order.reservation.get("CapacityReservationTarget") or {}
        fitting = [
            reservation
            for reservation in self.capacity_reservations.values()
            if (reservation.instance_type, reservation.availability_zone)
            == (order.instance_type, zone)
            and reservation.state == "active"
        ]
        if named := target.get("CapacityReservationId"):
            chosen = [r for r in fitting if r is self.capacity_reservation(named)]
        elif preference == "none" or order.market:
            return None
        else:
            chosen = [r for r in fitting if r.instance_match_criteria == "open"]
        free = next((r for r in chosen if r.available_instance_count >= count), None)
        if free is None and (named or preference == "capacity-reservations-only"):
            raise EC2ClientError(
                "ReservationCapacityExceeded",
                "The requested reservation does not have sufficient compatible and available "
                "capacity for this request.",
            )
        return free

    def record_reservation(
        self, held: StoredCapacityReservation | None, instance: Any, order: LaunchRequest
    ) -> None:
        """Record on the instance the reservation that it uses."""
        instance.capacity_reservation_id = held.id if held else None
        instance.capacity_reservation_specification = order.reservation or {
            "CapacityReservationPreference": "open"
        }

    # -- Capacity Blocks -----------------------------------------------------------------------

    def capacity_block_offerings(
        self, instance_type: str, instance_count: int, hours: int
    ) -> list[dict[str, Any]]:
        """Handle DescribeCapacityBlockOfferings: one per zone, with the earliest start."""
        facts = instance_types.type_info(instance_type)
        if "capacity-block" not in facts.get("SupportedUsageClasses", ()):
            return []
        begin = utcnow().replace(second=0, microsecond=0) + _BLOCK_AHEAD
        fee = prices.on_demand(instance_type) * instance_count * hours
        return [
            {
                "CapacityBlockOfferingId": f"cb-{instance_type}/{zone}/{instance_count}/{hours}",
                "InstanceType": instance_type,
                "AvailabilityZone": zone,
                "InstanceCount": instance_count,
                "StartDate": begin,
                "EndDate": begin + timedelta(hours=hours),
                "CapacityBlockDurationHours": hours,
                "UpfrontFee": f"{fee:.2f}",
                "CurrencyCode": "USD",
                "Tenancy": "default",
            }
            for zone in instance_types.zones_of(self.region_name).get(instance_type, ())
        ]

    def purchase_capacity_block(
        self, offering_id: str, platform: str, tags: dict[str, str]
    ) -> StoredCapacityReservation:
        """Handle PurchaseCapacityBlock: create a capacity reservation with an end date."""
        instance_type, zone, count, hours = offering_id.removeprefix("cb-").split("/")
        begin = utcnow().replace(second=0, microsecond=0) + _BLOCK_AHEAD
        return self.create_capacity_reservation(
            tags,
            instance_type=instance_type,
            availability_zone=zone,
            total_instance_count=int(count),
            instance_platform=platform,
            instance_match_criteria="targeted",
            end_date_type="limited",
            start_date=begin,
            end_date=begin + timedelta(hours=int(hours)),
            reservation_type="capacity-block",
        )

    # -- placement groups ----------------------------------------------------------------------

    def create_placement_group(self, tags: dict[str, str], **given: Any) -> PlacementGroup:
        """Create a placement group. Raises InvalidPlacementGroup.Duplicate."""
        group = PlacementGroup(self, random_id("pg"), **given)
        if any(g.group_name == group.group_name for g in self.placement_groups.values()):
            raise EC2ClientError(
                "InvalidPlacementGroup.Duplicate",
                f"The placement group '{group.group_name}' already exists.",
            )
        self.placement_groups[group.id] = group
        group.add_tags(tags)
        return group

    def describe_placement_groups(
        self, names: list[str], ids: list[str], filters: Any = None
    ) -> list[PlacementGroup]:
        """List those with the names and ids, or all. Raises InvalidPlacementGroup.Unknown."""
        requested = {*names, *ids}
        found = [
            group
            for group in self.placement_groups.values()
            if not requested or requested & {group.group_name, group.id}
        ]
        if unknown := requested - {word for g in found for word in (g.group_name, g.id)}:
            raise EC2ClientError(
                "InvalidPlacementGroup.Unknown",
                f"The placement group '{sorted(unknown)[0]}' is unknown.",
            )
        return generic_filter(filters, found)

    def delete_placement_group(self, name: str) -> None:
        """Delete an empty placement group. Raises InvalidPlacementGroup.InUse."""
        (group,) = self.describe_placement_groups([name], [])
        if any(
            i.placement.group_name == name and i.state != "terminated" for i in self.all_instances()
        ):
            raise EC2ClientError(
                "InvalidPlacementGroup.InUse",
                f"The placement group '{name}' is in use and may not be deleted.",
            )
        del self.placement_groups[group.id]

    def record_placement(self, instance: Any, placement: dict[str, Any]) -> None:
        """Record on the instance its placement group."""
        wanted = placement.get("GroupId") or placement.get("GroupName")
        if wanted:
            (group,) = self.describe_placement_groups([wanted], [])
            instance.placement.group_name = group.group_name
            instance.placement.group_id = group.id
            instance.placement.partition_number = placement.get("PartitionNumber")
