"""Ray's dashboard, played for every Ray cluster: the KubeRay operator is real, Ray itself is not.

The operator gets our port as HTTP_PROXY, so that its requests to `http://<service>.<namespace>.svc
.cluster.local:8265` arrive here in absolute form, without any DNS. Which paths and fields it uses
is in KubeRay 1.6.2, `controllers/ray/utils/dashboardclient` and `httpproxy_httpclient.go`; the
words of messages are those of Ray's job manager and of Serve.

What makes a rehearsal worth something: nothing succeeds here that was not submitted and could not
have run. A job exists when its submitter's pod ran or when it was posted, its cluster's head must
be ready, what its entrypoint or a Serve replica asks for must fit on a ready pod of the cluster.
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

Object = dict[str, Any]
Resources = dict[str, float]

# On a RayJob, a RayService, or the submitter's pod.
EXIT_CODE = "sandbox.jarkkit.io/exit-code"
SECONDS = "sandbox.jarkkit.io/seconds"

_TERMINAL = ("STOPPED", "SUCCEEDED", "FAILED")
_RAY = "/apis/ray.io/v1/namespaces"
_LOGS = "The sandbox played this job; the entrypoint was not run, so there is no output."
_MESSAGES = {
    "PENDING": "Job has not started yet. It may be waiting for resources (CPUs, GPUs, memory, "
    "custom resources) to become available.",
    "RUNNING": "Job is currently running.",
    "STOPPED": "Job was intentionally stopped.",
    "SUCCEEDED": "Job finished successfully.",
}


class Api(Protocol):
    """What is needed of a cluster's API server."""

    def get(self, path: str) -> Object:
        """What is at that path; an exception with `status` 404 where nothing is."""


# -- decisions ---------------------------------------------------------------------------------


@dataclass
class Job:
    """A Ray job that one head knows.

    Attributes:
        needs: what its entrypoint asks for.
        waited: it did not fit when it was looked at.
        began: when it fitted for the first time.
        final: status and time, once it has ended; nothing changes them.
    """

    id: str
    submitted: float
    entrypoint: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    needs: Resources = field(default_factory=dict)
    waited: bool = False
    began: float | None = None
    final: tuple[str, float] | None = None
    exit_code: int = 0

    def look(self, now: float, fits: bool, seconds: float, exit_code: int) -> str:
        """Its status now, given how long it takes and how it ends."""
        if self.final:
            return self.final[0]
        if self.began is None:
            if not fits:
                self.waited = True
                return "PENDING"
            self.began = now if self.waited else self.submitted
        if now < self.began + seconds:
            return "RUNNING"
        self.exit_code = exit_code
        self.final = ("FAILED" if exit_code else "SUCCEEDED", self.began + seconds)
        return self.final[0]

    def stop(self, now: float) -> bool:
        """Stop it; False when it has ended already."""
        if self.final:
            return False
        self.final = ("STOPPED", now)
        return True

    def as_json(self, status: str) -> Object:
        """As `GET /api/jobs/<id>` tells it; times in milliseconds."""
        told: Object = {
            "type": "SUBMISSION",
            "job_id": None,
            "submission_id": self.id,
            "status": status,
            "message": _MESSAGES.get(status, ""),
            "entrypoint": self.entrypoint,
            "metadata": dict(self.metadata),
            "start_time": int(self.submitted * 1000),
        }
        if self.final:
            told["end_time"] = int(self.final[1] * 1000)
        if status in ("SUCCEEDED", "FAILED"):
            told["driver_exit_code"] = self.exit_code
        if status == "FAILED":
            told["error_type"] = "JOB_ENTRYPOINT_COMMAND_ERROR"
            told["message"] = (
                f"Job entrypoint command failed with exit code {self.exit_code}, last available "
                f"logs (truncated to 20,000 chars):\n{_LOGS}"
            )
        return told


def ready(pod: Object) -> bool:
    """Running, ready and not about to go."""
    status = pod.get("status", {})
    conditions = {c["type"]: c["status"] for c in status.get("conditions") or ()}
    going = "deletionTimestamp" in pod["metadata"]
    return status.get("phase") == "Running" and conditions.get("Ready") == "True" and not going


