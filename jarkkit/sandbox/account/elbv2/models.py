"""Load balancers with network interfaces in their subnets, and with names as AWS gives them."""

from __future__ import annotations

from typing import Any

from moto.elbv2.exceptions import DuplicateLoadBalancerName
from moto.elbv2.models import ELBv2Backend
from moto.moto_api._internal import mock_random as random

_NETWORK = "network"


class Elbv2Backend(ELBv2Backend):
    """Elastic Load Balancing v2 of one account and Region."""

    def create_load_balancer(self, name: str, *given: Any, **named: Any) -> Any:
        """CreateLoadBalancer. Raises DuplicateLoadBalancerName."""
        if any(balancer.name == name for balancer in self.load_balancers.values()):
            raise DuplicateLoadBalancerName
        balancer: Any = super().create_load_balancer(name, *given, **named)
        balancer.scheme = balancer.scheme or "internet-facing"
        if balancer.type == _NETWORK:
            self._rename(balancer)
        balancer.dns_name = _dns_name(balancer, self.region_name)
        self._hold(balancer)
        return balancer

    def _rename(self, balancer: Any) -> None:
        """moto gives all of them the ARN of an Application Load Balancer."""
        before, balancer.arn = (
            balancer.arn,
            balancer.arn.replace(":loadbalancer/app/", ":loadbalancer/net/"),
        )
        self.load_balancers[balancer.arn] = self.load_balancers.pop(before)
        tags = self.tagging_service.list_tags_for_resource(before)["Tags"]
        self.tagging_service.delete_all_tags_for_resource(before)
        self.tagging_service.tag_resource(balancer.arn, tags)

    def _hold(self, balancer: Any) -> None:
        ec2: Any = self.ec2_backend
        ec2.hold_interfaces(
            _owner(balancer.arn),
            balancer.subnets,
            balancer.security_groups or (),
            kind="network_load_balancer" if balancer.type == _NETWORK else "interface",
            public=balancer.scheme == "internet-facing",
        )

    def set_security_groups(self, arn: str, sec_groups: list[str]) -> None:
        """SetSecurityGroups."""
        super().set_security_groups(arn, sec_groups)
        self._hold(self.load_balancers[arn])

    def set_subnets(
        self, arn: str, subnets: list[str], subnet_mappings: list[dict[str, Any]]
    ) -> list[Any]:
        """SetSubnets."""
        zones: list[Any] = super().set_subnets(arn, subnets, subnet_mappings)
        self._hold(self.load_balancers[arn])
        return zones

    def delete_load_balancer(self, arn: str) -> None:
        """DeleteLoadBalancer: its interfaces go too."""
        super().delete_load_balancer(arn)
        ec2: Any = self.ec2_backend
        ec2.hold_interfaces(_owner(arn), (), ())


def _owner(arn: str) -> str:
    return arn.partition(":loadbalancer/")[2]


def _dns_name(balancer: Any, region: str) -> str:
    if balancer.type == _NETWORK:
        identity = balancer.arn.rsplit("/", 1)[-1]
        return f"{balancer.name}-{identity}.elb.{region}.amazonaws.com"
    front = "internal-" if balancer.scheme == "internal" else ""
    number = 10**9 + random.randint(0, 10**9)
    return f"{front}{balancer.name}-{number}.{region}.elb.amazonaws.com"
