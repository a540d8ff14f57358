"""What the API server asks behind the egress socket: metrics, webhooks, kubelets."""

from __future__ import annotations

import base64
import secrets
import socket
import ssl
import subprocess
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from jarkkit.sandbox.cluster.api import ApiError
from jarkkit.sandbox.eks import certificates, metrics, webhooks
from jarkkit.sandbox.eks.objects import NODES
from tests.clusters.conftest import NAME, World, wait_for
from tests.clusters.things import a_node, running

VALIDATING = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
METRICS = "/apis/metrics.k8s.io/v1beta1"


def kubectl(world: World, *words: str) -> subprocess.CompletedProcess[str]:
    command = ["kubectl", "--kubeconfig", str(world.kubeconfig), *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


# -- metrics -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("selector", "chosen"),
    [
        ("", True),
        ("app=web", True),
        ("app==web,tier", True),
        ("app!=web", False),
        ("tier in (front, back)", True),
        ("tier notin (front,back),app=web", False),
        ("!absent", True),
        ("absent", False),
        ("a.b/c=1", True),
    ],
)
def test_label_selectors(selector: str, chosen: bool) -> None:
    labels = {"app": "web", "tier": "back", "a.b/c": "1"}
    assert metrics.selects(selector, labels) is chosen


def a_pod(name: str, node: str, requests: dict[str, str], **annotations: str) -> dict[str, Any]:
    meta = {"name": name, "namespace": "n", "uid": name, "annotations": annotations}
    container = {"name": "it", "resources": {"requests": requests}}
    spec = {"nodeName": node, "containers": [container]}
    return {"metadata": meta, "spec": spec, "status": {"phase": "Running"}}


def test_use_is_a_share_of_what_is_requested_and_adds_up() -> None:
    pods = [a_pod(f"p{i}", "one", {"cpu": "1", "memory": "1Gi"}) for i in range(20)]
    uses = [metrics.container_use(pod, pod["spec"]["containers"][0]) for pod in pods]
    assert all(0.1 <= cpu <= 0.4 and 0.3 <= memory / 2**30 <= 0.6 for cpu, memory in uses)
    cpu, memory = metrics.node_use("one", pods)
    assert cpu > sum(use[0] for use in uses)
    assert memory > sum(use[1] for use in uses)
    assert metrics.node_use("two", pods) == metrics.node_use("two", [])
    busy = a_pod("busy", "one", {"cpu": "2"}, **{metrics.CPU_USE: "0.9"})
    assert metrics.container_use(busy, busy["spec"]["containers"][0])[0] == pytest.approx(1.8)


@pytest.fixture(scope="module")
def metrics_server(world: World) -> Iterator[str]:
    """The add-on with a node; the node's name."""
    eks = world.client("eks")
    node = a_node(world, "for-services")["metadata"]["name"]
    at = {"clusterName": NAME, "addonName": "metrics-server"}
    eks.create_addon(**at, resolveConflicts="OVERWRITE")
    try:
        wait_for(lambda: eks.describe_addon(**at)["addon"]["status"] == "ACTIVE", 120)
        wait_for(lambda: world.api.get(f"{METRICS}/nodes")["items"])
        yield node
    finally:
        eks.delete_addon(**at)
        path = "/apis/apiregistration.k8s.io/v1/apiservices/v1beta1.metrics.k8s.io"
        wait_for(lambda: not world.api.find(path))


def test_kubectl_top(world: World, metrics_server: str) -> None:
    nodes = kubectl(world, "top", "nodes", "--no-headers")
    assert nodes.returncode == 0, nodes.stderr
    assert metrics_server in nodes.stdout
    selector = "app.kubernetes.io/name=metrics-server"
    pods = kubectl(world, "top", "pods", "-n", "kube-system", "-l", selector, "--no-headers")
    assert pods.returncode == 0, pods.stderr
    assert len(pods.stdout.splitlines()) == 2
    name = pods.stdout.split()[0]
    one = kubectl(world, "top", "pod", name, "-n", "kube-system", "--containers", "--no-headers")
    assert one.stdout.split()[:2] == [name, "metrics-server"], one.stderr


