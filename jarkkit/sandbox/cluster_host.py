"""The interface between the simulated EKS and the control planes of its clusters.

moto's backends are saved with the account and processes are not, so the backends call this
interface. Without control planes (`--account-only`), a cluster is only a record in the account, and
every operation succeeds immediately.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

# URL path where pod processes request their credentials; the cluster's identity follows it.
POD_IDENTITY = "/pod-identity/"


class ClusterKey(NamedTuple):
    """Key of a cluster: names are unique within a Region."""

    region: str
    name: str


@dataclass(frozen=True)
class ControlPlaneSpec:
    """The parameters of a control plane.

    Attributes:
        identity: the cluster's unique id; a deleted cluster of the same name had a different one.
    """

    identity: str
    version: str
    service_cidr: str
    pod_cidr: str


@dataclass(frozen=True)
class ClusterStatus:
    """The status of a cluster's control plane.

    Attributes:
        certificate_authority: the CA certificate, PEM in base64.
        message: why the control plane failed.
    """

    state: Literal["starting", "ready", "failed"]
    endpoint: str = ""
    certificate_authority: str = ""
    message: str = ""


@dataclass(frozen=True)
class AddonHealth:
    """The health of an EKS add-on's workloads.

    Attributes:
        message: what is missing; empty when the workloads are healthy.
        revision: the add-on's revision that was checked; empty where it does not matter.
    """

    ready: bool
    message: str = ""
    revision: str = ""


class Clusters:
    """Clusters without control planes: always ready, with endpoints that do not respond.

    All methods except `stop` and `pod_credentials` return immediately, because their callers hold
    the account's lock.
    """

    def create(self, key: ClusterKey, spec: ControlPlaneSpec) -> None:
        """Start creating the cluster."""

    def remove(self, key: ClusterKey) -> None:
        """Start deleting the cluster and its data."""

    def cluster_status(self, key: ClusterKey) -> ClusterStatus:
        """Return the status of the cluster's control plane."""
        placeholder = base64.b64encode(f"no control plane for {key.name}".encode()).decode()
        endpoint = f"https://{key.name}.gr7.{key.region}.eks.amazonaws.com"
        return ClusterStatus("ready", endpoint, placeholder)

    def have_joined(self, key: ClusterKey, instance_ids: list[str]) -> bool:
        """Return True when all these instances are Ready nodes."""
        return True

    def addon_health(self, key: ClusterKey, name: str) -> AddonHealth:
        """Return the health of an EKS add-on's workloads."""
        return AddonHealth(ready=True)

    def pod_credentials(self, identity: str, token: str) -> tuple[str, dict[str, str]]:
        """Return the Pod Identity agent's status line and body. Callers must not hold the lock."""
        return "404 Not Found", {"message": "this sandbox has no pods"}

    def account_changed(self) -> None:
        """Note that the account has changed."""

    def status(self) -> list[dict[str, Any]]:
        """Return every cluster with its components, as `jarkkit sandbox status` shows them."""
        return []

    def stop(self) -> None:
        """Stop all processes; the clusters' data stays on disk."""


@dataclass
class ClusterHost:
    """Holder of the clusters that this process serves."""

    clusters: Clusters = field(default_factory=Clusters)


CLUSTER_HOST = ClusterHost()
