"""A deployment's kubeconfig works with a user's kubectl and with Helm."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import helm_python
import pytest
import yaml

from jarkkit.ports.aws.session import AwsSession
from jarkkit.settings import Settings
from tests.support.deployments import CliDeployment, deployed_in_sandbox, kubectl
from tests.support.stacks import BARE

DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 3
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers: [{name: web, image: nginx, resources: {requests: {cpu: 100m}}}]
"""


@pytest.fixture(scope="module")
def deployed(terraform: str) -> Iterator[CliDeployment]:
    """A detached sandbox and a deployment in it, through the commands of docs/rehearsal.md."""
    with deployed_in_sandbox("kube", **BARE) as created:
        yield created


def test_the_nodes_and_the_addons_are_ready(deployed: CliDeployment) -> None:
    nodes = kubectl(deployed, "get", "nodes", "--no-headers").splitlines()
    assert len(nodes) == 2
    assert all(" Ready " in node for node in nodes)
    listed = kubectl(deployed, "get", "deployments", "-A", "--no-headers")
    ready = {line.split()[1]: line.split()[2] for line in listed.splitlines()}
    assert ready["coredns"] == "2/2"
    assert ready["ebs-csi-controller"] == "2/2"


def test_a_user_can_deploy_and_delete_a_workload(deployed: CliDeployment) -> None:
    kubectl(deployed, "create", "namespace", "mine")
    kubectl(deployed, "apply", "-n", "mine", "-f", "-", given=DEPLOYMENT)
    kubectl(deployed, "rollout", "status", "-n", "mine", "deploy/web", "--timeout=60s")
    pods = ("pod", "-n", "mine", "-l", "app=web", "--for=condition=Ready", "--timeout=60s")
    kubectl(deployed, "wait", *pods)
    assert "simulated" in kubectl(deployed, "logs", "-n", "mine", "deploy/web")
    assert kubectl(deployed, "top", "nodes", "--no-headers").count("%") == 4
    kubectl(deployed, "delete", "-n", "mine", "deploy/web")
    kubectl(deployed, "delete", "namespace", "mine", "--timeout=60s")


def test_the_kubeconfig_contains_no_secret(deployed: CliDeployment) -> None:
    text = (deployed.folder / "kubeconfig").read_text()
    assert (deployed.folder / "kubeconfig").stat().st_mode & 0o077 == 0
    user = yaml.safe_load(text)["users"][0]["user"]
    assert list(user) == ["exec"]


CHART = {
    "Chart.yaml": "apiVersion: v2\nname: sample\nversion: 1.0.0\n",
    "values.yaml": "replicas: 1\n",
    "crds/gadgets.yaml": """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: gadgets.example.org}
spec:
  group: example.org
  names: {kind: Gadget, plural: gadgets, singular: gadget}
  scope: Namespaced
  versions:
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, properties: {spec: {type: object}}}}
""",
    "templates/hook.yaml": """
apiVersion: batch/v1
kind: Job
metadata:
  name: before
  annotations:
    helm.sh/hook: pre-install,pre-upgrade
    helm.sh/hook-delete-policy: before-hook-creation
spec:
  template:
    spec: {restartPolicy: Never, containers: [{name: job, image: busybox}]}
""",
    "templates/set.yaml": """
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: store}
spec:
  replicas: {{ .Values.replicas }}
  serviceName: store
  selector: {matchLabels: {app: store}}
  template:
    metadata: {labels: {app: store}}
    spec: {containers: [{name: store, image: redis, resources: {requests: {cpu: 50m}}}]}
""",
    "templates/gadget.yaml": "apiVersion: example.org/v1\nkind: Gadget\nmetadata: {name: one}\n",
    "templates/service.yaml": """
apiVersion: v1
kind: Service
metadata: {name: front}
spec:
  type: LoadBalancer
  loadBalancerClass: service.k8s.aws/nlb
  selector: {app: store}
  ports: [{port: 80, targetPort: 8080}]
""",
}


CONTROLLER = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: aws-load-balancer-controller, namespace: kube-system}
spec:
  selector: {matchLabels: {app.kubernetes.io/name: aws-load-balancer-controller}}
  template:
    metadata: {labels: {app.kubernetes.io/name: aws-load-balancer-controller}}
    spec:
      containers:
      - name: controller
        image: public.ecr.aws/eks/aws-load-balancer-controller:v3.5.0
        resources: {requests: {cpu: 50m}}
"""


def load_balancers_and_groups(deployed: CliDeployment) -> tuple[list[str], list[str]]:
    """Return the names of the load balancers and of their security groups."""
    session = AwsSession(Settings().region, deployed.deployment._environ)
    balancers = session.client("elbv2").describe_load_balancers()["LoadBalancers"]
    groups = session.client("ec2").describe_security_groups()["SecurityGroups"]
    names = [group["GroupName"] for group in groups if group["GroupName"].startswith("k8s-")]
    return [balancer["LoadBalancerName"] for balancer in balancers], names


@pytest.fixture
def chart(tmp_path: Path) -> str:
    """A chart with hooks, a CRD, a StatefulSet and a load balancer."""
    for name, text in CHART.items():
        (tmp_path / "sample" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "sample" / name).write_text(text)
    return str(tmp_path / "sample")


def test_helm_installs_upgrades_rolls_back_and_uninstalls_a_chart(
    deployed: CliDeployment, chart: str
) -> None:
    kubectl(deployed, "apply", "-f", "-", given=CONTROLLER)
    controller = ("deploy/aws-load-balancer-controller", "-n", "kube-system")
    kubectl(deployed, "rollout", "status", *controller, "--timeout=60s")
    kubeconfig = str(deployed.folder / "kubeconfig")
    helm = helm_python.Config(kubeconfig_path=kubeconfig, namespace="helmed")
    helm.install(chart, "it", {}, create_namespace=True, timeout=120)
    rollout = ("rollout", "status", "-n", "helmed", "sts/store", "--timeout=60s")
    kubectl(deployed, *rollout)
    address = "jsonpath={.status.loadBalancer.ingress[0].hostname}"
    service = ("svc/front", "-n", "helmed")
    kubectl(deployed, "wait", *service, f"--for={address}", "--timeout=60s")
    assert load_balancers_and_groups(deployed) != ([], [])
    helm.upgrade(chart, "it", {"replicas": 2}, timeout=120)
    kubectl(deployed, *rollout)
    replicas = ("get", "sts", "store", "-n", "helmed", "-o", "jsonpath={.status.readyReplicas}")
    assert kubectl(deployed, *replicas) == "2"
    helm.rollback("it", version=1, timeout=120)
    kubectl(deployed, *rollout)
    assert kubectl(deployed, *replicas) == "1"
    helm.uninstall("it", timeout=120)
    kubectl(deployed, "wait", "--for=delete", *service, "--timeout=60s")
    assert load_balancers_and_groups(deployed) == ([], [])
