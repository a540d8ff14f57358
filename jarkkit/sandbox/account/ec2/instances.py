"""Instances: launched within quotas and capacity, as their launch template says, and terminated."""

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
from jarkkit.sandbox.account import eventbridge
from jarkkit.sandbox.account.ec2 import capacity, instance_types, launch_requests, prices
from jarkkit.sandbox.account.ec2.images import ImageOperations
from jarkkit.sandbox.account.ec2.launch_requests import LaunchRequest
from jarkkit.sandbox.account.ec2.network import NetworkOperations
from jarkkit.sandbox.account.ec2.reservations import (
    ReservationOperations,
    StoredCapacityReservation,
)
from jarkkit.sandbox.account.servicequotas.reference_data import SEPARATE_P5_QUOTA_REGIONS


class SpotRequest(SpotInstanceRequest):
    """The Spot request of an instance that is already launched.

    Args:
        instance: the instance that fulfills the request.
    """

    def __init__(self, backend: Any, instance: Any, tags: launch_requests.TagsByResource) -> None:
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
        """Return the existing instance, where moto would launch one."""
        return self._launched


class InstanceOperations(NetworkOperations, ImageOperations, ReservationOperations):
    """RunInstances, TerminateInstances and Spot interruptions."""

    # -- launch --------------------------------------------------------------------------------

    def run_instances(
        self,
        image_id: str,
        count: int,
        user_data: Any,
        security_group_names: list[str],
        **given: Any,
    ) -> Any:
        """Handle RunInstances. Raises EC2ClientError with AWS' code and message."""
        version = self._template(given.get("launch_template"))
        order = launch_requests.launch_request(image_id, given, version.data if version else {})
        zone = self._zone(order)
        held = self.matching_reservation(order, zone, count)
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
            self._complete(instance, order, request=given)
            self.record_reservation(held, instance, order)
        return reservation

    def _template(self, named: dict[str, Any] | None) -> Any:
        return self._get_template_from_args(named) if named else None

    def _zone(self, order: LaunchRequest) -> str:
        """Return the zone of the instances; like moto, the first zone by default."""
        if order.subnet:
            return str(self.get_subnet(order.subnet).availability_zone)
        return str(order.placement.get("AvailabilityZone") or f"{self.region_name}a")

    def _check(
        self, order: LaunchRequest, count: int, zone: str, held: StoredCapacityReservation | None
    ) -> None:
        """Check the launch. Raises VcpuLimitExceeded, InsufficientInstanceCapacity and others."""
        question = self._question(order, count, zone)
        if held:  # the reservation's vCPUs already count
            question = replace(question, limit=None)
        if refused := capacity.launch_refusal(question, self.running()):
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

    def _check_image(self, image: Any, order: LaunchRequest) -> None:
        facts = instance_types.type_info(order.instance_type)
        known = facts.get("ProcessorInfo", {}).get("SupportedArchitectures", [])
        if known and image.architecture and image.architecture not in known:
            raise EC2ClientError(
                "InvalidParameterValue",
                f"The architecture '{','.join(known)}' of the specified instance type does not "
                f"match the architecture '{image.architecture}' of the specified AMI. Specify an "
                "instance type and an AMI that have matching architectures, and try again.",
            )

    def _question(self, order: LaunchRequest, count: int, zone: str) -> capacity.LaunchAttempt:
        quotas: Any = servicequotas_backends[self.account_id][self.region_name]
        separate_p5_quota = self.region_name in SEPARATE_P5_QUOTA_REGIONS
        code = capacity.quota_code(
            order.instance_type, spot=order.spot, separate_p5_quota=separate_p5_quota
        )
        subnet: Any = self.get_subnet(order.subnet) if order.subnet else None
        return capacity.LaunchAttempt(
            instance_type=order.instance_type,
            count=count,
            zone=zone,
            spot=order.spot,
            vcpus=instance_types.vcpus_of(order.instance_type),
            limit=quotas.in_force("ec2", code) if code else None,
            zones=instance_types.zones_of(self.region_name).get(order.instance_type, ()),
            lacks_capacity=faults.ACTIVE.lacks_capacity(order.instance_type, zone),
            subnet=order.subnet,
            free_addresses=subnet.available_ip_address_count if subnet else None,
            separate_p5_quota=separate_p5_quota,
        )

    def running(self) -> list[capacity.CountedInstance]:
        """Return what counts towards the quotas: instances and unused reserved capacity."""
        instances = [
            capacity.CountedInstance(
                instance.instance_type,
                instance_types.vcpus_of(instance.instance_type),
                instance.lifecycle == "spot",
            )
            for instance in self.all_instances()
            if instance.state in ("pending", "running")
        ]
        return instances + [
            capacity.CountedInstance(
                held.instance_type, instance_types.vcpus_of(held.instance_type), spot=False
            )
            for held in self.capacity_reservations.values()
            if held.state == "active" and held.reservation_type != "capacity-block"
            for _ in range(held.available_instance_count)
        ]

    def _complete(self, instance: Any, order: LaunchRequest, request: dict[str, Any]) -> None:
        """Set the attributes of a launch template that moto ignores."""
        instance.placement.tenancy = order.placement.get("Tenancy") or "default"
        instance.placement.availability_zone_id = self._zone_id(instance)
        self.record_placement(instance, order.placement)
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
        # moto's RequestSpotInstances creates its own request.
        if order.spot and "lifecycle" not in request:
            self._request_for(instance, order.tags)

    def _zone_id(self, instance: Any) -> str | None:
        subnet = instance.network_interfaces[0].subnet
        return str(subnet.availability_zone_id) if subnet else None

    def _request_for(self, instance: Any, tags: launch_requests.TagsByResource) -> None:
        request = SpotRequest(self, instance, tags)
        self.spot_instance_requests[request.id] = request
        instance.spot_instance_request_id = request.id

    def associate_iam_instance_profile(
        self,
        instance_id: str,
        iam_instance_profile_name: str | None = None,
        iam_instance_profile_arn: str | None = None,
    ) -> Any:
        """Handle AssociateIamInstanceProfile; moto's RunInstances repeats it for one profile."""
        named = iam_instance_profile_name, iam_instance_profile_arn
        before: Any = self.iam_instance_profile_associations.get(instance_id)
        if before and {before.iam_instance_profile.name, before.iam_instance_profile.arn} & {
            *named
        }:
            return before
        return super().associate_iam_instance_profile(instance_id, *named)

    def request_spot_instances(self, *given: Any, **named: Any) -> list[Any]:
        """Handle RequestSpotInstances, and set the request's id on the instances."""
        requests: list[Any] = super().request_spot_instances(*given, **named)
        for request in requests:
            request.instance.spot_instance_request_id = request.id
        return requests

    # -- termination ---------------------------------------------------------------------------

    def terminate_instances(self, instance_ids: list[str]) -> list[Any]:
        """Terminate instances; those already terminated stay unchanged."""
        found: list[Any] = self.get_multi_instances_by_id(list(dict.fromkeys(instance_ids)))
        alive = [instance.id for instance in found if instance.state != "terminated"]
        ended = [(i, copy.copy(i.instance_state)) for i in found if i.id not in alive]
        if alive or not found:
            done: list[Any] = super().terminate_instances(alive)
            for instance, _ in done:
                self._close_request(instance, "instance-terminated-by-user")
                self._publish_state(instance, "shutting-down")
                self._publish_state(instance, "terminated")
            ended += done
        return ended

    def interrupt_spot_instance(self, instance_id: str) -> None:
        """Reclaim a Spot instance like AWS: send a warning, and terminate it two minutes later.

        Raises InvalidInstanceID.NotFound, InvalidParameterValue if it is not a Spot instance.
        """
        instance: Any = self.get_instance(instance_id)
        if instance.lifecycle != "spot" or instance.state == "terminated":
            raise EC2ClientError(
                "InvalidParameterValue", f"{instance_id} is not a running Spot instance"
            )
        eventbridge.publish(
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
        """Terminate the Spot instance after the two minutes."""
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

    def _publish_state(self, instance: Any, state: str) -> None:
        region_and_account = f"{self.region_name}:{self.account_id}"
        eventbridge.publish(
            self.account_id,
            self.region_name,
            source="aws.ec2",
            detail_type="EC2 Instance State-change Notification",
            resources=[f"arn:{self.partition}:ec2:{region_and_account}:instance/{instance.id}"],
            detail={"instance-id": instance.id, "state": state},
        )

    def describe_instance_status(
        self, instance_ids: list[str], include_all_instances: bool, filters: Any
    ) -> list[Any]:
        """Handle DescribeInstanceStatus, with status filters, which moto lacks.

        No instance here is ever impaired or has scheduled events.
        """
        found: list[Any] = super().describe_instance_status(
            instance_ids, include_all_instances, filters
        )
        requested = {item["name"]: item["values"] for item in filters or ()}
        if "event.code" in requested:
            return []
        return [i for i in found if _health_is(i, requested)]


def _arguments(order: LaunchRequest, image: Any, region: str) -> dict[str, Any]:
    """Build moto's arguments, because moto supports launch templates only partly."""
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
        # If unset, the subnet decides.
        "associate_public_ip": None,
        "block_device_mappings": launch_requests.instance_volumes(
            image.block_device_mappings, order
        ),
        "tags": order.tags,
        "metadata_options": {**_metadata_defaults(image), **order.metadata},
        "monitoring_state": "enabled" if order.monitored else "disabled",
    }


def _metadata_defaults(image: Any) -> dict[str, Any]:
    """Return what an AMI decides: those of Amazon Linux 2023 require tokens and allow two hops.

    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/configuring-IMDS-new-instances.html
    """
    modern = "al2023" in (image.name or "")
    return {"HttpTokens": "required", "HttpPutResponseHopLimit": 2} if modern else {}


def _user_data(of_template: Any) -> Any:
    """Parse user data, which moto does only for a launch template's first version."""
    return parse_user_data(of_template) if isinstance(of_template, str) else of_template


def _health_is(instance: Any, requested: dict[str, list[str]]) -> bool:
    health = {
        "instance-status.status": instance.instance_status["Status"],
        "system-status.status": instance.system_status["Status"],
    }
    return all(health[name] in requested[name] for name in health if name in requested)
