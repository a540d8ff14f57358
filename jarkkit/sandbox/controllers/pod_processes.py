"""Runs programs of this machine in place of pods, and does for them what kubelet does."""

from __future__ import annotations

import contextlib
import shutil
import time

from jarkkit.sandbox.clock import CLOCK
from jarkkit.sandbox.controllers import container_spec, kubernetes_events, loopback
from jarkkit.sandbox.controllers.base_controller import Controller
from jarkkit.sandbox.controllers.container_process import ContainerProcess
from jarkkit.sandbox.controllers.container_spec import ConfigError
from jarkkit.sandbox.controllers.host_pod import (
    HostPod,
    format_time,
    passes_readiness_probe,
    pod_address,
    pod_status,
    with_transition_times,
)
from jarkkit.sandbox.controllers.kubernetes_events import EventContent
from jarkkit.sandbox.controllers.objects import PODS, has_ended, pod_path
from jarkkit.sandbox.controllers.pod_environment import UNREACHABLE_PROXY, PodEnvironment
from jarkkit.sandbox.controllers.ray import RayDashboards
from jarkkit.sandbox.kubernetes.api import ApiError, Object, key_of
from jarkkit.sandbox.kubernetes.informer import Informer

PROCESS_ANNOTATION = "sandbox.jarkkit.io/process"
_LOOK_SECONDS = 0.5
_BACKOFF_SECONDS = (10.0, 20.0, 40.0, 80.0, 160.0, 300.0)  # kubelet's, at speed 1
_QUICKEST_SECONDS = 1.0
_RAY_JOB_SECONDS = 60.0


