"""The EC2 backend."""

from __future__ import annotations

from jarkkit.sandbox.account.ec2.cidr_blocks import CidrBlockOperations
from jarkkit.sandbox.account.ec2.dependencies import DependencyOperations
from jarkkit.sandbox.account.ec2.fleets import FleetOperations
from jarkkit.sandbox.account.ec2.instance_types import InstanceTypeOperations
from jarkkit.sandbox.account.ec2.spot import SpotMarketOperations
from jarkkit.sandbox.account.ec2.volumes import VolumeOperations
from jarkkit.sandbox.account.ec2.zones import ZoneOperations


class Ec2Backend(
    CidrBlockOperations,
    DependencyOperations,
    VolumeOperations,
    FleetOperations,
    InstanceTypeOperations,
    ZoneOperations,
    SpotMarketOperations,
):
    """Amazon EC2 of one account and Region."""
