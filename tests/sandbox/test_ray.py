"""Ray's dashboard as the KubeRay operator sees it. The API server is a fake, HTTP is real."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from jarkkit.sandbox.controllers.ray import (
    EXIT_CODE_ANNOTATION,
    SECONDS_ANNOTATION,
    Job,
    Object,
    RayDashboards,
    node_resources,
    schedule,
    seconds_of,
    serve_replicas,
    submitted_at,
)

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC).timestamp()
DASHBOARD = "http://demo-head-svc.lab.svc.cluster.local:8265"
SERVE = f"{DASHBOARD}/api/serve/applications/"


class NotFoundError(Exception):
    status = 404


class FakeApi:
    """Objects by the path of their collection; lists support equality selectors."""

    def __init__(self) -> None:
        self.objects: dict[str, list[Object]] = {}
        self.unavailable = False

    def get(self, path: str) -> Object:
        if self.unavailable:
            raise ConnectionError("no answer")
        url = urlsplit(path)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        if url.path in self.objects:
            return {"items": [t for t in self.objects[url.path] if _selected(t, query)]}
        collection, _, name = url.path.rpartition("/")
        for resource in self.objects.get(collection, []):
            if resource["metadata"]["name"] == name:
                return resource
        raise NotFoundError(path)


def _selected(resource: Object, query: dict[str, str]) -> bool:
    labels = resource["metadata"].get("labels", {})
    wanted = dict(pair.split("=") for pair in query.get("labelSelector", "").split(",") if pair)
    address = query.get("fieldSelector", "").partition("status.podIP=")[2]
    has_address = not address or resource.get("status", {}).get("podIP") == address
    return has_address and all(labels.get(name) == value for name, value in wanted.items())


def stamp(second: float) -> str:
    return datetime.fromtimestamp(NOON + second, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def pod(name: str, labels: dict[str, str], *, start: str = "", **status: Any) -> Object:
    container = {"command": ["/bin/bash", "-c", "--"], "args": [f"ulimit -n 65536; {start}"]}
    conditions = [{"type": "Ready", "status": "True"}]
    full_status = {"phase": "Running", "startTime": stamp(0), "conditions": conditions, **status}
    return {
        "metadata": {"name": name, "namespace": "lab", "uid": f"uid-{name}", "labels": labels},
        "spec": {"containers": [container]},
        "status": full_status,
    }


def set_phase(pod: Object, phase: str) -> None:
    """Set the phase and the condition Ready as a kubelet does: only a running pod is Ready."""
    ready = "True" if phase == "Running" else "False"
    pod["status"] |= {"phase": phase, "conditions": [{"type": "Ready", "status": ready}]}


def ray_pod(name: str, kind: str, start: str, **status: Any) -> Object:
    return pod(name, {"ray.io/cluster": "demo", "ray.io/node-type": kind}, start=start, **status)


def ray_job(name: str, *, annotations: dict[str, str] | None = None, **spec: Any) -> Object:
    return {
        "metadata": {"name": name, "namespace": "lab", "annotations": annotations},
        "spec": {"entrypoint": "python train.py", **spec},
        "status": {"jobId": f"{name}-abcde", "rayClusterName": "demo"},
    }


def submitter_pod(of: str, phase: str, *, second: float = 5, exit_code: int = 0) -> Object:
    made = pod(f"{of}-1", {"batch.kubernetes.io/job-name": of}, phase=phase)
    made["status"]["startTime"] = stamp(second)
    made["metadata"]["annotations"] = {EXIT_CODE_ANNOTATION: str(exit_code)} if exit_code else {}
    return made


class FakeRay:
    """A Ray cluster `demo` with one head and one worker in the namespace `lab`."""

    def __init__(self) -> None:
        self.now = NOON + 10
        self.head = ray_pod(
            "demo-head", "head", "ray start --head --num-cpus=0", podIP="100.64.0.7"
        )
        self.worker = ray_pod("demo-worker", "worker", "ray start --num-cpus=4 --num-gpus=1")
        self.pods = [self.head, self.worker]
        self.jobs: list[Object] = []
        self.services: list[Object] = []
        selector = {"ray.io/cluster": "demo", "ray.io/node-type": "head"}
        service = {"metadata": {"name": "demo-head-svc"}, "spec": {"selector": selector}}
        owner = {"kind": "RayService", "name": "llm"}
        cluster = {
            "metadata": {"name": "demo", "ownerReferences": [owner]},
            "spec": {"rayVersion": "2.52.0"},
        }
        self.api = FakeApi()
        self.api.objects = {
            "/api/v1/pods": self.pods,
            "/api/v1/namespaces/lab/pods": self.pods,
            "/api/v1/namespaces/lab/services": [service],
            "/apis/ray.io/v1/namespaces/lab/rayclusters": [cluster],
            "/apis/ray.io/v1/namespaces/lab/rayjobs": self.jobs,
            "/apis/ray.io/v1/namespaces/lab/rayservices": self.services,
        }
        self.dashboards = RayDashboards(self.api, seconds=4.0, now=lambda: self.now)

    def ask(self, method: str, path: str, body: Object | None = None) -> tuple[int, Any]:
        url = path if path.startswith("http") else f"{DASHBOARD}{path}"
        return self.dashboards.handle_request(method, url, json.dumps(body or {}).encode())

    def job(self, name: str) -> Any:
        status, response = self.ask("GET", f"/api/jobs/{name}-abcde")
        return response["status"] if status == 200 else status

    def application(self) -> Any:
        return self.ask("GET", f"{SERVE}?api_type=declarative")[1]["applications"]["llm"]


@pytest.fixture
def fake_ray() -> FakeRay:
    return FakeRay()


# -- jobs of a submitter ---------------------------------------------------------------------------


def test_a_job_exists_once_its_submitter_has_run(fake_ray: FakeRay) -> None:
    fake_ray.jobs.append(ray_job("train"))
    assert fake_ray.job("train") == 404
    fake_ray.pods.append(submitter_pod("train", "Pending"))
    assert fake_ray.job("train") == 404
    fake_ray.pods[-1] = submitter_pod("train", "Running", second=9)
    assert fake_ray.job("train") == "RUNNING"
    fake_ray.now += 3
    _, response = fake_ray.ask("GET", "/api/jobs/train-abcde")
    assert (response["status"], response["message"]) == ("SUCCEEDED", "Job finished successfully.")
    assert response["end_time"] - response["start_time"] == 4000
    assert response["entrypoint"] == "python train.py"


def test_a_job_does_not_exist_when_its_submitter_failed(fake_ray: FakeRay) -> None:
    fake_ray.jobs.append(ray_job("train"))
    fake_ray.pods.append(submitter_pod("train", "Failed"))
    fake_ray.now += 100
    assert fake_ray.job("train") == 404


def test_a_submitted_job_stays_without_its_submitter(fake_ray: FakeRay) -> None:
    fake_ray.jobs.append(ray_job("train"))
    fake_ray.pods.append(submitter_pod("train", "Running", second=9))
    assert fake_ray.job("train") == "RUNNING"
    fake_ray.pods.pop()
    assert fake_ray.job("train") == "RUNNING"


@pytest.mark.parametrize("where", ["job", "pod"])
def test_an_exit_code_fails_a_job_with_rays_message(fake_ray: FakeRay, where: str) -> None:
    fake_ray.jobs.append(
        ray_job("train", annotations={EXIT_CODE_ANNOTATION: "3"} if where == "job" else None)
    )
    failed = where == "pod"
    fake_ray.pods.append(
        submitter_pod("train", "Failed" if failed else "Succeeded", exit_code=3 if failed else 0)
    )
    fake_ray.now += 100
    _, response = fake_ray.ask("GET", "/api/jobs/train-abcde")
    assert (response["status"], response["driver_exit_code"]) == ("FAILED", 3)
    assert response["message"].startswith("Job entrypoint command failed with exit code 3, last")
    fake_ray.jobs[0]["metadata"]["annotations"] = {EXIT_CODE_ANNOTATION: "0"}
    assert fake_ray.job("train") == "FAILED"  # an ended job stays as it is


def test_a_new_head_has_no_jobs(fake_ray: FakeRay) -> None:
    fake_ray.jobs.append(ray_job("train"))
    fake_ray.pods.append(submitter_pod("train", "Succeeded", second=5))
    assert fake_ray.job("train") == "SUCCEEDED"
    fake_ray.head["metadata"]["uid"] = "uid-of-another"
    fake_ray.head["status"]["startTime"] = stamp(8)
    assert fake_ray.job("train") == 404


def test_a_sidecar_submission_is_not_simulated(fake_ray: FakeRay) -> None:
    fake_ray.jobs.append(ray_job("train", submissionMode="SidecarMode"))
    fake_ray.pods.append(submitter_pod("train", "Running"))
    assert fake_ray.job("train") == 404


# -- jobs by HTTP ----------------------------------------------------------------------------------


def post_job(fake_ray: FakeRay, **request: Any) -> tuple[int, Any]:
    return fake_ray.ask("POST", "/api/jobs/", {"entrypoint": "python a.py", **request})


def test_only_a_post_creates_a_job_in_http_mode(fake_ray: FakeRay) -> None:
    fake_ray.jobs.append(
        ray_job("train", submissionMode="HTTPMode", annotations={SECONDS_ANNOTATION: "30s"})
    )
    fake_ray.pods.append(submitter_pod("train", "Succeeded"))
    assert fake_ray.job("train") == 404
    request = {"submission_id": "train-abcde", "metadata": {"a": "b"}}
    assert post_job(fake_ray, **request) == (
        200,
        {"job_id": "train-abcde", "submission_id": "train-abcde"},
    )
    status, response = post_job(fake_ray, **request)
    assert status == 500
    assert (
        "Please use a different submission_id" in response["message"]
    )  # the operator looks for this text
    fake_ray.now += 29
    assert fake_ray.job("train") == "RUNNING"
    fake_ray.now += 1
    assert fake_ray.job("train") == "SUCCEEDED"
    assert fake_ray.ask("GET", "/api/jobs/")[1][0]["metadata"] == {"a": "b"}


def test_a_job_is_pending_until_its_resources_exist(fake_ray: FakeRay) -> None:
    set_phase(fake_ray.worker, "Pending")
    post_job(fake_ray, submission_id="a-abcde", entrypoint_num_gpus=1)
    fake_ray.now += 100
    assert fake_ray.job("a") == "PENDING"
    set_phase(fake_ray.worker, "Running")
    assert fake_ray.job("a") == "RUNNING"
    fake_ray.now += 4
    assert fake_ray.job("a") == "SUCCEEDED"


def test_a_job_has_logs_and_can_be_stopped_and_deleted(fake_ray: FakeRay) -> None:
    post_job(fake_ray, submission_id="a-abcde")
    assert fake_ray.ask("DELETE", "/api/jobs/a-abcde")[0] == 500
    assert "simulated" in fake_ray.ask("GET", "/api/jobs/a-abcde/logs")[1]["logs"]
    assert fake_ray.ask("POST", "/api/jobs/a-abcde/stop") == (200, {"stopped": True})
    assert fake_ray.job("a") == "STOPPED"
    assert fake_ray.ask("POST", "/api/jobs/a-abcde/stop") == (200, {"stopped": False})
    assert fake_ray.ask("DELETE", "/api/jobs/a-abcde") == (200, {"deleted": True})
    assert fake_ray.ask("POST", "/api/jobs/a-abcde/stop")[0] == 404
    assert fake_ray.ask("GET", "/api/jobs/") == (200, [])


def test_a_deleted_job_is_not_created_again_by_its_submitter(fake_ray: FakeRay) -> None:
    fake_ray.jobs.append(ray_job("train"))
    fake_ray.pods.append(submitter_pod("train", "Succeeded"))
    assert fake_ray.job("train") == "SUCCEEDED"
    assert fake_ray.ask("DELETE", "/api/jobs/train-abcde")[0] == 200
    assert fake_ray.job("train") == 404


# -- reachability ----------------------------------------------------------------------------------


@pytest.mark.parametrize("condition", ["False", "Unknown"])
def test_the_dashboard_is_unreachable_without_a_ready_head(
    fake_ray: FakeRay, condition: str
) -> None:
    fake_ray.head["status"]["conditions"][0]["status"] = condition
    assert post_job(fake_ray)[0] == 502
    assert fake_ray.ask("GET", "/api/version")[0] == 502


@pytest.mark.parametrize(
    "url",
    [
        "http://demo-head-svc.other.svc.cluster.local:8265/api/version",
        "http://example.com/api/version",
        "http://192.0.2.1:8000/-/healthz",
    ],
)
def test_other_hosts_are_unreachable(fake_ray: FakeRay, url: str) -> None:
    assert fake_ray.ask("GET", url)[0] == 502


def test_a_missing_api_server_makes_the_dashboard_unreachable(fake_ray: FakeRay) -> None:
    fake_ray.api.unavailable = True
    assert fake_ray.ask("GET", "/api/version")[0] == 502


def test_the_version_is_served_and_other_paths_are_not_found(fake_ray: FakeRay) -> None:
    assert fake_ray.ask("GET", "/api/version") == (200, {"version": "4", "ray_version": "2.52.0"})
    assert fake_ray.ask("GET", "/api/actors")[0] == 404


# -- Serve -----------------------------------------------------------------------------------------


def serve_config(gpus: float = 1, replicas: int = 1) -> Object:
    deployment = {
        "name": "VLLM",
        "num_replicas": replicas,
        "ray_actor_options": {"num_cpus": 1, "num_gpus": gpus},
    }
    return {"applications": [{"name": "llm", "route_prefix": "/v1", "deployments": [deployment]}]}


def test_an_application_runs_some_time_after_its_replicas_are_scheduled(fake_ray: FakeRay) -> None:
    assert fake_ray.ask("GET", SERVE)[1]["applications"] == {}
    assert fake_ray.ask("GET", "http://100.64.0.7:8000/-/healthz")[0] == 404
    assert fake_ray.ask("PUT", SERVE, serve_config()) == (200, {})
    assert fake_ray.ask("GET", "http://100.64.0.7:8000/-/healthz")[0] == 200
    assert fake_ray.application()["status"] == "DEPLOYING"
    fake_ray.now += 4
    response = fake_ray.application()
    assert (response["status"], response["route_prefix"]) == ("RUNNING", "/v1")
    assert response["deployments"]["VLLM"]["status"] == "HEALTHY"
    fake_ray.ask("PUT", SERVE, serve_config())
    assert fake_ray.application()["status"] == "RUNNING"  # nothing changed
    fake_ray.ask("PUT", SERVE, serve_config(gpus=0.5))
    assert fake_ray.application()["status"] == "DEPLOYING"


def test_an_application_does_not_run_while_a_pod_is_pending(fake_ray: FakeRay) -> None:
    set_phase(fake_ray.worker, "Pending")
    fake_ray.ask("PUT", SERVE, serve_config(gpus=0))
    assert fake_ray.application()["status"] == "DEPLOYING"
    fake_ray.now += 100
    assert fake_ray.application()["status"] == "DEPLOYING"
    set_phase(fake_ray.worker, "Running")
    assert fake_ray.application()["status"] == "DEPLOYING"
    fake_ray.now += 4
    assert fake_ray.application()["status"] == "RUNNING"


def test_unschedulable_replicas_are_reported_with_serves_message(fake_ray: FakeRay) -> None:
    fake_ray.ask("PUT", SERVE, serve_config(replicas=3))
    fake_ray.now += 100
    response = fake_ray.application()
    assert response["status"] == "DEPLOYING"
    message = response["deployments"]["VLLM"]["message"]
    assert "has 2 replicas that have taken more than 30s to be scheduled" in message
    assert '{"CPU": 1.0, "GPU": 1.0}' in message


def test_an_annotation_makes_a_rayservice_fail(fake_ray: FakeRay) -> None:
    annotations = {EXIT_CODE_ANNOTATION: "1", SECONDS_ANNOTATION: "0"}
    fake_ray.services.append({"metadata": {"name": "llm", "annotations": annotations}})
    fake_ray.ask("PUT", SERVE, serve_config())
    assert fake_ray.application()["status"] == "DEPLOY_FAILED"


# -- decisions -------------------------------------------------------------------------------------


def test_a_pods_resources_are_read_from_ray_start() -> None:
    start = """ray start --block  --num-cpus=8  --num-gpus=0  --resources='{"neuron_cores":2}' """
    assert node_resources(pod("a", {}, start=start)) == {
        "CPU": 8.0,
        "GPU": 0.0,
        "neuron_cores": 2.0,
    }
    escaped = r'ray start --head --resources="{\"TPU\": 4}"'
    assert node_resources(pod("a", {}, start=escaped)) == {
        "CPU": float("inf"),
        "GPU": 0.0,
        "TPU": 4.0,
    }
    assert node_resources(pod("a", {}, start="ray start 'never closed"))["GPU"] == 0.0


def test_a_replica_is_not_split_over_nodes() -> None:
    nodes = [{"GPU": 1.0}, {"GPU": 1.0}]
    assert schedule({"GPU": 2.0}, 1, nodes) == 1
    assert schedule({"GPU": 1.0}, 3, nodes) == 1
    assert schedule({"neuron_cores": 1.0}, 1, nodes) == 1


@pytest.mark.parametrize(
    ("deployment", "number"),
    [
        ({}, 1),
        ({"num_replicas": 3}, 3),
        ({"num_replicas": "auto"}, 1),
        ({"autoscaling_config": {"min_replicas": 0}}, 0),
        ({"autoscaling_config": {"min_replicas": 1, "initial_replicas": 2}}, 2),
    ],
)
def test_the_initial_number_of_replicas_is_read_from_the_config(
    deployment: Object, number: int
) -> None:
    assert serve_replicas({"deployments": [{"name": "a", **deployment}]})["a"][0] == number


@pytest.mark.parametrize(
    ("value", "seconds"), [("12", 12.0), ("1.5s", 1.5), ("soon", 4.0), ("-3", 4.0)]
)
def test_an_invalid_duration_is_ignored(value: str, seconds: float) -> None:
    assert seconds_of(4.0, {"metadata": {"annotations": {SECONDS_ANNOTATION: value}}}) == seconds


def test_a_job_is_submitted_by_the_successful_submitter_first() -> None:
    head = pod("head", {})
    pods = [submitter_pod("a", "Running", second=7), submitter_pod("a", "Failed", second=3)]
    assert submitted_at(pods, head) == NOON + 7
    assert submitted_at([], head) is None


def test_a_job_with_free_resources_starts_at_its_submission() -> None:
    job = Job("a", submitted_at=NOON)
    assert job.advance(NOON + 60, fits=True, seconds=30, exit_code=0) == "SUCCEEDED"
    assert job.outcome == ("SUCCEEDED", NOON + 30)


# -- over HTTP, as a proxy -------------------------------------------------------------------------


@pytest.fixture
def proxy(fake_ray: FakeRay) -> Iterator[http.client.HTTPConnection]:
    connection = http.client.HTTPConnection("127.0.0.1", fake_ray.dashboards.start(), timeout=10)
    yield connection
    connection.close()
    fake_ray.dashboards.stop()


def test_the_dashboards_are_served_by_an_http_proxy(
    fake_ray: FakeRay, proxy: http.client.HTTPConnection
) -> None:
    for method, path, body in (
        ("POST", "/api/jobs/", b'{"entrypoint": "x", "submission_id": "a-abcde"}'),
        ("GET", "/api/jobs/a-abcde", None),
    ):
        proxy.request(method, f"{DASHBOARD}{path}", body)
        answer = proxy.getresponse()
        assert answer.status == 200
        assert json.loads(answer.read())["submission_id"] == "a-abcde"
    proxy.request("GET", "/api/jobs/", headers={"Host": "demo-head-svc.lab.svc:8265"})
    assert len(json.loads(proxy.getresponse().read())) == 1


def test_the_proxy_forwards_nothing(proxy: http.client.HTTPConnection) -> None:
    proxy.request("CONNECT", "example.com:443")
    assert proxy.getresponse().status == 501
