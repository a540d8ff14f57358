"""AMIs: those that AWS publishes for EKS nodes, and your own with their block devices."""

from __future__ import annotations

from typing import Any

from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models import EC2Backend
from moto.ec2.models.amis import Ami
from moto.ec2.utils import random_ami_id

from jarkkit.sandbox.account import node_images


class Ec2Image(Ami):
    """An AMI with block device mappings.

    Attributes:
        mappings: the block device mappings, in the API's format.
    """

    def __init__(self, backend: Any, image_id: str, mappings: list[Any], **given: Any) -> None:
        self.mappings = mappings
        self.ena_support = True
        super().__init__(backend, image_id, **given)

    @property
    def block_device_mappings(self) -> list[dict[str, Any]]:
        """Volumes of an instance that is launched from the AMI."""
        return self.mappings or super().block_device_mappings


class ImageOperations(EC2Backend):
    """DescribeImages and related operations."""

    _has_default_images = False

    def _load_amis(self) -> None:
        """Do nothing yet.

        moto would create a thousand AMIs with volumes and snapshots in every Region: 0.2 s and
        6 MB. Here they are created on the first request for AMIs other than those for EKS.
        """

    def _create_default_images(self) -> None:
        if not self._has_default_images:
            self._has_default_images = True
            super()._load_amis()

    def describe_images(
        self,
        ami_ids: list[str] | None = None,
        filters: Any = None,
        exec_users: list[str] | None = None,
        owners: list[str] | None = None,
    ) -> list[Any]:
        """Handle DescribeImages: create AWS' AMIs for EKS nodes on demand."""
        named = (filters or {}).get("image-id") or ()
        # moto's instances pass a bare string.
        requested = [*(ami_ids or ()), *([named] if isinstance(named, str) else named)]
        published = node_images.by_id(self.region_name)
        if not requested or any(
            name not in published and name not in self.amis for name in requested
        ):
            self._create_default_images()
        for image_id in requested or published:
            if image_id in published and image_id not in self.amis:
                self.amis[image_id] = self._published(image_id, published[image_id])
        return super().describe_images(ami_ids, filters, exec_users, owners)

    def image(self, image_id: str) -> Any:
        """Return one AMI. Raises InvalidAMIID.NotFound."""
        found = self.describe_images(filters={"image-id": [image_id]}) if image_id else []
        if not found:
            raise EC2ClientError(
                "InvalidAMIID.NotFound", f"The image id '[{image_id}]' does not exist"
            )
        return found[0]

    def register_own_image(self, given: dict[str, Any], tags: dict[str, str]) -> Any:
        """Handle RegisterImage, with the members of the request."""
        image = Ec2Image(
            self,
            random_ami_id(),
            given.get("BlockDeviceMappings") or [],
            name=given.get("Name"),
            description=given.get("Description") or "",
            architecture=given.get("Architecture") or "i386",
            virtualization_type=given.get("VirtualizationType") or "paravirtual",
            root_device_name=given.get("RootDeviceName") or "/dev/sda1",
            root_device_type="ebs",
            boot_mode=given.get("BootMode") or "legacy-bios",
            image_location=given.get("ImageLocation") or f"{self.account_id}/{given.get('Name')}",
            tags=tags,
        )
        image.ena_support = given.get("EnaSupport", False)
        self.amis[image.id] = image
        return image

    def _published(self, image_id: str, facts: node_images.NodeImage) -> Ec2Image:
        mappings = [
            {
                "DeviceName": device,
                "Ebs": {
                    "DeleteOnTermination": True,
                    "VolumeSize": size,
                    "VolumeType": "gp3",
                    "Encrypted": False,
                },
            }
            for device, size in facts.volumes
        ]
        return Ec2Image(
            self,
            image_id,
            mappings,
            name=facts.name,
            description=f"Kubernetes {facts.version} node, {facts.architecture}",
            owner_id=facts.owner,
            owner_alias="amazon",
            public=True,
            virtualization_type="hvm",
            architecture=facts.architecture,
            creation_date=facts.created,
            image_location=f"amazon/{facts.name}",
            hypervisor="xen",
            root_device_type="ebs",
            root_device_name=facts.volumes[0][0],
            boot_mode="uefi-preferred" if facts.architecture == "x86_64" else "uefi",
        )
