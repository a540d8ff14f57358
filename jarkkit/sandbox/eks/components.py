"""What a cluster is made of and how real each part is, for `jarkkit sandbox status` and reports."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import psutil

from jarkkit.sandbox.eks.processes import Processes

if TYPE_CHECKING:
    from jarkkit.sandbox.eks.cluster import Cluster

# real: the program itself runs; simulated: the sandbox behaves like it; scripted: data says what
# happens next and nobody looks whether it could; stand-in: answers in something's place.
Kind = Literal["real", "simulated", "scripted", "stand-in"]

_KWOK = "kwok-controller"
_PROGRAMS = {_KWOK: "kwok"}
# What runs inside the daemon, by the part of EKS that it plays.
_PLAYED: tuple[tuple[str, Kind, str], ...] = (
    ("pods and kubelets", "simulated", "KWOK's stages start, run and end pods; nothing computes"),
    ("nodes", "simulated", "instances of the account join by their own user data"),
    ("access entries", "simulated", "real token format and signature, policies as RBAC"),
    ("Pod Identity", "simulated", "credentials by association only"),
    ("EKS add-ons", "simulated", "their workloads; health from their pods"),
    ("device plugins", "simulated", "accelerators appear while the plugin's pod is Ready"),
    ("EBS and EFS CSI drivers", "simulated", "volumes and access points of the account"),
    ("AWS Load Balancer Controller", "simulated", "load balancers, target groups, security groups"),
    ("cloud controller manager", "simulated", "classic load balancers; nodes of ended instances"),
    ("metrics.k8s.io", "simulated", "a share of what pods request"),
    ("admission webhooks", "simulated", "allow everything and check nothing"),
    ("custom resources without an operator", "scripted", "Argo CD, OpenSearch, Prometheus, …"),
)


@dataclass(frozen=True)
class Component:
    """A part of a cluster.

    Attributes:
        memory_mib: of its process; None where it is part of the daemon.
        uptime_seconds: likewise.
    """

    name: str
    kind: Kind
    what: str = ""
    version: str = ""
    memory_mib: int | None = None
    uptime_seconds: int | None = None


def components(cluster: Cluster) -> list[dict[str, Any]]:
    """Every part: processes first, then what is played for them."""
    found = [*_control_plane(cluster), *_processes(cluster)]
    if cluster.standing.state == "ready":
        found += [Component(name, kind, what) for name, kind, what in _PLAYED]
    return [asdict(component) for component in found]


def _control_plane(cluster: Cluster) -> Iterator[Component]:
    versions = _versions(cluster)
    for part in cluster.plane.components():
        what = "plays the kubelets" if part.name == _KWOK else ""
        version = versions.get(_PROGRAMS.get(part.name, part.name), "")
        memory = part.memory >> 20
        yield Component(part.name, "real", what, version, memory, int(part.uptime))


def _processes(cluster: Cluster) -> Iterator[Component]:
    """The programs that play pods, and what they talk to."""
    played = cluster.find_part(Processes)
    versions, ray = _versions(cluster), False
    for pod in played.all() if played else ():
        process = pod.process
        ray = ray or pod.program == "kuberay-operator"
        memory = uptime = None
        if process is not None and psutil.pid_exists(process.pid):
            memory = psutil.Process(process.pid).memory_info().rss >> 20
            uptime = int(time.time() - process.started)
        what = f"pod {pod.key}" + ("" if process else f": {pod.waiting[0]}")
        yield Component(pod.program, "real", what, versions[pod.program], memory, uptime)
    if ray:
        yield Component("Ray dashboards", "stand-in", "ends only jobs that were submitted and ran")


def _versions(cluster: Cluster) -> dict[str, str]:
    """Of all programs; asking a program of the machine takes a moment, so it is done once."""
    if not cluster.versions:
        found = cluster.around.tools.describe()
        cluster.versions.update({program.name: program.version for program in found})
    return cluster.versions
