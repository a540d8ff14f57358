"""The whole cluster layer by the README's commands: installed, looked at with a user's kubectl,
verified, used, changed, broken, mended, removed."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterator

import psutil
import pytest

from jarkkit.records import ClusterState, Event
from tests.e2e.conftest import Place, kill_tree, kubectl, stood_up

# The Deployments of the page that this kit implements, with their replicas.
TABLE = {
    "amazon-cloudwatch": {"amazon-cloudwatch-observability-controller-manager": 1},
    "argo-events": {"argo-events-controller-manager": 1, "events-webhook": 1},
    "argo-workflows": {"argo-workflows-server": 1, "argo-workflows-workflow-controller": 1},
    "argocd": {
        "argocd-applicationset-controller": 1,
        "argocd-dex-server": 1,
        "argocd-notifications-controller": 1,
        "argocd-redis": 1,
        "argocd-repo-server": 1,
        "argocd-server": 1,
    },
    "ingress-nginx": {"ingress-nginx-controller": 1},
    "jupyterhub": {"hub": 1, "proxy": 1, "user-scheduler": 2},
    "karpenter": {"karpenter": 2},
    "kube-system": {
        "aws-load-balancer-controller": 2,
        "coredns": 2,
        "ebs-csi-controller": 2,
        "efs-csi-controller": 2,
        "k8s-neuron-scheduler": 1,
        "metrics-server": 2,
        "my-scheduler": 1,
    },
    "kuberay-operator": {"kuberay-operator": 1},
    "monitoring": {
        "fluent-operator": 1,
        "kube-prometheus-stack-grafana": 1,
        "kube-prometheus-stack-kube-state-metrics": 1,
        "kube-prometheus-stack-operator": 1,
        "opencost": 1,
        "opensearch-dashboards": 2,
        "opensearch-operator-controller-manager": 1,
    },
    "nvidia-device-plugin": {"nvidia-device-plugin-node-feature-discovery-master": 1},
}


@pytest.fixture(scope="module")
def place(terraform: str) -> Iterator[Place]:
    """A detached sandbox and a deployment with everything in it."""
    with stood_up("stack") as made:
        yield made


def deployments(place: Place) -> dict[str, dict[str, str]]:
    """READY by namespace and name."""
    found: dict[str, dict[str, str]] = {}
    for line in kubectl(place, "get", "deployments", "-A", "--no-headers").splitlines():
        namespace, name, ready, *_ = line.split()
        found.setdefault(namespace, {})[name] = ready
    return found


def installed(place: Place) -> dict[str, str]:
    """Digests of the add-ons by name."""
    text = (place.folder / "cluster.json").read_text()
    return {n: a.digest for n, a in ClusterState.model_validate_json(text).addons.items()}


def test_the_table_is_there_and_nothing_else(place: Place) -> None:
    ready = {ns: {n: f"{c}/{c}" for n, c in rows.items()} for ns, rows in TABLE.items()}
    assert deployments(place) == ready


def test_verify_is_green(place: Place) -> None:
    report = json.loads(place.ok("verify", "stack", "--json"))
    assert [c for c in report["checks"] if c["status"] == "fail"] == []
    said = json.dumps(report)
    for rows in TABLE.values():
        for name in rows:
            assert name in said


@pytest.mark.parametrize("workload", ["gpu-smoke", "ray-job", "hello-workflow"])
def test_the_examples_run(place: Place, workload: str) -> None:
    assert place.run("use", "run", workload, "stack").returncode == 0


def test_a_second_deploy_changes_nothing(place: Place) -> None:
    before = kubectl(place, "get", "secrets", "-A", "-l", "owner=helm", "-o", "name")
    place.ok("deploy", "stack")
    assert kubectl(place, "get", "secrets", "-A", "-l", "owner=helm", "-o", "name") == before


def test_switching_one_off_and_one_on_changes_exactly_those(place: Place) -> None:
    before = installed(place)
    releases = kubectl(place, "get", "secrets", "-A", "-l", "owner=helm", "-o", "name").split()
    switched = {"opencost": False, "leader-worker-set": True}
    place.ok("configure", "stack", "-p", f"addons={json.dumps(switched)}")
    place.ok("plan", "stack")
    place.ok("deploy", "stack")
    after = installed(place)
    assert before.keys() - after.keys() == {"opencost"}
    assert after.keys() - before.keys() == {"leader-worker-set"}
    assert all(after[name] == before[name] for name in before.keys() & after.keys())
    now = kubectl(place, "get", "secrets", "-A", "-l", "owner=helm", "-o", "name").split()
    changed = set(releases) ^ set(now)
    assert {name.split(".")[-2] for name in changed} == {"opencost", "lws"}


def until(seen: Callable[[], bool], seconds: float = 180) -> None:
    """Wait for it."""
    deadline = time.monotonic() + seconds
    while not seen():
        assert time.monotonic() < deadline
        time.sleep(0.5)


def restarts(place: Place, name: str) -> int:
    """How often the containers of the pods of that name were started again."""
    listed = kubectl(place, "-n", "monitoring", "get", "pods", "--no-headers").splitlines()
    return sum(int(pod.split()[3]) for pod in listed if pod.startswith(f"{name}-"))


# -- failures ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def impatient(place: Place) -> Place:
    """The same, with little patience."""
    words = (f"addons={json.dumps({'leader-worker-set': False})}", "addon_timeout_seconds=12")
    place.ok("configure", "stack", *(w for word in words for w in ("-p", word)))
    place.ok("plan", "stack")
    place.ok("deploy", "stack")
    return place


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ("image-pull", "JK-ADDON-IMAGE"),
        ("crash-loop", "JK-ADDON-CRASH"),
        ("helm-timeout", "JK-ADDON-TIMEOUT"),
    ],
)
def test_what_keeps_a_pod_from_being_ready_has_a_code_and_is_mended(
    impatient: Place, fault: str, code: str
) -> None:
    place = impatient
    place.ok("sandbox", "fault", f"{fault}:monitoring/opencost")
    kubectl(place, "-n", "monitoring", "rollout", "restart", "deploy/opencost")
    kubectl(place, "-n", "monitoring", "scale", "deploy/opencost", "--replicas=0")
    kubectl(place, "-n", "monitoring", "scale", "deploy/opencost", "--replicas=1")
    if fault == "crash-loop":
        # Between its first crashes it is Ready for a moment.
        until(lambda: restarts(place, "opencost") >= 3)
    failed = place.run("deploy", "stack")
    assert failed.returncode == 1, failed.stderr
    assert code in failed.stderr
    assert "opencost" in failed.stderr
    assert "fix:" in failed.stderr
    place.ok("sandbox", "fault", "--clear")
    place.ok("deploy", "stack")
    assert deployments(place)["monitoring"]["opencost"] == "1/1"


def test_a_kit_that_is_killed_and_an_api_server_that_is_are_survived(impatient: Place) -> None:
    place = impatient
    some = ("argo-cd", "argo-events", "ingress-nginx", "kuberay-operator")
    for on in (False, True):
        place.ok("configure", "stack", "-p", f"addons={json.dumps(dict.fromkeys(some, on))}")
        place.ok("configure", "stack", "-p", "addon_timeout_seconds=120")
        place.ok("plan", "stack")
        if not on:
            place.ok("deploy", "stack")
            assert "argocd" not in deployments(place)
    killed = start_and_wait(place, "argo-cd")
    kill_tree(killed)
    assert installed(place)["argo-cd"] == ""
    survivor = start_and_wait(place, "argo-cd")
    (server,) = api_servers(place)
    server.kill()
    assert survivor.wait(240) == 0, place.kit.entries()[-1]
    assert deployments(place)["argocd"]["argocd-server"] == "1/1"
    assert all(installed(place).values())


def start_and_wait(place: Place, name: str) -> subprocess.Popen[bytes]:
    """A deploy that has begun with that add-on."""
    before = len(place.kit.events())

    def begun(events: tuple[Event, ...]) -> bool:
        fresh = (e for e in events[before:] if e.kind == "addon")
        return any((e.subject, e.status) == (name, "started") for e in fresh)

    process = place.start("deploy", "stack")
    place.wait_until(begun, process)
    return process


def api_servers(place: Place) -> list[psutil.Process]:
    """The API servers of the place's sandbox."""
    found = []
    for process in psutil.process_iter(["name", "cmdline"]):
        mine = str(place.home) in " ".join(process.info["cmdline"] or ())
        if process.info["name"] == "kube-apiserver" and mine:
            found.append(process)
    return found


def test_cleanup_leaves_nothing(place: Place) -> None:
    place.ok("cleanup", "stack", "--confirm", "stack")
    receipt = json.loads((place.folder / "receipt.json").read_text())
    assert receipt["left"] == []
