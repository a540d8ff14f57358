"""Existing VPCs of a fake account."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from jarkkit.model.records import ExistingVpc, SubnetNetwork


@dataclass
class FakeNetwork:
    """One VPC, or none."""

    existing: ExistingVpc | None = None

    def vpc(self, vpc_id: str, subnet_ids: Iterable[str]) -> ExistingVpc | None:
        return self.existing

    def subnets(self, ids: Iterable[str]) -> tuple[SubnetNetwork, ...]:
        wanted = set(ids)
        known = self.existing.subnets if self.existing else ()
        return tuple(subnet for subnet in known if subnet.subnet_id in wanted)