def submitted_at(pods: Iterable[Object], head: Object) -> float | None:
    """When a submitter told the head of its job; None when none did.

    It did when it runs or has succeeded: `ray job submit` comes first in it. One that failed did
    only when it is annotated with the exit code of the job that it followed to its end. A head that
    began later has forgotten all jobs.
    """
    times = [
        began(pod)
        for pod in pods
        if pod.get("status", {}).get("phase") in ("Running", "Succeeded")
        or (pod.get("status", {}).get("phase") == "Failed" and exit_code_of(pod))
    ]
    return min((at for at in times if at >= began(head)), default=None)


def began(pod: Object) -> float:
    """When a pod was started, in seconds since the epoch."""
    stamp = pod.get("status", {}).get("startTime") or pod["metadata"]["creationTimestamp"]
    return datetime.fromisoformat(stamp).timestamp()


def exit_code_of(*things: Object | None) -> int:
    """The outcome that the first annotated of them names; 0, success, when none does."""
    return int(_annotation(things, EXIT_CODE, r"\d{1,3}") or 0)


def seconds_of(default: float, *things: Object | None) -> float:
    """The duration that the first annotated of them names, such as 30 or 30s."""
    return float((_annotation(things, SECONDS, r"\d+(\.\d+)?s?") or str(default)).rstrip("s"))


def _annotation(things: Iterable[Object | None], name: str, form: str) -> str:
    for thing in filter(None, things):
        value = str((thing["metadata"].get("annotations") or {}).get(name, ""))
        if re.fullmatch(form, value):
            return value
    return ""


def offers(pod: Object) -> Resources:
    """What a Ray pod brings, by the `ray start` that KubeRay wrote into it.

    Without `--num-cpus` Ray takes those of the machine, which are never what is lacking here.
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


def entrypoint_needs(request: Object) -> Resources:
    """What a job's entrypoint asks for, in a request to the dashboard."""
    cpus, gpus = request.get("entrypoint_num_cpus"), request.get("entrypoint_num_gpus")
    own = request.get("entrypoint_resources") or {}
    return {"CPU": _number(cpus, 0.0), "GPU": _number(gpus, 0.0), **_numbers(own)}


