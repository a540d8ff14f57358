"""Whether an instance reaches what a node needs: DNS, and the internet or AWS' endpoints.

After "Amazon EKS networking requirements for VPC and subnets" and "Deploy private clusters with
limited internet access" in the EKS user guide, read 2026-11.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

# Without the internet, nodes need VPC endpoints of these services at least.
NODE_SERVICES = ("ec2", "ecr.api", "ecr.dkr", "s3")

# `internet` serves instances with a public address only; `other` leads out of the VPC through
# something that we do not follow: a transit gateway, a peering, an appliance.
Way = Literal["", "nat", "internet", "other"]


@dataclass(frozen=True)
class NodeNetwork:
    """What a subnet offers to the nodes in it.

    Attributes:
        way_out: where the subnet's default route leads; empty without one.
        endpoints: services with a VPC endpoint in the VPC.
    """

    subnet: str
    vpc: str
    dns_support: bool
    dns_hostnames: bool
    way_out: Way
    endpoints: frozenset[str] = frozenset()


def why_cut_off(network: NodeNetwork, *, public_address: bool) -> str:
    """Return why a node in that subnet cannot join its cluster; empty if it can."""
    for attribute, enabled in (
        ("enableDnsSupport", network.dns_support),
        ("enableDnsHostnames", network.dns_hostnames),
    ):
        if not enabled:
            return f"{network.vpc} has {attribute} off, so it finds no endpoint of the cluster"
    if network.way_out in ("nat", "other") or (network.way_out == "internet" and public_address):
        return ""
    missing = [service for service in NODE_SERVICES if service not in network.endpoints]
    if not missing:
        return ""
    reason = "a public address" if network.way_out == "internet" else "a default route"
    return (
        f"{network.subnet} gives it no way out: it has neither {reason} nor VPC endpoints of "
        f"{', '.join(missing)}"
    )


def why_not_joining(ec2: Any, instance: Any) -> str:
    """Return why an instance's network does not let it join a cluster; empty if it does."""
    network = node_network(ec2, instance.subnet_id)
    return why_cut_off(network, public_address=bool(instance.public_ip))


def node_network(ec2: Any, subnet_id: str) -> NodeNetwork:
    """Read the network of a subnet from an EC2 backend."""
    subnet = ec2.get_subnet(subnet_id)
    vpc = ec2.get_vpc(subnet.vpc_id)
    return NodeNetwork(
        subnet=subnet.id,
        vpc=vpc.id,
        dns_support=_is_true(vpc.enable_dns_support),
        dns_hostnames=_is_true(vpc.enable_dns_hostnames),
        # AWS' default VPC has an internet gateway; moto's has none.
        way_out=_way_out(ec2, subnet) or ("internet" if vpc.is_default else ""),
        endpoints=frozenset(_endpoints(ec2, vpc.id)),
    )


def _is_true(attribute: Any) -> bool:
    return str(attribute).lower() == "true"


def _way_out(ec2: Any, subnet: Any, passed: frozenset[str] = frozenset()) -> Way:
    """Return where the subnet's default route leads.

    Args:
        passed: the NAT gateways on the way to this subnet.
    """
    routes = [r for r in _table(ec2, subnet).routes if r.destination_cidr_block == "0.0.0.0/0"]
    if not routes:
        return ""
    route = routes[0]
    if route.nat_gateway:
        return "nat" if _serves(ec2, route.nat_gateway, passed) else ""
    if route.gateway and str(route.gateway.id).startswith("igw-"):
        return "internet"
    return "other"


def _serves(ec2: Any, gateway: Any, passed: frozenset[str]) -> bool:
    """Return True for a NAT gateway that is available and itself reaches the internet."""
    if gateway.state != "available" or gateway.id in passed:
        return False
    return _way_out(ec2, ec2.get_subnet(gateway.subnet_id), passed | {gateway.id}) != ""


def _table(ec2: Any, subnet: Any) -> Any:
    """Return the subnet's own route table, or the VPC's main one."""
    tables = [table for table in ec2.route_tables.values() if table.vpc_id == subnet.vpc_id]
    own = [t for t in tables if any(a.get("SubnetId") == subnet.id for a in t.associations)]
    return (own or [t for t in tables if t.main_association_id])[0]


def _endpoints(ec2: Any, vpc_id: str) -> Iterable[str]:
    """Yield the services with an endpoint: `ecr.api` of `com.amazonaws.eu-west-1.ecr.api`."""
    for endpoint in ec2.vpc_end_points.values():
        if endpoint.vpc_id == vpc_id and endpoint.state != "deleted":
            yield endpoint.service_name.split(".", 3)[-1]
