"""What a cluster has beyond moto's model. Attribute names are the API's, in snake case: moto's
serializer finds them by that."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from moto.core.utils import utcnow
from moto.moto_api._internal import mock_random as random


@dataclass
class Addon:
    """An EKS managed add-on on a cluster.

    Attributes:
        revision: another one after each change.
        unhealthy_since: when its workloads were first seen not to do well; 0 while they do.
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
        """Under one name for all that can be tagged."""
        return self.addon_arn


@dataclass
class AccessEntry:
    """Who may talk to the cluster's API, and as what."""

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
        """Under one name for all that can be tagged."""
        return self.access_entry_arn


@dataclass
class PodIdentityAssociation:
    """Which role a service account takes."""

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
        """Under one name for all that can be tagged."""
        return self.association_arn


@dataclass
class Update:
    """A change to a cluster, a node group or an add-on that takes time."""

    id: str
    type: str
    status: str = "InProgress"
    params: list[dict[str, str]] = field(default_factory=list)
    errors: list[dict[str, Any]] = field(default_factory=list)
    created_at: datetime = field(default_factory=utcnow)


@dataclass
class Extras:
    """All of that for one cluster.

    Attributes:
        preserved: add-ons that were deleted while their workloads were to stay.
    """

    addons: dict[str, Addon] = field(default_factory=dict)
    preserved: set[str] = field(default_factory=set)
    access_entries: dict[str, AccessEntry] = field(default_factory=dict)
    associations: dict[str, PodIdentityAssociation] = field(default_factory=dict)
    updates: dict[str, Update] = field(default_factory=dict)
