"""The whole cluster layer through the commands of docs/rehearsal.md: installed, checked with
kubectl, verified, used, changed, broken, repaired and removed."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator

import psutil
import pytest

from jarkkit.model.records import ClusterState, Event
from jarkkit.ports.aws.session import paginate
from jarkkit.sandbox import daemon_client
from jarkkit.settings import Settings
from tests.support.account import make_client
from tests.support.deployments import CliDeployment, deployed_in_sandbox, kill_tree, kubectl
from tests.support.poll import wait_for
from tools.policy_lint import lint_policies, lint_trust

# The Deployments of the JARK stack's page, with their replicas.
EXPECTED_DEPLOYMENTS = {
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
def cli_deployment(terraform: str) -> Iterator[CliDeployment]:
    """A detached sandbox and a deployment with all add-ons in it."""
    with deployed_in_sandbox("stack") as created:
        yield created


def ready_replicas(cli_deployment: CliDeployment) -> dict[str, dict[str, str]]:
    """Return kubectl's READY column by namespace and name."""
    found: dict[str, dict[str, str]] = {}
    for line in kubectl(cli_deployment, "get", "deployments", "-A", "--no-headers").splitlines():
        namespace, name, ready, *_ = line.split()
        found.setdefault(namespace, {})[name] = ready
    return found


def addon_digests(cli_deployment: CliDeployment) -> dict[str, str]:
    """Return the digests of the installed add-ons by name."""
    text = (cli_deployment.folder / "cluster.json").read_text()
    return {n: a.digest for n, a in ClusterState.model_validate_json(text).addons.items()}


def test_exactly_the_expected_deployments_are_ready(cli_deployment: CliDeployment) -> None:
    ready = {
        ns: {n: f"{c}/{c}" for n, c in rows.items()} for ns, rows in EXPECTED_DEPLOYMENTS.items()
    }
    assert ready_replicas(cli_deployment) == ready


def test_verify_passes_and_names_every_deployment(cli_deployment: CliDeployment) -> None:
    report = json.loads(cli_deployment.ok("verify", "stack", "--json"))
    assert [c for c in report["checks"] if c["status"] == "fail"] == []
    text = json.dumps(report)
    for rows in EXPECTED_DEPLOYMENTS.values():
        for name in rows:
            assert name in text


def test_every_policy_of_a_role_and_of_the_queue_has_effect(cli_deployment: CliDeployment) -> None:
    running = daemon_client.require(cli_deployment.home / ".sandbox")
    iam, sqs = (make_client(running, service, Settings().region) for service in ("iam", "sqs"))
    roles = [r for r in paginate(iam, "list_roles", "Roles") if r["RoleName"].startswith("stack-")]
    policies = []
    for name in (role["RoleName"] for role in roles):
        for policy in paginate(iam, "list_role_policies", "PolicyNames", RoleName=name):
            found = iam.get_role_policy(RoleName=name, PolicyName=policy)
            policies.append(found["PolicyDocument"])
    queue = sqs.get_queue_url(QueueName="karpenter-stack")["QueueUrl"]
    attributes = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["Policy"])["Attributes"]
    policies.append(json.loads(attributes["Policy"]))
    assert len(policies) >= 4  # flow log, cluster, Karpenter, load balancer controller
    assert [found for policy in policies for found in lint_policies([policy])] == []
    trusts = [role["AssumeRolePolicyDocument"] for role in roles]
    assert [found for trust in trusts for found in lint_trust(trust)] == []


@pytest.mark.parametrize("workload", ["gpu-smoke", "ray-job", "hello-workflow"])
def test_an_example_workload_runs(cli_deployment: CliDeployment, workload: str) -> None:
    assert cli_deployment.run("use", "run", workload, "stack").returncode == 0


def test_a_second_deploy_changes_nothing(cli_deployment: CliDeployment) -> None:
    before = kubectl(cli_deployment, "get", "secrets", "-A", "-l", "owner=helm", "-o", "name")
    cli_deployment.ok("deploy", "stack")
    assert (
        kubectl(cli_deployment, "get", "secrets", "-A", "-l", "owner=helm", "-o", "name") == before
    )


def test_changing_two_addons_changes_only_their_releases(cli_deployment: CliDeployment) -> None:
    before = addon_digests(cli_deployment)
    releases = kubectl(
        cli_deployment, "get", "secrets", "-A", "-l", "owner=helm", "-o", "name"
    ).split()
    changes = {"opencost": False, "leader-worker-set": True}
    cli_deployment.ok("configure", "stack", "-p", f"addons={json.dumps(changes)}")
    cli_deployment.ok("plan", "stack")
    cli_deployment.ok("deploy", "stack")
    after = addon_digests(cli_deployment)
    assert before.keys() - after.keys() == {"opencost"}
    assert after.keys() - before.keys() == {"leader-worker-set"}
    assert all(after[name] == before[name] for name in before.keys() & after.keys())
    after_releases = kubectl(
        cli_deployment, "get", "secrets", "-A", "-l", "owner=helm", "-o", "name"
    ).split()
    changed = set(releases) ^ set(after_releases)
    assert {name.split(".")[-2] for name in changed} == {"opencost", "lws"}


