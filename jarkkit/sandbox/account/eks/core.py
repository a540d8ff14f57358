"""The base of the EKS backend: clusters, their extras, updates and deferred calls."""

from __future__ import annotations

from typing import Any, NoReturn

from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models import ec2_backends
from moto.eks.exceptions import (
    EKSError,
    InvalidParameterException,
    InvalidRequestException,
    ResourceInUseException,
    ResourceNotFoundException,
)
from moto.eks.models import EKSBackend
from moto.iam.models import iam_backends
from moto.moto_api._internal import mock_random as random

from jarkkit.sandbox.account.deferred import DeferredCalls
from jarkkit.sandbox.account.eks import principals
from jarkkit.sandbox.account.eks.records import ClusterExtras, Update


class EksCore(EKSBackend):
    """moto's backend with extra state per cluster."""

    def __init__(self, region_name: str, account_id: str) -> None:
        super().__init__(region_name, account_id)
        self.extras: dict[str, ClusterExtras] = {}
        self.later = DeferredCalls()

    @property
    def ec2(self) -> Any:
        """EC2 of the same account and Region."""
        return ec2_backends[self.account_id][self.region_name]

    def subnet(self, subnet_id: str, cluster_name: str) -> Any:
        """Return a subnet. Raises InvalidParameterException if it does not exist."""
        try:
            return self.ec2.get_subnet(subnet_id)
        except EC2ClientError as error:
            raise_invalid(error.message, cluster_name)

    @property
    def iam(self) -> Any:
        """IAM of the same account."""
        return iam_backends[self.account_id][self.partition]

    def trusts(self, role_arn: str, service: str, *actions: str) -> bool:
        """Return True when the role exists and lets the service call these actions."""
        role = principals.role_of(role_arn, self.iam.roles.values())
        return role is not None and principals.is_trusting(role, service, actions)

    def arn(self, kind: str, *parts: str) -> str:
        """Build the ARN of an EKS resource of this account and Region."""
        rest = "/".join((kind, *parts))
        return f"arn:{self.partition}:eks:{self.region_name}:{self.account_id}:{rest}"

    def cluster_named(self, name: str) -> Any:
        """Return the cluster. Raises ResourceNotFoundException."""
        return self.describe_cluster(name)

    def active_cluster(self, name: str) -> Any:
        """Return the cluster if it is ACTIVE. Raises InvalidRequestException."""
        cluster = self.cluster_named(name)
        if cluster.status != "ACTIVE":
            raise InvalidRequestException(
                clusterName=name, message=f"Cluster '{name}' is not in ACTIVE status"
            )
        return cluster

    def extras_of(self, cluster_name: str) -> ClusterExtras:
        """Return the cluster's state beyond moto's model. Raises ResourceNotFoundException."""
        self.cluster_named(cluster_name)
        return self.extras[cluster_name]

    def begin_update(
        self, cluster_name: str, kind: str, params: dict[str, Any] | None = None
    ) -> Update:
        """Record an update in progress; `end_update` completes it."""
        shown = [{"type": name, "value": str(value)} for name, value in (params or {}).items()]
        update = Update(id=str(random.uuid4()), type=kind, params=shown)
        self.extras_of(cluster_name).updates[update.id] = update
        return update

    def end_update(self, cluster_name: str, update_id: str, holder: Any) -> None:
        """Complete the update and make the updated resource ACTIVE again."""
        holder.status = "ACTIVE"
        if cluster_name in self.extras:
            self.extras[cluster_name].updates[update_id].status = "Successful"

    def describe_update(self, name: str, update_id: str, **_: Any) -> Update:
        """Return one update."""
        updates = self.extras_of(name).updates
        return updates.get(update_id) or raise_not_found(
            f"No update found for ID: {update_id}.", name
        )

    def list_updates(self, name: str, **_: Any) -> dict[str, Any]:
        """List the ids of all updates."""
        return {"updateIds": list(self.extras_of(name).updates)}

    def tags_of(self, arn: str) -> dict[str, str]:
        """Return the mutable tags of the resource with that ARN. Raises NotFoundException."""
        for name, cluster in self.clusters.items():
            extras = self.extras[name]
            holders: list[Any] = [cluster, *cluster.nodegroups.values()]
            holders += [*extras.addons.values(), *extras.access_entries.values()]
            holders += extras.associations.values()
            for holder in holders:
                if holder.arn == arn:
                    tags: dict[str, str] = holder.tags
                    return tags
        return raise_not_found(f"No resource found for ARN: {arn}.")

    def tag_resource(self, resource_arn: str, tags: dict[str, str]) -> None:
        """Handle TagResource for every EKS resource; moto's supports clusters only."""
        self.tags_of(resource_arn).update(tags)

    def untag_resource(self, resource_arn: str, tag_keys: list[str]) -> None:
        """Handle UntagResource."""
        tags = self.tags_of(resource_arn)
        for key in [tag_keys] if isinstance(tag_keys, str) else tag_keys:
            tags.pop(key, None)

    def list_tags_for_resource(self, resource_arn: str) -> dict[str, str]:
        """Handle ListTagsForResource."""
        return self.tags_of(resource_arn)


def raise_not_found(message: str, cluster: str | None = None) -> NoReturn:
    """Raise ResourceNotFoundException."""
    raise ResourceNotFoundException(clusterName=cluster, message=message)


class InvalidStateException(EKSError):  # noqa: N818 - AWS' own name
    """An insight found that an upgrade or a rollback would break something."""

    TYPE = "InvalidStateException"
    STATUS = 400


def raise_protected(name: str) -> NoReturn:
    """Reject DeleteCluster on a cluster with deletion protection.

    AWS documents the exception, not its text:
    https://docs.aws.amazon.com/eks/latest/userguide/deletion-protection.html
    """
    raise InvalidRequestException(
        clusterName=name,
        message=f"Cluster {name} has deletion protection enabled. Disable deletion protection "
        "before you delete the cluster.",
    )


def raise_in_use(message: str, cluster: str) -> NoReturn:
    """Raise ResourceInUseException."""
    raise ResourceInUseException(clusterName=cluster, message=message)


def raise_invalid(message: str, cluster: str | None = None) -> NoReturn:
    """Raise InvalidParameterException."""
    raise InvalidParameterException(clusterName=cluster, message=message)
