"""What the API server reaches through the egress socket: metrics, webhooks, kubelets."""

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

from jarkkit.sandbox.controllers import certificates, metrics, webhooks
from jarkkit.sandbox.controllers.objects import NODES
from jarkkit.sandbox.kubernetes.api import ApiError
from tests.support.cluster_objects import ensure_node, running_pod
from tests.support.clusters import NAME, RehearsalCluster
from tests.support.poll import wait_for

VALIDATING = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
METRICS = "/apis/metrics.k8s.io/v1beta1"


def kubectl(cluster: RehearsalCluster, *words: str) -> subprocess.CompletedProcess[str]:
    command = ["kubectl", "--kubeconfig", str(cluster.kubeconfig), *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


# -- metrics -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("selector", "matches"),
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
def test_a_label_selector_matches_pods(selector: str, matches: bool) -> None:
    labels = {"app": "web", "tier": "back", "a.b/c": "1"}
    assert metrics.matches_selector(selector, labels) is matches


def make_running_pod(
    name: str, node: str, requests: dict[str, str], **annotations: str
) -> dict[str, Any]:
    meta = {"name": name, "namespace": "n", "uid": name, "annotations": annotations}
    container = {"name": "it", "resources": {"requests": requests}}
    spec = {"nodeName": node, "containers": [container]}
    return {"metadata": meta, "spec": spec, "status": {"phase": "Running"}}


def test_usage_is_a_share_of_the_requests_and_adds_up_by_node() -> None:
    pods = [make_running_pod(f"p{i}", "one", {"cpu": "1", "memory": "1Gi"}) for i in range(20)]
    usages = [metrics.container_usage(pod, pod["spec"]["containers"][0]) for pod in pods]
    assert all(0.1 <= cpu <= 0.4 and 0.3 <= memory / 2**30 <= 0.6 for cpu, memory in usages)
    cpu, memory = metrics.node_usage("one", pods)
    assert cpu > sum(use[0] for use in usages)
    assert memory > sum(use[1] for use in usages)
    assert metrics.node_usage("two", pods) == metrics.node_usage("two", [])
    busy = make_running_pod("busy", "one", {"cpu": "2"}, **{metrics.CPU_USAGE_ANNOTATION: "0.9"})
    assert metrics.container_usage(busy, busy["spec"]["containers"][0])[0] == pytest.approx(1.8)


@pytest.fixture(scope="module")
def metrics_server(cluster: RehearsalCluster) -> Iterator[str]:
    """Install the add-on on a node; yield the node's name."""
    eks = cluster.client("eks")
    node = ensure_node(cluster, "for-services")["metadata"]["name"]
    at = {"clusterName": NAME, "addonName": "metrics-server"}
    eks.create_addon(**at, resolveConflicts="OVERWRITE")
    try:
        wait_for(lambda: eks.describe_addon(**at)["addon"]["status"] == "ACTIVE", 120)
        wait_for(lambda: cluster.api.get(f"{METRICS}/nodes")["items"])
        yield node
    finally:
        eks.delete_addon(**at)
        path = "/apis/apiregistration.k8s.io/v1/apiservices/v1beta1.metrics.k8s.io"
        wait_for(lambda: not cluster.api.find(path))


def test_kubectl_top_shows_nodes_and_pods(cluster: RehearsalCluster, metrics_server: str) -> None:
    nodes = kubectl(cluster, "top", "nodes", "--no-headers")
    assert nodes.returncode == 0, nodes.stderr
    assert metrics_server in nodes.stdout
    selector = "app.kubernetes.io/name=metrics-server"
    pods = kubectl(cluster, "top", "pods", "-n", "kube-system", "-l", selector, "--no-headers")
    assert pods.returncode == 0, pods.stderr
    assert len(pods.stdout.splitlines()) == 2
    name = pods.stdout.split()[0]
    one = kubectl(cluster, "top", "pod", name, "-n", "kube-system", "--containers", "--no-headers")
    assert one.stdout.split()[:2] == [name, "metrics-server"], one.stderr


def test_metrics_say_that_they_are_simulated(
    cluster: RehearsalCluster, metrics_server: str
) -> None:
    node = cluster.api.get(f"{METRICS}/nodes/{metrics_server}")
    assert node["metadata"]["annotations"] == {"sandbox.jarkkit.io/simulated": "true"}
    with pytest.raises(ApiError) as caught:
        cluster.api.get(f"{METRICS}/namespaces/kube-system/pods/no-such-pod")
    assert caught.value.status == 404


def test_a_deployment_scales_by_its_cpu_usage(
    cluster: RehearsalCluster, metrics_server: str, namespace: str
) -> None:
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments"
    container = {"name": "it", "image": "none", "resources": {"requests": {"cpu": "10m"}}}
    template = {
        "metadata": {
            "labels": {"app": "busy"},
            "annotations": {metrics.CPU_USAGE_ANNOTATION: "0.9"},
        },
        "spec": {"containers": [container]},
    }
    spec = {"replicas": 1, "selector": {"matchLabels": {"app": "busy"}}, "template": template}
    cluster.api.create(path, {"metadata": {"name": "busy"}, "spec": spec})
    scaled = kubectl(
        cluster, "autoscale", "deployment", "busy", "-n", namespace, "--cpu-percent=50", "--max=2"
    )
    assert scaled.returncode == 0, scaled.stderr
    wait_for(lambda: cluster.api.get(f"{path}/busy")["spec"]["replicas"] == 2, 120)


def test_a_namespace_can_be_deleted_while_metrics_are_served(
    cluster: RehearsalCluster, metrics_server: str
) -> None:
    path = "/api/v1/namespaces/short-lived"
    cluster.api.create("/api/v1/namespaces", {"metadata": {"name": "short-lived"}})
    cluster.api.delete(path)
    wait_for(lambda: not cluster.api.find(path))


# -- webhooks ----------------------------------------------------------------------------------


def test_a_user_gets_a_webhook_warning_once_and_components_never() -> None:
    warnings = webhooks.WarningLimiter()
    (warning,) = warnings.warnings_for("guard.n", "learner")
    assert warning == "rehearsal: webhook guard.n is simulated and checked nothing"
    assert warnings.warnings_for("guard.n", "learner") == []
    assert warnings.warnings_for("other.n", "learner")
    assert warnings.warnings_for("third.n", "system:kube-controller-manager") == []


@pytest.fixture
def webhook_name(cluster: RehearsalCluster, namespace: str) -> Iterator[str]:
    """A webhook with failurePolicy Fail for the namespace's ConfigMaps; yields its name."""
    services = f"/api/v1/namespaces/{namespace}/services"
    ports = [{"port": 443, "targetPort": 9443}]
    spec = {"selector": {"app": "guard"}, "ports": ports}
    cluster.api.create(services, {"metadata": {"name": "guard"}, "spec": spec})
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
    cluster.api.create(VALIDATING, {"metadata": {"name": name}, "webhooks": [webhook]})
    yield name
    cluster.api.delete(f"{VALIDATING}/{name}")


def ca_bundle(cluster: RehearsalCluster, name: str) -> bytes:
    (webhook,) = cluster.api.get(f"{VALIDATING}/{name}")["webhooks"]
    return base64.b64decode(webhook["clientConfig"].get("caBundle", ""))


def create_config_map(cluster: RehearsalCluster, namespace: str, name: str) -> Any:
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    return cluster.api.create(path, {"metadata": {"name": name}})


def test_a_webhook_blocks_without_a_ready_pod_and_allows_with_one(
    cluster: RehearsalCluster, namespace: str, webhook_name: str
) -> None:
    ensure_node(cluster, "for-services")
    authority = wait_for(lambda: ca_bundle(cluster, webhook_name))
    assert x509.load_pem_x509_certificate(authority).subject
    no_endpoints = 'no endpoints available for service "guard"'
    wait_for(lambda: no_endpoints in rejection(cluster, namespace))
    pods = f"/api/v1/namespaces/{namespace}/pods"
    with running_pod(cluster, pods, "guard", labels={"app": "guard"}):
        output = wait_for(lambda: kubectl_create(cluster, namespace, "one"))
        warning = f"rehearsal: webhook guard.{namespace} is simulated and checked nothing"
        assert output is not None
        assert warning in output
        assert warning not in (kubectl_create(cluster, namespace, "two") or "")
    wait_for(lambda: no_endpoints in rejection(cluster, namespace))


def test_a_webhook_serves_the_certificate_that_its_chart_created(
    cluster: RehearsalCluster, namespace: str, webhook_name: str
) -> None:
    ensure_node(cluster, "for-services")
    wait_for(lambda: ca_bundle(cluster, webhook_name))
    authority, certificate, key = make_chart_certificates(f"guard.{namespace}.svc")
    known = {"caBundle": base64.b64encode(authority).decode()}
    change = {"webhooks": [{"name": "guard.example.org", "clientConfig": known}]}
    cluster.api.patch(f"{VALIDATING}/{webhook_name}", change, kind="strategic")
    pods = f"/api/v1/namespaces/{namespace}/pods"
    with running_pod(cluster, pods, "guard", labels={"app": "guard"}):
        unknown = "certificate signed by unknown authority"
        wait_for(lambda: unknown in rejection(cluster, namespace))
        pair = {"tls.crt": certificate, "tls.key": key}
        data = {word: base64.b64encode(pem).decode() for word, pem in pair.items()}
        secret = {"metadata": {"name": "tls"}, "type": "kubernetes.io/tls", "data": data}
        cluster.api.create(f"/api/v1/namespaces/{namespace}/secrets", secret)
        wait_for(lambda: create_config_map(cluster, namespace, "trusted"))


def kubectl_create(cluster: RehearsalCluster, namespace: str, name: str) -> str | None:
    """Create a ConfigMap; return kubectl's output, or None when kubectl failed."""
    done = kubectl(cluster, "create", "configmap", name, "-n", namespace)
    return done.stdout + done.stderr if done.returncode == 0 else None


def rejection(cluster: RehearsalCluster, namespace: str) -> str:
    """Return why a ConfigMap cannot be created; empty when it can."""
    try:
        create_config_map(cluster, namespace, f"tried-{secrets.token_hex(4)}")
    except ApiError as error:
        return str(error)
    return ""


def make_chart_certificates(host: str) -> tuple[bytes, bytes, bytes]:
    """Return an authority, a certificate and a key as Helm's genCA and genSignedCert make them."""
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


def test_a_conversion_webhook_changes_only_the_api_version(
    cluster: RehearsalCluster, namespace: str
) -> None:
    ensure_node(cluster, "for-services")
    services = f"/api/v1/namespaces/{namespace}/services"
    spec = {"selector": {"app": "converter"}, "ports": [{"port": 443, "targetPort": 9443}]}
    cluster.api.create(services, {"metadata": {"name": "converter"}, "spec": spec})
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
        "metadata": {"name": f"widgets.{group}"},
        "spec": {
            "group": group,
            "scope": "Cluster",
            "names": {"kind": "Widget", "plural": "widgets"},
            "versions": versions,
            "conversion": {"strategy": "Webhook", "webhook": webhook},
        },
    }
    cluster.api.create(CRDS, crd)
    pods = f"/api/v1/namespaces/{namespace}/pods"
    try:
        with running_pod(cluster, pods, "converter", labels={"app": "converter"}):
            widget = {
                "apiVersion": f"{group}/v1",
                "kind": "Widget",
                "metadata": {"name": "it"},
                "spec": {"a": 1},
            }
            wait_for(lambda: cluster.api.create(f"/apis/{group}/v1/widgets", widget))
            found = wait_for(lambda: cluster.api.get(f"/apis/{group}/v2/widgets/it"))
            assert (found["apiVersion"], found["spec"]) == (f"{group}/v2", {"a": 1})
    finally:
        cluster.api.delete(f"{CRDS}/widgets.{group}")


