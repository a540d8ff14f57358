"""Access points of file systems that exist, each made once."""

from __future__ import annotations

from typing import Any

from moto.efs.exceptions import AccessPointNotFound, EFSError, FileSystemNotFound
from moto.efs.models import EFSBackend


class AccessPointAlreadyExists(EFSError):  # noqa: N818 - AWS' own name
    """The client token was used before."""

    code = 409

    def __init__(self, client_token: str) -> None:
        super().__init__(
            "AccessPointAlreadyExists", f"Access point already exists with token {client_token}"
        )


class EfsBackend(EFSBackend):
    """Amazon EFS of one account and Region."""

    def create_access_point(
        self,
        client_token: str,
        tags: list[dict[str, str]],
        file_system_id: str,
        *given: Any,
        **named: Any,
    ) -> Any:
        """CreateAccessPoint. Raises FileSystemNotFound, AccessPointAlreadyExists."""
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
        """DescribeAccessPoints. Raises FileSystemNotFound, AccessPointNotFound."""
        if file_system_id:
            self._require(file_system_id)
        return list(super().describe_access_points(access_point_id, file_system_id))

    def delete_access_point(self, access_point_id: str) -> None:
        """DeleteAccessPoint. Raises AccessPointNotFound."""
        if access_point_id not in self.access_points:
            raise AccessPointNotFound(access_point_id)
        super().delete_access_point(access_point_id)

    def _require(self, file_system_id: str) -> None:
        if file_system_id not in self.file_systems_by_id:
            raise FileSystemNotFound(file_system_id)
