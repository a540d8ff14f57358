"""Instance types: which there are where."""

from __future__ import annotations

import fnmatch
from functools import cache
from typing import Any

from moto.ec2.exceptions import InvalidInstanceTypeError
from moto.ec2.models import EC2Backend
from moto.ec2.models.instance_types import INSTANCE_TYPE_OFFERINGS, INSTANCE_TYPES


def facts_of(instance_type: str) -> dict[str, Any]:
    """A type as DescribeInstanceTypes describes it; empty for one that is not known."""
    return dict(INSTANCE_TYPES.get(instance_type, {}))


def vcpus_of(instance_type: str) -> int:
    """The vCPUs of one instance; 1 for a type that is not known."""
    return int(facts_of(instance_type).get("VCpuInfo", {}).get("DefaultVCpus", 1))


@cache
def zones_of(region: str) -> dict[str, tuple[str, ...]]:
    """The zones that offer a type, by type."""
    found: dict[str, list[str]] = {}
    for offer in INSTANCE_TYPE_OFFERINGS["availability-zone"].get(region, []):
        found.setdefault(offer["InstanceType"], []).append(offer["Location"])
    return {name: tuple(sorted(zones)) for name, zones in found.items()}


class Catalogue(EC2Backend):
    """DescribeInstanceTypes and its kin."""

    def describe_instance_types(
        self, instance_types: list[str] | None = None, filters: Any = None
    ) -> list[Any]:
        """What the Region offers; moto describes every type everywhere."""
        offered = zones_of(self.region_name)
        if unknown := {name for name in instance_types or () if offered and name not in offered}:
            raise InvalidInstanceTypeError(unknown, error_type="InvalidInstanceType")
        found: list[Any] = super().describe_instance_types(instance_types, filters)
        return [item for item in found if not offered or item["InstanceType"] in offered]

    def matches_filters(self, offering: dict[str, Any], filters: Any, location_type: str) -> bool:
        """DescribeInstanceTypeOfferings takes wildcards (`g6.*`); moto compares whole names."""
        rest = {key: values for key, values in filters.items() if key != "instance-type"}
        patterns = filters.get("instance-type", ["*"])
        named = any(fnmatch.fnmatchcase(offering["InstanceType"], p) for p in patterns)
        return named and super().matches_filters(offering, rest, location_type)
