"""Launch requests: the request, its launch template and the AMI merged.

The precedence follows "RunInstances" and "Launch templates" in the EC2 API reference: the request
over the template, the template over the AMI, volume by volume.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from moto.ec2.utils import convert_tag_spec

TagsByResource = dict[str, dict[str, str]]


@dataclass(frozen=True)
class LaunchRequest:
    """A launch with all its settings merged.

    Attributes:
        market: `spot`, `capacity-block` and so on; empty for On-Demand.
        interfaces: network interfaces in the API's format, the primary one first.
        volumes: block device mappings.
        profile: the instance profile, `Name` or `Arn`.
        placement: the placement, as in the API.
        reservation: the capacity reservation specification, as in the API.
        tags: tags by resource type.
    """

    image_id: str
    instance_type: str
    market: str
    interfaces: list[dict[str, Any]]
    volumes: list[dict[str, Any]]
    profile: dict[str, str] = field(default_factory=dict)
    placement: dict[str, Any] = field(default_factory=dict)
    reservation: dict[str, Any] = field(default_factory=dict)
    tags: TagsByResource = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
    monitored: bool = False

    @property
    def subnet(self) -> str:
        """Subnet of the primary interface; empty for the default subnet."""
        return str(self.interfaces[0].get("SubnetId") or "")

    @property
    def spot(self) -> bool:
        """True for Spot instances."""
        return self.market == "spot"


def launch_request(
    image_id: str | None, given: Mapping[str, Any], template: Mapping[str, Any]
) -> LaunchRequest:
    """Merge `given`, moto's arguments for RunInstances, with the launch template.

    `instance_volumes` adds the AMI's volumes.
    """
    by_default = given.get("is_instance_type_default") and template.get("InstanceType")
    chosen = template.get("InstanceMarketOptions") or {}
    interfaces = given.get("nics") or template.get("NetworkInterfaces") or [{}]
    zone = given.get("placement")
    placement = {
        **(template.get("Placement") or {}),
        **({"AvailabilityZone": zone} if zone else {}),
    }
    return LaunchRequest(
        image_id=image_id or template.get("ImageId") or "",
        instance_type=template["InstanceType"] if by_default else given["instance_type"],
        market=given.get("instance_market_options")
        or given.get("lifecycle")
        or chosen.get("MarketType")
        or "",
        interfaces=_interfaces(interfaces, given.get("subnet_id")),
        volumes=_merged(
            template.get("BlockDeviceMappings") or (), given.get("block_device_mappings") or ()
        ),
        profile=_profile(given) or template.get("IamInstanceProfile") or {},
        placement=placement,
        reservation=template.get("CapacityReservationSpecification") or {},
        tags=_tags(template, given.get("tags") or {}),
        metadata=given.get("metadata_options") or template.get("MetadataOptions") or {},
        monitored=given.get("monitoring_state") == "enabled"
        or bool((template.get("Monitoring") or {}).get("Enabled")),
    )


def instance_volumes(
    of_image: Iterable[dict[str, Any]], ordered: LaunchRequest
) -> list[dict[str, Any]]:
    """Return all volumes of an instance.

    The AMI's volumes are deleted on termination unless the request says otherwise. They keep the
    AMI's size without its snapshot.
    """
    brought = [
        {
            "DeviceName": mapping["DeviceName"],
            "Ebs": {
                **{k: v for k, v in mapping["Ebs"].items() if k != "SnapshotId"},
                "DeleteOnTermination": True,
            },
        }
        for mapping in of_image
        if mapping.get("Ebs")
    ]
    return [m for m in _merged(brought, ordered.volumes) if m.get("Ebs")]


def _profile(given: Mapping[str, Any]) -> dict[str, str]:
    words = {"Name": "iam_instance_profile_name", "Arn": "iam_instance_profile_arn"}
    return {name: given[word] for name, word in words.items() if given.get(word)}


def _interfaces(requested: Iterable[dict[str, Any]], subnet: str | None) -> list[dict[str, Any]]:
    """Renumber the interfaces by device index.

    moto stores interfaces by device index, but network cards of one instance can share one. New
    interfaces are deleted on termination, existing ones are not.
    """

    def place(spec: dict[str, Any]) -> tuple[int, int]:
        return int(spec.get("NetworkCardIndex") or 0), int(spec.get("DeviceIndex") or 0)

    found = []
    for index, spec in enumerate(sorted(requested, key=place)):
        own = {"DeleteOnTermination": not spec.get("NetworkInterfaceId"), **spec}
        if subnet and not spec.get("SubnetId") and not spec.get("NetworkInterfaceId"):
            own["SubnetId"] = subnet
        found.append({**own, "DeviceIndex": index})
    return found


def _merged(*layers: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Merge mappings by device; the later layer wins, member by member."""
    by_device: dict[str, dict[str, Any]] = {}
    for mapping in (mapping for layer in layers for mapping in layer):
        device = str(mapping.get("DeviceName"))
        before = by_device.get(device, {}).get("Ebs") or {}
        given = {k: v for k, v in (mapping.get("Ebs") or {}).items() if v is not None}
        by_device[device] = {**mapping, "Ebs": {**before, **given}}
    return [mapping for mapping in by_device.values() if mapping.get("NoDevice") is None]


def _tags(template: Mapping[str, Any], requested: TagsByResource) -> TagsByResource:
    of_template = convert_tag_spec(template.get("TagSpecifications") or [])
    return {
        kind: {**of_template.get(kind, {}), **requested.get(kind, {})}
        for kind in {*of_template, *requested}
    }
