"""What uses a VPC, and so prevents the deletion of its subnets and security groups.

AWS rejects the deletion with DependencyViolation, which names no culprit. Requester-managed
interfaces belong to a service; their description says to which
(https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/requester-managed-eni.html).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from jarkkit.decisions.ownership import Ownership
from jarkkit.ports.aws.session import AwsSession, paginate, translate_errors

# Beginnings of the descriptions of interfaces whose owner Terraform deletes.
_TERRAFORMS = ("Interface for NAT Gateway", "EFS mount target", "Amazon EKS ")


def find(session: AwsSession, name: str, vpc_ids: Sequence[str]) -> tuple[str, ...]:
    """Return the endpoints, interfaces and security groups in these VPCs, one line each.

    Without what belongs to the deployment of that name: Terraform deletes it, or the removal of
    leftovers. Raises JK-AWS-….
    """
    if not vpc_ids:
        return ()
    ec2, owner = session.client("ec2"), Ownership(name)
    with translate_errors("ec2 DescribeNetworkInterfaces"):
        return tuple(
            line
            for operation, key, describe in _KINDS
            for item in paginate(
                ec2, operation, key, Filters=[{"Name": "vpc-id", "Values": list(vpc_ids)}]
            )
            if not owner.proof(item.get("Tags") or item.get("TagSet"))
            if (line := describe(item))
        )


def _endpoint(item: Mapping[str, Any]) -> str:
    if item["State"].lower() in ("deleting", "deleted"):
        return ""
    return f"VPC endpoint {item['VpcEndpointId']} ({item['ServiceName']})"


def _interface(item: Mapping[str, Any]) -> str:
    description = item.get("Description", "")
    if item.get("InterfaceType") == "nat_gateway" or description.startswith(_TERRAFORMS):
        return ""
    return f"network interface {item['NetworkInterfaceId']} of {_user(item)}"


def _user(interface: Mapping[str, Any]) -> str:
    """Return what an interface belongs to, by its description and its attachment."""
    description = str(interface.get("Description", ""))
    if description.startswith("ELB "):
        return f"load balancer {description.removeprefix('ELB ')}"
    if instance := interface.get("Attachment", {}).get("InstanceId"):
        return f"instance {instance}"
    return description or "no resource"


def _group(item: Mapping[str, Any]) -> str:
    if item["GroupName"] == "default":
        return ""
    return f"security group {item['GroupId']} ({item['GroupName']})"


_KINDS: tuple[tuple[str, str, Callable[[Mapping[str, Any]], str]], ...] = (
    ("describe_vpc_endpoints", "VpcEndpoints", _endpoint),
    ("describe_network_interfaces", "NetworkInterfaces", _interface),
    ("describe_security_groups", "SecurityGroups", _group),
)
