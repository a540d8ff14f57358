"""Pods that host processes play: what kubelet does for them, done for a program of this machine."""

from __future__ import annotations

import contextlib
import http.client
import ipaddress
import json
import os
import shutil
import socket
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jarkkit.sandbox.clock import CLOCK
from jarkkit.sandbox.cluster.api import ApiError, Object, key_of
from jarkkit.sandbox.cluster.control_plane import MARK
from jarkkit.sandbox.cluster.informer import Informer
from jarkkit.sandbox.cluster.toolchain import PROGRAMS as BUILDS
from jarkkit.sandbox.clusters import POD_IDENTITY
from jarkkit.sandbox.eks import container_spec, events, pod_identity, programs
from jarkkit.sandbox.eks.container_spec import ConfigError
from jarkkit.sandbox.eks.controller import Controller
from jarkkit.sandbox.eks.events import Said
from jarkkit.sandbox.eks.objects import PODS
from jarkkit.sandbox.eks.process import Process
from jarkkit.sandbox.eks.ray import RayDashboards
from jarkkit.sandbox.files import write_private

ANNOTATION = "sandbox.jarkkit.io/process"
_KWOK = "/apis/kwok.x-k8s.io/v1alpha1"
_NOWHERE = "http://127.0.0.1:9"  # what is not on this machine is not to be reached
_LOOK_SECONDS = 0.5
_BACKOFF_SECONDS = (10.0, 20.0, 40.0, 80.0, 160.0, 300.0)  # kubelet's, at speed 1
_QUICKEST_SECONDS = 1.0
_RAY_JOB_SECONDS = 60.0
_RENEW_SECONDS = 6 * 3600.0
_TOKEN_SECONDS = 24 * 3600


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

    def port(self, port: int) -> int:
        """The port of this machine for one of the pod's; a free one at first."""
        if port not in self.ports:
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                self.ports[port] = probe.getsockname()[1]
        return self.ports[port]


