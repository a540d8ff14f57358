"""Simulates Ray's dashboard for every Ray cluster: the KubeRay operator is real, Ray itself is not.

The operator gets our port as HTTP_PROXY, so that its requests to `http://<service>.<namespace>.svc
.cluster.local:8265` arrive here in absolute form, without any DNS. Which paths and fields it uses
is in KubeRay 1.6.2, `controllers/ray/utils/dashboardclient` and `httpproxy_httpclient.go`; the
messages are those of Ray's job manager and of Serve.

A rehearsal is only useful if nothing succeeds that was not submitted or could not have run. So a
job exists when its submitter's pod ran or when it was posted, its cluster's head must be ready, and
the resources of its entrypoint or of a Serve replica must fit on a ready pod of the cluster.
"""

from __future__ import annotations

import json
import re
import shlex
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Protocol
from urllib.parse import quote, urlsplit

from jarkkit.sandbox.controllers.objects import is_ready

Object = dict[str, Any]
Resources = dict[str, float]

# Annotations of a RayJob, a RayService, or the submitter's pod.
EXIT_CODE_ANNOTATION = "sandbox.jarkkit.io/exit-code"
SECONDS_ANNOTATION = "sandbox.jarkkit.io/seconds"

_TERMINAL = ("STOPPED", "SUCCEEDED", "FAILED")
_RAY = "/apis/ray.io/v1/namespaces"
_LOGS = "The sandbox simulated this job; the entrypoint was not run, so there is no output."
_MESSAGES = {
    "PENDING": "Job has not started yet. It may be waiting for resources (CPUs, GPUs, memory, "
    "custom resources) to become available.",
    "RUNNING": "Job is currently running.",
    "STOPPED": "Job was intentionally stopped.",
    "SUCCEEDED": "Job finished successfully.",
}


class ReadOnlyApi(Protocol):
    """The part of an API server's client that is needed here."""

    def get(self, path: str) -> Object:
        """Return what is at that path. Raises an exception with `status` 404 when nothing is."""


# -- decisions ---------------------------------------------------------------------------------


@dataclass
class Job:
    """A Ray job that one head has.

    Attributes:
        resources: the resources that its entrypoint requests.
        was_pending: it did not fit when its status was requested.
        started_at: when it fitted for the first time.
        outcome: status and time, once it has ended; they never change.
    """

    id: str
    submitted_at: float
    entrypoint: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    resources: Resources = field(default_factory=dict)
    was_pending: bool = False
    started_at: float | None = None
    outcome: tuple[str, float] | None = None
    exit_code: int = 0

    def advance(self, now: float, fits: bool, seconds: float, exit_code: int) -> str:
        """Update and return its status, given how long it takes and how it ends."""
        if self.outcome:
            return self.outcome[0]
        if self.started_at is None:
            if not fits:
                self.was_pending = True
                return "PENDING"
            self.started_at = now if self.was_pending else self.submitted_at
        if now < self.started_at + seconds:
            return "RUNNING"
        self.exit_code = exit_code
        self.outcome = ("FAILED" if exit_code else "SUCCEEDED", self.started_at + seconds)
        return self.outcome[0]

    def stop(self, now: float) -> bool:
        """Stop it; return False when it has already ended."""
        if self.outcome:
            return False
        self.outcome = ("STOPPED", now)
        return True

    def as_json(self, status: str) -> Object:
        """Return it as `GET /api/jobs/<id>` does; times in milliseconds."""
        report: Object = {
            "type": "SUBMISSION",
            "job_id": None,
            "submission_id": self.id,
            "status": status,
            "message": _MESSAGES.get(status, ""),
            "entrypoint": self.entrypoint,
            "metadata": dict(self.metadata),
            "start_time": int(self.submitted_at * 1000),
        }
        if self.outcome:
            report["end_time"] = int(self.outcome[1] * 1000)
        if status in ("SUCCEEDED", "FAILED"):
            report["driver_exit_code"] = self.exit_code
        if status == "FAILED":
            report["error_type"] = "JOB_ENTRYPOINT_COMMAND_ERROR"
            report["message"] = (
                f"Job entrypoint command failed with exit code {self.exit_code}, last available "
                f"logs (truncated to 20,000 chars):\n{_LOGS}"
            )
        return report


