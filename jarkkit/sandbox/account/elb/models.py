"""Classic load balancers with network interfaces in their subnets."""

from __future__ import annotations

from typing import Any

from moto.ec2.models import ec2_backends
from moto.elb.models import ELBBackend
from moto.moto_api._internal import mock_random as random


class ElbBackend(ELBBackend):
    """Elastic Load Balancing, classic, of one account and Region."""

    @property
    def ec2(self) -> Any:
        """EC2 of the same account and Region."""
        return ec2_backends[self.account_id][self.region_name]

    def create_load_balancer(self, name: str, *given: Any, **named: Any) -> Any:
        """Handle CreateLoadBalancer."""
        balancer: Any = super().create_load_balancer(name, *given, **named)
        front = "internal-" if balancer.scheme == "internal" else ""
        number = 10**9 + random.randint(0, 10**9)
        balancer.dns_name = f"{front}{name}-{number}.{self.region_name}.elb.amazonaws.com"
        self._hold_interfaces(balancer)
        return balancer

    def _hold_interfaces(self, balancer: Any) -> None:
        self.ec2.hold_interfaces(
            balancer.name,
            [self.ec2.get_subnet(subnet) for subnet in balancer.subnets],
            balancer.security_groups,
            public=balancer.scheme == "internet-facing",
        )

    def delete_load_balancer(self, load_balancer_name: str) -> None:
        """Handle DeleteLoadBalancer, and delete the network interfaces too."""
        super().delete_load_balancer(load_balancer_name)
        self.ec2.hold_interfaces(load_balancer_name, (), ())

    def apply_security_groups_to_load_balancer(
        self, load_balancer_name: str, security_group_ids: list[str]
    ) -> None:
        """Handle ApplySecurityGroupsToLoadBalancer."""
        super().apply_security_groups_to_load_balancer(load_balancer_name, security_group_ids)
        self._hold_interfaces(self.load_balancers[load_balancer_name])

    def attach_load_balancer_to_subnets(
        self, load_balancer_name: str, subnets: list[str]
    ) -> list[str]:
        """Handle AttachLoadBalancerToSubnets."""
        found: list[str] = super().attach_load_balancer_to_subnets(load_balancer_name, subnets)
        self._hold_interfaces(self.load_balancers[load_balancer_name])
        return found

    def detach_load_balancer_from_subnets(
        self, load_balancer_name: str, subnets: list[str]
    ) -> list[str]:
        """Handle DetachLoadBalancerFromSubnets."""
        found: list[str] = super().detach_load_balancer_from_subnets(load_balancer_name, subnets)
        self._hold_interfaces(self.load_balancers[load_balancer_name])
        return found
