"""Scanners of EC2: the network, instances, volumes, and what controllers create beside them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from jarkkit.decisions.ownership import DEPLOYMENT_TAG, tag_mapping
from jarkkit.model.records import OwnedResource
from jarkkit.ports.aws.inventory.scan_context import ScanContext, Scanner
from jarkkit.ports.aws.session import paginate

# The VPC CNI tags its interfaces with their node.
_NODE_TAG = "node.k8s.amazonaws.com/instance_id"
_INTERFACE_IN_USE = "attached: AWS deletes it with its owner"
_BACKUP_KEYS = ("aws:backup:source-resource", "aws:dlm:lifecycle-policy-id")
_BACKUP = "a backup that AWS Backup or Data Lifecycle Manager made"


@dataclass(frozen=True)
class _Kind:
    """How EC2 lists one kind.

    Attributes:
        gone: values of State for a resource that is deleted or being deleted.
        by_controllers: controllers create it too, and tag it in their own way.
        size_key: where the listing has the size in GiB.
        arguments: of the listing.
    """

    operation: str
    key: str
    id_key: str
    terraform_type: str
    billable: bool = False
    gone: tuple[str, ...] = ()
    by_controllers: bool = False
    size_key: str = ""
    arguments: Mapping[str, Any] = field(default_factory=dict)

    def filters(self, context: ScanContext) -> dict[str, Any]:
        """Return the argument that filters by tag."""
        one = {"Name": f"tag:{DEPLOYMENT_TAG}", "Values": [context.name]}
        if self.by_controllers:
            one = {"Name": "tag-key", "Values": list(context.owner.keys)}
        # For NAT gateways and flow logs, the argument is named Filter.
        word = "Filter" if self.key in ("NatGateways", "FlowLogs") else "Filters"
        return {word: [one], **self.arguments}


_KINDS = (
    _Kind("describe_vpcs", "Vpcs", "VpcId", "aws_vpc"),
    _Kind("describe_subnets", "Subnets", "SubnetId", "aws_subnet"),
    _Kind(
        "describe_internet_gateways",
        "InternetGateways",
        "InternetGatewayId",
        "aws_internet_gateway",
    ),
    _Kind(
        "describe_nat_gateways",
        "NatGateways",
        "NatGatewayId",
        "aws_nat_gateway",
        billable=True,
        gone=("deleting", "deleted", "failed"),
    ),
    _Kind("describe_addresses", "Addresses", "AllocationId", "aws_eip", billable=True),
    _Kind("describe_route_tables", "RouteTables", "RouteTableId", "aws_route_table"),
    _Kind(
        "describe_security_groups",
        "SecurityGroups",
        "GroupId",
        "aws_security_group",
        by_controllers=True,
    ),
    _Kind(
        "describe_security_group_rules",
        "SecurityGroupRules",
        "SecurityGroupRuleId",
        "aws_vpc_security_group_ingress_rule",
    ),
    _Kind(
        "describe_vpc_endpoints",
        "VpcEndpoints",
        "VpcEndpointId",
        "aws_vpc_endpoint",
        billable=True,
        gone=("deleting", "deleted"),
    ),
    _Kind(
        "describe_launch_templates",
        "LaunchTemplates",
        "LaunchTemplateId",
        "aws_launch_template",
        by_controllers=True,
    ),
    _Kind(
        "describe_volumes",
        "Volumes",
        "VolumeId",
        "aws_ebs_volume",
        billable=True,
        gone=("deleting", "deleted"),
        by_controllers=True,
        size_key="Size",
    ),
    _Kind(
        "describe_snapshots",
        "Snapshots",
        "SnapshotId",
        "aws_ebs_snapshot",
        billable=True,
        by_controllers=True,
        size_key="VolumeSize",
        arguments={"OwnerIds": ["self"]},
    ),
    _Kind("describe_flow_logs", "FlowLogs", "FlowLogId", "aws_flow_log"),
)


def _scanner(kind: _Kind) -> Scanner:
    def ask(context: ScanContext) -> Iterator[OwnedResource]:
        for item in paginate(
            context.client("ec2"), kind.operation, kind.key, **kind.filters(context)
        ):
            if str(item.get("State", "")).lower() in kind.gone:
                continue
            tags = tag_mapping(item.get("Tags"))
            yield from context.owned(
                kind.terraform_type,
                item[kind.id_key],
                tags,
                name=item.get("LaunchTemplateName")
                or tags.get("Name", "")
                or (item.get("GroupName", "") if kind.by_controllers else ""),
                billable=kind.billable,
                gib=item.get(kind.size_key) if kind.size_key else None,
                why_kept=_why_kept(kind, tags),
            )

    return ask


def _why_kept(kind: _Kind, tags: Mapping[str, str]) -> str:
    """Return why cleanup keeps a snapshot that a backup service made; empty for all others."""
    is_backup = kind.key == "Snapshots" and any(key in tags for key in _BACKUP_KEYS)
    return _BACKUP if is_backup else ""


def _instances(context: ScanContext) -> Iterator[OwnedResource]:
    """Yield the nodes that are not terminated."""
    for instance in _all_instances(context):
        if instance["State"]["Name"] not in ("shutting-down", "terminated"):
            yield from context.owned(
                "aws_instance",
                instance["InstanceId"],
                instance.get("Tags"),
                name=instance["InstanceType"],
                billable=True,
            )


def _all_instances(context: ScanContext) -> Iterator[dict[str, Any]]:
    """Yield the nodes, also those that were terminated within the last hour."""
    filters = [{"Name": "tag-key", "Values": list(context.owner.keys)}]
    for reservation in paginate(
        context.client("ec2"), "describe_instances", "Reservations", Filters=filters
    ):
        yield from (i for i in reservation["Instances"] if context.owner.proof(i.get("Tags")))


def _interfaces(context: ScanContext) -> Iterator[OwnedResource]:
    """Yield the interfaces of the VPC CNI and others with a tag that proves the ownership.

    The CNI leaves an interface behind when its node ends before it could delete it. Without the
    cluster's name in its configuration, it tags interfaces only with their node.
    """
    keys = [*context.owner.keys, _NODE_TAG]
    nodes: frozenset[str] | None = None
    for item in paginate(
        context.client("ec2"),
        "describe_network_interfaces",
        "NetworkInterfaces",
        Filters=[{"Name": "tag-key", "Values": keys}],
    ):
        tags = tag_mapping(item.get("TagSet") or item.get("Tags"))
        proof = context.owner.proof(tags)
        if not proof and _NODE_TAG in tags and DEPLOYMENT_TAG not in tags:
            if nodes is None:
                nodes = frozenset(i["InstanceId"] for i in _all_instances(context))
            proof = f"{_NODE_TAG}={tags[_NODE_TAG]}" if tags[_NODE_TAG] in nodes else ""
        if proof:
            yield OwnedResource(
                terraform_type="aws_network_interface",
                import_id=item["NetworkInterfaceId"],
                name=tags.get("Name", "") or item.get("Description", ""),
                proof=proof,
                of_cluster=True,
                why_kept="" if item.get("Status") == "available" else _INTERFACE_IN_USE,
            )


def _reservations(context: ScanContext) -> Iterator[OwnedResource]:
    """Yield capacity reservations. EC2 cannot filter them by tag."""
    for item in paginate(
        context.client("ec2"), "describe_capacity_reservations", "CapacityReservations"
    ):
        if item.get("State") not in ("expired", "cancelled", "failed", "payment-failed"):
            block = item.get("ReservationType") == "capacity-block"
            yield from context.owned(
                "aws_ec2_capacity_reservation",
                item["CapacityReservationId"],
                item.get("Tags"),
                name=f"{item.get('TotalInstanceCount', 0)} x {item.get('InstanceType', '')}",
                billable=not block,
                why_kept="a Capacity Block is paid in advance and ends by itself" if block else "",
            )


def _scaling_groups(context: ScanContext) -> Iterator[OwnedResource]:
    """Yield the Auto Scaling groups of managed node groups. Their instances cost, not they."""
    groups = paginate(
        context.client("autoscaling"), "describe_auto_scaling_groups", "AutoScalingGroups"
    )
    for group in groups:
        if group.get("Status") != "Delete in progress":
            name = group["AutoScalingGroupName"]
            yield from context.owned("aws_autoscaling_group", name, group.get("Tags"), name=name)


def _routes(context: ScanContext) -> Iterator[OwnedResource]:
    """Yield routes and associations of the deployment's route tables; they have no own tags."""
    filters = [{"Name": f"tag:{DEPLOYMENT_TAG}", "Values": [context.name]}]
    tables = paginate(
        context.client("ec2"), "describe_route_tables", "RouteTables", Filters=filters
    )
    for table in tables:
        table_id = table["RouteTableId"]
        for route in table["Routes"]:
            destination = route.get("DestinationCidrBlock")
            if destination and route.get("GatewayId") != "local":
                key = f"{table_id}_{destination}"
                yield OwnedResource(terraform_type="aws_route", import_id=key, name=key)
        for association in table["Associations"]:
            if subnet := association.get("SubnetId"):
                yield OwnedResource(
                    terraform_type="aws_route_table_association",
                    import_id=f"{subnet}/{table_id}",
                    name=subnet,
                )