def submitted_at(pods: Iterable[Object], head: Object) -> float | None:
    """Return when a submitter's pod submitted its job to the head, None when none did.

    A pod that runs or has succeeded did: `ray job submit` is its first command. A failed one did
    only when an annotation gives the exit code of the job that it followed to its end. A head that
    started later has lost all jobs.
    """
    times = [
        started_at(pod)
        for pod in pods
        if pod.get("status", {}).get("phase") in ("Running", "Succeeded")
        or (pod.get("status", {}).get("phase") == "Failed" and exit_code_of(pod))
    ]
    return min((at for at in times if at >= started_at(head)), default=None)


def started_at(pod: Object) -> float:
    """Return when a pod was started, in seconds since the epoch."""
    stamp = pod.get("status", {}).get("startTime") or pod["metadata"]["creationTimestamp"]
    return datetime.fromisoformat(stamp).timestamp()


def exit_code_of(*objects: Object | None) -> int:
    """Return the exit code in the first annotation found; 0, success, without any."""
    return int(_annotation(objects, EXIT_CODE_ANNOTATION, r"\d{1,3}") or 0)


def seconds_of(default: float, *objects: Object | None) -> float:
    """Return the duration in the first annotation found, such as 30 or 30s."""
    return float(
        (_annotation(objects, SECONDS_ANNOTATION, r"\d+(\.\d+)?s?") or str(default)).rstrip("s")
    )


def _annotation(objects: Iterable[Object | None], name: str, form: str) -> str:
    for obj in filter(None, objects):
        value = str((obj["metadata"].get("annotations") or {}).get(name, ""))
        if re.fullmatch(form, value):
            return value
    return ""


def node_resources(pod: Object) -> Resources:
    """Return a Ray pod's resources, from the `ray start` that KubeRay wrote into it.

    Without `--num-cpus` Ray takes those of the machine, which are never scarce here.
    """
    container = pod["spec"]["containers"][0]
    text = " ".join([*(container.get("command") or ()), *(container.get("args") or ())])
    try:
        words = shlex.split(text.partition("ray start")[2])
    except ValueError:
        words = []
    given = dict(word[2:].split("=", 1) for word in words if re.match(r"--[\w-]+=", word))
    found = {"CPU": _number(given.get("num-cpus"), float("inf"))}
    found["GPU"] = _number(given.get("num-gpus"), 0.0)
    return {**found, **_numbers(_json(given.get("resources", "")))}


def entrypoint_resources(request: Object) -> Resources:
    """Return the resources of a job's entrypoint, from a request to the dashboard."""
    cpus, gpus = request.get("entrypoint_num_cpus"), request.get("entrypoint_num_gpus")
    own = request.get("entrypoint_resources") or {}
    return {"CPU": _number(cpus, 0.0), "GPU": _number(gpus, 0.0), **_numbers(own)}


def serve_replicas(application: Object) -> dict[str, tuple[int, Resources]]:
    """Return initial replicas and resources per replica of the configured deployments.

    Deployments that only the user's code defines are unknown here, because it does not run.
    """
    found = {}
    for deployment in application.get("deployments") or ():
        options = deployment.get("ray_actor_options") or {}
        scaling = deployment.get("autoscaling_config") or {}
        number = deployment.get("num_replicas")
        if not isinstance(number, int):
            number = scaling.get("initial_replicas") or scaling.get("min_replicas", 1)
        needs = {
            "CPU": _number(options.get("num_cpus"), 0.0),
            "GPU": _number(options.get("num_gpus"), 0.0),
            **_numbers(options.get("resources") or {}),
        }
        found[str(deployment["name"])] = (int(number), needs)
    return found


def schedule(needs: Resources, number: int, nodes: list[Resources]) -> int:
    """Place as many on the nodes as fit, and subtract their resources; return how many did not."""
    for done in range(number):
        for node in nodes:
            if all(node.get(name, 0.0) >= much for name, much in needs.items()):
                for name, much in needs.items():
                    node[name] = node.get(name, 0.0) - much
                break
        else:
            return number - done
    return 0


