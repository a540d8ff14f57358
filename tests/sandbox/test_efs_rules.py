"""What EFS rejects of mount targets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.support.account import error_of, network

REGION = "eu-west-1"


def test_a_file_system_has_one_mount_target_per_zone(client: Callable[[str], Any]) -> None:
    ec2, efs = client("ec2"), client("efs")
    subnets = network(ec2)
    (first,) = ec2.describe_subnets(SubnetIds=subnets[:1])["Subnets"]
    beside = ec2.create_subnet(
        VpcId=first["VpcId"], AvailabilityZone="eu-west-1a", CidrBlock="10.0.7.0/24"
    )["Subnet"]["SubnetId"]
    files = efs.create_file_system(CreationToken="one-per-zone")["FileSystemId"]
    for subnet in subnets:
        efs.create_mount_target(FileSystemId=files, SubnetId=subnet)
    assert error_of(efs.create_mount_target, FileSystemId=files, SubnetId=beside) == (
        "MountTargetConflict",
        "mount target already exists in this AZ",
    )


def test_mount_targets_and_their_groups_are_in_one_vpc(client: Callable[[str], Any]) -> None:
    ec2, efs = client("ec2"), client("efs")
    ours, theirs = network(ec2), network(ec2)
    (foreign,) = ec2.describe_subnets(SubnetIds=theirs[:1])["Subnets"]
    group = ec2.create_security_group(
        GroupName="foreign", Description="of another VPC", VpcId=foreign["VpcId"]
    )["GroupId"]
    files = efs.create_file_system(CreationToken="one-vpc")["FileSystemId"]
    at = {"FileSystemId": files, "SubnetId": ours[0]}
    code, _ = error_of(efs.create_mount_target, **at, SecurityGroups=[group])
    assert code == "SecurityGroupNotFound"
    efs.create_mount_target(**at)
    code, message = error_of(efs.create_mount_target, FileSystemId=files, SubnetId=theirs[1])
    assert (code, "not in the same VPC" in message) == ("MountTargetConflict", True)
    assert error_of(efs.delete_file_system, FileSystemId=files)[0] == "FileSystemInUse"


def test_a_mount_target_needs_a_free_address(client: Callable[[str], Any]) -> None:
    ec2, efs = client("ec2"), client("efs")
    (first,) = ec2.describe_subnets(SubnetIds=network(ec2)[:1])["Subnets"]
    full = ec2.create_subnet(
        VpcId=first["VpcId"], AvailabilityZone="eu-west-1a", CidrBlock="10.0.8.0/28"
    )["Subnet"]["SubnetId"]
    for _ in range(11):
        ec2.create_network_interface(SubnetId=full)
    files = efs.create_file_system(CreationToken="no-room")["FileSystemId"]
    code, _ = error_of(efs.create_mount_target, FileSystemId=files, SubnetId=full)
    assert code == "NoFreeAddressesInSubnet"
