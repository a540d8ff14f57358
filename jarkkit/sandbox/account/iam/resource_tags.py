"""Facts about the resources that a call names: their tags and relations."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from moto.core.models import DEFAULT_ACCOUNT_ID

from jarkkit.sandbox.account_backends import Backends


class AccountResources:
    """The account's resources in one Region, as far as policy evaluation needs them."""

    account_id = DEFAULT_ACCOUNT_ID

    def __init__(self, region: str) -> None:
        self._backends = Backends(region)

    def tags(self, arn: str) -> Mapping[str, str]:
        """Return the tags of a resource.

        Policies identify the resources of all other services by name.
        """
        service = arn.split(":")[2]
        read = _TAGS.get(service)
        try:
            return read(self._backends, arn) if read else {}
        except (KeyError, AttributeError, LookupError):
            return {}

    def has_role(self, role: str) -> bool:
        """Return True when a role of that name exists."""
        return any(found.name == role for found in self._backends.iam.roles.values())

    def path_of_role(self, role: str) -> str:
        """Return the role's path; `/` for a role that does not exist."""
        found = (r.path for r in self._backends.iam.roles.values() if r.name == role)
        return str(next(found, "/"))

    def boundary_of_role(self, role: str) -> str:
        """Return the ARN of the role's permissions boundary; empty if it has none."""
        found = (r for r in self._backends.iam.roles.values() if r.name == role)
        return next((r.permissions_boundary_arn or "" for r in found), "")

    def key_of_alias(self, alias: str) -> str:
        """Return the id of the key behind an alias; empty if there is none."""
        return str(self._backends.kms.get_key_id_from_alias(alias) or "")

    def file_system_of(self, mount_target: str) -> str:
        """Return the file system of a mount target; empty if there is none."""
        found = self._backends.efs.mount_targets_by_id.get(mount_target)
        return str(found.file_system_id) if found else ""

    def associated_ids(self, association: str) -> tuple[str, ...]:
        """Return the ids that an EC2 association connects.

        Associations are `rtbassoc-…`, `eipassoc-…` and `vpc-cidr-assoc-…`.
        """
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


def _fsx(backends: Backends, arn: str) -> dict[str, str]:
    return dict(backends.fsx.tagger.get_tag_dict_for_resource(arn))


def _load_balancing(backends: Backends, arn: str) -> dict[str, str]:
    path = arn.split(":", 5)[5]
    if path.count("/") == 1 and path.startswith("loadbalancer/"):  # a classic one
        return dict(backends.elb.load_balancers[path.partition("/")[2]].tags)
    return dict(backends.elbv2.tagging_service.get_tag_dict_for_resource(arn))


def _scaling_group(backends: Backends, arn: str) -> dict[str, str]:
    group = backends.autoscaling.autoscaling_groups[arn.rpartition("/")[2]]
    return {tag["Key"]: tag["Value"] for tag in group.tags}


_TAGS: dict[str, Callable[[Backends, str], dict[str, str]]] = {
    "ec2": _ec2,
    "kms": _kms,
    "elasticfilesystem": _efs,
    "aps": _prometheus,
    "autoscaling": _scaling_group,
    "elasticloadbalancing": _load_balancing,
    "fsx": _fsx,
}
