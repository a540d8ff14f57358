"""Instant fleets: one call launches instances where it can, and returns errors for other pools.

After "CreateFleet" in the EC2 API reference and "Allocation strategies" in the EC2 user guide, read
2026-11. moto still handles fleets of the other types.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from moto.core.utils import utcnow
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models.core import TaggedEC2Resource
from moto.ec2.utils import convert_tag_spec, random_fleet_id

from jarkkit.sandbox.account.ec2 import prices
from jarkkit.sandbox.account.ec2.instances import InstanceOperations
from jarkkit.sandbox.account.ec2.launch_requests import TagsByResource


@dataclass(frozen=True)
class CapacityPool:
    """A capacity pool: an instance type in a zone, from one override of one launch template.

    Attributes:
        template: id and version of the launch template, as in the response.
        override: the override, as in the request.
    """

    template: dict[str, str]
    override: dict[str, Any]
    instance_type: str
    subnet: str
    zone: str

    @property
    def weight(self) -> float:
        """Capacity units of one instance."""
        return float(self.override.get("WeightedCapacity") or 1)

    @property
    def priority(self) -> float | None:
        """Priority of the override; lower is preferred."""
        given = self.override.get("Priority")
        return None if given is None else float(given)

    def price(self, *, spot: bool) -> float:
        """Return the price per capacity unit, in USD per hour."""
        spot_price = prices.spot(self.instance_type, self.zone) if spot else None
        return (spot_price or prices.on_demand(self.instance_type)) / self.weight

    @property
    def launch_template_and_overrides(self) -> dict[str, Any]:
        """`LaunchTemplateAndOverrides`, as in the response."""
        return {"LaunchTemplateSpecification": self.template, "Overrides": self.override}


def ordered_pools(
    pools: Iterable[CapacityPool], *, spot: bool, strategy: str
) -> list[CapacityPool]:
    """Sort pools in the order in which a strategy tries them.

    `lowest-price` sorts by price alone and `prioritized` by priority. The Spot strategies that
    optimize for free capacity, which is the same everywhere here, sort by priority if there is one,
    and otherwise by price.
    """

    def rank(pool: CapacityPool) -> tuple[bool, float]:
        by_price = strategy in ("", "lowest-price", "lowestPrice") or pool.priority is None
        value = pool.price(spot=spot) if by_price else pool.priority
        return by_price, value or 0.0

    return sorted(pools, key=rank)


class FleetInstance(NamedTuple):
    """An instance of a fleet and its capacity pool."""

    pool: CapacityPool
    instance: Any


@dataclass(eq=False)
class InstantFleet(TaggedEC2Resource):
    """A fleet. Attribute names are the API's, so that moto's serializer finds them."""

    ec2_backend: Any
    id: str
    launch_template_configs: list[dict[str, Any]]
    target_capacity_specification: dict[str, Any]
    spot_options: dict[str, Any]
    on_demand_options: dict[str, Any]
    context: str | None = None
    state: str = "active"
    type: str = "instant"
    create_time: datetime = field(default_factory=utcnow)
    launched: list[FleetInstance] = field(default_factory=list)
    errors: list[dict[str, Any]] = field(default_factory=list)
    terminate_instances_with_expiration: bool = False
    replace_unhealthy_instances: bool = False

    @property
    def fleet_id(self) -> str:
        """Id of the fleet."""
        return self.id

    @property
    def fleet_state(self) -> str:
        """State, as in the API."""
        return self.state

    @property
    def fulfilled_capacity(self) -> float:
        """Launched capacity units."""
        return sum(item.pool.weight for item in self.launched)

    @property
    def fulfilled_on_demand_capacity(self) -> float:
        """Capacity units launched On-Demand."""
        return sum(i.pool.weight for i in self.launched if i.instance.lifecycle != "spot")

    @property
    def instances(self) -> list[dict[str, Any]]:
        """Instances by pool, as in CreateFleet's response."""
        by_pool: dict[int, dict[str, Any]] = {}
        for pool, instance in self.launched:
            spot = instance.lifecycle == "spot"
            found = by_pool.setdefault(
                id(pool),
                {
                    "LaunchTemplateAndOverrides": pool.launch_template_and_overrides,
                    "Lifecycle": "spot" if spot else "on-demand",
                    "InstanceIds": [],
                    "InstanceType": pool.instance_type,
                },
            )
            found["InstanceIds"].append(instance.id)
        return list(by_pool.values())

    @property
    def tags(self) -> list[dict[str, str]]:
        """Tags of the fleet."""
        return self.get_tags()

    @property
    def on_demand_instances(self) -> list[dict[str, Any]]:
        """Instances that still run, in the form that moto's DescribeFleetInstances expects."""
        alive = [i.instance for i in self.launched if i.instance.state != "terminated"]
        return [{"id": getattr(i, "spot_instance_request_id", None), "instance": i} for i in alive]

    @property
    def spot_requests(self) -> list[Any]:
        """Always empty: `on_demand_instances` has all instances."""
        return []

    def terminate_instances(self) -> None:
        """Terminate the instances that still run."""
        alive = [item["instance"].id for item in self.on_demand_instances]
        if alive:
            self.ec2_backend.terminate_instances(alive)


