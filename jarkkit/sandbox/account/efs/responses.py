"""Request handlers of EFS."""

from __future__ import annotations

from typing import Any

from moto.core.common_types import TYPE_RESPONSE
from moto.efs.responses import EFSResponse as MotoResponse


class EfsResponse(MotoResponse):
    """moto's handlers, and the one that it lacks."""

    def delete_file_system_policy(self) -> TYPE_RESPONSE:
        """Handle DeleteFileSystemPolicy."""
        backend: Any = self.efs_backend
        backend.delete_file_system_policy(self._get_param("FileSystemId"))
        return 200, {}, ""
