"""Imports of resources that an interrupted run created but did not record.

Terraform records a resource in its state when its creation has ended. A run that is killed before
that, or a lost state file, leaves resources that the next apply would create a second time. They
have the deployment's tag or a name that only this deployment uses, so jarkkit matches them with the
resources that the plan creates, and Terraform imports them instead. Pure: takes planned changes and
existing resources, returns pairs; `steps/aws_layer` scans the account and runs the imports.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from jarkkit.model.records import OwnedResource, ResourceChange

# Attributes that form the name by which the inventory lists a resource of this type, if that is
# neither the Name tag nor `name`.
_KEYS: dict[str, tuple[str, ...]] = {
    "aws_eks_node_group": ("node_group_name",),
    "aws_eks_addon": ("addon_name",),
    "aws_eks_access_entry": ("principal_arn",),
    "aws_eks_pod_identity_association": ("namespace", "service_account"),
    "aws_efs_mount_target": ("subnet_id",),
    "aws_route_table_association": ("subnet_id",),
    "aws_route": ("route_table_id", "destination_cidr_block"),
    "aws_vpc_ipv4_cidr_block_association": ("cidr_block",),
    "aws_s3_bucket": ("bucket",),
    "aws_prometheus_workspace": ("alias",),
}
_JOINERS = {"aws_route": "_"}
# The inventory lists these by their own name, not by their Name tag.
_BY_NAME = ("aws_iam_", "aws_kms_alias", "aws_cloudwatch_", "aws_sqs_", "aws_launch_template")


@dataclass(frozen=True)
class ResourceImport:
    """An existing resource, and the Terraform address to import it to."""

    address: str
    import_id: str


def resource_key(terraform_type: str, attributes: Mapping[str, Any]) -> str:
    """Return the name that matches planned with existing resources of a type; empty if unknown."""
    if terraform_type in _KEYS:
        parts = [str(attributes.get(name) or "") for name in _KEYS[terraform_type]]
        return _JOINERS.get(terraform_type, "/").join(parts) if all(parts) else ""
    tags = attributes.get("tags_all") or attributes.get("tags") or {}
    named = str(attributes.get("name") or "")
    if terraform_type.startswith(_BY_NAME):
        return named
    return str(tags.get("Name") or named)


def match_imports(
    planned: Iterable[ResourceChange], found: Iterable[OwnedResource]
) -> tuple[ResourceImport, ...]:
    """Return the existing resources that the plan would create again.

    A resource is imported only if exactly one planned creation has its type and name. Two resources
    of one type and name (a leak of an older run) remain, and the cleanup receipt lists them.
    """
    expected: dict[tuple[str, str], list[str]] = {}
    for change in planned:
        if change.action == "create" and change.name:
            expected.setdefault((change.type, change.name), []).append(change.address)
    taken: dict[str, str] = {}
    for owned in found:
        addresses = expected.get((owned.terraform_type, owned.name), [])
        if len(addresses) == 1:
            taken.setdefault(addresses[0], owned.import_id)
    return tuple(ResourceImport(address, import_id) for address, import_id in sorted(taken.items()))


def import_blocks(found: Iterable[ResourceImport]) -> dict[str, Any] | None:
    """Return Terraform's import blocks (a .tf.json document); None if there is none to write."""
    blocks = [{"to": a.address, "id": a.import_id} for a in found]
    return {"import": blocks} if blocks else None
