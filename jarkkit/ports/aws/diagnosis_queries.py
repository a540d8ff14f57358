"""Read-only AWS queries for diagnosis.

https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_StateReason.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from jarkkit.model.records import Instance, NatGateway
from jarkkit.ports.aws.inventory import DEPLOYMENT_TAG
from jarkkit.ports.aws.session import AwsSession, paginate, translate_errors

_GROUPS = ("karpenter.sh/nodepool", "eks:nodegroup-name")


class AccountHealth:
    """Health of one deployment's AWS resources. The constructor makes no call."""

    def __init__(self, session: AwsSession) -> None:
        self._session = session

    def instances(self, name: str) -> tuple[Instance, ...]:
        """Return the deployment's instances, including those terminated within the last hour: EC2
        no longer lists them after that."""
        found: dict[str, Instance] = {}
        for tag in (DEPLOYMENT_TAG, "eks:cluster-name"):
            for item in self._instances(f"tag:{tag}", name):
                instance = _instance(item)
                found[instance.instance_id] = instance
        return tuple(found.values())

    def gateways(self, name: str) -> tuple[NatGateway, ...]:
        """Return the deployment's NAT gateways, including failed ones."""
        filters = [{"Name": f"tag:{DEPLOYMENT_TAG}", "Values": [name]}]
        with translate_errors("ec2 DescribeNatGateways"):
            ec2 = self._session.client("ec2")
            found = list(paginate(ec2, "describe_nat_gateways", "NatGateways", Filter=filters))
        return tuple(
            NatGateway(
                gateway_id=item["NatGatewayId"],
                state=item["State"],
                message=f"{item.get('FailureCode', '')} {item.get('FailureMessage', '')}".strip(),
            )
            for item in found
        )

    def idle_interfaces(self, vpc_id: str) -> tuple[str, ...]:
        """Return the VPC's unattached network interfaces, each with its description. They block the
        deletion of subnets and security groups."""
        filters = [
            {"Name": "vpc-id", "Values": [vpc_id]},
            {"Name": "status", "Values": ["available"]},
        ]
        with translate_errors("ec2 DescribeNetworkInterfaces"):
            ec2 = self._session.client("ec2")
            found = list(
                paginate(ec2, "describe_network_interfaces", "NetworkInterfaces", Filters=filters)
            )
        return tuple(
            f"{item['NetworkInterfaceId']} {item.get('Description', '')}".strip() for item in found
        )

    def _instances(self, name: str, value: str) -> Iterator[dict[str, Any]]:
        filters = [{"Name": name, "Values": [value]}]
        with translate_errors("ec2 DescribeInstances"):
            ec2 = self._session.client("ec2")
            found = list(paginate(ec2, "describe_instances", "Reservations", Filters=filters))
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