def _cidr_blocks(context: ScanContext) -> Iterator[OwnedResource]:
    filters = [{"Name": f"tag:{DEPLOYMENT_TAG}", "Values": [context.name]}]
    for vpc in paginate(context.client("ec2"), "describe_vpcs", "Vpcs", Filters=filters):
        for block in vpc.get("CidrBlockAssociationSet", []):
            if block["CidrBlock"] == vpc["CidrBlock"]:
                continue
            if block["CidrBlockState"]["State"] == "associated":
                yield OwnedResource(
                    terraform_type="aws_vpc_ipv4_cidr_block_association",
                    import_id=block["AssociationId"],
                    name=block["CidrBlock"],
                )


def _words(key: str) -> str:
    """Return the key of an EC2 listing in words: `NatGateways` becomes `NAT gateways`."""
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", key).lower()
    return re.sub(r"^(nat|vpc)(?=s? )|^vpcs$", lambda m: _capital(m[0]), words)


def _capital(word: str) -> str:
    return "VPCs" if word == "vpcs" else word.upper()


# Scanners of what controllers create and tag in their own way.
OF_CONTROLLERS = frozenset(
    {
        "ec2 instances",
        *(f"ec2 {_words(kind.key)}" for kind in _KINDS if kind.by_controllers),
        "ec2 network interfaces",
        "ec2 capacity reservations",
        "autoscaling groups",
    }
)
SCANNERS: dict[str, Scanner] = {
    "ec2 instances": _instances,
    **{f"ec2 {_words(kind.key)}": _scanner(kind) for kind in _KINDS},
    "ec2 network interfaces": _interfaces,
    "ec2 capacity reservations": _reservations,
    "ec2 routes": _routes,
    "ec2 CIDR blocks": _cidr_blocks,
    "autoscaling groups": _scaling_groups,
}
