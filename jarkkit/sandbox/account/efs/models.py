"""The EFS backend: access points, the rules of mount targets, and file system policies."""

from __future__ import annotations

import json
from typing import Any

from moto.efs.exceptions import (
    AccessPointNotFound,
    EFSError,
    FileSystemNotFound,
    SecurityGroupNotFound,
)
from moto.efs.models import EFSBackend

from jarkkit.sandbox.account.efs.mounts import NfsClient, decide
from jarkkit.sandbox.account.iam.policies import Decision, validate


class AccessPointAlreadyExists(EFSError):  # noqa: N818 - AWS' own name
    """The client token was used before."""

    code = 409

    def __init__(self, client_token: str) -> None:
        super().__init__(
            "AccessPointAlreadyExists", f"Access point already exists with token {client_token}"
        )


class NoFreeAddressesInSubnet(EFSError):  # noqa: N818 - AWS' own name
    """The subnet of a new mount target is full."""

    code = 409

    def __init__(self, subnet_id: str) -> None:
        super().__init__(
            "NoFreeAddressesInSubnet", f"The subnet {subnet_id} has no free IP addresses"
        )


class InvalidPolicy(EFSError):  # noqa: N818 - AWS' own name
    """The file system policy is malformed."""

    code = 400

    def __init__(self, reason: str) -> None:
        super().__init__("InvalidPolicyException", f"Policy is malformed: {reason}")


class EfsBackend(EFSBackend):
    """Amazon EFS of one account and Region."""

    def create_mount_target(
        self,
        file_system_id: str,
        subnet_id: str,
        ip_address: str | None = None,
        security_groups: list[str] | None = None,
    ) -> Any:
        """Handle CreateMountTarget: its security groups are of its VPC, its subnet has room.

        Raises SubnetNotFound, SecurityGroupNotFound, NoFreeAddressesInSubnet, MountTargetConflict.
        """
        found: Any = self.ec2_backend.describe_subnets(filters={"subnet-id": [subnet_id]})
        for subnet in found:
            known = {group.id for group in self.ec2_backend.groups[subnet.vpc_id].values()}
            if foreign := [group for group in security_groups or () if group not in known]:
                raise SecurityGroupNotFound(foreign[0])
            if not ip_address and subnet.available_ip_address_count < 1:
                raise NoFreeAddressesInSubnet(subnet_id)
        return super().create_mount_target(file_system_id, subnet_id, ip_address, security_groups)

    def create_access_point(
        self,
        client_token: str,
        tags: list[dict[str, str]],
        file_system_id: str,
        *given: Any,
        **named: Any,
    ) -> Any:
        """Handle CreateAccessPoint. Raises FileSystemNotFound, AccessPointAlreadyExists."""
        self._require(file_system_id)
        if client_token and any(
            point.client_token == client_token and point.file_system_id == file_system_id
            for point in self.access_points.values()
        ):
            raise AccessPointAlreadyExists(client_token)
        return super().create_access_point(client_token, tags, file_system_id, *given, **named)

    def describe_access_points(
        self, access_point_id: str | None, file_system_id: str | None
    ) -> list[Any]:
        """Handle DescribeAccessPoints. Raises FileSystemNotFound, AccessPointNotFound."""
        if file_system_id:
            self._require(file_system_id)
        return list(super().describe_access_points(access_point_id, file_system_id))

    def delete_access_point(self, access_point_id: str) -> None:
        """Handle DeleteAccessPoint. Raises AccessPointNotFound."""
        if access_point_id not in self.access_points:
            raise AccessPointNotFound(access_point_id)
        super().delete_access_point(access_point_id)

    def put_file_system_policy(
        self, file_system_id: str, policy: str, bypass_policy_lockout_safety_check: bool
    ) -> None:
        """Handle PutFileSystemPolicy. Raises FileSystemNotFound, InvalidPolicyException."""
        self._require(file_system_id)
        try:
            document = json.loads(policy)
            validate(document)
        except ValueError as error:
            raise InvalidPolicy(str(error)) from error
        statements = document["Statement"]
        for statement in [statements] if isinstance(statements, dict) else statements:
            if "Principal" not in statement:
                raise InvalidPolicy("a statement has no Principal")
        super().put_file_system_policy(file_system_id, policy, bypass_policy_lockout_safety_check)

    def describe_file_system_policy(self, file_system_id: str) -> str:
        """Handle DescribeFileSystemPolicy. Raises FileSystemNotFound, PolicyNotFound."""
        self._require(file_system_id)
        return str(super().describe_file_system_policy(file_system_id))

    def delete_file_system_policy(self, file_system_id: str) -> None:
        """Handle DeleteFileSystemPolicy. Raises FileSystemNotFound."""
        self._require(file_system_id)
        self.file_systems_by_id[file_system_id].file_system_policy = None

    def mount_decision(self, file_system_id: str, client: NfsClient, action: str) -> Decision:
        """Decide whether a client may mount or write. Raises FileSystemNotFound."""
        self._require(file_system_id)
        system = self.file_systems_by_id[file_system_id]
        policy = json.loads(system.file_system_policy) if system.file_system_policy else None
        return decide(policy, system.file_system_arn, client, action)

    def _require(self, file_system_id: str) -> None:
        if file_system_id not in self.file_systems_by_id:
            raise FileSystemNotFound(file_system_id)