class Processes(Controller):
    """Plays the pods that carry the annotation, one process each."""

    name = "processes"

    def start(self) -> None:
        """Begin with none: those of an earlier life ended with it."""
        self._pods: dict[str, Pod] = {}
        self._ray: RayDashboards | None = None
        self._ray_port = 0
        self._folder = self.cluster.folder / "pods"
        shutil.rmtree(self._folder, ignore_errors=True)
        super().start()

    def stop(self) -> None:
        """End all."""
        super().stop()
        for pod in self._pods.values():
            self._end(pod)
        if self._ray is not None:
            self._ray.stop()

    def watched(self) -> tuple[Informer, ...]:
        """Pods come and go."""
        return (self.cluster.informer(PODS),)

    def all(self) -> list[Pod]:
        """Those that are played now."""
        return list(self._pods.values())

    def reconcile(self) -> float | None:
        """A process for every such pod on a node, and none for others."""
        wanted = {p["metadata"]["uid"]: p for p in self.cluster.pods() if _is_ours(p)}
        for uid in self._pods.keys() - wanted.keys():
            self._end(self._pods.pop(uid))
        for uid, slim in wanted.items():
            if "deletionTimestamp" in slim["metadata"]:
                self._delete(slim)
            elif slim["status"].get("phase") not in ("Succeeded", "Failed"):
                self._play(uid, slim)
        return _LOOK_SECONDS if wanted else None

    # -- one pod -------------------------------------------------------------------------------

    def _play(self, uid: str, slim: Object) -> None:
        pod = self._pods.get(uid) or self._admit(uid, slim)
        try:
            self._launch(pod)
        except ConfigError as error:
            pod.waiting = ("CreateContainerConfigError", str(error))
        if pod.process is not None:
            if pod.process.exit_code is not None:
                self._ended(pod, pod.process)
            else:
                pod.ready = pod.ready or _answers(pod)
                self._renew(pod)
        self._show(pod)

    def _admit(self, uid: str, slim: Object) -> Pod:
        key = key_of(slim)
        folder = self._folder / uid
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        whole = self.cluster.api.get(_path(key))
        address = _address(self.cluster.spec.pod_cidr, uid)
        program = slim["metadata"]["annotations"][ANNOTATION]
        pod = Pod(key, uid, program, folder, whole, address)
        self._pods[uid] = pod
        self._say(pod, "Normal", "Pulling", f'Pulling image "{pod.container["image"]}"')
        return pod

    def _launch(self, pod: Pod) -> None:
        """Start it, if it is to be started now."""
        if pod.process is not None or time.time() < pod.again:
            return
        program = self._program(pod.program)
        if program is None:  # still being built: as if its image were still on the way
            pod.waiting = ("ContainerCreating", "Pulling image: its program is still being built")
            return
        how = programs.PROGRAMS[pod.program]
        given = container_spec.environment(pod.whole, pod.container, self._lookup(pod))
        arguments = container_spec.arguments(pod.container, given)
        namespace = pod.whole["metadata"]["namespace"]
        arguments, given = programs.on_loopback(how, arguments, given, namespace, pod.port)
        environ = {**self._surroundings(pod, how), **given}
        self._route(pod)
        pod.process = Process([str(program), *arguments], environ, pod.folder, pod.log, self.wake)
        self._say(pod, "Normal", "Started", f"Started container {pod.container['name']}")

    def _program(self, name: str) -> Path | None:
        build = next(build for build in BUILDS if build.name == name)
        return self.cluster.around.tools.find(build)

    def _ended(self, pod: Pod, process: Process) -> None:
        """It goes on as kubelet would have it: after a while that grows."""
        code = process.exit_code or 0
        pod.last = {
            "exitCode": code,
            "reason": "Completed" if code == 0 else "OOMKilled" if code == 137 else "Error",
            "startedAt": _moment(process.started),
            "finishedAt": _moment(time.time()),
        }
        name = pod.container["name"]
        wait = _BACKOFF_SECONDS[min(pod.restarts, len(_BACKOFF_SECONDS) - 1)]
        wait = max(_QUICKEST_SECONDS * min(pod.restarts + 1, 10), wait * CLOCK.pace)
        pod.process, pod.ready, pod.again = None, False, time.time() + wait
        said = f"back-off {wait:.0f}s restarting failed container={name} pod={pod.key}"
        pod.waiting = ("CrashLoopBackOff", said)
        pod.restarts += 1
        self._say(pod, "Warning", "BackOff", f"Back-off restarting failed container {name}")
        self.cluster.log(f"{pod.program} of {pod.key} ended with {code}")

    def _end(self, pod: Pod) -> None:
        if pod.process is not None:
            pod.process.stop()
            pod.process = None
        shutil.rmtree(pod.folder, ignore_errors=True)

    def _delete(self, slim: Object) -> None:
        """Its process ends, then the pod is gone, as kubelet says it to the API server."""
        pod = self._pods.pop(slim["metadata"]["uid"], None)
        if pod is not None:
            self._end(pod)
        options = {"gracePeriodSeconds": 0, "preconditions": {"uid": slim["metadata"]["uid"]}}
        with contextlib.suppress(ApiError):
            self.cluster.api.delete(_path(key_of(slim)), **options)

    # -- what it is started with ---------------------------------------------------------------

    def _surroundings(self, pod: Pod, how: programs.Program) -> dict[str, str]:
        """What kubelet and EKS put into the environment, and what keeps it on this machine."""
        host, port = self.cluster.api.endpoint.removeprefix("https://").split(":")
        ray = self._ray_dashboards() if how.talks_to_ray else _NOWHERE
        return {
            "PATH": os.defpath,
            "HOME": str(pod.folder),
            "TMPDIR": str(pod.folder),
            "HOSTNAME": pod.whole["metadata"]["name"],
            MARK: str(self.cluster.around.home),
            "KUBECONFIG": str(self._kubeconfig(pod)),
            "KUBERNETES_SERVICE_HOST": host,
            "KUBERNETES_SERVICE_PORT": port,
            "HTTP_PROXY": ray,
            "HTTPS_PROXY": _NOWHERE,
            "NO_PROXY": "127.0.0.1,localhost",
            **self._aws(pod),
        }

    def _ray_dashboards(self) -> str:
        """The proxy behind which every Ray head's dashboard is answered."""
        if self._ray is None:
            self._ray = RayDashboards(self.cluster.api, _RAY_JOB_SECONDS * CLOCK.pace)
            self._ray_port = self._ray.start()
        return f"http://127.0.0.1:{self._ray_port}"

    def _aws(self, pod: Pod) -> dict[str, str]:
        """The account's endpoint; credentials only by an association, as its webhook adds them."""
        endpoint = self.cluster.around.endpoint
        found = {"AWS_ENDPOINT_URL": endpoint, "AWS_EC2_METADATA_DISABLED": "true"}
        account = pod.whole["spec"].get("serviceAccountName", "default")
        with self.cluster.read() as aws:
            namespace = pod.whole["metadata"]["namespace"]
            role = pod_identity.role_of(aws, self.cluster.name, namespace, account)
        if role is None:
            return found
        token = self._token(pod, pod_identity.AUDIENCE)
        path = f"{POD_IDENTITY}{self.cluster.spec.identity}/v1/credentials"
        return {
            **found,
            "AWS_REGION": self.cluster.region,
            "AWS_DEFAULT_REGION": self.cluster.region,
            "AWS_STS_REGIONAL_ENDPOINTS": "regional",
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{endpoint}{path}",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(token),
        }

    def _kubeconfig(self, pod: Pod) -> Path:
        """In a pod that is in-cluster configuration: the service account's token, a file."""
        authority = self.cluster.plane.certificate_authority
        known = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {
                    "name": "it",
                    "cluster": {
                        "server": self.cluster.api.endpoint,
                        "certificate-authority-data": authority,
                    },
                }
            ],
            "users": [{"name": "it", "user": {"tokenFile": str(self._token(pod, ""))}}],
            "contexts": [
                {
                    "name": "it",
                    "context": {
                        "cluster": "it",
                        "user": "it",
                        "namespace": pod.whole["metadata"]["namespace"],
                    },
                }
            ],
            "current-context": "it",
        }
        path = pod.folder / "kubeconfig"
        write_private(path, json.dumps(known).encode())
        return path

    def _token(self, pod: Pod, audience: str) -> Path:
        """A file with a token of the pod's service account; an empty audience is the API server."""
        meta, account = pod.whole["metadata"], pod.whole["spec"].get("serviceAccountName")
        spec: Object = {
            "expirationSeconds": _TOKEN_SECONDS,
            "boundObjectRef": {
                "kind": "Pod",
                "apiVersion": "v1",
                "name": meta["name"],
                "uid": meta["uid"],
            },
        }
        if audience:
            spec["audiences"] = [audience]
        where = f"/api/v1/namespaces/{meta['namespace']}/serviceaccounts/{account}/token"
        asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
        token = self.cluster.api.create(where, asked)["status"]["token"]
        path = pod.folder / f"token-{audience or 'api'}"
        write_private(path, token.encode())
        pod.renewed = time.time()
        return path

    def _renew(self, pod: Pod) -> None:
        """New tokens in the same files, long before the old ones expire."""
        if time.time() - pod.renewed > _RENEW_SECONDS:
            for file in list(pod.folder.glob("token-*")):
                audience = file.name.removeprefix("token-")
                self._token(pod, "" if audience == "api" else audience)

    def _lookup(self, pod: Pod) -> container_spec.Lookup:
        namespace = pod.whole["metadata"]["namespace"]
        return lambda kind, name: self.cluster.api.find(
            f"/api/v1/namespaces/{namespace}/{kind}/{name}"
        )

    # -- what others see -----------------------------------------------------------------------

    def _route(self, pod: Pod) -> None:
        """Tell KWOK where `kubectl logs` and `kubectl port-forward` of this pod lead."""
        meta = pod.whole["metadata"]
        owner = {"apiVersion": "v1", "kind": "Pod", "name": meta["name"], "uid": meta["uid"]}
        named = {
            "name": meta["name"],
            "namespace": meta["namespace"],
            "ownerReferences": [owner],
        }
        pod.log.touch(mode=0o600)
        logs = {"logsFile": str(pod.log), "previousLogsFile": str(pod.log), "follow": True}
        forwards = [
            {"ports": [port], "target": {"address": "127.0.0.1", "port": local}}
            for port, local in pod.ports.items()
        ]
        version = "kwok.x-k8s.io/v1alpha1"
        for kind, spec in (("Logs", {"logs": [logs]}), ("PortForward", {"forwards": forwards})):
            self.cluster.api.apply(
                {"apiVersion": version, "kind": kind, "metadata": named, "spec": spec}
            )

    def _show(self, pod: Pod) -> None:
        """The pod's status, if it is other than what was shown last."""
        status = _status(pod)
        if status == pod.shown:
            return
        changed = {"status": _since(status, time.time())}
        with contextlib.suppress(ApiError):  # it is being deleted
            self.cluster.api.patch(f"{_path(pod.key)}/status", changed, kind="strategic")
            pod.shown = status

    def _say(self, pod: Pod, kind: str, reason: str, message: str) -> None:
        """An event, as kubelet's."""
        events.tell(self.cluster.api, pod.whole, Said(kind, reason, message, "kubelet"))


def _is_ours(slim: Object) -> bool:
    program = slim["metadata"].get("annotations", {}).get(ANNOTATION)
    return program in programs.PROGRAMS and bool(slim["spec"]["nodeName"])


def _path(key: str) -> str:
    namespace, name = key.split("/")
    return f"/api/v1/namespaces/{namespace}/pods/{name}"


def _address(cidr: str, uid: str) -> str:
    """An address for the pod, from the end of the range, where KWOK does not give any."""
    network = ipaddress.ip_network(cidr)
    return str(network[network.num_addresses - 2 - int(uid[:8], 16) % 4096])


def _answers(pod: Pod) -> bool:
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


def _status(pod: Pod) -> Object:
    """What kubelet would write, but for the moments of the conditions."""
    running = pod.process is not None
    state: Object = {"waiting": {"reason": pod.waiting[0], "message": pod.waiting[1]}}
    if pod.process is not None:
        state = {"running": {"startedAt": _moment(pod.process.started)}}
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


def _since(status: Object, now: float) -> Object:
    conditions = [{**c, "lastTransitionTime": _moment(now)} for c in status["conditions"]]
    return {**status, "conditions": conditions}


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
