"""Ends pods that try a connection as their connection would end: no packet travels in a sandbox.

A pod's annotation `sandbox.jarkkit.io/connects-to` names what it connects to:

    tcp://ADDRESS:PORT
    metadata            requests a token of its node's metadata service
    nfs://FILE_SYSTEM   mounts an EFS file system without credentials

Network policies decide while the VPC CNI enforces them. Beyond them the hop limit of the pod's
instance decides, and the file system's policy.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from jarkkit.sandbox.account.efs.mounts import MOUNT, NfsClient
from jarkkit.sandbox.account_backends import Backends
from jarkkit.sandbox.controllers.base_controller import Controller
from jarkkit.sandbox.controllers.network_policies import Connection, NetworkEndpoint, is_allowed
from jarkkit.sandbox.controllers.objects import NODES, PODS, has_ended, instance_id_of, pod_path
from jarkkit.sandbox.kubernetes.api import Object, key_of
from jarkkit.sandbox.kubernetes.informer import Informer

CONNECTS_TO = "sandbox.jarkkit.io/connects-to"
_EXIT_CODE = "sandbox.jarkkit.io/exit-code"
_METADATA = "169.254.169.254"
_NFS_PORT = 2049
# A pod in its own network namespace is one hop further away than its node.
_HOPS_OF_A_POD = 2


@dataclass(frozen=True)
class ConnectionRequest:
    """A parsed annotation.

    Attributes:
        kind: `tcp`, `metadata` or `nfs`.
        address: the address to connect to; of a mount target for `nfs`.
        file_system: the id of the file system; empty for another kind.
    """

    kind: str
    address: str
    port: int
    file_system: str = ""


def parse_request(annotation: str, mount_targets: Mapping[str, str]) -> ConnectionRequest:
    """Parse an annotation. Raises ValueError for one that is none of the above, or a host name.

    Args:
        mount_targets: an address by file system id.
    """
    if annotation == "metadata":
        return ConnectionRequest("metadata", _METADATA, 80)
    parts = urlsplit(annotation)
    host = parts.hostname or ""
    if parts.scheme == "tcp" and parts.port:
        return ConnectionRequest("tcp", str(ipaddress.ip_address(host)), parts.port)
    if parts.scheme == "nfs" and host in mount_targets:
        return ConnectionRequest("nfs", mount_targets[host], _NFS_PORT, host)
    raise ValueError(f"{CONNECTS_TO}: {annotation} is not tcp://ADDRESS:PORT, metadata or nfs://ID")


def endpoint_of(pod: Object) -> NetworkEndpoint:
    """Return a pod as an end of connections."""
    spec = pod["spec"]
    ports = (port for container in spec["containers"] for port in container.get("ports") or ())
    return NetworkEndpoint(
        address=pod.get("status", {}).get("podIP", ""),
        namespace=pod["metadata"]["namespace"],
        labels=pod["metadata"].get("labels") or {},
        named_ports={port["name"]: port["containerPort"] for port in ports if "name" in port},
        in_host_network=bool(spec.get("hostNetwork")),
    )


def endpoint_at(address: str, pods: Iterable[Object]) -> NetworkEndpoint:
    """Return what has an address: a pod, or something outside the cluster."""
    found = (
        pod for pod in pods if pod.get("status", {}).get("podIP") == address and not has_ended(pod)
    )
    return next(map(endpoint_of, found), NetworkEndpoint(address))


def enforces_network_policies(workloads: Iterable[Object]) -> bool:
    """Return True when the VPC CNI's agent enforces network policies; workloads are DaemonSets."""
    return any(
        "--enable-network-policy=true" in (container.get("args") or ())
        for workload in workloads
        if (workload["metadata"]["namespace"], workload["metadata"]["name"])
        == ("kube-system", "aws-node")
        for container in workload["spec"]["template"]["spec"]["containers"]
    )


class ReachabilityController(Controller):
    """Decides how the pods with the annotation end, once they have an address."""

    name = "reachability"

    def watched(self) -> tuple[Informer, ...]:
        """Return the informer of pods."""
        return (self.cluster.informer(PODS),)

    def reconcile(self) -> float | None:
        """Write the exit code of each such pod that has an address and no exit code."""
        for pod in self.cluster.pods():
            notes = pod["metadata"].get("annotations") or {}
            if CONNECTS_TO in notes and _EXIT_CODE not in notes and pod["status"].get("podIP"):
                self._end(pod, notes[CONNECTS_TO])
        return None

    def _end(self, slim: Object, annotation: str) -> None:
        path = pod_path(slim)
        pod = self.cluster.api.find(path)
        if pod is None:
            return
        try:
            succeeds = self._connects(pod, annotation)
        except ValueError as error:
            self.cluster.log(f"{key_of(pod)}: {error}")
            succeeds = False
        code = "0" if succeeds else "1"
        self.cluster.api.patch(path, {"metadata": {"annotations": {_EXIT_CODE: code}}})

    def _connects(self, pod: Object, annotation: str) -> bool:
        with self.cluster.read_account() as aws:
            mount_targets = _mount_targets(aws)
        request = parse_request(annotation, mount_targets)
        source = endpoint_of(pod)
        # Simulated pods do not reserve their addresses in the subnet: a mount target's is its own.
        outside = request.address in mount_targets.values()
        pods = () if outside else self.cluster.api.list(PODS)
        target = endpoint_at(request.address, pods)
        if not self._policies_allow(Connection(source, target, request.port)):
            return False
        if request.kind == "metadata" and not source.in_host_network:
            return self._hop_limit(pod) >= _HOPS_OF_A_POD
        if request.kind == "nfs":
            with self.cluster.read_account() as aws:
                decision = aws.efs.mount_decision(request.file_system, NfsClient(), MOUNT)
            return bool(decision == "allowed")
        return True

    def _policies_allow(self, connection: Connection) -> bool:
        if not enforces_network_policies(self.cluster.api.list("/apis/apps/v1/daemonsets")):
            return True
        policies: Sequence[Object] = self.cluster.api.list(
            "/apis/networking.k8s.io/v1/networkpolicies"
        )
        namespaces = {
            found["metadata"]["name"]: found["metadata"].get("labels") or {}
            for found in self.cluster.api.list("/api/v1/namespaces")
        }
        return is_allowed(connection, policies, namespaces)

    def _hop_limit(self, pod: Object) -> int:
        """Return the hop limit of the pod's instance; 0 for a node without an instance."""
        node = self.cluster.api.get(f"{NODES}/{pod['spec']['nodeName']}")
        instance_id = instance_id_of(node)
        with self.cluster.read_account() as aws:
            found = {instance.id: instance for instance in aws.ec2.all_instances()}
            instance: Any = found.get(instance_id)
            return int(instance.metadata_options.http_put_response_hop_limit) if instance else 0


def _mount_targets(aws: Backends) -> dict[str, str]:
    """Return the address of a mount target by file system id."""
    return {
        target.file_system_id: target.ip_address for target in aws.efs.mount_targets_by_id.values()
    }
