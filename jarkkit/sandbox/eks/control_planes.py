"""All real clusters of a sandbox: started, found again, ended."""

from __future__ import annotations

import shutil
import threading
from typing import Any

from moto.core.models import DEFAULT_ACCOUNT_ID

from jarkkit.sandbox.cluster.api import ApiError
from jarkkit.sandbox.clusters import Clusters, Health, Key, Spec, Standing
from jarkkit.sandbox.eks import pod_identity
from jarkkit.sandbox.eks.cluster import Cluster, Surroundings


def _backends() -> list[Any]:
    """EKS of all Regions in which it was used."""
    from moto.eks.models import eks_backends

    return list(eks_backends[DEFAULT_ACCOUNT_ID].values())


class ControlPlanes(Clusters):
    """A real control plane behind every cluster of the account."""

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self._clusters: dict[Key, Cluster] = {}
        self._ending: list[threading.Thread] = []

    def create(self, key: Key, spec: Spec) -> None:
        """Begin to start one; with the state that it had, if there is one of that identity."""
        cluster = Cluster(key, spec, self._around)
        self._clusters[key] = cluster
        cluster.start()

    def remove(self, key: Key) -> None:
        """Begin to end one."""
        cluster = self._clusters.pop(key, None)
        if cluster is not None:
            thread = threading.Thread(target=cluster.remove, daemon=True)
            thread.start()
            self._ending = [other for other in self._ending if other.is_alive()] + [thread]

    def standing(self, key: Key) -> Standing:
        """How far it is."""
        cluster = self._clusters.get(key)
        return cluster.standing if cluster else Standing("failed", message="it is not running")

    def joined(self, key: Key, instance_ids: list[str]) -> bool:
        """True when these instances are Ready nodes."""
        cluster = self._clusters.get(key)
        return cluster is not None and cluster.ready_instances.issuperset(instance_ids)

    def addon(self, key: Key, name: str) -> Health:
        """How the workloads of an EKS add-on do."""
        cluster = self._clusters.get(key)
        unknown = Health(ready=False, message="its workloads are not there yet")
        return cluster.addons.get(name, unknown) if cluster else unknown

    def pod_credentials(self, identity: str, token: str) -> tuple[str, dict[str, str]]:
        """Status line and answer of the Pod Identity agent."""
        for cluster in list(self._clusters.values()):
            if cluster.spec.identity == identity:
                try:
                    return "200 OK", pod_identity.credentials(cluster, token)
                except (pod_identity.NotAllowedError, ApiError) as error:
                    return "403 Forbidden", {"message": str(error)}
        return super().pod_credentials(identity, token)

    def account_changed(self) -> None:
        """Controllers that follow the account look again."""
        for cluster in list(self._clusters.values()):
            cluster.wake()

    def resume(self) -> None:
        """Start what stands behind the account's clusters, and forget what belongs to none.

        Returns when they answer, or have failed.
        """
        for backend in _backends():
            for name, cluster in backend.clusters.items():
                if cluster.status not in ("DELETING", "FAILED"):
                    backend.begin_control_plane(name)
        known = {cluster.spec.identity for cluster in self._clusters.values()}
        for folder in (self._around.home / "clusters").glob("*"):
            if folder.name not in known:
                shutil.rmtree(folder, ignore_errors=True)
        for cluster in self._clusters.values():
            cluster.wait()

    def status(self) -> list[dict[str, Any]]:
        """Every cluster with its components."""
        return [cluster.status() for cluster in list(self._clusters.values())]

    def stop(self) -> None:
        """End all processes, all clusters at a time."""
        self._around.builder.stop()
        threads = [threading.Thread(target=c.stop) for c in self._clusters.values()]
        for thread in threads:
            thread.start()
        for thread in (*threads, *self._ending):
            thread.join()
