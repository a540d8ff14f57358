"""The file system policy that Terraform writes (terraform/modules/file_system)."""

from __future__ import annotations

import json
from typing import Any


def file_system_policy(file_system_arn: str, role: str) -> dict[str, Any]:
    """Return the policy with which only this role can mount, through an access point, with TLS."""
    access_points = file_system_arn.partition(":file-system")[0] + ":access-point/*"
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "DenyUnencryptedClients",
                "Effect": "Deny",
                "Principal": {"AWS": "*"},
                "Action": "*",
                "Resource": file_system_arn,
                "Condition": {"Bool": {"aws:SecureTransport": "false"}},
            },
            {
                "Effect": "Allow",
                "Principal": {"AWS": role},
                "Action": ["elasticfilesystem:ClientMount", "elasticfilesystem:ClientWrite"],
                "Resource": file_system_arn,
                "Condition": {
                    "Bool": {"elasticfilesystem:AccessedViaMountTarget": "true"},
                    "StringLike": {"elasticfilesystem:AccessPointArn": access_points},
                },
            },
        ],
    }


def put_policy(efs: Any, file_system_id: str, role: str) -> None:
    """Give a file system this policy."""
    (system,) = efs.describe_file_systems(FileSystemId=file_system_id)["FileSystems"]
    policy = file_system_policy(system["FileSystemArn"], role)
    efs.put_file_system_policy(FileSystemId=file_system_id, Policy=json.dumps(policy))
