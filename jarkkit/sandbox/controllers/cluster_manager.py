"""All clusters of a sandbox that have a real control plane: started, resumed, stopped."""

from __future__ import annotations

import shutil
import threading
from typing import Any

from moto.core.models import DEFAULT_ACCOUNT_ID

from jarkkit.sandbox.cluster_host import (
    AddonHealth,
    ClusterKey,
    Clusters,
    ClusterStatus,
    ControlPlaneSpec,
)
from jarkkit.sandbox.controllers import pod_identity
from jarkkit.sandbox.controllers.cluster import SandboxCluster
from jarkkit.sandbox.controllers.cluster_context import SandboxContext
from jarkkit.sandbox.kubernetes.api import ApiError


def _backends() -> list[Any]:
    """Return the EKS backends of all Regions in use."""
    from moto.eks.models import eks_backends

    return list(eks_backends[DEFAULT_ACCOUNT_ID].values())


class ControlPlanes(Clusters):
    """A real control plane behind every cluster of the account."""

    def __init__(self, sandbox: SandboxContext) -> None:
        self._sandbox = sandbox
        self._clusters: dict[ClusterKey, SandboxCluster] = {}
        self._ending: list[threading.Thread] = []

    def create(self, key: ClusterKey, spec: ControlPlaneSpec) -> None:
        """Begin to start a cluster, with its saved state if that identity has one."""
        cluster = SandboxCluster(key, spec, self._sandbox)
        self._clusters[key] = cluster
        cluster.start()

    def remove(self, key: ClusterKey) -> None:
        """Begin to delete a cluster."""
        cluster = self._clusters.pop(key, None)
        if cluster is not None:
            thread = threading.Thread(target=cluster.remove, daemon=True)
            thread.start()
            self._ending = [other for other in self._ending if other.is_alive()] + [thread]

    def cluster_status(self, key: ClusterKey) -> ClusterStatus:
        """Return the status of a cluster's control plane."""
        cluster = self._clusters.get(key)
        return (
            cluster.current_status
            if cluster
            else ClusterStatus("failed", message="it is not running")
        )

    def have_joined(self, key: ClusterKey, instance_ids: list[str]) -> bool:
        """Return True when these instances are Ready nodes."""
        cluster = self._clusters.get(key)
        return cluster is not None and cluster.ready_instances.issuperset(instance_ids)

    def addon_health(self, key: ClusterKey, name: str) -> AddonHealth:
        """Return the health of an EKS add-on's workloads."""
        cluster = self._clusters.get(key)
        unknown = AddonHealth(ready=False, message="its workloads do not exist yet")
        return cluster.addon_health.get(name, unknown) if cluster else unknown

    def pod_credentials(self, identity: str, token: str) -> tuple[str, dict[str, str]]:
        """Return status line and body of the Pod Identity agent's answer."""
        for cluster in list(self._clusters.values()):
            if cluster.spec.identity == identity:
                try:
                    return "200 OK", pod_identity.issue_credentials(cluster, token)
                except (pod_identity.PodIdentityDeniedError, ApiError) as error:
                    return "403 Forbidden", {"message": str(error)}
        return super().pod_credentials(identity, token)

    def account_changed(self) -> None:
        """Notify the controllers that follow the account."""
        for cluster in list(self._clusters.values()):
            cluster.wake()

    def resume(self) -> None:
        """Start the control planes of the account's clusters, and delete folders of no cluster.

        Returns when all are ready or have failed.
        """
        for backend in _backends():
            for name, cluster in backend.clusters.items():
                if cluster.status not in ("DELETING", "FAILED"):
                    backend.begin_control_plane(name)
        running = {cluster.spec.identity for cluster in self._clusters.values()}
        for folder in (self._sandbox.home / "clusters").glob("*"):
            if folder.name not in running:
                shutil.rmtree(folder, ignore_errors=True)
        for cluster in self._clusters.values():
            cluster.wait()

    def status(self) -> list[dict[str, Any]]:
        """Return every cluster with its components."""
        return [cluster.status() for cluster in list(self._clusters.values())]

    def stop(self) -> None:
        """Stop all clusters, in parallel."""
        self._sandbox.builder.stop()
        threads = [threading.Thread(target=c.stop) for c in self._clusters.values()]
        for thread in threads:
            thread.start()
        for thread in (*threads, *self._ending):
            thread.join()