def replicas_of(application: Object) -> dict[str, tuple[int, Resources]]:
    """Per deployment that the configuration names: replicas to begin with, and what each needs.

    What it does not say is in the user's code, which nobody runs here.
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


def place(needs: Resources, number: int, nodes: list[Resources]) -> int:
    """Put as many on the nodes as fit, taking it from them; returns how many did not."""
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
    name: str, application: Object, nodes: list[Resources], *, whole: bool
) -> tuple[Object, bool]:
    """An application as Serve tells it while it is deployed, and whether all of it has its place.

    Args:
        whole: all pods of the cluster are ready.
    """
    placed, deployments = whole, {}
    for deployment, (number, needs) in replicas_of(application).items():
        left = place(needs, number, nodes)
        placed = placed and not left
        told = {"name": deployment, "status": "UPDATING", "message": ""}
        if left:
            wanted = {key: much for key, much in needs.items() if much}
            told["message"] = (
                f"Deployment '{deployment}' in application '{name}' has {left} replicas that have "
                "taken more than 30s to be scheduled. This may be due to waiting for the cluster "
                "to auto-scale or for a runtime environment to be installed. Resources required "
                f"for each replica: [{json.dumps(wanted)}]. Use `ray status` for more details."
            )
        deployments[deployment] = told
    prefix = application.get("route_prefix", "/")
    said = {"name": name, "status": "DEPLOYING", "message": "", "route_prefix": prefix}
    return {**said, "deployments": deployments}, placed


def finished(told: Object, exit_code: int) -> Object:
    """The same application once its replicas have started, or failed to."""
    status, each = ("DEPLOY_FAILED", "UNHEALTHY") if exit_code else ("RUNNING", "HEALTHY")
    message = f"The sandbox ends it with exit code {exit_code}." if exit_code else ""
    deployments = {
        name: {**deployment, "status": each, "message": message}
        for name, deployment in told["deployments"].items()
    }
    return {**told, "status": status, "message": message, "deployments": deployments}


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
    """What one head knows: it is gone when the head's pod is.

    Attributes:
        placed: since when all replicas of an application have their place.
    """

    jobs: dict[str, Job] = field(default_factory=dict)
    deleted: set[str] = field(default_factory=set)
    applications: dict[str, Object] = field(default_factory=dict)
    placed: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class _Head:
    """A head as it is now.

    Attributes:
        pod: the head's.
        pods: all pods of its cluster.
    """

    namespace: str
    cluster: str
    pod: Object
    pods: list[Object]
    memory: _Memory

    def nodes(self) -> list[Resources]:
        """What the ready pods of the cluster offer."""
        return [offers(pod) for pod in self.pods if ready(pod)]


class _Refused(Exception):  # noqa: N818 - an answer, not a failure of ours
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


# -- the server --------------------------------------------------------------------------------


class RayDashboards:
    """The dashboards of all Ray clusters behind one API server, as an HTTP proxy on loopback.

    Jobs in SidecarMode are not known to it, and Ray's autoscaler is not played.

    Args:
        api: the cluster's API server; only read.
        seconds: what a job, or the start of a Serve application, takes if nothing says otherwise.
        now: seconds since the epoch.
    """

    def __init__(self, api: Api, seconds: float, now: Callable[[], float] = time.time) -> None:
        self._api = api
        self._seconds = seconds
        self._now = now
        self._memories: dict[str, _Memory] = {}
        self._lock = threading.Lock()
        self._server: ThreadingHTTPServer | None = None

    def start(self) -> int:
        """Listen on loopback; returns the port, for HTTP_PROXY."""
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

    def answer(self, method: str, url: str, body: bytes = b"") -> tuple[int, Object | list[Any]]:
        """Status and JSON for a request in absolute form."""
        try:
            with self._lock:
                asked = urlsplit(url)
                head = self._head(asked.hostname or "")
                return 200, self._route(method, asked.path, _json(body.decode()), head)
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
        if path == "/-/healthz" and head.memory.applications:  # Serve's proxy starts with the first
            return {"result": "success"}
        raise _Refused(404, f"The sandbox does not play {path} of Ray's dashboard.")

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
        job.metadata, job.needs = request.get("metadata") or {}, entrypoint_needs(request)
        head.memory.jobs[name] = job
        return {"job_id": name, "submission_id": name}

    def _jobs(self, head: _Head) -> list[Any]:
        """All that this head knows, those of submitters too."""
        mine = [job for job in self._ray_jobs(head) if _status(job).get("jobId")]
        names = [*head.memory.jobs, *(_status(job)["jobId"] for job in mine)]
        told = [self._look(name, head) for name in dict.fromkeys(names)]
        return [job.as_json(status) for job, status in filter(None, told)]

    def _one_job(self, asked: str, name: str, head: _Head) -> Object:
        found = self._look(name, head)
        if found is None:
            raise _Refused(404, f"Job {name} does not exist")
        job, status = found
        if asked == "POST /stop":
            return {"stopped": job.stop(self._now())}
        if asked == "GET /logs":
            return {"logs": f"{_LOGS}\n"}
        if asked == "DELETE":
            if status not in _TERMINAL:
                raise _Refused(500, f"Job '{name}' is in a non-terminal state.")
            del head.memory.jobs[name]
            head.memory.deleted.add(name)
            return {"deleted": True}
        return job.as_json(status)

    def _look(self, name: str, head: _Head) -> tuple[Job, str] | None:
        """A job that this head knows, with its status now."""
        ray_job = next((j for j in self._ray_jobs(head) if _status(j).get("jobId") == name), None)
        pods = self._submitters(ray_job, head) if ray_job else []
        if name not in head.memory.jobs:
            at = submitted_at(pods, head.pod)
            if ray_job is None or at is None or name in head.memory.deleted:
                return None
            head.memory.jobs[name] = _of(ray_job, name, at)
        job = head.memory.jobs[name]
        fits = any(not place(job.needs, 1, [node]) for node in head.nodes())
        seconds = seconds_of(self._seconds, ray_job, *pods)
        return job, job.look(self._now(), fits, seconds, exit_code_of(ray_job, *pods))

    def _ray_jobs(self, head: _Head) -> list[Object]:
        """The RayJobs that use this cluster."""
        everything = self._items(f"{_RAY}/{head.namespace}/rayjobs")
        return [job for job in everything if _status(job).get("rayClusterName") == head.cluster]

    def _submitters(self, ray_job: Object, head: _Head) -> list[Object]:
        """The pods of its Kubernetes Job, which has its name; only K8sJobMode, the default."""
        if ray_job["spec"].get("submissionMode", "K8sJobMode") != "K8sJobMode":
            return []
        name = ray_job["metadata"]["name"]
        return self._pods(head.namespace, {"batch.kubernetes.io/job-name": name})

    # -- Serve ---------------------------------------------------------------------------------

    def _serve(self, method: str, body: Object, head: _Head) -> Object:
        memory = head.memory
        if method == "GET":
            return {"applications": self._applications(head), "deploy_mode": "MULTI_APP"}
        wanted = body.get("applications", []) if method == "PUT" else []
        new = {str(each.get("name", "default")): each for each in wanted}
        changed = [name for name in memory.placed if new.get(name) != memory.applications[name]]
        for name in changed:  # a changed one is deployed again
            del memory.placed[name]
        memory.applications = new
        return {}

    def _applications(self, head: _Head) -> Object:
        nodes, whole = head.nodes(), all(map(ready, head.pods))
        service = self._owner(head, "RayService")
        told = {}
        for name, application in head.memory.applications.items():
            said, placed = application_status(name, application, nodes, whole=whole)
            since = head.memory.placed.setdefault(name, self._now()) if placed else None
            if since is None:
                head.memory.placed.pop(name, None)
            elif self._now() >= since + seconds_of(self._seconds, service):
                said = finished(said, exit_code_of(service))
            told[name] = said
        return told

    # -- the cluster ---------------------------------------------------------------------------

    def _version(self, head: _Head) -> Object:
        cluster = self._find(f"{_RAY}/{head.namespace}/rayclusters/{head.cluster}") or {}
        return {"version": "4", "ray_version": cluster.get("spec", {}).get("rayVersion", "")}

    def _head(self, host: str) -> _Head:
        """The head behind a service's name or a pod's address; refused where none is ready."""
        heads = self._behind(host)
        pod = next(filter(ready, heads), None)
        labels = pod["metadata"]["labels"] if pod else {}
        if pod is None or "ray.io/cluster" not in labels:
            raise _Refused(502, f"{host}: connection refused, no Ray head is ready there.")
        namespace, cluster = pod["metadata"]["namespace"], labels["ray.io/cluster"]
        memory = self._memories.setdefault(pod["metadata"]["uid"], _Memory())
        pods = self._pods(namespace, {"ray.io/cluster": cluster})
        return _Head(namespace, cluster, pod, pods, memory)

    def _behind(self, host: str) -> list[Object]:
        """Pods behind a host."""
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
        except Exception as error:  # of whatever kind the API's client has; it says `status`
            if getattr(error, "status", None) == 404:
                return None
            raise _Refused(502, f"The cluster's API server does not answer: {error}") from error


def _status(thing: Object) -> Object:
    return dict(thing.get("status") or {})


def _of(ray_job: Object, name: str, submitted: float) -> Job:
    """The job that a RayJob's submitter told the head of."""
    spec = ray_job["spec"]
    job = Job(name, submitted, str(spec.get("entrypoint", "")), spec.get("metadata") or {})
    job.needs = entrypoint_needs(
        {
            "entrypoint_num_cpus": spec.get("entrypointNumCpus"),
            "entrypoint_num_gpus": spec.get("entrypointNumGpus"),
            "entrypoint_resources": _json(spec.get("entrypointResources", "")),
        }
    )
    return job


class _Handler(BaseHTTPRequestHandler):
    """HTTP around `answer`. CONNECT is not known to it: nothing passes through."""

    protocol_version = "HTTP/1.1"
    dashboards: RayDashboards

    def _do(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        url = (
            self.path if "://" in self.path else f"http://{self.headers.get('Host', '')}{self.path}"
        )
        status, said = self.dashboards.answer(self.command, url, body)
        content = json.dumps(said).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PUT = do_DELETE = _do  # noqa: N815 - http.server's names

    def log_message(self, *_: Any) -> None:
        """Nothing on stderr."""
