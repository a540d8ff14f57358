"""EBS volumes: sizes, storage quotas, and attachments that AWS rejects.

Sizes after "Amazon EBS volume types" in the EBS user guide, quotas after its endpoints and quotas
page, both read 2026-11.
"""

from __future__ import annotations

from typing import Any

from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models import EC2Backend
from moto.servicequotas.models import servicequotas_backends

_TIB = 1024
# Smallest and largest size in GiB.
_SIZES = {
    "gp3": (1, 64 * _TIB),
    "gp2": (1, 16 * _TIB),
    "io1": (4, 16 * _TIB),
    "io2": (4, 64 * _TIB),
    "st1": (125, 16 * _TIB),
    "sc1": (125, 16 * _TIB),
    "standard": (1, _TIB),
}
# Quotas of the total storage per volume type, in TiB.
_QUOTAS = {"gp3": "L-7A658B76", "gp2": "L-D18FCD1D"}


class VolumeOperations(EC2Backend):
    """CreateVolume, ModifyVolume and AttachVolume within AWS' limits."""

    def create_volume(self, size: int, zone_name: str, *given: Any, **named: Any) -> Any:
        """Handle CreateVolume. Raises InvalidParameterValue, VolumeLimitExceeded."""
        if size is not None:
            self._check_size(named.get("volume_type") or "gp2", int(size), before=0)
        return super().create_volume(size, zone_name, *given, **named)

    def modify_volume(
        self,
        volume_id: str,
        target_size: int | None = None,
        target_volume_type: str | None = None,
        *given: Any,
        **named: Any,
    ) -> Any:
        """Handle ModifyVolume. Raises InvalidParameterValue, VolumeLimitExceeded."""
        volume: Any = self.get_volume(volume_id)
        if target_size is not None:
            kind = target_volume_type or volume.volume_type
            self._check_size(kind, int(target_size), before=int(volume.size))
            if int(target_size) < int(volume.size):
                raise EC2ClientError(
                    "InvalidParameterValue",
                    f"New size cannot be smaller than existing size {volume.size}",
                )
        return super().modify_volume(volume_id, target_size, target_volume_type, *given, **named)

    def _check_size(self, kind: str, size: int, before: int) -> None:
        smallest, largest = _SIZES.get(kind, (1, 64 * _TIB))
        for wrong, word, limit in (
            (size > largest, "large", f"maximum is {largest}"),
            (size < smallest, "small", f"minimum is {smallest}"),
        ):
            if wrong:
                raise EC2ClientError(
                    "InvalidParameterValue",
                    f"Volume of {size}GiB is too {word} for volume type {kind}; {limit}GiB.",
                )
        if kind in _QUOTAS:
            self._check_quota(kind, size - before)

    def _check_quota(self, kind: str, more: int) -> None:
        quotas: Any = servicequotas_backends[self.account_id][self.region_name]
        limit = quotas.in_force("ebs", _QUOTAS[kind])
        used = sum(int(v.size) for v in self.volumes.values() if v.volume_type == kind)
        if used + more > limit * _TIB:
            raise EC2ClientError(
                "VolumeLimitExceeded",
                f"You have exceeded your maximum {kind} storage limit of {limit:g} TiB in this "
                "region. Please contact AWS Support to request an Elastic Block Store service "
                "limit increase.",
            )

    def attach_volume(
        self, volume_id: str, instance_id: str, device_path: str, *given: Any, **named: Any
    ) -> Any:
        """Handle AttachVolume. Raises VolumeInUse, IncorrectState, InvalidVolume.ZoneMismatch."""
        volume: Any = self.get_volume(volume_id)
        instance: Any = self.get_instance(instance_id)
        if volume.attachment:
            raise EC2ClientError("VolumeInUse", f"{volume_id} is already attached to an instance")
        if instance.state not in ("running", "stopped", "pending"):
            raise EC2ClientError("IncorrectState", f"Instance '{instance_id}' is not 'running'.")
        if volume.zone and volume.zone.name != instance.placement.zone:
            raise EC2ClientError(
                "InvalidVolume.ZoneMismatch",
                f"The volume '{volume_id}' is not in the same availability zone as instance "
                f"'{instance_id}'",
            )
        return super().attach_volume(volume_id, instance_id, device_path, *given, **named)
