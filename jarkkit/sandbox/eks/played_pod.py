"""A pod that a host process plays, and its status as kubelet would write it."""

from __future__ import annotations

import http.client
import ipaddress
import socket
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jarkkit.sandbox.cluster.api import Object
from jarkkit.sandbox.eks.process import Process


@dataclass
class Pod:
    """A pod that a process plays, and how it does.

    Attributes:
        ports: ports of this machine by the pod's.
        waiting: reason and message while nothing runs.
        again: when to start it (again), in seconds since the epoch.
    """

    key: str
    uid: str
    program: str
    folder: Path
    whole: Object
    address: str
    ports: dict[int, int] = field(default_factory=dict)
    process: Process | None = None
    restarts: int = 0
    waiting: tuple[str, str] = ("ContainerCreating", "")
    last: Object | None = None
    ready: bool = False
    again: float = 0.0
    renewed: float = 0.0
    shown: Object = field(default_factory=dict)

    @property
    def container(self) -> Object:
        """The one that the process plays; there is one in all of these pods."""
        return dict(self.whole["spec"]["containers"][0])

    @property
    def log(self) -> Path:
        """What it says, in CRI's format."""
        return self.folder / "container.log"

    @property
    def namespace(self) -> str:
        """Its namespace."""
        return str(self.whole["metadata"]["namespace"])

    @property
    def path(self) -> str:
        """Where it lives in the API."""
        return f"/api/v1/namespaces/{self.namespace}/pods/{self.whole['metadata']['name']}"

    def port(self, port: int) -> int:
        """The port of this machine for one of the pod's; a free one at first."""
        if port not in self.ports:
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                self.ports[port] = probe.getsockname()[1]
        return self.ports[port]


def address_of(cidr: str, uid: str) -> str:
    """An address for the pod, from the end of the range, where KWOK does not give any."""
    network = ipaddress.ip_network(cidr)
    return str(network[network.num_addresses - 2 - int(uid[:8], 16) % 4096])


def answers(pod: Pod) -> bool:
    """True when the readiness probe is content; without an HTTP probe at once, as kubelet is."""
    probe = pod.container.get("readinessProbe", {}).get("httpGet")
    if probe is None:
        return True
    port = _port_number(pod.container, probe["port"])
    if port not in pod.ports:
        return True  # a listener that the program does not open here
    connection = http.client.HTTPConnection("127.0.0.1", pod.ports[port], timeout=2.0)
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


def status_of(pod: Pod) -> Object:
    """What kubelet would write, but for the moments of the conditions."""
    running = pod.process is not None
    state: Object = {"waiting": {"reason": pod.waiting[0], "message": pod.waiting[1]}}
    if pod.process is not None:
        state = {"running": {"startedAt": moment(pod.process.started)}}
    container = {
        "name": pod.container["name"],
        "image": pod.container["image"],
        "imageID": "",
        "ready": pod.ready,
        "started": running,
        "restartCount": pod.restarts,
        # A strategic patch merges: what does not hold must be said.
        "state": {"running": None, "waiting": None, "terminated": None, **state},
        "lastState": {"terminated": pod.last},
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


def since(status: Object, now: float) -> Object:
    """The status with its conditions as of now."""
    conditions = [{**c, "lastTransitionTime": moment(now)} for c in status["conditions"]]
    return {**status, "conditions": conditions}


def moment(seconds: float) -> str:
    """Seconds since the epoch as Kubernetes writes them."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
