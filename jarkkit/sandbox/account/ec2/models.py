"""The EC2 backend."""

from __future__ import annotations

from jarkkit.sandbox.account.ec2.catalogue import Catalogue
from jarkkit.sandbox.account.ec2.dependencies import Dependencies
from jarkkit.sandbox.account.ec2.fleets import Fleets
from jarkkit.sandbox.account.ec2.spot import Spot
from jarkkit.sandbox.account.ec2.volumes import Volumes
from jarkkit.sandbox.account.ec2.zones import Zones


class Ec2Backend(Dependencies, Volumes, Fleets, Catalogue, Zones, Spot):
    """Amazon EC2 of one account and Region."""
