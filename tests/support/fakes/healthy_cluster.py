"""A cluster that is a dictionary and has everything that the settings ask for."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from jarkkit.decisions.addons.node_pools import node_pools
from jarkkit.decisions.cluster import health_checks as cluster_checks
from jarkkit.model.errors import JarkkitError
from jarkkit.settings import Settings
from jarkkit.steps.cluster import web_uis
from tests.support.fakes.cluster import FakeKube, Object, workload_object
from tests.support.stacks import resolved

SETTINGS = Settings()
LONG_AGO = "2026-01-01T00:00:00Z"
# The Pod Identity agent adds it to pods of service accounts with a role.
CREDENTIALS = {"name": "AWS_CONTAINER_CREDENTIALS_FULL_URI", "value": "http://169.254.170.23/v1"}


@dataclass
class HealthyCluster(FakeKube):
    """A fake cluster with a version, web UIs, and an error code per kind in `failing`."""

    failing: dict[str, str] = field(default_factory=dict)
    port: int = 0

    def version(self) -> str:
        self._maybe_fail("version")
        return f"v{SETTINGS.cluster_version}.3"

    def list(
        self, api_version: str, kind: str, namespace: str = "", **chosen: str
    ) -> Iterator[Object]:
        self._maybe_fail(kind)
        return super().list(api_version, kind, namespace, **chosen)

    @contextlib.contextmanager
    def port_forward(
        self, namespace: str, pod: str, port: int, local_port: int = 0
    ) -> Iterator[int]:
        self._maybe_fail("forward")
        if local_port and local_port == self.port:
            raise OSError("address already in use")
        yield local_port or self.port

    def _maybe_fail(self, what: str) -> None:
        if code := self.failing.get(what):
            raise JarkkitError(code, f"{what}: no.", "Get the permission.")

    def add(self, kind: str, name: str, namespace: str = "", **more: Any) -> None:
        self.put({"kind": kind, "metadata": {"name": name, "namespace": namespace}, **more})


def healthy_cluster() -> HealthyCluster:
    """Return a cluster with everything that the settings ask for."""
    kube = HealthyCluster()
    for addon, workload in resolved(SETTINGS).workloads:
        kube.put(workload_object(addon.namespace, workload))
    ready = {"conditions": [{"type": "Ready", "status": "True"}]}
    for pool in node_pools(SETTINGS):
        kube.put({**pool, "status": ready})
    for name in ("cpu", "accelerator"):
        kube.add("EC2NodeClass", name, status=ready)
    for identity in resolved(SETTINGS).pod_identities.values():
        kube.add("ServiceAccount", identity["service_account"], identity["namespace"])
    status = {**ready, "nodeInfo": {"kubeletVersion": kube.version()}}
    meta = {"name": "n1", "creationTimestamp": LONG_AGO, "labels": {}}
    kube.put({"kind": "Node", "metadata": meta, "spec": {}, "status": status})
    meta = {"name": "gp3", "annotations": {cluster_checks.DEFAULT_CLASS_ANNOTATION: "true"}}
    kube.put({"kind": "StorageClass", "metadata": meta, "provisioner": "ebs.csi.aws.com"})
    kube.add("APIService", "v1.", status={"conditions": [{"type": "Available", "status": "True"}]})
    enforced = {"enable-network-policy-controller": "true"}
    kube.add("ConfigMap", "amazon-vpc-cni", "kube-system", data=enforced)
    for endpoint in web_uis.endpoints(resolved(SETTINGS)):
        ports = [{"port": endpoint.port, "targetPort": 8000}]
        kube.add(
            "Service",
            endpoint.service,
            endpoint.namespace,
            spec={"type": "ClusterIP", "selector": {"a": "b"}, "ports": ports},
        )
        kube.add(
            "Pod",
            f"{endpoint.service}-1",
            endpoint.namespace,
            spec={"containers": [{"name": "c", "env": [CREDENTIALS]}]},
            status=ready,
        )
    return kube
