"""Pods that host processes play: what kubelet does for them, done for a program of this machine."""

from __future__ import annotations

import contextlib
import shutil
import time

from jarkkit.sandbox.clock import CLOCK
from jarkkit.sandbox.cluster.api import ApiError, Object, key_of
from jarkkit.sandbox.cluster.informer import Informer
from jarkkit.sandbox.eks import container_spec, events, programs
from jarkkit.sandbox.eks.container_spec import ConfigError
from jarkkit.sandbox.eks.controller import Controller
from jarkkit.sandbox.eks.events import Said
from jarkkit.sandbox.eks.objects import PODS
from jarkkit.sandbox.eks.played_pod import Pod, address_of, answers, moment, since, status_of
from jarkkit.sandbox.eks.pod_environment import NOWHERE, PodEnvironment
from jarkkit.sandbox.eks.process import Process
from jarkkit.sandbox.eks.ray import RayDashboards

ANNOTATION = "sandbox.jarkkit.io/process"
_LOOK_SECONDS = 0.5
_BACKOFF_SECONDS = (10.0, 20.0, 40.0, 80.0, 160.0, 300.0)  # kubelet's, at speed 1
_QUICKEST_SECONDS = 1.0
_RAY_JOB_SECONDS = 60.0


class Processes(Controller):
    """Plays the pods that carry the annotation, one process each."""

    name = "processes"

    def start(self) -> None:
        """Begin with none: those of an earlier life ended with it."""
        self._pods: dict[str, Pod] = {}
        self._environment = PodEnvironment(self.cluster)
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
                pod.ready = pod.ready or answers(pod)
                self._environment.renew(pod)
        self._show(pod)

    def _admit(self, uid: str, slim: Object) -> Pod:
        key = key_of(slim)
        folder = self._folder / uid
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        whole = self.cluster.api.get(_path(key))
        address = address_of(self.cluster.spec.pod_cidr, uid)
        program = slim["metadata"]["annotations"][ANNOTATION]
        pod = Pod(key, uid, program, folder, whole, address)
        self._pods[uid] = pod
        self._say(pod, "Normal", "Pulling", f'Pulling image "{pod.container["image"]}"')
        return pod

    def _launch(self, pod: Pod) -> None:
        """Start it, if it is to be started now."""
        if pod.process is not None or time.time() < pod.again:
            return
        builder = self.cluster.around.builder
        program = builder.find(pod.program)
        if program is None:  # as if its image were still on the way
            pod.waiting = ("ContainerCreating", f"Pulling image: {builder.saying}")
            return
        how = programs.PROGRAMS[pod.program]
        given = container_spec.environment(pod.whole, pod.container, self._lookup(pod))
        arguments = container_spec.arguments(pod.container, given)
        arguments, given = programs.on_loopback(how, arguments, given, pod.namespace, pod.port)
        proxy = self._ray_dashboards() if how.talks_to_ray else NOWHERE
        environ = {**self._environment.of(pod, proxy), **given}
        self._route(pod)
        pod.process = Process([str(program), *arguments], environ, pod.folder, pod.log, self.wake)
        self._say(pod, "Normal", "Started", f"Started container {pod.container['name']}")

    def _ended(self, pod: Pod, process: Process) -> None:
        """It goes on as kubelet would have it: after a while that grows."""
        code = process.exit_code or 0
        pod.last = {
            "exitCode": code,
            "reason": "Completed" if code == 0 else "OOMKilled" if code == 137 else "Error",
            "startedAt": moment(process.started),
            "finishedAt": moment(time.time()),
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

    def _ray_dashboards(self) -> str:
        """The proxy behind which every Ray head's dashboard is answered."""
        if self._ray is None:
            self._ray = RayDashboards(self.cluster.api, _RAY_JOB_SECONDS * CLOCK.pace)
            self._ray_port = self._ray.start()
        return f"http://127.0.0.1:{self._ray_port}"

    def _lookup(self, pod: Pod) -> container_spec.Lookup:
        return lambda kind, name: self.cluster.api.find(
            f"/api/v1/namespaces/{pod.namespace}/{kind}/{name}"
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
        status = status_of(pod)
        if status == pod.shown:
            return
        changed = {"status": since(status, time.time())}
        with contextlib.suppress(ApiError):  # it is being deleted
            self.cluster.api.patch(f"{pod.path}/status", changed, kind="strategic")
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
