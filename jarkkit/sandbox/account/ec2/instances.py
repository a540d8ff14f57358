"""Instances: launched within quotas and capacity, complete with what their launch template says,
and ended with everything that belongs to them."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models.instances import StateReason
from moto.ec2.models.spot_requests import SpotInstanceRequest
from moto.ec2.utils import filter_iam_instance_profiles, parse_user_data, random_spot_request_id
from moto.iam.exceptions import NotFoundException as NoSuchProfile
from moto.servicequotas.models import servicequotas_backends

from jarkkit.sandbox import faults
from jarkkit.sandbox.account import events
from jarkkit.sandbox.account.ec2 import capacity, catalogue, orders, prices
from jarkkit.sandbox.account.ec2.images import Images
from jarkkit.sandbox.account.ec2.network import Network
from jarkkit.sandbox.account.ec2.orders import Order
from jarkkit.sandbox.account.ec2.reservations import CapacityReservation, Reservations
from jarkkit.sandbox.account.servicequotas.facts import P5_APART


class SpotRequest(SpotInstanceRequest):
    """The request behind a Spot instance that was launched already.

    Args:
        instance: what it was fulfilled with.
    """

    def __init__(self, backend: Any, instance: Any, tags: orders.Tags) -> None:
        self._launched = instance
        super().__init__(
            backend,
            random_spot_request_id(),
            price=str(prices.on_demand(instance.instance_type)),
            image_id=instance.image_id,
            spot_instance_type="one-time",
            valid_from=None,
            valid_until=None,
            launch_group=None,
            availability_zone_group=None,
            key_name=instance.key_name,
            security_groups=[group.id for group in instance.security_groups],
            user_data=None,
            instance_type=instance.instance_type,
            placement=instance.placement.zone,
            kernel_id=None,
            ramdisk_id=None,
            monitoring_enabled=instance.monitored,
            subnet_id=instance.subnet_id,
            tags=tags,
            spot_fleet_id=None,
            instance_interruption_behaviour="terminate",
        )

    def launch_instance(self) -> Any:
        """moto would launch one here."""
        return self._launched


class Instances(Network, Images, Reservations):
    """RunInstances, TerminateInstances, and what AWS does to Spot instances."""

    # -- launch --------------------------------------------------------------------------------

    def run_instances(
        self,
        image_id: str,
        count: int,
        user_data: Any,
        security_group_names: list[str],
        **given: Any,
    ) -> Any:
        """Launch instances, or say in AWS' words why not."""
        version = self._template(given.get("launch_template"))
        order = orders.order(image_id, given, version.data if version else {})
        zone = self._zone(order)
        held = self.reserved_for(order, zone, count)
        self._check(order, count, zone, held)
        image = self.image(order.image_id)
        self._check_image(image, order)
        if user_data is None and version:
            user_data = _user_data(version.data.get("UserData"))
        reservation: Any = super().run_instances(
            order.image_id,
            count,
            user_data,
            security_group_names,
            **{**given, **_arguments(order, image, self.region_name)},
        )
        for instance in reservation.instances:
            self._complete(instance, order, asked=given)
            self.put_into(held, instance, order)
        return reservation

    def _template(self, named: dict[str, Any] | None) -> Any:
        return self._get_template_from_args(named) if named else None

    def _zone(self, order: Order) -> str:
        """Where the instances will be: moto's choice is the first zone, if nothing was said."""
        if order.subnet:
            return str(self.get_subnet(order.subnet).availability_zone)
        return str(order.placement.get("AvailabilityZone") or f"{self.region_name}a")

    def _check(self, order: Order, count: int, zone: str, held: CapacityReservation | None) -> None:
        """Raises VcpuLimitExceeded, InsufficientInstanceCapacity and their like."""
        question = self._question(order, count, zone)
        if held:  # its vCPUs are counted already
            question = replace(question, limit=None)
        if refused := capacity.refusal(question, self.running()):
            raise EC2ClientError(*refused)
        profile = order.profile
        if not profile:
            return
        try:
            filter_iam_instance_profiles(
                self.account_id, self.partition, profile.get("Arn"), profile.get("Name")
            )
        except NoSuchProfile:
            word, value = next(iter(profile.items()))
            raise EC2ClientError(
                "InvalidParameterValue",
                f"Value ({value}) for parameter iamInstanceProfile.{word.lower()} is invalid. "
                f"Invalid IAM Instance Profile {word.lower()}",
            ) from None

    def _check_image(self, image: Any, order: Order) -> None:
        facts = catalogue.facts_of(order.instance_type)
        known = facts.get("ProcessorInfo", {}).get("SupportedArchitectures", [])
        if known and image.architecture and image.architecture not in known:
            raise EC2ClientError(
                "InvalidParameterValue",
                f"The architecture '{','.join(known)}' of the specified instance type does not "
                f"match the architecture '{image.architecture}' of the specified AMI. Specify an "
                "instance type and an AMI that have matching architectures, and try again.",
            )

    def _question(self, order: Order, count: int, zone: str) -> capacity.Question:
        quotas: Any = servicequotas_backends[self.account_id][self.region_name]
        p5_apart = self.region_name in P5_APART
        code = capacity.quota_code(order.instance_type, spot=order.spot, p5_apart=p5_apart)
        subnet: Any = self.get_subnet(order.subnet) if order.subnet else None
        return capacity.Question(
            instance_type=order.instance_type,
            count=count,
            zone=zone,
            spot=order.spot,
            vcpus=catalogue.vcpus_of(order.instance_type),
            limit=quotas.in_force("ec2", code) if code else None,
            zones=catalogue.zones_of(self.region_name).get(order.instance_type, ()),
            short=faults.ACTIVE.shortage(order.instance_type, zone),
            subnet=order.subnet,
            free_addresses=subnet.available_ip_address_count if subnet else None,
            p5_apart=p5_apart,
        )

    def running(self) -> list[capacity.Running]:
        """What counts towards the quotas: instances, and what is set aside and unused."""
        there = [
            capacity.Running(
                instance.instance_type,
                catalogue.vcpus_of(instance.instance_type),
                instance.lifecycle == "spot",
            )
            for instance in self.all_instances()
            if instance.state in ("pending", "running")
        ]
        return there + [
            capacity.Running(held.instance_type, catalogue.vcpus_of(held.instance_type), spot=False)
            for held in self.capacity_reservations.values()
            if held.state == "active" and held.reservation_type != "capacity-block"
            for _ in range(held.available_instance_count)
        ]

    def _complete(self, instance: Any, order: Order, asked: dict[str, Any]) -> None:
        """What moto leaves out of an instance that a template describes."""
        instance.placement.tenancy = order.placement.get("Tenancy") or "default"
        instance.placement.availability_zone_id = self._zone_id(instance)
        self.place(instance, order.placement)
        for spec, interface in zip(order.interfaces, instance.network_interfaces, strict=True):
            interface.interface_type = spec.get("InterfaceType") or "interface"
            if not spec.get("NetworkInterfaceId"):
                interface.add_tags(order.tags.get("network-interface", {}))
        primary = instance.network_interfaces[0]
        primary.private_dns_name = instance.private_dns_name
        instance.security_groups = instance.security_groups or list(primary.group_set)
        if order.profile:
            self.associate_iam_instance_profile(
                instance.id, order.profile.get("Name"), order.profile.get("Arn")
            )
        # moto's RequestSpotInstances brings a request of its own.
        if order.spot and "lifecycle" not in asked:
            self._request_for(instance, order.tags)

    def _zone_id(self, instance: Any) -> str | None:
        subnet = instance.network_interfaces[0].subnet
        return str(subnet.availability_zone_id) if subnet else None

    def _request_for(self, instance: Any, tags: orders.Tags) -> None:
        request = SpotRequest(self, instance, tags)
        self.spot_instance_requests[request.id] = request
        instance.spot_instance_request_id = request.id

    def associate_iam_instance_profile(
        self,
        instance_id: str,
        iam_instance_profile_name: str | None = None,
        iam_instance_profile_arn: str | None = None,
    ) -> Any:
        """moto's RunInstances comes here a second time with the profile that an instance has."""
        named = iam_instance_profile_name, iam_instance_profile_arn
        before: Any = self.iam_instance_profile_associations.get(instance_id)
        if before and {before.iam_instance_profile.name, before.iam_instance_profile.arn} & {
            *named
        }:
            return before
        return super().associate_iam_instance_profile(instance_id, *named)

    def request_spot_instances(self, *given: Any, **named: Any) -> list[Any]:
        """RequestSpotInstances: the instances know their requests."""
        requests: list[Any] = super().request_spot_instances(*given, **named)
        for request in requests:
            request.instance.spot_instance_request_id = request.id
        return requests

    # -- end -----------------------------------------------------------------------------------

    def terminate_instances(self, instance_ids: list[str]) -> list[Any]:
        """End instances; those that have ended already stay as they are."""
        found: list[Any] = self.get_multi_instances_by_id(list(dict.fromkeys(instance_ids)))
        alive = [instance.id for instance in found if instance.state != "terminated"]
        ended = [(i, copy.copy(i.instance_state)) for i in found if i.id not in alive]
        if alive or not found:
            done: list[Any] = super().terminate_instances(alive)
            for instance, _ in done:
                self._close_request(instance, "instance-terminated-by-user")
                self._tell_state(instance, "shutting-down")
                self._tell_state(instance, "terminated")
            ended += done
        return ended

    def interrupt_spot_instance(self, instance_id: str) -> None:
        """What AWS does when it wants a Spot instance back: warn, and end it two minutes later.

        Raises InvalidInstanceID.NotFound, InvalidParameterValue for one that is not Spot.
        """
        instance: Any = self.get_instance(instance_id)
        if instance.lifecycle != "spot" or instance.state == "terminated":
            raise EC2ClientError(
                "InvalidParameterValue", f"{instance_id} is not a Spot instance that is running"
            )
        events.tell(
            self.account_id,
            self.region_name,
            source="aws.ec2",
            detail_type="EC2 Spot Instance Interruption Warning",
            resources=[
                f"arn:{self.partition}:ec2:{instance.placement.zone}:instance/{instance.id}"
            ],
            detail={"instance-id": instance.id, "instance-action": "terminate"},
        )
        self._set_request(instance, "active", "marked-for-termination")
        self.later.add(self, "Spot interruption", "spot_instance_gone", instance.id)

    def spot_instance_gone(self, instance_id: str) -> None:
        """The two minutes are over."""
        instance: Any = self.get_instance(instance_id)
        if instance.state == "terminated":
            return
        self.terminate_instances([instance_id])
        reason = "Server.SpotInstanceTermination"
        instance.state_reason = StateReason(f"{reason}: Spot instance termination", reason)
        self._set_request(instance, "closed", "instance-terminated-no-capacity")

    def _close_request(self, instance: Any, status: str) -> None:
        if getattr(instance, "spot_instance_request_id", None):
            self._set_request(instance, "closed", status)

    def _set_request(self, instance: Any, state: str, status: str) -> None:
        request: Any = self.spot_instance_requests.get(instance.spot_instance_request_id)
        if request:
            request.state, request._status_code = state, status

    def _tell_state(self, instance: Any, state: str) -> None:
        place = f"{self.region_name}:{self.account_id}"
        events.tell(
            self.account_id,
            self.region_name,
            source="aws.ec2",
            detail_type="EC2 Instance State-change Notification",
            resources=[f"arn:{self.partition}:ec2:{place}:instance/{instance.id}"],
            detail={"instance-id": instance.id, "state": state},
        )

    def describe_instance_status(
        self, instance_ids: list[str], include_all_instances: bool, filters: Any
    ) -> list[Any]:
        """moto knows filters by state only; no instance here is ever impaired or has events."""
        found: list[Any] = super().describe_instance_status(
            instance_ids, include_all_instances, filters
        )
        asked = {item["name"]: item["values"] for item in filters or ()}
        if "event.code" in asked:
            return []
        return [i for i in found if _health_is(i, asked)]


def _arguments(order: Order, image: Any, region: str) -> dict[str, Any]:
    """For moto, whose own handling of launch templates stops half-way."""
    zone = order.placement.get("AvailabilityZone")
    return {
        "instance_type": order.instance_type,
        "is_instance_type_default": False,
        "region_name": region,
        "placement": None if order.subnet else zone,
        "lifecycle": order.market or None,
        "instance_market_options": None,
        "nics": order.interfaces,
        "subnet_id": order.subnet or None,
        # Without a word about it the subnet decides.
        "associate_public_ip": None,
        "block_device_mappings": orders.volumes(image.block_device_mappings, order),
        "tags": order.tags,
        "metadata_options": order.metadata,
        "monitoring_state": "enabled" if order.monitored else "disabled",
    }


def _user_data(of_template: Any) -> Any:
    """moto reads that of a template's first version and leaves that of later ones as it came."""
    return parse_user_data(of_template) if isinstance(of_template, str) else of_template


def _health_is(instance: Any, asked: dict[str, list[str]]) -> bool:
    health = {
        "instance-status.status": instance.instance_status["Status"],
        "system-status.status": instance.system_status["Status"],
    }
    return all(health[name] in asked[name] for name in health if name in asked)
