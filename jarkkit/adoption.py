"""Taking over what an interrupted run made but could not note down.

Terraform notes a resource when its creation has ended. A run that is killed in between, or a state
file that is lost, leaves resources that the next apply would make a second time. They carry the
deployment's tag or a name that only it uses, so they can be matched with what the plan wants to
create, and imported instead. Pure: planned changes and findings come in, pairs go out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from jarkkit.records import Owned, ResourceChange

# Which attributes make up the name under which the inventory lists a resource of this type, where
# it is not the Name tag or `name`.
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
# The inventory lists these by their own name, not by a Name tag.
_BY_NAME = ("aws_iam_", "aws_kms_alias", "aws_cloudwatch_", "aws_sqs_", "aws_launch_template")


@dataclass(frozen=True)
class Adoption:
    """A resource of the account and the address it belongs to."""

    address: str
    import_id: str


def key_of(terraform_type: str, attributes: Mapping[str, Any]) -> str:
    """The name by which planned and found resources of a type are matched; empty if unknown."""
    if terraform_type in _KEYS:
        parts = [str(attributes.get(name) or "") for name in _KEYS[terraform_type]]
        return _JOINERS.get(terraform_type, "/").join(parts) if all(parts) else ""
    tags = attributes.get("tags_all") or attributes.get("tags") or {}
    named = str(attributes.get("name") or "")
    if terraform_type.startswith(_BY_NAME):
        return named
    return str(tags.get("Name") or named)


def adoptions(planned: Iterable[ResourceChange], found: Iterable[Owned]) -> tuple[Adoption, ...]:
    """Which of the findings are what the plan wants to create.

    A finding is taken only when exactly one planned creation has its type and name: two of a kind
    with one name (a leak of an older run) are left to the receipt at cleanup.
    """
    wanted: dict[tuple[str, str], list[str]] = {}
    for change in planned:
        if change.action == "create" and change.name:
            wanted.setdefault((change.type, change.name), []).append(change.address)
    taken: dict[str, str] = {}
    for owned in found:
        addresses = wanted.get((owned.terraform_type, owned.name), [])
        if len(addresses) == 1:
            taken.setdefault(addresses[0], owned.import_id)
    return tuple(Adoption(address, import_id) for address, import_id in sorted(taken.items()))


def import_blocks(found: Iterable[Adoption]) -> dict[str, Any] | None:
    """Terraform's import blocks for them (a .tf.json document); None when there are none."""
    blocks = [{"to": a.address, "id": a.import_id} for a in found]
    return {"import": blocks} if blocks else None