def test_the_webhook_authority_is_kept_in_a_private_file(cluster: RehearsalCluster) -> None:
    path = cluster.folder / "webhook-authority.pem"
    assert path.stat().st_mode & 0o077 == 0
    with tempfile.TemporaryDirectory() as folder:
        first = certificates.CertificateAuthority(Path(folder))
        assert certificates.CertificateAuthority(Path(folder)).pem == first.pem


def test_a_certificate_is_accepted_only_for_its_name_and_authority() -> None:
    authority, certificate, _ = make_chart_certificates("a.n.svc")
    stranger = make_chart_certificates("a.n.svc")[0]
    assert certificates.is_issued_by(certificate, authority, "a.n.svc")
    assert not certificates.is_issued_by(certificate, authority, "b.n.svc")
    assert not certificates.is_issued_by(certificate, stranger, "a.n.svc")
    assert not certificates.is_issued_by(b"nonsense", authority, "a.n.svc")


# -- kubelets and everything else --------------------------------------------------------------


def connect_through_egress(
    cluster: RehearsalCluster, host: str, port: int
) -> tuple[socket.socket, bytes]:
    """Connect as the API server does; return the connection and the proxy's answer."""
    known = yaml.safe_load((cluster.folder / "egress.yaml").read_text())
    path = known["egressSelections"][0]["connection"]["transport"]["uds"]["udsName"]
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(10)
    connection.connect(path)
    connection.sendall(f"CONNECT {host}:{port} HTTP/1.1\r\n\r\n".encode())
    return connection, connection.recv(4096)