def test_metrics_say_that_they_are_simulated(world: World, metrics_server: str) -> None:
    node = world.api.get(f"{METRICS}/nodes/{metrics_server}")
    assert node["metadata"]["annotations"] == {"sandbox.jarkkit.io/simulated": "true"}
    with pytest.raises(ApiError) as caught:
        world.api.get(f"{METRICS}/namespaces/kube-system/pods/no-such-pod")
    assert caught.value.status == 404


def test_a_deployment_scales_by_its_use(world: World, metrics_server: str, namespace: str) -> None:
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments"
    container = {"name": "it", "image": "none", "resources": {"requests": {"cpu": "10m"}}}
    template = {
        "metadata": {"labels": {"app": "busy"}, "annotations": {metrics.CPU_USE: "0.9"}},
        "spec": {"containers": [container]},
    }
    spec = {"replicas": 1, "selector": {"matchLabels": {"app": "busy"}}, "template": template}
    world.api.create(path, {"metadata": {"name": "busy"}, "spec": spec})
    scaled = kubectl(
        world, "autoscale", "deployment", "busy", "-n", namespace, "--cpu-percent=50", "--max=2"
    )
    assert scaled.returncode == 0, scaled.stderr
    wait_for(lambda: world.api.get(f"{path}/busy")["spec"]["replicas"] == 2, 120)


def test_a_namespace_goes_while_metrics_are_served(world: World, metrics_server: str) -> None:
    path = "/api/v1/namespaces/short-lived"
    world.api.create("/api/v1/namespaces", {"metadata": {"name": "short-lived"}})
    world.api.delete(path)
    wait_for(lambda: not world.api.find(path))


# -- webhooks ----------------------------------------------------------------------------------


def test_a_user_is_told_once_and_components_never() -> None:
    warnings = webhooks.Warnings()
    (said,) = warnings.of("guard.n", "learner")
    assert said == "rehearsal: webhook guard.n is simulated and checked nothing"
    assert warnings.of("guard.n", "learner") == []
    assert warnings.of("other.n", "learner")
    assert warnings.of("third.n", "system:kube-controller-manager") == []


@pytest.fixture
def guard(world: World, namespace: str) -> Iterator[str]:
    """A webhook that must allow every ConfigMap of the namespace; its name."""
    services = f"/api/v1/namespaces/{namespace}/services"
    ports = [{"port": 443, "targetPort": 9443}]
    spec = {"selector": {"app": "guard"}, "ports": ports}
    world.api.create(services, {"metadata": {"name": "guard"}, "spec": spec})
    service = {"name": "guard", "namespace": namespace, "path": "/check"}
    webhook = {
        "name": "guard.example.org",
        "clientConfig": {"service": service},
        "admissionReviewVersions": ["v1"],
        "sideEffects": "None",
        "failurePolicy": "Fail",
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
        "rules": [
            {
                "apiGroups": [""],
                "apiVersions": ["v1"],
                "operations": ["CREATE"],
                "resources": ["configmaps"],
            }
        ],
    }
    name = f"guard-{namespace}"
    world.api.create(VALIDATING, {"metadata": {"name": name}, "webhooks": [webhook]})
    yield name
    world.api.delete(f"{VALIDATING}/{name}")


def bundle(world: World, name: str) -> bytes:
    (webhook,) = world.api.get(f"{VALIDATING}/{name}")["webhooks"]
    return base64.b64decode(webhook["clientConfig"].get("caBundle", ""))


def make_map(world: World, namespace: str, name: str) -> Any:
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    return world.api.create(path, {"metadata": {"name": name}})


def test_a_webhook_without_a_ready_pod_blocks_and_with_one_allows(
    world: World, namespace: str, guard: str
) -> None:
    a_node(world, "for-services")
    authority = wait_for(lambda: bundle(world, guard))
    assert x509.load_pem_x509_certificate(authority).subject
    nobody = 'no endpoints available for service "guard"'
    wait_for(lambda: nobody in refusal(world, namespace))
    pods = f"/api/v1/namespaces/{namespace}/pods"
    with running(world, pods, "guard", labels={"app": "guard"}):
        told = wait_for(lambda: created(world, namespace, "one"))
        said = f"rehearsal: webhook guard.{namespace} is simulated and checked nothing"
        assert told is not None
        assert said in told
        assert said not in (created(world, namespace, "two") or "")
    wait_for(lambda: nobody in refusal(world, namespace))


