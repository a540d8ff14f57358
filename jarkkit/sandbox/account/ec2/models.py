"""The EC2 backend."""

from __future__ import annotations

from jarkkit.sandbox.account.ec2.catalogue import Catalogue
from jarkkit.sandbox.account.ec2.dependencies import Dependencies
from jarkkit.sandbox.account.ec2.fleets import Fleets
from jarkkit.sandbox.account.ec2.volumes import Volumes


class Ec2Backend(Dependencies, Volumes, Fleets, Catalogue):
    """Amazon EC2 of one account and Region."""