def restarts(cli_deployment: CliDeployment, name: str) -> int:
    """Return how often the containers of the named pods were restarted."""
    listed = kubectl(cli_deployment, "-n", "monitoring", "get", "pods", "--no-headers").splitlines()
    return sum(int(pod.split()[3]) for pod in listed if pod.startswith(f"{name}-"))


# -- failures ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def short_timeouts(cli_deployment: CliDeployment) -> CliDeployment:
    """The same deployment with a short timeout for add-ons."""
    settings = (f"addons={json.dumps({'leader-worker-set': False})}", "addon_timeout_seconds=12")
    cli_deployment.ok("configure", "stack", *(w for setting in settings for w in ("-p", setting)))
    cli_deployment.ok("plan", "stack")
    cli_deployment.ok("deploy", "stack")
    return cli_deployment


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ("image-pull", "JK-ADDON-IMAGE"),
        ("crash-loop", "JK-ADDON-CRASH"),
        ("helm-timeout", "JK-ADDON-TIMEOUT"),
    ],
)
def test_an_unready_addon_is_an_error_with_its_code_until_fixed(
    short_timeouts: CliDeployment, fault: str, code: str
) -> None:
    cli_deployment = short_timeouts
    cli_deployment.ok("sandbox", "fault", f"{fault}:monitoring/opencost")
    kubectl(cli_deployment, "-n", "monitoring", "rollout", "restart", "deploy/opencost")
    kubectl(cli_deployment, "-n", "monitoring", "scale", "deploy/opencost", "--replicas=0")
    kubectl(cli_deployment, "-n", "monitoring", "scale", "deploy/opencost", "--replicas=1")
    if fault == "crash-loop":
        # Between its first crashes the pod is Ready for a moment.
        wait_for(lambda: restarts(cli_deployment, "opencost") >= 3, 180, pause=0.5)
    failed = cli_deployment.run("deploy", "stack")
    assert failed.returncode == 1, failed.stderr
    assert code in failed.stderr
    assert "opencost" in failed.stderr
    assert "fix:" in failed.stderr
    cli_deployment.ok("sandbox", "fault", "--clear")
    cli_deployment.ok("deploy", "stack")
    assert ready_replicas(cli_deployment)["monitoring"]["opencost"] == "1/1"


def test_a_deploy_survives_a_killed_process_and_a_killed_api_server(
    short_timeouts: CliDeployment,
) -> None:
    cli_deployment = short_timeouts
    addons = ("argo-cd", "argo-events", "ingress-nginx", "kuberay-operator")
    for enabled in (False, True):
        cli_deployment.ok(
            "configure", "stack", "-p", f"addons={json.dumps(dict.fromkeys(addons, enabled))}"
        )
        cli_deployment.ok("configure", "stack", "-p", "addon_timeout_seconds=120")
        cli_deployment.ok("plan", "stack")
        if not enabled:
            cli_deployment.ok("deploy", "stack")
            assert "argocd" not in ready_replicas(cli_deployment)
    first = start_and_wait(cli_deployment, "argo-cd")
    kill_tree(first)
    assert addon_digests(cli_deployment)["argo-cd"] == ""
    second = start_and_wait(cli_deployment, "argo-cd")
    (server,) = api_servers(cli_deployment)
    server.kill()
    assert second.wait(900) == 0, cli_deployment.deployment.ledger_entries()[-1]
    assert ready_replicas(cli_deployment)["argocd"]["argocd-server"] == "1/1"
    assert all(addon_digests(cli_deployment).values())


def start_and_wait(cli_deployment: CliDeployment, name: str) -> subprocess.Popen[bytes]:
    """Start a deploy and wait until it installs that add-on."""
    before = len(cli_deployment.deployment.events())

    def has_started(events: tuple[Event, ...]) -> bool:
        new_events = (e for e in events[before:] if e.kind == "addon")
        return any((e.subject, e.status) == (name, "started") for e in new_events)

    process = cli_deployment.start("deploy", "stack")
    cli_deployment.wait_until(has_started, process)
    return process


def api_servers(cli_deployment: CliDeployment) -> list[psutil.Process]:
    """Return the API servers of the deployment's sandbox."""
    found = []
    for process in psutil.process_iter(["name", "cmdline"]):
        is_ours = str(cli_deployment.home) in " ".join(process.info["cmdline"] or ())
        if process.info["name"] == "kube-apiserver" and is_ours:
            found.append(process)
    return found


def test_cleanup_leaves_no_resources(cli_deployment: CliDeployment) -> None:
    cli_deployment.ok("cleanup", "stack", "--confirm", "stack")
    receipt = json.loads((cli_deployment.folder / "receipt.json").read_text())
    assert receipt["left"] == []
