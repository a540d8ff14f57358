"""A cluster's components and how real each is, for `jarkkit sandbox status` and reports."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import psutil

from jarkkit.sandbox.controllers.host_pod import HostPod
from jarkkit.sandbox.kubernetes.control_plane import LocalControlPlane

# real: the program itself runs; simulated: the sandbox behaves like it; scripted: data defines what
# happens next, unchecked; stub: answers requests in place of the real server.
Fidelity = Literal["real", "simulated", "scripted", "stub"]

_KWOK = "kwok-controller"
_PROGRAMS = {_KWOK: "kwok"}
# What the daemon itself simulates.
_SIMULATED: tuple[tuple[str, Fidelity, str], ...] = (
    ("pods and kubelets", "simulated", "KWOK's stages start, run and end pods; no container runs"),
    ("nodes", "simulated", "instances of the account join with their own user data"),
    ("access entries", "simulated", "real token format and signature, policies as RBAC"),
    ("Pod Identity", "simulated", "credentials only through an association"),
    ("EKS add-ons", "simulated", "installs their workloads; reads health from their pods"),
    ("device plugins", "simulated", "accelerators are allocatable while the plugin's pod is Ready"),
    ("EBS and EFS CSI drivers", "simulated", "volumes and access points of the account"),
    ("AWS Load Balancer Controller", "simulated", "load balancers, target groups, security groups"),
    ("cloud controller manager", "simulated", "classic load balancers; nodes of ended instances"),
    ("metrics.k8s.io", "simulated", "usage is a share of what pods request"),
    ("admission webhooks", "simulated", "admit everything, check nothing"),
    ("custom resources without an operator", "scripted", "Argo CD, OpenSearch, Prometheus, …"),
)


@dataclass(frozen=True)
class SandboxComponent:
    """One component of a cluster.

    Attributes:
        memory_mib: of its process; None for a component inside the daemon.
        uptime_seconds: of its process; None likewise.
    """

    name: str
    kind: Fidelity
    what: str = ""
    version: str = ""
    memory_mib: int | None = None
    uptime_seconds: int | None = None


def components(
    control_plane: LocalControlPlane,
    pods: Iterable[HostPod],
    versions: Mapping[str, str],
    *,
    is_ready: bool,
) -> list[dict[str, Any]]:
    """Return every component: processes first, then what the daemon simulates.

    Args:
        pods: the pods in whose place a process runs.
        versions: of all programs, by name.
        is_ready: the cluster is ready, so its controllers run.
    """
    found = [*_control_plane(control_plane, versions), *_processes(pods, versions)]
    if is_ready:
        found += [SandboxComponent(name, kind, what) for name, kind, what in _SIMULATED]
    return [asdict(component) for component in found]


def _control_plane(
    plane: LocalControlPlane, versions: Mapping[str, str]
) -> Iterator[SandboxComponent]:
    for process in plane.components():
        what = "simulates the kubelets" if process.name == _KWOK else ""
        version = versions.get(_PROGRAMS.get(process.name, process.name), "")
        memory = process.memory >> 20
        yield SandboxComponent(process.name, "real", what, version, memory, int(process.uptime))


def _processes(pods: Iterable[HostPod], versions: Mapping[str, str]) -> Iterator[SandboxComponent]:
    """Yield the programs that run in place of pods, and the server that they talk to."""
    ray = False
    for pod in pods:
        process = pod.process
        ray = ray or pod.program == "kuberay-operator"
        memory = uptime = None
        if process is not None and psutil.pid_exists(process.pid):
            memory = psutil.Process(process.pid).memory_info().rss >> 20
            uptime = int(time.time() - process.started)
        what = f"pod {pod.key}" + ("" if process else f": {pod.waiting[0]}")
        yield SandboxComponent(pod.program, "real", what, versions[pod.program], memory, uptime)
    if ray:
        yield SandboxComponent(
            "Ray dashboards", "stub", "ends only jobs that were submitted and ran"
        )
