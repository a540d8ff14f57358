"""A pod in whose place a host process runs, and its status as kubelet would write it."""

from __future__ import annotations

import http.client
import ipaddress
import socket
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jarkkit.sandbox.controllers.container_process import ContainerProcess
from jarkkit.sandbox.controllers.objects import pod_path
from jarkkit.sandbox.kubernetes.api import Object


@dataclass
class HostPod:
    """A pod in whose place a process runs, with the state of that process.

    Attributes:
        local_ports: local ports by the pod's ports.
        waiting: reason and message while no process runs.
        restart_at: when to start or restart it, in seconds since the epoch.
    """

    key: str
    uid: str
    program: str
    folder: Path
    manifest: Object
    address: str
    local_ports: dict[int, int] = field(default_factory=dict)
    process: ContainerProcess | None = None
    restarts: int = 0
    waiting: tuple[str, str] = ("ContainerCreating", "")
    last_termination: Object | None = None
    ready: bool = False
    restart_at: float = 0.0
    tokens_renewed_at: float = 0.0
    reported_status: Object = field(default_factory=dict)

    @property
    def container(self) -> Object:
        """The pod's only container, which the process replaces."""
        return dict(self.manifest["spec"]["containers"][0])

    @property
    def log(self) -> Path:
        """Its output, in CRI's format."""
        return self.folder / "container.log"

    @property
    def namespace(self) -> str:
        """The pod's namespace."""
        return str(self.manifest["metadata"]["namespace"])

    @property
    def path(self) -> str:
        """Its path in the API."""
        return pod_path(self.manifest)

    def local_port(self, port: int) -> int:
        """Return the local port for a port of the pod; the first call chooses a free one."""
        if port not in self.local_ports:
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                self.local_ports[port] = probe.getsockname()[1]
        return self.local_ports[port]


def pod_address(cidr: str, uid: str) -> str:
    """Return an address for the pod, from the end of the range, which KWOK does not use."""
    network = ipaddress.ip_network(cidr)
    return str(network[network.num_addresses - 2 - int(uid[:8], 16) % 4096])


def passes_readiness_probe(pod: HostPod) -> bool:
    """Return True when the HTTP readiness probe succeeds or the pod has none, as for kubelet."""
    probe = pod.container.get("readinessProbe", {}).get("httpGet")
    if probe is None:
        return True
    port = _port_number(pod.container, probe["port"])
    if port not in pod.local_ports:
        return True  # the program does not open this listener here
    connection = http.client.HTTPConnection("127.0.0.1", pod.local_ports[port], timeout=2.0)
    try:
        connection.request("GET", probe.get("path", "/"))
        return connection.getresponse().status < 400
    except OSError:
        return False
    finally:
        connection.close()


def _port_number(container: Object, port: Any) -> int:
    if isinstance(port, int):
        return port
    return next((p["containerPort"] for p in container.get("ports", []) if p["name"] == port), 0)


def pod_status(pod: HostPod) -> Object:
    """Return what kubelet would write, without the conditions' transition times."""
    running = pod.process is not None
    state: Object = {"waiting": {"reason": pod.waiting[0], "message": pod.waiting[1]}}
    if pod.process is not None:
        state = {"running": {"startedAt": format_time(pod.process.started)}}
    container = {
        "name": pod.container["name"],
        "image": pod.container["image"],
        "imageID": "",
        "ready": pod.ready,
        "started": running,
        "restartCount": pod.restarts,
        # A strategic patch merges, so the other states must be set to null.
        "state": {"running": None, "waiting": None, "terminated": None, **state},
        "lastState": {"terminated": pod.last_termination},
    }
    ready = "True" if pod.ready else "False"
    return {
        "phase": "Running" if running or pod.restarts else "Pending",
        "podIP": pod.address,
        "podIPs": [{"ip": pod.address}],
        "conditions": [
            {"type": "Initialized", "status": "True"},
            {"type": "ContainersReady", "status": ready},
            {"type": "Ready", "status": ready},
        ],
        "containerStatuses": [container],
    }


def with_transition_times(status: Object, now: float) -> Object:
    """Return the status with this transition time in its conditions."""
    conditions = [{**c, "lastTransitionTime": format_time(now)} for c in status["conditions"]]
    return {**status, "conditions": conditions}


def format_time(seconds: float) -> str:
    """Return seconds since the epoch in Kubernetes' format."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