def test_kwok_answers_as_the_kubelet_of_a_node(cluster: RehearsalCluster) -> None:
    node = ensure_node(cluster, "for-services")
    (host,) = [a["address"] for a in node["status"]["addresses"] if a["type"] == "InternalIP"]
    connection, answer = connect_through_egress(cluster, host, 10250)
    with connection:
        assert answer.startswith(b"HTTP/1.1 200")
        trusting = ssl.create_default_context()
        trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
        with trusting.wrap_socket(connection) as kubelet:
            kubelet.sendall(b"GET /healthz HTTP/1.1\r\nHost: kubelet\r\nConnection: close\r\n\r\n")
            response = kubelet.recv(4096)
    assert response.startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(("host", "port"), [("192.0.2.1", 10250), ("example.org", 443)])
def test_no_other_host_is_reachable(cluster: RehearsalCluster, host: str, port: int) -> None:
    connection, answer = connect_through_egress(cluster, host, port)
    connection.close()
    assert answer.startswith(b"HTTP/1.1 503")


def test_the_proxy_to_a_simulated_pod_reports_that_it_serves_nothing(
    cluster: RehearsalCluster, namespace: str
) -> None:
    ensure_node(cluster, "for-services")
    pods = f"/api/v1/namespaces/{namespace}/pods"
    with (
        running_pod(cluster, pods, "web", labels={"app": "web"}),
        pytest.raises(ApiError, match="is simulated and serves nothing") as caught,
    ):
        cluster.api.get(f"{pods}/web:8080/proxy/")
    assert caught.value.status == 503


def test_the_kubelet_of_a_manually_created_node_is_reachable(cluster: RehearsalCluster) -> None:
    status = {"addresses": [{"type": "InternalIP", "address": "192.0.2.77"}]}
    cluster.api.create(NODES, {"metadata": {"name": "by-hand"}, "status": status})
    wait_for(lambda: proxy_answer(cluster, "192.0.2.77").startswith(b"HTTP/1.1 200"))
    cluster.api.delete(f"{NODES}/by-hand")
    wait_for(lambda: proxy_answer(cluster, "192.0.2.77").startswith(b"HTTP/1.1 503"))


def proxy_answer(cluster: RehearsalCluster, host: str) -> bytes:
    connection, answer = connect_through_egress(cluster, host, 10250)
    connection.close()
    return answer
