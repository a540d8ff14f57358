"""Instance types and the zones that offer them."""

from __future__ import annotations

import fnmatch
from functools import cache
from typing import Any

from moto.ec2.exceptions import InvalidInstanceTypeError
from moto.ec2.models import EC2Backend
from moto.ec2.models.instance_types import INSTANCE_TYPE_OFFERINGS, INSTANCE_TYPES


def type_info(instance_type: str) -> dict[str, Any]:
    """Return a type's entry in DescribeInstanceTypes; empty for an unknown type."""
    return dict(INSTANCE_TYPES.get(instance_type, {}))


def vcpus_of(instance_type: str) -> int:
    """Return the vCPUs of one instance; 1 for an unknown type."""
    return int(type_info(instance_type).get("VCpuInfo", {}).get("DefaultVCpus", 1))


@cache
def zones_of(region: str) -> dict[str, tuple[str, ...]]:
    """Return the zones that offer each type."""
    found: dict[str, list[str]] = {}
    for offering in INSTANCE_TYPE_OFFERINGS["availability-zone"].get(region, []):
        found.setdefault(offering["InstanceType"], []).append(offering["Location"])
    return {name: tuple(sorted(zones)) for name, zones in found.items()}


@cache
def offered_in(region: str) -> dict[str, dict[str, Any]]:
    """Return the entries of all types that the Region offers; of all types if that is unknown."""
    offered = zones_of(region)
    return {name: facts for name, facts in INSTANCE_TYPES.items() if not offered or name in offered}


class InstanceTypeOperations(EC2Backend):
    """DescribeInstanceTypes and related operations."""

    def describe_instance_types(
        self, instance_types: list[str] | None = None, filters: Any = None
    ) -> list[Any]:
        """List the types that the Region offers; moto lists every type everywhere."""
        offered = zones_of(self.region_name)
        if unknown := {name for name in instance_types or () if offered and name not in offered}:
            raise InvalidInstanceTypeError(unknown, error_type="InvalidInstanceType")
        found: list[Any] = super().describe_instance_types(instance_types, filters)
        return [item for item in found if not offered or item["InstanceType"] in offered]

    def matches_filters(self, offering: dict[str, Any], filters: Any, location_type: str) -> bool:
        """Match with wildcards (`g6.*`), like DescribeInstanceTypeOfferings; moto has none."""
        rest = {key: values for key, values in filters.items() if key != "instance-type"}
        patterns = filters.get("instance-type", ["*"])
        named = any(fnmatch.fnmatchcase(offering["InstanceType"], p) for p in patterns)
        return named and super().matches_filters(offering, rest, location_type)
