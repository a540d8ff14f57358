"""NAT gateways that take time, rules with descriptions, launch templates with tags."""

from __future__ import annotations

from typing import Any

from moto.ec2.models import EC2Backend
from moto.ec2.utils import is_tag_filter, tag_filter_matches

from jarkkit.sandbox.account.deferred import DeferredCalls


class NetworkOperations(EC2Backend):
    """CreateNatGateway and related operations, with deferred calls."""

    def __init__(self, region_name: str, account_id: str) -> None:
        super().__init__(region_name, account_id)
        self.later = DeferredCalls()

    def create_nat_gateway(self, *args: Any, **given: Any) -> Any:
        """Handle CreateNatGateway: the gateway is pending for a while."""
        gateway: Any = super().create_nat_gateway(*args, **given)
        gateway.state = "pending"
        self.later.add(self, "NAT gateway create", "nat_gateway_is", gateway.id, "available")
        return gateway

    def delete_nat_gateway(self, nat_gateway_id: str) -> Any:
        """Handle DeleteNatGateway: the gateway keeps its address until it is deleted."""
        gateway: Any = self.nat_gateways[nat_gateway_id]
        gateway.state = "deleting"
        self.later.add(self, "NAT gateway delete", "nat_gateway_gone", nat_gateway_id)
        return gateway

    def nat_gateway_is(self, gateway_id: str, state: str) -> None:
        """Set the state of a pending gateway."""
        gateway: Any = self.nat_gateways[gateway_id]
        if gateway.state == "pending":
            gateway.state = state

    def nat_gateway_gone(self, gateway_id: str) -> None:
        """Delete the gateway, and release its address and network interface."""
        gateway: Any = super().delete_nat_gateway(gateway_id)
        for address in gateway.address_set:
            if allocation := address.get("allocationId"):
                self._disassociate(allocation)
        if gateway._eni.id in self.enis:
            self.delete_network_interface(gateway._eni.id)

    def _disassociate(self, allocation_id: str) -> None:
        for address in self.address_by_allocation([allocation_id]):
            if address.association_id:
                self.disassociate_address(association_id=address.association_id)

    def describe_nat_gateways(self, filters: Any, nat_gateway_ids: list[str] | None) -> list[Any]:
        """Handle DescribeNatGateways, with filters by tag, which moto lacks."""
        found = super().describe_nat_gateways(filters, nat_gateway_ids)
        wanted = {key: values for key, values in (filters or {}).items() if is_tag_filter(key)}
        return [
            gateway
            for gateway in found
            if all(tag_filter_matches(gateway, key, values) for key, values in wanted.items())
        ]

    def create_launch_template(
        self,
        name: str,
        description: str,
        template_data: dict[str, Any],
        tag_spec: dict[str, Any],
    ) -> Any:
        """Handle CreateLaunchTemplate. The template's own tags are not part of its data."""
        data = dict(template_data)
        if "TagSpecifications" in data:
            specs = [s for s in data["TagSpecifications"] if s["ResourceType"] != "launch-template"]
            data["TagSpecifications"] = specs
        return super().create_launch_template(name, description, data, tag_spec)


def rule_description(rule: Any) -> str | None:
    """Return a security group rule's description, which moto has for CIDR ranges only."""
    given = {**rule.source_group, **rule.ip_range}
    return given.get("Description")