def test_a_chart_that_made_its_own_certificate_is_answered_with_it(
    world: World, namespace: str, guard: str
) -> None:
    a_node(world, "for-services")
    wait_for(lambda: bundle(world, guard))
    authority, certificate, key = chart_pair(f"guard.{namespace}.svc")
    known = {"caBundle": base64.b64encode(authority).decode()}
    change = {"webhooks": [{"name": "guard.example.org", "clientConfig": known}]}
    world.api.patch(f"{VALIDATING}/{guard}", change, kind="strategic")
    pods = f"/api/v1/namespaces/{namespace}/pods"
    with running(world, pods, "guard", labels={"app": "guard"}):
        unknown = "certificate signed by unknown authority"
        wait_for(lambda: unknown in refusal(world, namespace))
        pair = {"tls.crt": certificate, "tls.key": key}
        data = {word: base64.b64encode(pem).decode() for word, pem in pair.items()}
        secret = {"metadata": {"name": "tls"}, "type": "kubernetes.io/tls", "data": data}
        world.api.create(f"/api/v1/namespaces/{namespace}/secrets", secret)
        wait_for(lambda: make_map(world, namespace, "trusted"))


def created(world: World, namespace: str, name: str) -> str | None:
    """What kubectl told of a ConfigMap that it made; None where it could not."""
    done = kubectl(world, "create", "configmap", name, "-n", namespace)
    return done.stdout + done.stderr if done.returncode == 0 else None


def refusal(world: World, namespace: str) -> str:
    """Why a ConfigMap cannot be made; empty where it can."""
    try:
        make_map(world, namespace, f"tried-{secrets.token_hex(4)}")
    except ApiError as error:
        return str(error)
    return ""


def chart_pair(host: str) -> tuple[bytes, bytes, bytes]:
    """Authority, certificate and key as Helm's genCA and genSignedCert make them."""
    keys = [rsa.generate_private_key(public_exponent=65537, key_size=2048) for _ in range(2)]
    names = [x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, n)]) for n in ("ca", host)]
    made = []
    for name, key, is_authority in zip(names, keys, (True, False), strict=True):
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(names[0])
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now)
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        )
        certificate = builder.sign(keys[0], hashes.SHA256())
        made.append(certificate.public_bytes(serialization.Encoding.PEM))
    encoding, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    form = serialization.PrivateFormat.TraditionalOpenSSL
    return made[0], made[1], keys[1].private_bytes(encoding, form, plain)


def test_objects_are_converted_by_name_alone(world: World, namespace: str) -> None:
    a_node(world, "for-services")
    services = f"/api/v1/namespaces/{namespace}/services"
    spec = {"selector": {"app": "converter"}, "ports": [{"port": 443, "targetPort": 9443}]}
    world.api.create(services, {"metadata": {"name": "converter"}, "spec": spec})
    service = {"name": "converter", "namespace": namespace, "path": "/convert"}
    webhook = {"clientConfig": {"service": service}, "conversionReviewVersions": ["v1"]}
    open_schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    versions = [
        {
            "name": name,
            "served": True,
            "storage": name == "v1",
            "schema": {"openAPIV3Schema": open_schema},
        }
        for name in ("v1", "v2")
    ]
    group = f"{namespace}.example.org"
    crd = {
        "metadata": {"name": f"things.{group}"},
        "spec": {
            "group": group,
            "scope": "Cluster",
            "names": {"kind": "Thing", "plural": "things"},
            "versions": versions,
            "conversion": {"strategy": "Webhook", "webhook": webhook},
        },
    }
    world.api.create(CRDS, crd)
    pods = f"/api/v1/namespaces/{namespace}/pods"
    try:
        with running(world, pods, "converter", labels={"app": "converter"}):
            thing = {
                "apiVersion": f"{group}/v1",
                "kind": "Thing",
                "metadata": {"name": "it"},
                "spec": {"a": 1},
            }
            wait_for(lambda: world.api.create(f"/apis/{group}/v1/things", thing))
            found = wait_for(lambda: world.api.get(f"/apis/{group}/v2/things/it"))
            assert (found["apiVersion"], found["spec"]) == (f"{group}/v2", {"a": 1})
    finally:
        world.api.delete(f"{CRDS}/things.{group}")


