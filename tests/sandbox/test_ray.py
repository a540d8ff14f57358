"""Ray's dashboard as the KubeRay operator sees it. The API server is a fake, HTTP is real."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from jarkkit.sandbox.eks.ray import (
    EXIT_CODE,
    SECONDS,
    Job,
    Object,
    RayDashboards,
    offers,
    place,
    replicas_of,
    seconds_of,
    submitted_at,
)

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC).timestamp()
DASHBOARD = "http://demo-head-svc.lab.svc.cluster.local:8265"
SERVE = f"{DASHBOARD}/api/serve/applications/"


class NotFoundError(Exception):
    status = 404


class FakeApi:
    """Objects by the path of their collection; lists take equality selectors."""

    def __init__(self) -> None:
        self.things: dict[str, list[Object]] = {}
        self.down = False

    def get(self, path: str) -> Object:
        if self.down:
            raise ConnectionError("no answer")
        asked = urlsplit(path)
        query = {name: values[0] for name, values in parse_qs(asked.query).items()}
        if asked.path in self.things:
            return {"items": [t for t in self.things[asked.path] if _selected(t, query)]}
        folder, _, name = asked.path.rpartition("/")
        for thing in self.things.get(folder, []):
            if thing["metadata"]["name"] == name:
                return thing
        raise NotFoundError(path)


def _selected(thing: Object, query: dict[str, str]) -> bool:
    labels = thing["metadata"].get("labels", {})
    wanted = dict(pair.split("=") for pair in query.get("labelSelector", "").split(",") if pair)
    address = query.get("fieldSelector", "").partition("status.podIP=")[2]
    has_it = not address or thing.get("status", {}).get("podIP") == address
    return has_it and all(labels.get(name) == value for name, value in wanted.items())


def stamp(second: float) -> str:
    return datetime.fromtimestamp(NOON + second, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def pod(name: str, labels: dict[str, str], *, start: str = "", **status: Any) -> Object:
    container = {"command": ["/bin/bash", "-c", "--"], "args": [f"ulimit -n 65536; {start}"]}
    conditions = [{"type": "Ready", "status": "True"}]
    known = {"phase": "Running", "startTime": stamp(0), "conditions": conditions, **status}
    return {
        "metadata": {"name": name, "namespace": "lab", "uid": f"uid-{name}", "labels": labels},
        "spec": {"containers": [container]},
        "status": known,
    }


def ray_pod(name: str, kind: str, start: str, **status: Any) -> Object:
    return pod(name, {"ray.io/cluster": "demo", "ray.io/node-type": kind}, start=start, **status)


def ray_job(name: str, *, annotations: dict[str, str] | None = None, **spec: Any) -> Object:
    return {
        "metadata": {"name": name, "namespace": "lab", "annotations": annotations},
        "spec": {"entrypoint": "python train.py", **spec},
        "status": {"jobId": f"{name}-abcde", "rayClusterName": "demo"},
    }


def submitter(of: str, phase: str, *, second: float = 5, exit_code: int = 0) -> Object:
    made = pod(f"{of}-1", {"batch.kubernetes.io/job-name": of}, phase=phase)
    made["status"]["startTime"] = stamp(second)
    made["metadata"]["annotations"] = {EXIT_CODE: str(exit_code)} if exit_code else {}
    return made


class World:
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
        self.api.things = {
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
        return self.dashboards.answer(method, url, json.dumps(body or {}).encode())

    def job(self, name: str) -> Any:
        status, said = self.ask("GET", f"/api/jobs/{name}-abcde")
        return said["status"] if status == 200 else status

    def application(self) -> Any:
        return self.ask("GET", f"{SERVE}?api_type=declarative")[1]["applications"]["llm"]


@pytest.fixture
def world() -> World:
    return World()


# -- jobs of a submitter ---------------------------------------------------------------------------


def test_a_job_exists_when_its_submitter_has_run(world: World) -> None:
    world.jobs.append(ray_job("train"))
    assert world.job("train") == 404
    world.pods.append(submitter("train", "Pending"))
    assert world.job("train") == 404
    world.pods[-1] = submitter("train", "Running", second=9)
    assert world.job("train") == "RUNNING"
    world.now += 3
    _, said = world.ask("GET", "/api/jobs/train-abcde")
    assert (said["status"], said["message"]) == ("SUCCEEDED", "Job finished successfully.")
    assert said["end_time"] - said["start_time"] == 4000
    assert said["entrypoint"] == "python train.py"


def test_a_job_whose_submitter_failed_never_existed(world: World) -> None:
    world.jobs.append(ray_job("train"))
    world.pods.append(submitter("train", "Failed"))
    world.now += 100
    assert world.job("train") == 404


def test_what_was_submitted_stays_when_its_submitter_is_lost(world: World) -> None:
    world.jobs.append(ray_job("train"))
    world.pods.append(submitter("train", "Running", second=9))
    assert world.job("train") == "RUNNING"
    world.pods.pop()
    assert world.job("train") == "RUNNING"


@pytest.mark.parametrize("where", ["job", "pod"])
def test_an_exit_code_makes_it_fail_in_rays_words(world: World, where: str) -> None:
    world.jobs.append(ray_job("train", annotations={EXIT_CODE: "3"} if where == "job" else None))
    failed = where == "pod"
    world.pods.append(
        submitter("train", "Failed" if failed else "Succeeded", exit_code=3 if failed else 0)
    )
    world.now += 100
    _, said = world.ask("GET", "/api/jobs/train-abcde")
    assert (said["status"], said["driver_exit_code"]) == ("FAILED", 3)
    assert said["message"].startswith("Job entrypoint command failed with exit code 3, last")
    world.jobs[0]["metadata"]["annotations"] = {EXIT_CODE: "0"}
    assert world.job("train") == "FAILED"  # what has ended stays so


def test_a_new_head_has_forgotten_all_jobs(world: World) -> None:
    world.jobs.append(ray_job("train"))
    world.pods.append(submitter("train", "Succeeded", second=5))
    assert world.job("train") == "SUCCEEDED"
    world.head["metadata"]["uid"] = "uid-of-another"
    world.head["status"]["startTime"] = stamp(8)
    assert world.job("train") == 404


def test_a_sidecars_job_is_not_made_up(world: World) -> None:
    world.jobs.append(ray_job("train", submissionMode="SidecarMode"))
    world.pods.append(submitter("train", "Running"))
    assert world.job("train") == 404


# -- jobs by HTTP ----------------------------------------------------------------------------------


def post(world: World, **request: Any) -> tuple[int, Any]:
    return world.ask("POST", "/api/jobs/", {"entrypoint": "python a.py", **request})


def test_in_http_mode_only_a_post_makes_a_job(world: World) -> None:
    world.jobs.append(ray_job("train", submissionMode="HTTPMode", annotations={SECONDS: "30s"}))
    world.pods.append(submitter("train", "Succeeded"))
    assert world.job("train") == 404
    request = {"submission_id": "train-abcde", "metadata": {"a": "b"}}
    assert post(world, **request) == (
        200,
        {"job_id": "train-abcde", "submission_id": "train-abcde"},
    )
    status, said = post(world, **request)
    assert status == 500
    assert "Please use a different submission_id" in said["message"]  # the operator looks for it
    world.now += 29
    assert world.job("train") == "RUNNING"
    world.now += 1
    assert world.job("train") == "SUCCEEDED"
    assert world.ask("GET", "/api/jobs/")[1][0]["metadata"] == {"a": "b"}


def test_an_entrypoint_waits_for_what_it_asks_for(world: World) -> None:
    world.worker["status"]["phase"] = "Pending"
    post(world, submission_id="a-abcde", entrypoint_num_gpus=1)
    world.now += 100
    assert world.job("a") == "PENDING"
    world.worker["status"]["phase"] = "Running"
    assert world.job("a") == "RUNNING"
    world.now += 4
    assert world.job("a") == "SUCCEEDED"


def test_stop_logs_and_delete(world: World) -> None:
    post(world, submission_id="a-abcde")
    assert world.ask("DELETE", "/api/jobs/a-abcde")[0] == 500
    assert "played" in world.ask("GET", "/api/jobs/a-abcde/logs")[1]["logs"]
    assert world.ask("POST", "/api/jobs/a-abcde/stop") == (200, {"stopped": True})
    assert world.job("a") == "STOPPED"
    assert world.ask("POST", "/api/jobs/a-abcde/stop") == (200, {"stopped": False})
    assert world.ask("DELETE", "/api/jobs/a-abcde") == (200, {"deleted": True})
    assert world.ask("POST", "/api/jobs/a-abcde/stop")[0] == 404
    assert world.ask("GET", "/api/jobs/") == (200, [])


def test_what_was_deleted_does_not_come_back_by_its_submitter(world: World) -> None:
    world.jobs.append(ray_job("train"))
    world.pods.append(submitter("train", "Succeeded"))
    assert world.job("train") == "SUCCEEDED"
    assert world.ask("DELETE", "/api/jobs/train-abcde")[0] == 200
    assert world.job("train") == 404


# -- who answers -----------------------------------------------------------------------------------


@pytest.mark.parametrize("condition", ["False", "Unknown"])
def test_without_a_ready_head_nobody_answers(world: World, condition: str) -> None:
    world.head["status"]["conditions"][0]["status"] = condition
    assert post(world)[0] == 502
    assert world.ask("GET", "/api/version")[0] == 502


@pytest.mark.parametrize(
    "url",
    [
        "http://demo-head-svc.other.svc.cluster.local:8265/api/version",
        "http://example.com/api/version",
        "http://192.0.2.1:8000/-/healthz",
    ],
)
def test_nothing_else_is_reached(world: World, url: str) -> None:
    assert world.ask("GET", url)[0] == 502


def test_an_api_server_that_is_gone_is_no_defect(world: World) -> None:
    world.api.down = True
    assert world.ask("GET", "/api/version")[0] == 502


def test_version_and_what_is_not_played(world: World) -> None:
    assert world.ask("GET", "/api/version") == (200, {"version": "4", "ray_version": "2.52.0"})
    assert world.ask("GET", "/api/actors")[0] == 404


# -- Serve -----------------------------------------------------------------------------------------


def config(gpus: float = 1, replicas: int = 1) -> Object:
    deployment = {
        "name": "VLLM",
        "num_replicas": replicas,
        "ray_actor_options": {"num_cpus": 1, "num_gpus": gpus},
    }
    return {"applications": [{"name": "llm", "route_prefix": "/v1", "deployments": [deployment]}]}


def test_an_application_runs_some_time_after_its_replicas_have_their_place(world: World) -> None:
    assert world.ask("GET", SERVE)[1]["applications"] == {}
    assert world.ask("GET", "http://100.64.0.7:8000/-/healthz")[0] == 404
    assert world.ask("PUT", SERVE, config()) == (200, {})
    assert world.ask("GET", "http://100.64.0.7:8000/-/healthz")[0] == 200
    assert world.application()["status"] == "DEPLOYING"
    world.now += 4
    said = world.application()
    assert (said["status"], said["route_prefix"]) == ("RUNNING", "/v1")
    assert said["deployments"]["VLLM"]["status"] == "HEALTHY"
    world.ask("PUT", SERVE, config())
    assert world.application()["status"] == "RUNNING"  # nothing changed
    world.ask("PUT", SERVE, config(gpus=0.5))
    assert world.application()["status"] == "DEPLOYING"


def test_it_does_not_run_while_a_pod_is_missing(world: World) -> None:
    world.worker["status"]["phase"] = "Pending"
    world.ask("PUT", SERVE, config(gpus=0))
    assert world.application()["status"] == "DEPLOYING"
    world.now += 100
    assert world.application()["status"] == "DEPLOYING"
    world.worker["status"]["phase"] = "Running"
    assert world.application()["status"] == "DEPLOYING"
    world.now += 4
    assert world.application()["status"] == "RUNNING"


def test_replicas_that_fit_nowhere_are_told_in_serves_words(world: World) -> None:
    world.ask("PUT", SERVE, config(replicas=3))
    world.now += 100
    said = world.application()
    assert said["status"] == "DEPLOYING"
    message = said["deployments"]["VLLM"]["message"]
    assert "has 2 replicas that have taken more than 30s to be scheduled" in message
    assert '{"CPU": 1.0, "GPU": 1.0}' in message


def test_a_rayservice_can_be_told_to_fail(world: World) -> None:
    annotations = {EXIT_CODE: "1", SECONDS: "0"}
    world.services.append({"metadata": {"name": "llm", "annotations": annotations}})
    world.ask("PUT", SERVE, config())
    assert world.application()["status"] == "DEPLOY_FAILED"


# -- decisions -------------------------------------------------------------------------------------


def test_what_a_pod_offers_is_what_ray_start_says() -> None:
    start = """ray start --block  --num-cpus=8  --num-gpus=0  --resources='{"neuron_cores":2}' """
    assert offers(pod("a", {}, start=start)) == {"CPU": 8.0, "GPU": 0.0, "neuron_cores": 2.0}
    escaped = r'ray start --head --resources="{\"TPU\": 4}"'
    assert offers(pod("a", {}, start=escaped)) == {"CPU": float("inf"), "GPU": 0.0, "TPU": 4.0}
    assert offers(pod("a", {}, start="ray start 'never closed"))["GPU"] == 0.0


def test_a_replica_is_not_split_over_nodes() -> None:
    nodes = [{"GPU": 1.0}, {"GPU": 1.0}]
    assert place({"GPU": 2.0}, 1, nodes) == 1
    assert place({"GPU": 1.0}, 3, nodes) == 1
    assert place({"neuron_cores": 1.0}, 1, nodes) == 1


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
def test_replicas_to_begin_with(deployment: Object, number: int) -> None:
    assert replicas_of({"deployments": [{"name": "a", **deployment}]})["a"][0] == number


@pytest.mark.parametrize(
    ("value", "seconds"), [("12", 12.0), ("1.5s", 1.5), ("soon", 4.0), ("-3", 4.0)]
)
def test_a_duration_that_makes_no_sense_is_ignored(value: str, seconds: float) -> None:
    assert seconds_of(4.0, {"metadata": {"annotations": {SECONDS: value}}}) == seconds


def test_the_first_submitter_counts() -> None:
    head = pod("head", {})
    pods = [submitter("a", "Running", second=7), submitter("a", "Failed", second=3)]
    assert submitted_at(pods, head) == NOON + 7
    assert submitted_at([], head) is None


def test_a_job_that_fitted_at_once_began_when_it_was_submitted() -> None:
    job = Job("a", submitted=NOON)
    assert job.look(NOON + 60, fits=True, seconds=30, exit_code=0) == "SUCCEEDED"
    assert job.final == ("SUCCEEDED", NOON + 30)


# -- over HTTP, as a proxy -------------------------------------------------------------------------


@pytest.fixture
def proxy(world: World) -> Iterator[http.client.HTTPConnection]:
    connection = http.client.HTTPConnection("127.0.0.1", world.dashboards.start(), timeout=10)
    yield connection
    connection.close()
    world.dashboards.stop()


def test_it_is_an_http_proxy(world: World, proxy: http.client.HTTPConnection) -> None:
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


def test_it_passes_nothing_through(proxy: http.client.HTTPConnection) -> None:
    proxy.request("CONNECT", "example.com:443")
    assert proxy.getresponse().status == 501