def application_status(
    name: str, application: Object, nodes: list[Resources], *, cluster_ready: bool
) -> tuple[Object, bool]:
    """Return an application as Serve reports it while deploying, and whether all of it fits.

    Args:
        cluster_ready: all pods of the cluster are ready.
    """
    placed, deployments = cluster_ready, {}
    for deployment, (number, needs) in serve_replicas(application).items():
        left = schedule(needs, number, nodes)
        placed = placed and not left
        report = {"name": deployment, "status": "UPDATING", "message": ""}
        if left:
            required = {key: much for key, much in needs.items() if much}
            report["message"] = (
                f"Deployment '{deployment}' in application '{name}' has {left} replicas that have "
                "taken more than 30s to be scheduled. This may be due to waiting for the cluster "
                "to auto-scale or for a runtime environment to be installed. Resources required "
                f"for each replica: [{json.dumps(required)}]. Use `ray status` for more details."
            )
        deployments[deployment] = report
    prefix = application.get("route_prefix", "/")
    base = {"name": name, "status": "DEPLOYING", "message": "", "route_prefix": prefix}
    return {**base, "deployments": deployments}, placed


def finished_application(report: Object, exit_code: int) -> Object:
    """Return the same application after its replicas have started, or failed to start."""
    status, each = ("DEPLOY_FAILED", "UNHEALTHY") if exit_code else ("RUNNING", "HEALTHY")
    message = f"The sandbox ends it with exit code {exit_code}." if exit_code else ""
    deployments = {
        name: {**deployment, "status": each, "message": message}
        for name, deployment in report["deployments"].items()
    }
    return {**report, "status": status, "message": message, "deployments": deployments}


def _number(value: object, default: float) -> float:
    try:
        return float(str(value))
    except ValueError:
        return default


def _numbers(values: Mapping[str, object]) -> Resources:
    return {str(name): _number(value, 0.0) for name, value in values.items()}


def _json(text: str) -> Object:
    try:
        read = json.loads(text)
    except ValueError:
        return {}
    return read if isinstance(read, dict) else {}


# -- one head ----------------------------------------------------------------------------------


@dataclass
class _Memory:
    """The state of one head, lost with the head's pod.

    Attributes:
        placed: since when all replicas of an application fit.
    """

    jobs: dict[str, Job] = field(default_factory=dict)
    deleted: set[str] = field(default_factory=set)
    applications: dict[str, Object] = field(default_factory=dict)
    placed: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class _Head:
    """A snapshot of a head.

    Attributes:
        pod: the head's own.
        pods: all pods of its cluster.
    """

    namespace: str
    cluster: str
    pod: Object
    pods: list[Object]
    memory: _Memory

    def nodes(self) -> list[Resources]:
        """Return the resources of the cluster's ready pods."""
        return [node_resources(pod) for pod in self.pods if is_ready(pod)]


class _Refused(Exception):  # noqa: N818 - an HTTP answer, not a failure
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


# -- the server --------------------------------------------------------------------------------