class FleetOperations(InstanceOperations):
    """CreateFleet and related operations."""

    def create_instant_fleet(self, given: dict[str, Any]) -> InstantFleet:
        """Handle CreateFleet of type instant, with the members of the request."""
        pools = [pool for config in given["LaunchTemplateConfigs"] for pool in self._pools(config)]
        fleet = InstantFleet(
            self,
            random_fleet_id(),
            given["LaunchTemplateConfigs"],
            given["TargetCapacitySpecification"],
            given.get("SpotOptions") or {},
            given.get("OnDemandOptions") or {},
            given.get("Context"),
        )
        self.fleets[fleet.id] = fleet  # type: ignore[assignment]
        tags = convert_tag_spec(given.get("TagSpecifications") or [])
        fleet.add_tags(tags.get("fleet", {}))
        for spot, capacity in _targets(fleet.target_capacity_specification):
            options = fleet.spot_options if spot else fleet.on_demand_options
            ordered = ordered_pools(
                pools, spot=spot, strategy=options.get("AllocationStrategy") or ""
            )
            self._fill(fleet, ordered, capacity, tags, spot=spot)
        return fleet

    def _pools(self, config: dict[str, Any]) -> list[CapacityPool]:
        """Build the capacity pools of a launch template and its overrides.

        Raises InvalidLaunchTemplateName.NotFoundException and similar errors, MissingParameter.
        """
        specification = config["LaunchTemplateSpecification"]
        version = self._get_template_from_args(self._known_template(specification))
        named = {"LaunchTemplateId": version.template.id, "Version": str(version.number)}
        pools = []
        for override in config.get("Overrides") or [{}]:
            instance_type = override.get("InstanceType") or version.data.get("InstanceType")
            if not instance_type:
                raise EC2ClientError(
                    "MissingParameter", "The request must contain the parameter InstanceType"
                )
            for subnet in str(override.get("SubnetId") or "").split(","):
                zone = override.get("AvailabilityZone") or self._zone_of(subnet.strip())
                pools.append(CapacityPool(named, override, instance_type, subnet.strip(), zone))
        return pools

    def _known_template(self, specification: dict[str, Any]) -> dict[str, Any]:
        """Resolve a template by name or id, because moto fails on a missing template."""
        if name := specification.get("LaunchTemplateName"):
            template: Any = self.get_launch_template_by_name(name)
        else:
            template = self.get_launch_template(str(specification.get("LaunchTemplateId")))
        version = specification.get("Version") or "$Default"
        return {"LaunchTemplateId": template.id, "Version": version}

    def _zone_of(self, subnet: str) -> str:
        return str(self.get_subnet(subnet).availability_zone) if subnet else ""

    def _fill(
        self,
        fleet: InstantFleet,
        pools: list[CapacityPool],
        target: float,
        tags: TagsByResource,
        *,
        spot: bool,
    ) -> None:
        """Launch from one pool after another until the target is reached."""
        have = 0.0
        for pool in pools:
            while have < target:
                try:
                    instance = self._launch(fleet, pool, tags, spot=spot)
                except EC2ClientError as error:
                    fleet.errors.append(_error(pool, error, spot=spot))
                    break
                fleet.launched.append(FleetInstance(pool, instance))
                have += pool.weight

    def _launch(
        self, fleet: InstantFleet, pool: CapacityPool, tags: TagsByResource, *, spot: bool
    ) -> Any:
        override = pool.override
        more: dict[str, Any] = {}
        if mappings := override.get("BlockDeviceMappings"):
            more["block_device_mappings"] = mappings
        reservation = self.run_instances(
            override.get("ImageId") or "",
            1,
            None,
            [],
            instance_type=pool.instance_type,
            is_instance_type_default=False,
            subnet_id=pool.subnet or None,
            placement=override.get("AvailabilityZone"),
            launch_template=pool.template,
            instance_market_options="spot" if spot else None,
            tags={**tags, "instance": {**tags.get("instance", {}), "aws:ec2:fleet-id": fleet.id}},
            **more,
        )
        return reservation.instances[0]

    def describe_fleets(self, fleet_ids: list[str] | None) -> list[Any]:
        """Handle DescribeFleets: like AWS, return instant fleets only when requested by id."""
        found: list[Any] = super().describe_fleets(fleet_ids)
        return [fleet for fleet in found if fleet_ids or not isinstance(fleet, InstantFleet)]


def _targets(specification: dict[str, Any]) -> list[tuple[bool, float]]:
    """Return the target capacities as (is Spot, units)."""
    total = float(specification["TotalTargetCapacity"])
    spot = float(specification.get("SpotTargetCapacity") or 0)
    other = float(specification.get("OnDemandTargetCapacity") or 0)
    rest = max(0.0, total - spot - other)
    if specification.get("DefaultTargetCapacityType") == "spot":
        return [(False, other), (True, spot + rest)]
    return [(False, other + rest), (True, spot)]


def _error(pool: CapacityPool, error: EC2ClientError, *, spot: bool) -> dict[str, Any]:
    return {
        "LaunchTemplateAndOverrides": pool.launch_template_and_overrides,
        "Lifecycle": "spot" if spot else "on-demand",
        "ErrorCode": error.code,
        "ErrorMessage": error.message,
    }
