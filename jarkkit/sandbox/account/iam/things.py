"""What the account knows of the things that a call names: their tags, and what they belong to."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from moto.core.models import DEFAULT_ACCOUNT_ID

from jarkkit.sandbox.backends import Backends


class Things:
    """The account in one Region, as far as permissions need it."""

    account_id = DEFAULT_ACCOUNT_ID

    def __init__(self, region: str) -> None:
        self._backends = Backends(region)

    def tags(self, arn: str) -> Mapping[str, str]:
        """The tags of a thing. Known for EC2, KMS, EFS and Prometheus, whose things have ids that
        nobody chooses; all others are told apart by name."""
        service = arn.split(":")[2]
        read = _TAGS.get(service)
        try:
            return read(self._backends, arn) if read else {}
        except (KeyError, AttributeError, LookupError):
            return {}

    def exists(self, role: str) -> bool:
        """True when there is a role of that name."""
        return any(found.name == role for found in self._backends.iam.roles.values())

    def path_of_role(self, role: str) -> str:
        """The role's path; `/` for one that is not there."""
        found = (r.path for r in self._backends.iam.roles.values() if r.name == role)
        return str(next(found, "/"))

    def key_of_alias(self, alias: str) -> str:
        """The id of the key behind an alias; empty when there is none."""
        return str(self._backends.kms.get_key_id_from_alias(alias) or "")

    def file_system_of(self, mount_target: str) -> str:
        """The file system of a mount target; empty when there is none."""
        found = self._backends.efs.mount_targets_by_id.get(mount_target)
        return str(found.file_system_id) if found else ""

    def behind(self, association: str) -> tuple[str, ...]:
        """Ids of what an association of EC2 (`rtbassoc-…`, `eipassoc-…`, `vpc-cidr-assoc-…`)
        connects."""
        ec2 = self._backends.ec2
        for table in ec2.route_tables.values():
            for found in table.associations:
                if found["RouteTableAssociationId"] == association:
                    return table.id, str(found.get("SubnetId", ""))
        for address in ec2.addresses:
            if address.association_id == association:
                return (address.allocation_id,)
        for vpc in ec2.vpcs.values():
            if any(b["association_id"] == association for b in vpc.cidr_block_association_set):
                return (vpc.id,)
        return ()


def _ec2(backends: Backends, arn: str) -> dict[str, str]:
    return dict(backends.ec2.tags.get(arn.rpartition("/")[2], {}))


def _kms(backends: Backends, arn: str) -> dict[str, str]:
    return dict(backends.kms.tagger.get_tag_dict_for_resource(arn.rpartition("/")[2]))


def _efs(backends: Backends, arn: str) -> dict[str, str]:
    return dict(backends.efs.tagging_service.get_tag_dict_for_resource(arn.rpartition("/")[2]))


def _prometheus(backends: Backends, arn: str) -> dict[str, str]:
    return dict(backends.amp.tagger.get_tag_dict_for_resource(arn))


_TAGS: dict[str, Callable[[Backends, str], dict[str, str]]] = {
    "ec2": _ec2,
    "kms": _kms,
    "elasticfilesystem": _efs,
    "aps": _prometheus,
}
