"""What is asked of an account when something is broken. Reads only.

https://docs.aws.amazon.com/eks/latest/APIReference/API_ClusterIssue.html and
https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_StateReason.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from jarkkit.aws.inventory import TAG
from jarkkit.aws.session import Session, client_error_code, paged, translated
from jarkkit.errors import JarkkitError
from jarkkit.records import ControlPlane, Gateway, Instance

_GROUPS = ("karpenter.sh/nodepool", "eks:nodegroup-name")


class Health:
    """How the parts of one deployment do, as the account says it."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def control_plane(self, name: str) -> ControlPlane | None:
        """The EKS cluster of that name with its health issues; None where there is none."""
        try:
            with translated("eks DescribeCluster"):
                found = self._session.client("eks").describe_cluster(name=name)["cluster"]
        except JarkkitError as error:
            if client_error_code(error) == "ResourceNotFoundException":
                return None
            raise
        network = found.get("resourcesVpcConfig", {})
        issues = found.get("health", {}).get("issues", [])
        return ControlPlane(
            status=found["status"],
            issues=tuple(f"{i.get('code', '')}: {i.get('message', '')}" for i in issues),
            public=bool(network.get("endpointPublicAccess", True)),
            open_to=tuple(network.get("publicAccessCidrs", ())),
            vpc_id=network.get("vpcId", ""),
        )

    def instances(self, name: str) -> tuple[Instance, ...]:
        """The deployment's instances, those that ended within the last hour among them: EC2
        forgets them after that."""
        found: dict[str, Instance] = {}
        for tag in (TAG, "eks:cluster-name"):
            for item in self._instances(f"tag:{tag}", name):
                instance = _instance(item)
                found[instance.instance_id] = instance
        return tuple(found.values())

    def gateways(self, name: str) -> tuple[Gateway, ...]:
        """The deployment's NAT gateways, also those that failed."""
        filters = [{"Name": f"tag:{TAG}", "Values": [name]}]
        with translated("ec2 DescribeNatGateways"):
            ec2 = self._session.client("ec2")
            found = list(paged(ec2, "describe_nat_gateways", "NatGateways", Filter=filters))
        return tuple(
            Gateway(
                gateway_id=item["NatGatewayId"],
                state=item["State"],
                message=f"{item.get('FailureCode', '')} {item.get('FailureMessage', '')}".strip(),
            )
            for item in found
        )

    def idle_interfaces(self, vpc_id: str) -> tuple[str, ...]:
        """Network interfaces in the VPC that nothing uses; each with its description. They keep
        subnets and security groups from being deleted."""
        filters = [
            {"Name": "vpc-id", "Values": [vpc_id]},
            {"Name": "status", "Values": ["available"]},
        ]
        with translated("ec2 DescribeNetworkInterfaces"):
            ec2 = self._session.client("ec2")
            found = list(
                paged(ec2, "describe_network_interfaces", "NetworkInterfaces", Filters=filters)
            )
        return tuple(
            f"{item['NetworkInterfaceId']} {item.get('Description', '')}".strip() for item in found
        )

    def _instances(self, name: str, value: str) -> Iterator[dict[str, Any]]:
        filters = [{"Name": name, "Values": [value]}]
        with translated("ec2 DescribeInstances"):
            ec2 = self._session.client("ec2")
            found = list(paged(ec2, "describe_instances", "Reservations", Filters=filters))
        for reservation in found:
            yield from reservation["Instances"]


def _instance(item: Mapping[str, Any]) -> Instance:
    tags = {tag["Key"]: tag["Value"] for tag in item.get("Tags", ())}
    reason = item.get("StateReason") or {}
    return Instance(
        instance_id=item["InstanceId"],
        instance_type=item["InstanceType"],
        zone=item.get("Placement", {}).get("AvailabilityZone", ""),
        state=item["State"]["Name"],
        launched=item["LaunchTime"].isoformat(),
        group=next((tags[name] for name in _GROUPS if name in tags), ""),
        spot=item.get("InstanceLifecycle") == "spot",
        reason=f"{reason.get('Code', '')} {reason.get('Message', '')}".strip(),
    )