class PodProcessController(Controller):
    """Runs one process for each pod that has the annotation."""

    name = "processes"

    def start(self) -> None:
        """Start without processes: those of an earlier run ended with it."""
        self._pods: dict[str, HostPod] = {}
        self._environment = PodEnvironment(self.cluster)
        self._ray: RayDashboards | None = None
        self._ray_port = 0
        self._folder = self.cluster.folder / "pods"
        shutil.rmtree(self._folder, ignore_errors=True)
        super().start()

    def stop(self) -> None:
        """Stop the controller, all processes and Ray's dashboards."""
        super().stop()
        for pod in self._pods.values():
            self._stop_pod(pod)
        if self._ray is not None:
            self._ray.stop()

    def watched(self) -> tuple[Informer, ...]:
        """Return the informer of pods."""
        return (self.cluster.informer(PODS),)

    def pods(self) -> list[HostPod]:
        """Return the pods in whose place a process runs."""
        return list(self._pods.values())

    def reconcile(self) -> float | None:
        """Run a process for every such pod on a node, and stop the others."""
        desired = {p["metadata"]["uid"]: p for p in self.cluster.pods() if _is_ours(p)}
        for uid in self._pods.keys() - desired.keys():
            self._stop_pod(self._pods.pop(uid))
        for uid, slim in desired.items():
            if "deletionTimestamp" in slim["metadata"]:
                self._delete(slim)
            elif not has_ended(slim):
                self._run_pod(uid, slim)
        return _LOOK_SECONDS if desired else None

    # -- one pod -------------------------------------------------------------------------------

    def _run_pod(self, uid: str, slim: Object) -> None:
        pod = self._pods.get(uid) or self._admit(uid, slim)
        try:
            self._launch(pod)
        except ConfigError as error:
            pod.waiting = ("CreateContainerConfigError", str(error))
        if pod.process is not None:
            if pod.process.exit_code is not None:
                self._ended(pod, pod.process)
            else:
                pod.ready = pod.ready or passes_readiness_probe(pod)
                self._environment.renew_tokens(pod)
        self._report(pod)

    def _admit(self, uid: str, slim: Object) -> HostPod:
        folder = self._folder / uid
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        whole = self.cluster.api.get(pod_path(slim))
        address = pod_address(self.cluster.spec.pod_cidr, uid)
        program = slim["metadata"]["annotations"][PROCESS_ANNOTATION]
        pod = HostPod(key_of(slim), uid, program, folder, whole, address)
        self._pods[uid] = pod
        self._record(pod, "Normal", "Pulling", f'Pulling image "{pod.container["image"]}"')
        return pod

    def _launch(self, pod: HostPod) -> None:
        """Start the process, if it is due."""
        if pod.process is not None or time.time() < pod.restart_at:
            return
        builder = self.cluster.sandbox.builder
        program = builder.find(pod.program)
        if program is None:  # as if the image were still being pulled
            pod.waiting = ("ContainerCreating", f"Pulling image: {builder.progress_message}")
            return
        how = loopback.LOOPBACK_CONFIGS[pod.program]
        given = container_spec.environment(pod.manifest, pod.container, self._lookup(pod))
        arguments = container_spec.arguments(pod.container, given)
        arguments, given = loopback.bind_to_loopback(
            how, arguments, given, pod.namespace, pod.local_port
        )
        proxy = self._ray_dashboards() if how.uses_ray_proxy else UNREACHABLE_PROXY
        environ = {**self._environment.build(pod, proxy), **given}
        self._route(pod)
        pod.process = ContainerProcess(
            [str(program), *arguments], environ, pod.folder, pod.log, self.wake
        )
        self._record(pod, "Normal", "Started", f"Started container {pod.container['name']}")

    def _ended(self, pod: HostPod, process: ContainerProcess) -> None:
        """Schedule the restart as kubelet does, with exponential backoff."""
        code = process.exit_code or 0
        pod.last_termination = {
            "exitCode": code,
            "reason": "Completed" if code == 0 else "OOMKilled" if code == 137 else "Error",
            "startedAt": format_time(process.started),
            "finishedAt": format_time(time.time()),
        }
        name = pod.container["name"]
        wait = _BACKOFF_SECONDS[min(pod.restarts, len(_BACKOFF_SECONDS) - 1)]
        wait = max(_QUICKEST_SECONDS * min(pod.restarts + 1, 10), wait * CLOCK.time_scale)
        pod.process, pod.ready, pod.restart_at = None, False, time.time() + wait
        message = f"back-off {wait:.0f}s restarting failed container={name} pod={pod.key}"
        pod.waiting = ("CrashLoopBackOff", message)
        pod.restarts += 1
        self._record(pod, "Warning", "BackOff", f"Back-off restarting failed container {name}")
        self.cluster.log(f"{pod.program} of {pod.key} ended with {code}")

    def _stop_pod(self, pod: HostPod) -> None:
        if pod.process is not None:
            pod.process.stop()
            pod.process = None
        shutil.rmtree(pod.folder, ignore_errors=True)

    def _delete(self, slim: Object) -> None:
        """Stop the process, then delete the pod from the API server, as kubelet does."""
        pod = self._pods.pop(slim["metadata"]["uid"], None)
        if pod is not None:
            self._stop_pod(pod)
        options = {"gracePeriodSeconds": 0, "preconditions": {"uid": slim["metadata"]["uid"]}}
        with contextlib.suppress(ApiError):
            self.cluster.api.delete(pod_path(slim), **options)

    def _ray_dashboards(self) -> str:
        """Return the URL of the proxy that simulates every Ray head's dashboard."""
        if self._ray is None:
            self._ray = RayDashboards(self.cluster.api, _RAY_JOB_SECONDS * CLOCK.time_scale)
            self._ray_port = self._ray.start()
        return f"http://127.0.0.1:{self._ray_port}"

    def _lookup(self, pod: HostPod) -> container_spec.Lookup:
        return lambda kind, name: self.cluster.api.find(
            f"/api/v1/namespaces/{pod.namespace}/{kind}/{name}"
        )

    # -- status and events -----------------------------------------------------------------------

    def _route(self, pod: HostPod) -> None:
        """Configure `kubectl logs` and `kubectl port-forward` of this pod in KWOK."""
        meta = pod.manifest["metadata"]
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
            for port, local in pod.local_ports.items()
        ]
        version = "kwok.x-k8s.io/v1alpha1"
        for kind, spec in (("Logs", {"logs": [logs]}), ("PortForward", {"forwards": forwards})):
            self.cluster.api.apply(
                {"apiVersion": version, "kind": kind, "metadata": named, "spec": spec}
            )

    def _report(self, pod: HostPod) -> None:
        """Report the pod's status, if it changed since the last report."""
        status = pod_status(pod)
        if status == pod.reported_status:
            return
        changed = {"status": with_transition_times(status, time.time())}
        with contextlib.suppress(ApiError):  # it is being deleted
            self.cluster.api.patch(f"{pod.path}/status", changed, kind="strategic")
            pod.reported_status = status

    def _record(self, pod: HostPod, kind: str, reason: str, message: str) -> None:
        """Record an event as kubelet."""
        kubernetes_events.record_event(
            self.cluster.api, pod.manifest, EventContent(kind, reason, message, "kubelet")
        )


def _is_ours(slim: Object) -> bool:
    program = slim["metadata"].get("annotations", {}).get(PROCESS_ANNOTATION)
    return program in loopback.LOOPBACK_CONFIGS and bool(slim["spec"]["nodeName"])
