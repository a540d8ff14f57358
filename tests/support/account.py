"""An environment without the user's AWS settings, and clients of a simulated account."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable
from typing import Any

import botocore.session
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.loaders import Loader

from jarkkit.sandbox import daemon_client

CLEAN = {
    name: value
    for name, value in os.environ.items()
    if not name.startswith(("AWS_", "TF_", "JARKKIT_"))
} | {"GOGC": "400"}  # Terraform and its provider take a quarter less of the processor so


def sandbox_environment(running: daemon_client.RunningSandbox) -> dict[str, str]:
    """Return a clean environment whose AWS clients reach the sandbox."""
    return {**CLEAN, **{name: value for name, value in running.env.items() if value}}


IMAGE = "/aws/service/eks/optimized-ami/1.36/amazon-linux-2023/x86_64/standard/recommended/image_id"


# Remembers the descriptions of services: reading that of EC2 takes a third of a second.
_LOADER = Loader()


def make_client(
    running: daemon_client.RunningSandbox, service: str, region: str = "eu-west-1", **config: Any
) -> Any:
    """Return a boto3 client that does not retry, unless the config says otherwise."""
    core = botocore.session.get_session()
    core.register_component("data_loader", _LOADER)
    config = {"retries": {"total_max_attempts": 1}, **config}
    return core.create_client(
        service,
        region,
        endpoint_url=running.endpoint,
        aws_access_key_id=running.env["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=running.env["AWS_SECRET_ACCESS_KEY"],
        config=Config(**config),
    )


def assumed_role(
    running: daemon_client.RunningSandbox, name: str, *, path: str = "/"
) -> tuple[str, dict[str, str]]:
    """Create a role and assume it. Return its ARN, and the variables of the session."""
    trust = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Action": "sts:AssumeRole",
                "Principal": {"AWS": "arn:aws:iam::123456789012:root"},
            }
        ],
    }
    role: str = make_client(running, "iam").create_role(
        RoleName=name, Path=path, AssumeRolePolicyDocument=json.dumps(trust)
    )["Role"]["Arn"]
    session = make_client(running, "sts").assume_role(RoleArn=role, RoleSessionName="them")
    keys = session["Credentials"]
    return role, {
        "AWS_ACCESS_KEY_ID": keys["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": keys["SecretAccessKey"],
        "AWS_SESSION_TOKEN": keys["SessionToken"],
    }


def reserve(ec2: Any, instance_type: str, zone: str, count: int = 1, **more: Any) -> str:
    """Create a capacity reservation; return its id."""
    reservation = ec2.create_capacity_reservation(
        InstanceType=instance_type,
        InstancePlatform="Linux/UNIX",
        AvailabilityZone=zone,
        InstanceCount=count,
        **more,
    )
    return str(reservation["CapacityReservation"]["CapacityReservationId"])


def network(
    ec2: Any, zones: tuple[str, ...] = ("eu-west-1a", "eu-west-1b"), *, way_out: bool = True
) -> list[str]:
    """Create a VPC with a subnet in each zone; return the ids of the subnets.

    With a way out, the subnets are public ones, with DNS as nodes need it.
    """
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    subnets = [
        ec2.create_subnet(VpcId=vpc, AvailabilityZone=zone, CidrBlock=f"10.0.{index}.0/24")[
            "Subnet"
        ]["SubnetId"]
        for index, zone in enumerate(zones)
    ]
    if way_out:
        open_network(ec2, vpc, subnets)
    return subnets


def open_network(ec2: Any, vpc: str, subnets: list[str]) -> None:
    """Give a VPC DNS host names and an internet gateway, and its instances public addresses."""
    ec2.modify_vpc_attribute(VpcId=vpc, EnableDnsHostnames={"Value": True})
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    of_vpc = [{"Name": "vpc-id", "Values": [vpc]}]
    (table,) = ec2.describe_route_tables(Filters=of_vpc)["RouteTables"]
    ec2.create_route(
        RouteTableId=table["RouteTableId"],
        DestinationCidrBlock="0.0.0.0/0",
        GatewayId=gateway,
    )
    for subnet in subnets:
        ec2.modify_subnet_attribute(SubnetId=subnet, MapPublicIpOnLaunch={"Value": True})


ROLE = "arn:aws:iam::123456789012:role/assumed"
# The services that assume the roles of a cluster, its nodes and its pods.
SERVICES = ("eks.amazonaws.com", "ec2.amazonaws.com", "pods.eks.amazonaws.com")


def trust_policy(*services: str) -> str:
    """Return a trust policy that lets these services assume a role and tag the session."""
    actions = ["sts:AssumeRole", "sts:TagSession"]
    principal = {"Service": list(services)}
    statement = {"Effect": "Allow", "Principal": principal, "Action": actions}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def ensure_role(iam: Any, arn: str = ROLE) -> str:
    """Create the role if it does not exist, for clusters, nodes and pods; return its ARN."""
    path, _, name = arn.partition(":role/")[2].rpartition("/")
    with contextlib.suppress(iam.exceptions.EntityAlreadyExistsException):
        iam.create_role(
            RoleName=name,
            Path=f"/{path}/" if path else "/",
            AssumeRolePolicyDocument=trust_policy(*SERVICES),
        )
    return arn


def cluster(client: Callable[..., Any], name: str, *, version: str = "1.36", **more: Any) -> Any:
    """Create a cluster; return the EKS client."""
    eks = client("eks")
    eks.create_cluster(
        name=name,
        version=version,
        roleArn=ensure_role(client("iam")),
        resourcesVpcConfig={"subnetIds": network(client("ec2"))},
        accessConfig={
            "authenticationMode": "API",
            "bootstrapClusterCreatorAdminPermissions": False,
        },
        **more,
    )
    return eks


def subnets_of(eks: Any, name: str) -> list[str]:
    """Return the ids of a cluster's subnets."""
    found = eks.describe_cluster(name=name)["cluster"]["resourcesVpcConfig"]["subnetIds"]
    return list(found)


def error_of(call: Callable[..., Any], **arguments: Any) -> tuple[str, str]:
    """Return the error code and the message with which a call is rejected."""
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    error = caught.value.response["Error"]
    return str(error["Code"]), str(error["Message"])


def error_code_of(call: Callable[..., Any], **arguments: Any) -> str:
    """Return the error code with which a call is rejected."""
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    return str(caught.value.response["Error"]["Code"])
