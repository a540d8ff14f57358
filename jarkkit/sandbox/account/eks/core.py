"""What the parts of the EKS backend share: finding a cluster, its extras, updates, time."""

from __future__ import annotations

from typing import Any, NoReturn

from moto.eks.exceptions import (
    InvalidParameterException,
    InvalidRequestException,
    ResourceInUseException,
    ResourceNotFoundException,
)
from moto.eks.models import EKSBackend
from moto.moto_api._internal import mock_random as random

from jarkkit.sandbox.account.eks.parts import Extras, Update
from jarkkit.sandbox.account.later import Later


class EksCore(EKSBackend):
    """moto's backend with room for more."""

    def __init__(self, region_name: str, account_id: str) -> None:
        super().__init__(region_name, account_id)
        self.extras: dict[str, Extras] = {}
        self.later = Later()

    def arn(self, kind: str, *parts: str) -> str:
        """The ARN of something of this account and Region."""
        rest = "/".join((kind, *parts))
        return f"arn:{self.partition}:eks:{self.region_name}:{self.account_id}:{rest}"

    def cluster_named(self, name: str) -> Any:
        """The cluster. Raises ResourceNotFoundException."""
        return self.describe_cluster(name)

    def active_cluster(self, name: str) -> Any:
        """The cluster, which must be ACTIVE. Raises InvalidRequestException."""
        cluster = self.cluster_named(name)
        if cluster.status != "ACTIVE":
            raise InvalidRequestException(
                clusterName=name, message=f"Cluster '{name}' is not in ACTIVE status"
            )
        return cluster

    def extras_of(self, cluster_name: str) -> Extras:
        """What the cluster has beyond moto's model. Raises ResourceNotFoundException."""
        self.cluster_named(cluster_name)
        return self.extras[cluster_name]

    def begin_update(
        self, cluster_name: str, kind: str, params: dict[str, Any] | None = None
    ) -> Update:
        """Note an update as begun; `end_update` ends it."""
        shown = [{"type": name, "value": str(value)} for name, value in (params or {}).items()]
        update = Update(id=str(random.uuid4()), type=kind, params=shown)
        self.extras_of(cluster_name).updates[update.id] = update
        return update

    def end_update(self, cluster_name: str, update_id: str, holder: Any) -> None:
        """The update is done, and what it changed is ACTIVE again."""
        holder.status = "ACTIVE"
        if cluster_name in self.extras:
            self.extras[cluster_name].updates[update_id].status = "Successful"

    def describe_update(self, name: str, update_id: str, **_: Any) -> Update:
        """One update."""
        updates = self.extras_of(name).updates
        return updates.get(update_id) or missing(f"No update found for ID: {update_id}.", name)

    def list_updates(self, name: str, **_: Any) -> dict[str, Any]:
        """Ids of all updates."""
        return {"updateIds": list(self.extras_of(name).updates)}

    def tagged(self, arn: str) -> dict[str, str]:
        """The tags of whatever has that ARN, to read or to change. Raises NotFoundException."""
        for name, cluster in self.clusters.items():
            extras = self.extras[name]
            holders: list[Any] = [cluster, *cluster.nodegroups.values()]
            holders += [*extras.addons.values(), *extras.access_entries.values()]
            holders += extras.associations.values()
            for holder in holders:
                if holder.arn == arn:
                    tags: dict[str, str] = holder.tags
                    return tags
        return missing(f"No resource found for ARN: {arn}.")

    def tag_resource(self, resource_arn: str, tags: dict[str, str]) -> None:
        """TagResource for everything in EKS; moto's is for clusters only."""
        self.tagged(resource_arn).update(tags)

    def untag_resource(self, resource_arn: str, tag_keys: list[str]) -> None:
        """UntagResource."""
        tags = self.tagged(resource_arn)
        for key in [tag_keys] if isinstance(tag_keys, str) else tag_keys:
            tags.pop(key, None)

    def list_tags_for_resource(self, resource_arn: str) -> dict[str, str]:
        """ListTagsForResource."""
        return self.tagged(resource_arn)


def missing(message: str, cluster: str | None = None) -> NoReturn:
    """Raise ResourceNotFoundException."""
    raise ResourceNotFoundException(clusterName=cluster, message=message)


def in_use(message: str, cluster: str) -> NoReturn:
    """Raise ResourceInUseException."""
    raise ResourceInUseException(clusterName=cluster, message=message)


def invalid(message: str, cluster: str | None = None) -> NoReturn:
    """Raise InvalidParameterException."""
    raise InvalidParameterException(clusterName=cluster, message=message)
