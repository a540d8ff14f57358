"""An existing VPC as EC2 describes it: DNS, subnets, routes and endpoints."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

from jarkkit.model.records import ExistingVpc, SubnetNetwork, WayOut
from jarkkit.model.unknown import known_or_raise
from jarkkit.ports.aws.concurrency import gather
from jarkkit.ports.aws.session import AwsSession, paginate, translate_errors

_EVERYWHERE = "0.0.0.0/0"


class ExistingNetwork:
    """The VPCs of one Region. The constructor makes no call."""

    def __init__(self, session: AwsSession) -> None:
        self._session = session

    def subnets(self, ids: Iterable[str]) -> tuple[SubnetNetwork, ...]:
        """Return the subnets that exist, in the given order, without their way out."""
        order = list(ids)
        found = {item["SubnetId"]: item for item in self._subnets(order)}
        return tuple(_subnet(found[each], "") for each in order if each in found)

    def vpc(self, vpc_id: str, subnet_ids: Iterable[str]) -> ExistingVpc | None:
        """Return the VPC with those of the subnets that exist; None if there is no such VPC.

        The calls run in parallel. Raises the first JK-AWS-… error.
        """
        order = list(subnet_ids)
        vpc = [{"Name": "vpc-id", "Values": [vpc_id]}]
        calls = {
            "vpcs": partial(self._pages, "describe_vpcs", "Vpcs", Filters=vpc),
            "subnets": partial(self._subnets, order),
            "tables": partial(self._pages, "describe_route_tables", "RouteTables", Filters=vpc),
            "gateways": partial(self._pages, "describe_nat_gateways", "NatGateways", Filter=vpc),
            "endpoints": partial(
                self._pages, "describe_vpc_endpoints", "VpcEndpoints", Filters=vpc
            ),
        }
        answers = {name: known_or_raise(answer) for name, answer in gather(calls).items()}
        if not answers["vpcs"]:
            return None
        ways = _Ways(answers["tables"], answers["gateways"])
        found = {item["SubnetId"]: item for item in answers["subnets"]}
        return ExistingVpc(
            vpc_id=vpc_id,
            dns_support=self._attribute(vpc_id, "enableDnsSupport", "EnableDnsSupport"),
            dns_hostnames=self._attribute(vpc_id, "enableDnsHostnames", "EnableDnsHostnames"),
            subnets=tuple(
                _subnet(found[each], ways.out_of(each)) for each in order if each in found
            ),
            endpoints=frozenset(
                str(item["ServiceName"]).split(".", 3)[-1]
                for item in answers["endpoints"]
                if str(item.get("State", "available")).lower() == "available"
            ),
        )

    def _subnets(self, ids: list[str]) -> list[dict[str, Any]]:
        filters = [{"Name": "subnet-id", "Values": ids}]
        return self._pages("describe_subnets", "Subnets", Filters=filters)

    def _pages(self, operation: str, key: str, **given: Any) -> list[dict[str, Any]]:
        with translate_errors(f"ec2 {operation}"):
            return list(paginate(self._session.client("ec2"), operation, key, **given))

    def _attribute(self, vpc_id: str, name: str, key: str) -> bool:
        with translate_errors("ec2 DescribeVpcAttribute"):
            ec2 = self._session.client("ec2")
            return bool(ec2.describe_vpc_attribute(VpcId=vpc_id, Attribute=name)[key]["Value"])


class _Ways:
    """Where the default routes of a VPC's subnets lead."""

    def __init__(self, tables: list[dict[str, Any]], gateways: list[dict[str, Any]]) -> None:
        self._gateways = {item["NatGatewayId"]: item for item in gateways}
        self._main: dict[str, Any] = {}
        self._own: dict[str, dict[str, Any]] = {}
        for table in tables:
            for association in table.get("Associations", []):
                if association.get("Main"):
                    self._main = table
                elif subnet := association.get("SubnetId"):
                    self._own[subnet] = table

    def out_of(self, subnet: str) -> WayOut:
        """Return where the subnet's default route leads: the VPC's main one without its own."""
        for route in self._own.get(subnet, self._main).get("Routes", []):
            if route.get("DestinationCidrBlock") == _EVERYWHERE:
                return self._followed(route)
        return ""

    def _followed(self, route: Mapping[str, Any]) -> WayOut:
        if route.get("State") == "blackhole":
            return ""
        if gateway := route.get("NatGatewayId"):
            return "nat" if self._serves(gateway) else ""
        if str(route.get("GatewayId", "")).startswith("igw-"):
            return "internet"
        return "other"

    def _serves(self, gateway: str) -> bool:
        """Return True for an available NAT gateway that itself has a way out.

        A gateway of another VPC is not among the answers, and counts as one that serves.
        """
        found = self._gateways.get(gateway)
        if found is None:
            return True
        if found.get("ConnectivityType") == "private":
            return True
        return found["State"] == "available" and self.out_of(found["SubnetId"]) != ""


def _subnet(item: Mapping[str, Any], way_out: WayOut) -> SubnetNetwork:
    return SubnetNetwork(
        subnet_id=item["SubnetId"],
        vpc_id=item["VpcId"],
        zone=item["AvailabilityZone"],
        zone_id=item.get("AvailabilityZoneId", ""),
        public_addresses=bool(item.get("MapPublicIpOnLaunch")),
        way_out=way_out,
    )
