"""Resources of a cluster beyond moto's model.

Attribute names are the API's names in snake case, so that moto's serializer finds them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from moto.core.utils import utcnow
from moto.moto_api._internal import mock_random as random

from jarkkit.sandbox.account.eks.cluster_rules import VersionUpgrade


@dataclass
class ManagedAddon:
    """An EKS managed add-on on a cluster.

    Attributes:
        revision: a new id after each change.
        unhealthy_since: when its workloads were first found unhealthy; 0 while they are healthy.
    """

    cluster_name: str
    addon_name: str
    addon_arn: str
    addon_version: str
    status: str = "CREATING"
    configuration_values: str | None = None
    service_account_role_arn: str | None = None
    resolve_conflicts: str = "NONE"
    revision: str = field(default_factory=lambda: str(random.uuid4()))
    unhealthy_since: float = 0.0
    tags: dict[str, str] = field(default_factory=dict)
    health: dict[str, Any] = field(default_factory=lambda: {"issues": []})
    publisher: str = "eks"
    owner: str = "aws"
    created_at: datetime = field(default_factory=utcnow)
    modified_at: datetime = field(default_factory=utcnow)

    @property
    def arn(self) -> str:
        """The ARN, under the same name for every resource with tags."""
        return self.addon_arn


@dataclass
class AccessEntry:
    """A principal's access to the cluster's API: user name, groups and policies."""

    cluster_name: str
    principal_arn: str
    access_entry_arn: str
    type: str = "STANDARD"
    username: str = ""
    kubernetes_groups: list[str] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=dict)
    policies: dict[str, dict[str, Any]] = field(default_factory=dict)
    created_at: datetime = field(default_factory=utcnow)
    modified_at: datetime = field(default_factory=utcnow)

    @property
    def arn(self) -> str:
        """The ARN, under the same name for every resource with tags."""
        return self.access_entry_arn


@dataclass
class PodIdentityAssociation:
    """The role that a service account assumes."""

    cluster_name: str
    namespace: str
    service_account: str
    role_arn: str
    association_id: str
    association_arn: str
    tags: dict[str, str] = field(default_factory=dict)
    disable_session_tags: bool = False
    target_role_arn: str | None = None
    external_id: str | None = None
    policy: str | None = None
    created_at: datetime = field(default_factory=utcnow)
    modified_at: datetime = field(default_factory=utcnow)

    @property
    def arn(self) -> str:
        """The ARN, under the same name for every resource with tags."""
        return self.association_arn


@dataclass
class Update:
    """An update of a cluster, a node group or an add-on in progress or completed."""

    id: str
    type: str
    status: str = "InProgress"
    params: list[dict[str, str]] = field(default_factory=list)
    errors: list[dict[str, Any]] = field(default_factory=list)
    created_at: datetime = field(default_factory=utcnow)

    def fail(self, issues: list[dict[str, Any]]) -> None:
        """Set the status to Failed, with the reasons as they are in the health of a resource."""
        self.status = "Failed"
        self.errors = [
            {
                "errorCode": issue["code"],
                "errorMessage": issue["message"],
                "resourceIds": issue["resourceIds"],
            }
            for issue in issues
        ]


@dataclass
class ClusterExtras:
    """All of these resources of one cluster.

    Attributes:
        preserved: deleted add-ons whose workloads stay.
        zones: the zones of the subnets at creation, which later subnets must keep to.
        last_upgrade: of the control plane.
    """

    addons: dict[str, ManagedAddon] = field(default_factory=dict)
    preserved: set[str] = field(default_factory=set)
    access_entries: dict[str, AccessEntry] = field(default_factory=dict)
    associations: dict[str, PodIdentityAssociation] = field(default_factory=dict)
    updates: dict[str, Update] = field(default_factory=dict)
    zones: frozenset[str] = frozenset()
    last_upgrade: VersionUpgrade | None = None
