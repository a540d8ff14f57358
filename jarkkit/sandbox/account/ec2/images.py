"""Machine images: those that AWS publishes for EKS nodes, and own ones with all that they were
registered with."""

from __future__ import annotations

from typing import Any

from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models import EC2Backend
from moto.ec2.models.amis import Ami
from moto.ec2.utils import random_ami_id

from jarkkit.sandbox.account import images


class Image(Ami):
    """An image whose volumes are known.

    Attributes:
        mappings: the block device mappings, as the API words them.
    """

    def __init__(self, backend: Any, image_id: str, mappings: list[Any], **given: Any) -> None:
        self.mappings = mappings
        self.ena_support = True
        super().__init__(backend, image_id, **given)

    @property
    def block_device_mappings(self) -> list[dict[str, Any]]:
        """The volumes that an instance of it gets."""
        return self.mappings or super().block_device_mappings


class Images(EC2Backend):
    """DescribeImages and its kin."""

    _has_usual_images = False

    def _load_amis(self) -> None:
        """moto makes a thousand images with volumes and snapshots in every Region: 0.2 s and 6 MB.
        Here they wait until somebody asks for other images than those for EKS."""

    def _make_usual_images(self) -> None:
        if not self._has_usual_images:
            self._has_usual_images = True
            super()._load_amis()

    def describe_images(
        self,
        ami_ids: list[str] | None = None,
        filters: Any = None,
        exec_users: list[str] | None = None,
        owners: list[str] | None = None,
    ) -> list[Any]:
        """AWS' images for EKS nodes are made when somebody asks for them."""
        named = (filters or {}).get("image-id") or ()
        # moto's instances ask with a bare string.
        asked = [*(ami_ids or ()), *([named] if isinstance(named, str) else named)]
        published = images.by_id(self.region_name)
        if not asked or any(name not in published and name not in self.amis for name in asked):
            self._make_usual_images()
        for image_id in asked or published:
            if image_id in published and image_id not in self.amis:
                self.amis[image_id] = self._published(image_id, published[image_id])
        return super().describe_images(ami_ids, filters, exec_users, owners)

    def image(self, image_id: str) -> Any:
        """One image. Raises InvalidAMIID.NotFound."""
        found = self.describe_images(filters={"image-id": [image_id]}) if image_id else []
        if not found:
            raise EC2ClientError(
                "InvalidAMIID.NotFound", f"The image id '[{image_id}]' does not exist"
            )
        return found[0]

    def register_own_image(self, given: dict[str, Any], tags: dict[str, str]) -> Any:
        """RegisterImage, with the members of the request."""
        image = Image(
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

    def _published(self, image_id: str, facts: images.Image) -> Image:
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
        return Image(
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
