"""Dependency violations on deletion, and their most common cause: load balancers' interfaces.

Codes and messages after "Error codes for the Amazon EC2 API" and errors that users report; the
interfaces after "Requester-managed network interfaces" in the EC2 user guide, read 2026-11.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from moto.core.utils import utcnow
from moto.ec2.exceptions import DependencyViolationError, EC2ClientError
from moto.ec2.models import EC2Backend
from moto.ec2.models.elastic_network_interfaces import NetworkInterface
from moto.moto_api._internal import mock_random as random

_OWNER = "amazon-elb"


class BalancerAttachment:
    """The attachment of a load balancer's interface."""

    device_index = 1
    status = "attached"
    delete_on_termination = False
    instance_owner_id = _OWNER

    def __init__(self, attachment_id: str) -> None:
        self.attachment_id = attachment_id
        self.attach_time = utcnow()


class BalancerInterface(NetworkInterface):
    """A load balancer's network interface in a subnet.

    Args:
        owner: the load balancer, as in the interface's description: `net/<name>/<id>`.
        kind: the interface's type.
        public: True if it has a public address.
    """

    def __init__(
        self, backend: Any, subnet: Any, groups: list[str], owner: str, *, kind: str, public: bool
    ) -> None:
        super().__init__(
            backend,
            subnet,
            [],
            group_ids=groups,
            description=f"ELB {owner}",
            public_ip_auto_assign=public,
        )
        self.interface_type = kind
        self.status = "in-use"
        self.requester_id = _OWNER
        self.requester_managed = True
        self._attachment = BalancerAttachment(f"ela-attach-{random.get_random_hex(17)}")
        self.attachment_id = self._attachment.attachment_id

    @property
    def attachment(self) -> Any:
        """The attachment; moto's own supports instances only."""
        return self._attachment


class DependencyOperations(EC2Backend):
    """DeleteSubnet, DeleteSecurityGroup, DeleteVpc and others, which check dependencies first."""

    # -- interfaces of load balancers ------------------------------------------------------------

    def hold_interfaces(
        self,
        owner: str,
        subnets: Iterable[Any],
        groups: Iterable[str],
        *,
        kind: str = "interface",
        public: bool = False,
    ) -> None:
        """Give the load balancer one interface in each of these subnets, and in no others.

        All its interfaces get these security groups.
        """
        desired, held = {subnet.id: subnet for subnet in subnets}, self._held(owner)
        for interface in held:
            if interface.subnet.id not in desired:
                del self.enis[interface.id]
        for subnet_id in desired.keys() - {interface.subnet.id for interface in held}:
            made = BalancerInterface(  # type: ignore[abstract]
                self, desired[subnet_id], list(groups), owner, kind=kind, public=public
            )
            self.enis[made.id] = made
        for interface in self._held(owner):
            interface._group_set = [self.get_security_group_from_id(group) for group in groups]

    def _held(self, owner: str) -> list[Any]:
        return [i for i in self._balancer_interfaces() if i.description == f"ELB {owner}"]

    def _balancer_interfaces(self) -> Iterator[Any]:
        return (i for i in list(self.enis.values()) if isinstance(i, BalancerInterface))

    # -- violations ------------------------------------------------------------------------------

    def _in_use(self) -> Iterator[Any]:
        """Yield interfaces, except those that moto keeps after their instance is terminated."""
        for interface in self.enis.values():
            if not (interface.instance and interface.instance.state == "terminated"):
                yield interface

    def delete_subnet(self, subnet_id: str) -> Any:
        """Handle DeleteSubnet. Raises DependencyViolation."""
        if any(interface.subnet.id == subnet_id for interface in self._in_use()):
            raise _needed("subnet", subnet_id)
        return super().delete_subnet(subnet_id)

    def delete_security_group(self, name: str | None = None, group_id: str | None = None) -> None:
        """Handle DeleteSecurityGroup. Raises DependencyViolation."""
        group: Any = self.get_security_group_by_name_or_id(group_id or name or "")
        if group and (self._is_attached(group.id) or self._is_referenced(group.id)):
            raise DependencyViolationError(f"resource {group.id} has a dependent object")
        super().delete_security_group(name, group_id)

    def _is_attached(self, group_id: str) -> bool:
        return any(group.id == group_id for i in self._in_use() for group in i.group_set)

    def _is_referenced(self, group_id: str) -> bool:
        """Return True when a rule of another group references this one."""
        return any(
            rule.source_group.get("GroupId") == group_id
            for groups in self.groups.values()
            for group in groups.values()
            if group.id != group_id
            for rule in (*group.ingress_rules, *group.egress_rules)
        )

    def delete_vpc(self, vpc_id: str) -> Any:
        """Handle DeleteVpc. Raises DependencyViolation."""
        left = [group for group in self.groups.get(vpc_id, {}).values() if group.name != "default"]
        gateways = [g for g in self.internet_gateways.values() if g.vpc and g.vpc.id == vpc_id]
        if left or gateways:
            raise _needed("vpc", vpc_id)
        return super().delete_vpc(vpc_id)

    def detach_internet_gateway(self, internet_gateway_id: str, vpc_id: str) -> None:
        """Handle DetachInternetGateway. Raises DependencyViolation while a balancer is public."""
        if any(i.public_ip and i.vpc_id == vpc_id for i in self._balancer_interfaces()):
            raise DependencyViolationError(
                f"Network {vpc_id} has some mapped public address(es). Please unmap those public "
                "address(es) before detaching the gateway."
            )
        super().detach_internet_gateway(internet_gateway_id, vpc_id)

    def delete_network_interface(self, eni_id: str) -> None:
        """Handle DeleteNetworkInterface. Only the load balancer's deletion deletes its own."""
        if isinstance(self.enis.get(eni_id), BalancerInterface):
            raise EC2ClientError(
                "InvalidParameterValue", f"Network interface '{eni_id}' is currently in use."
            )
        super().delete_network_interface(eni_id)

    def detach_network_interface(self, attachment_id: str) -> None:
        """Handle DetachNetworkInterface."""
        if attachment_id.startswith("ela-attach-"):
            raise EC2ClientError(
                "OperationNotPermitted",
                "You are not allowed to manage 'ela-attach' attachments.",
            )
        super().detach_network_interface(attachment_id)


def _needed(kind: str, identity: str) -> DependencyViolationError:
    return DependencyViolationError(
        f"The {kind} '{identity}' has dependencies and cannot be deleted."
    )