def test_the_authority_is_kept_and_its_key_is_the_users_alone(world: World) -> None:
    path = world.folder / "webhook-authority.pem"
    assert path.stat().st_mode & 0o077 == 0
    with tempfile.TemporaryDirectory() as folder:
        first = certificates.Authority(Path(folder))
        assert certificates.Authority(Path(folder)).pem == first.pem


def test_a_certificate_is_only_taken_for_its_own_name_and_authority() -> None:
    authority, certificate, _ = chart_pair("a.n.svc")
    stranger = chart_pair("a.n.svc")[0]
    assert certificates.is_issued_by(certificate, authority, "a.n.svc")
    assert not certificates.is_issued_by(certificate, authority, "b.n.svc")
    assert not certificates.is_issued_by(certificate, stranger, "a.n.svc")
    assert not certificates.is_issued_by(b"nonsense", authority, "a.n.svc")


# -- kubelets and everything else --------------------------------------------------------------


def through_the_egress(world: World, host: str, port: int) -> tuple[socket.socket, bytes]:
    """A connection as the API server makes it, and what the proxy said to it."""
    known = yaml.safe_load((world.folder / "egress.yaml").read_text())
    path = known["egressSelections"][0]["connection"]["transport"]["uds"]["udsName"]
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(10)
    connection.connect(path)
    connection.sendall(f"CONNECT {host}:{port} HTTP/1.1\r\n\r\n".encode())
    return connection, connection.recv(4096)


def test_a_nodes_kubelet_is_kwok(world: World) -> None:
    node = a_node(world, "for-services")
    (host,) = [a["address"] for a in node["status"]["addresses"] if a["type"] == "InternalIP"]
    connection, said = through_the_egress(world, host, 10250)
    with connection:
        assert said.startswith(b"HTTP/1.1 200")
        trusting = ssl.create_default_context()
        trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
        with trusting.wrap_socket(connection) as kubelet:
            kubelet.sendall(b"GET /healthz HTTP/1.1\r\nHost: kubelet\r\nConnection: close\r\n\r\n")
            answer = kubelet.recv(4096)
    assert answer.startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(("host", "port"), [("192.0.2.1", 10250), ("example.org", 443)])
def test_nobody_else_is_reached(world: World, host: str, port: int) -> None:
    connection, said = through_the_egress(world, host, port)
    connection.close()
    assert said.startswith(b"HTTP/1.1 503")


def test_a_simulated_pod_says_that_it_serves_nothing(world: World, namespace: str) -> None:
    a_node(world, "for-services")
    pods = f"/api/v1/namespaces/{namespace}/pods"
    with (
        running(world, pods, "web", labels={"app": "web"}),
        pytest.raises(ApiError, match="is simulated and serves nothing") as caught,
    ):
        world.api.get(f"{pods}/web:8080/proxy/")
    assert caught.value.status == 503


def test_a_node_that_somebody_made_by_hand_is_reached_too(world: World) -> None:
    status = {"addresses": [{"type": "InternalIP", "address": "192.0.2.77"}]}
    world.api.create(NODES, {"metadata": {"name": "by-hand"}, "status": status})
    wait_for(lambda: _said(world, "192.0.2.77").startswith(b"HTTP/1.1 200"))
    world.api.delete(f"{NODES}/by-hand")
    wait_for(lambda: _said(world, "192.0.2.77").startswith(b"HTTP/1.1 503"))


def _said(world: World, host: str) -> bytes:
    connection, said = through_the_egress(world, host, 10250)
    connection.close()
    return said