class RayDashboards:
    """The dashboards of all Ray clusters behind one API server, as an HTTP proxy on loopback.

    Jobs in SidecarMode and Ray's autoscaler are not simulated.

    Args:
        api: client of the cluster's API server, used for reading only.
        seconds: default duration of a job, and of the start of a Serve application.
        now: seconds since the epoch.
    """

    def __init__(
        self, api: ReadOnlyApi, seconds: float, now: Callable[[], float] = time.time
    ) -> None:
        self._api = api
        self._seconds = seconds
        self._now = now
        self._memories: dict[str, _Memory] = {}
        self._lock = threading.Lock()
        self._server: ThreadingHTTPServer | None = None

    def start(self) -> int:
        """Listen on loopback; return the port, for HTTP_PROXY."""
        handler = type("Handler", (_Handler,), {"dashboards": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.1,), daemon=True).start()
        return int(self._server.server_address[1])

    def stop(self) -> None:
        """Stop listening."""
        if self._server:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def handle_request(
        self, method: str, url: str, body: bytes = b""
    ) -> tuple[int, Object | list[Any]]:
        """Return status and JSON for a request in absolute form."""
        try:
            with self._lock:
                parts = urlsplit(url)
                head = self._head(parts.hostname or "")
                return 200, self._route(method, parts.path, _json(body.decode()), head)
        except _Refused as refused:
            return refused.status, {"message": str(refused)}

    def _route(self, method: str, path: str, body: Object, head: _Head) -> Object | list[Any]:
        if path.startswith("/api/serve/applications"):
            return self._serve(method, body, head)
        if path == "/api/jobs/":
            return self._submit(body, head) if method == "POST" else self._jobs(head)
        if found := re.fullmatch(r"/api/jobs/([^/]+)(/stop|/logs)?", path):
            return self._one_job(f"{method} {found[2] or ''}".strip(), found[1], head)
        if path == "/api/version":
            return self._version(head)
        # Serve's proxy starts with the first application.
        if path == "/-/healthz" and head.memory.applications:
            return {"result": "success"}
        raise _Refused(404, f"The sandbox does not simulate {path} of Ray's dashboard.")

    # -- jobs ----------------------------------------------------------------------------------

    def _submit(self, request: Object, head: _Head) -> Object:
        name = str(request.get("submission_id") or f"raysubmit_{len(head.memory.jobs):016d}")
        if name in head.memory.jobs:
            raise _Refused(
                500,
                f"Job with submission_id {name} already exists. Please use a different "
                "submission_id.",
            )
        job = Job(name, self._now(), str(request.get("entrypoint", "")))
        job.metadata, job.resources = request.get("metadata") or {}, entrypoint_resources(request)
        head.memory.jobs[name] = job
        return {"job_id": name, "submission_id": name}

    def _jobs(self, head: _Head) -> list[Any]:
        """Return all jobs of this head, including those of submitters."""
        mine = [job for job in self._ray_jobs(head) if _status(job).get("jobId")]
        names = [*head.memory.jobs, *(_status(job)["jobId"] for job in mine)]
        found = [self._look(name, head) for name in dict.fromkeys(names)]
        return [job.as_json(status) for job, status in filter(None, found)]

    def _one_job(self, job_id: str, name: str, head: _Head) -> Object:
        found = self._look(name, head)
        if found is None:
            raise _Refused(404, f"Job {name} does not exist")
        job, status = found
        if job_id == "POST /stop":
            return {"stopped": job.stop(self._now())}
        if job_id == "GET /logs":
            return {"logs": f"{_LOGS}\n"}
        if job_id == "DELETE":
            if status not in _TERMINAL:
                raise _Refused(500, f"Job '{name}' is in a non-terminal state.")
            del head.memory.jobs[name]
            head.memory.deleted.add(name)
            return {"deleted": True}
        return job.as_json(status)

    def _look(self, name: str, head: _Head) -> tuple[Job, str] | None:
        """Return a job of this head with its current status."""
        ray_job = next((j for j in self._ray_jobs(head) if _status(j).get("jobId") == name), None)
        pods = self._submitters(ray_job, head) if ray_job else []
        if name not in head.memory.jobs:
            at = submitted_at(pods, head.pod)
            if ray_job is None or at is None or name in head.memory.deleted:
                return None
            head.memory.jobs[name] = _of(ray_job, name, at)
        job = head.memory.jobs[name]
        fits = any(not schedule(job.resources, 1, [node]) for node in head.nodes())
        seconds = seconds_of(self._seconds, ray_job, *pods)
        return job, job.advance(self._now(), fits, seconds, exit_code_of(ray_job, *pods))

    def _ray_jobs(self, head: _Head) -> list[Object]:
        """Return the RayJobs that use this cluster."""
        everything = self._items(f"{_RAY}/{head.namespace}/rayjobs")
        return [job for job in everything if _status(job).get("rayClusterName") == head.cluster]

    def _submitters(self, ray_job: Object, head: _Head) -> list[Object]:
        """Return the pods of its Kubernetes Job, of the same name; only K8sJobMode, the default."""
        if ray_job["spec"].get("submissionMode", "K8sJobMode") != "K8sJobMode":
            return []
        name = ray_job["metadata"]["name"]
        return self._pods(head.namespace, {"batch.kubernetes.io/job-name": name})

    # -- Serve ---------------------------------------------------------------------------------

    def _serve(self, method: str, body: Object, head: _Head) -> Object:
        memory = head.memory
        if method == "GET":
            return {"applications": self._applications(head), "deploy_mode": "MULTI_APP"}
        applications = body.get("applications", []) if method == "PUT" else []
        new = {str(each.get("name", "default")): each for each in applications}
        changed = [name for name in memory.placed if new.get(name) != memory.applications[name]]
        for name in changed:  # a changed one is deployed again
            del memory.placed[name]
        memory.applications = new
        return {}

    def _applications(self, head: _Head) -> Object:
        nodes, whole = head.nodes(), all(map(is_ready, head.pods))
        service = self._owner(head, "RayService")
        reports = {}
        for name, application in head.memory.applications.items():
            report, placed = application_status(name, application, nodes, cluster_ready=whole)
            since = head.memory.placed.setdefault(name, self._now()) if placed else None
            if since is None:
                head.memory.placed.pop(name, None)
            elif self._now() >= since + seconds_of(self._seconds, service):
                report = finished_application(report, exit_code_of(service))
            reports[name] = report
        return reports

    # -- the cluster ---------------------------------------------------------------------------

    def _version(self, head: _Head) -> Object:
        cluster = self._find(f"{_RAY}/{head.namespace}/rayclusters/{head.cluster}") or {}
        return {"version": "4", "ray_version": cluster.get("spec", {}).get("rayVersion", "")}

    def _head(self, host: str) -> _Head:
        """Return the head behind a Service's name or a pod's address. Raises _Refused if none."""
        heads = self._behind(host)
        pod = next(filter(is_ready, heads), None)
        labels = pod["metadata"]["labels"] if pod else {}
        if pod is None or "ray.io/cluster" not in labels:
            raise _Refused(502, f"{host}: connection refused, no Ray head is ready there.")
        namespace, cluster = pod["metadata"]["namespace"], labels["ray.io/cluster"]
        memory = self._memories.setdefault(pod["metadata"]["uid"], _Memory())
        pods = self._pods(namespace, {"ray.io/cluster": cluster})
        return _Head(namespace, cluster, pod, pods, memory)

    def _behind(self, host: str) -> list[Object]:
        """Return the pods behind a host."""
        if re.fullmatch(r"[\d.]+|[\da-f:]+:[\da-f:]*", host):
            return self._items(f"/api/v1/pods?fieldSelector={quote(f'status.podIP={host}')}")
        name, _, rest = host.partition(".")
        namespace, _, domain = rest.partition(".")
        if domain != "svc" and not domain.startswith("svc."):
            return []
        service = self._find(f"/api/v1/namespaces/{quote(namespace)}/services/{quote(name)}") or {}
        selector = service.get("spec", {}).get("selector")
        return self._pods(namespace, selector) if selector else []

    def _owner(self, head: _Head, kind: str) -> Object | None:
        cluster = self._find(f"{_RAY}/{head.namespace}/rayclusters/{head.cluster}") or {}
        owners = cluster.get("metadata", {}).get("ownerReferences") or ()
        name = next((owner["name"] for owner in owners if owner["kind"] == kind), None)
        return self._find(f"{_RAY}/{head.namespace}/{kind.lower()}s/{name}") if name else None

    def _pods(self, namespace: str, labels: Mapping[str, str]) -> list[Object]:
        selector = ",".join(f"{name}={value}" for name, value in sorted(labels.items()))
        return self._items(f"/api/v1/namespaces/{namespace}/pods?labelSelector={quote(selector)}")

    def _items(self, path: str) -> list[Object]:
        return list((self._find(path) or {}).get("items") or ())

    def _find(self, path: str) -> Object | None:
        try:
            return self._api.get(path)
        except Exception as error:  # of any class; clients set `status`
            if getattr(error, "status", None) == 404:
                return None
            raise _Refused(502, f"The cluster's API server does not answer: {error}") from error


def _status(obj: Object) -> Object:
    return dict(obj.get("status") or {})


def _of(ray_job: Object, name: str, submitted: float) -> Job:
    """Return the job that a RayJob's submitter submitted to the head."""
    spec = ray_job["spec"]
    job = Job(name, submitted, str(spec.get("entrypoint", "")), spec.get("metadata") or {})
    job.resources = entrypoint_resources(
        {
            "entrypoint_num_cpus": spec.get("entrypointNumCpus"),
            "entrypoint_num_gpus": spec.get("entrypointNumGpus"),
            "entrypoint_resources": _json(spec.get("entrypointResources", "")),
        }
    )
    return job


class _Handler(BaseHTTPRequestHandler):
    """HTTP around `handle_request`. It does not implement CONNECT: nothing passes through."""

    protocol_version = "HTTP/1.1"
    dashboards: RayDashboards

    def _do(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        url = (
            self.path if "://" in self.path else f"http://{self.headers.get('Host', '')}{self.path}"
        )
        status, answer = self.dashboards.handle_request(self.command, url, body)
        content = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PUT = do_DELETE = _do  # noqa: N815 - http.server's names

    def log_message(self, *_: Any) -> None:
        """Log nothing."""
