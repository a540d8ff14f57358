"""Answers the API server's requests to kubelets, Services and pods, behind the egress socket.

Nothing runs in a simulated pod. This module simulates what the API server cannot do without:
admission and conversion webhooks, and metrics.k8s.io; it rejects the rest with a message. As on EKS
the API server itself first finds a Ready pod behind a Service (`--enable-aggregator-routing`), so a
webhook without Ready pods fails with Kubernetes' own message.
"""

from __future__ import annotations

import base64
import binascii
import json
import socket
import ssl
import time
from collections.abc import Iterator

from jarkkit.sandbox.controllers import metrics, webhooks
from jarkkit.sandbox.controllers.base_controller import Controller
from jarkkit.sandbox.controllers.certificates import CertificateAuthority, is_issued_by, tls_context
from jarkkit.sandbox.controllers.cluster_context import ClusterContext
from jarkkit.sandbox.controllers.objects import NODES, PODS, is_ready
from jarkkit.sandbox.kubernetes import http_server
from jarkkit.sandbox.kubernetes.api import ApiError, Object
from jarkkit.sandbox.kubernetes.egress import Upstream
from jarkkit.sandbox.kubernetes.http_server import HttpRequest
from jarkkit.sandbox.kubernetes.informer import Informer

KUBELET_PORT = 10250
_WEBHOOKS = (
    "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations",
    "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations",
)
_APIS = "/apis/apiregistration.k8s.io/v1/apiservices"
_CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
_METRICS = "v1beta1.metrics.k8s.io"
_TLS_HANDSHAKE = b"\x16"
# CRDs are large, so they are not watched; what was read from them is cached that long.
_CONVERSIONS_SECONDS = 60.0


class SimulatedServiceController(Controller):
    """Answers requests, and injects the sandbox's CA into webhooks without a caBundle.

    In a real cluster cert-manager, or a chart's Job that creates certificates, injects the CA.
    """

    name = "simulated services"

    def __init__(self, cluster: ClusterContext) -> None:
        super().__init__(cluster)
        self._warnings = webhooks.WarningLimiter()
        self._contexts: dict[tuple[str, bytes], ssl.SSLContext] = {}
        self._conversions: dict[str, tuple[float, bytes]] = {}

    def start(self) -> None:
        """Start with the saved CA, which webhook configurations may already contain."""
        self._authority = CertificateAuthority(self.cluster.folder)
        super().start()

    def watched(self) -> tuple[Informer, ...]:
        """Return informers of webhook configurations; the other resources are only read."""
        for path in (NODES, PODS, _APIS):
            self.cluster.informer(path)
        return tuple(self.cluster.informer(path) for path in _WEBHOOKS)

    def reconcile(self) -> None:
        """Inject the sandbox's CA into webhooks without a caBundle."""
        for path in _WEBHOOKS:
            for configuration in self.cluster.informer(path).all():
                found = [
                    {"name": webhook["name"], "clientConfig": {"caBundle": self._bundle(host)}}
                    for webhook in configuration.get("webhooks", ())
                    if (host := _host_of(webhook["clientConfig"]))
                    and not _pem_of(webhook["clientConfig"])
                ]
                if found:
                    name = configuration["metadata"]["name"]
                    change = {"webhooks": found}
                    self.cluster.api.patch(f"{path}/{name}", change, kind="strategic")
                    self.cluster.log(f"injected the sandbox's CA into {name}")

    def _bundle(self, host: str) -> str:
        return base64.b64encode(self._trusted(host)).decode()

    # -- routes --------------------------------------------------------------------------------

    def upstream(self, host: str, port: int) -> Upstream:
        """Return what serves a host: KWOK for kubelets, this controller for pods, else None."""
        if port == KUBELET_PORT and self._is_node(host):
            return self.cluster.control_plane.kubelet_port
        if self._is_up(host):
            return lambda connection: self._serve(connection, host)
        return None

    def _is_node(self, host: str) -> bool:
        return any(
            address["address"] == host
            for node in self.cluster.informer(NODES).all()
            for address in node.get("status", {}).get("addresses") or ()
        )

    def _is_up(self, address: str) -> bool:
        """Return True while a Ready pod has that address."""
        return any(p["status"].get("podIP") == address and is_ready(p) for p in self.cluster.pods())

    def _serve(self, connection: socket.socket, address: str) -> None:
        if connection.recv(1, socket.MSG_PEEK) != _TLS_HANDSHAKE:
            http_server.serve(connection, lambda question: _unavailable("the pod"))
            return
        requested: list[str] = []

        def choose(tls: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> int | None:
            """Choose the certificate by server name: a pod alone does not identify the Service."""
            try:
                tls.context = self._context(name or "")
            except (ApiError, ssl.SSLError):
                return ssl.ALERT_DESCRIPTION_INTERNAL_ERROR
            requested.append(name or "the pod")
            return None

        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.sni_callback = choose

        def answer(question: HttpRequest) -> tuple[int, Object]:
            """Answer while the pod is up: the API server reuses connections, which end with it."""
            if not self._is_up(address):
                raise ConnectionResetError(address)
            return self._answer(requested[0], question)

        http_server.serve(connection, answer, tls)

    def _answer(self, host: str, question: HttpRequest) -> tuple[int, Object]:
        if question.method == "POST":
            review = json.loads(question.body)
            if review.get("kind") == "AdmissionReview":
                user = review["request"].get("userInfo", {}).get("username", "")
                service = host.removesuffix(".svc")
                return 200, webhooks.admit(review, self._warnings.warnings_for(service, user))
            if review.get("kind") == "ConversionReview":
                return 200, webhooks.convert(review)
        elif self._serves_metrics(host):
            nodes = self.cluster.informer(NODES).all()
            return metrics.handle_get(question.path, self.cluster.pods(), nodes)
        return _unavailable(host)

    def _serves_metrics(self, host: str) -> bool:
        api = self.cluster.informer(_APIS).find(_METRICS)
        return api is not None and _host_of(api["spec"]) == host

    # -- certificates --------------------------------------------------------------------------

    def _context(self, host: str) -> ssl.SSLContext:
        """Return the TLS context that callers of that Service accept."""
        trusted = self._trusted(host)
        if (host, trusted) not in self._contexts:
            made = None if trusted == self._authority.pem else self._chart_context(host, trusted)
            if made is None:
                trusted = self._authority.pem
                made = self._contexts.get((host, trusted)) or self._authority.tls_context(host)
            self._contexts[host, trusted] = made
        return self._contexts[host, trusted]

    def _trusted(self, host: str) -> bytes:
        """Return the CAs that the Service's callers trust; the sandbox's if they have none."""
        known = [_pem_of(client) for client in self._clients() if _host_of(client) == host]
        if not known:
            known = [self._conversion_ca(host)]
        return next(filter(None, known), self._authority.pem)

    def _clients(self) -> Iterator[Object]:
        for path in _WEBHOOKS:
            for configuration in self.cluster.informer(path).all():
                yield from (w["clientConfig"] for w in configuration.get("webhooks", ()))
        yield from (api["spec"] for api in self.cluster.informer(_APIS).all())

    def _conversion_ca(self, host: str) -> bytes:
        """Return the CA in CRDs with this conversion webhook; inject the sandbox's without one."""
        until, pem = self._conversions.get(host, (0.0, b""))
        if time.monotonic() < until:
            return pem
        pem = b""
        for crd in self.cluster.api.list(_CRDS):
            webhook = crd["spec"].get("conversion", {}).get("webhook", {})
            client = webhook.get("clientConfig", {})
            if _host_of(client) != host:
                continue
            if not _pem_of(client):
                ours = base64.b64encode(self._authority.pem).decode()
                change = {"conversion": {"webhook": {"clientConfig": {"caBundle": ours}}}}
                self.cluster.api.patch(f"{_CRDS}/{crd['metadata']['name']}", {"spec": change})
            pem = pem or _pem_of(client)
        self._conversions[host] = (time.monotonic() + _CONVERSIONS_SECONDS, pem)
        return pem

    def _chart_context(self, host: str, trusted: bytes) -> ssl.SSLContext | None:
        """Return a context with the chart's own certificate, None if no Secret has a valid one."""
        namespace = host.split(".")[1]
        path = f"/api/v1/namespaces/{namespace}/secrets"
        for secret in self.cluster.api.list(path, fieldSelector="type=kubernetes.io/tls"):
            pair = [base64.b64decode(secret["data"][word]) for word in ("tls.crt", "tls.key")]
            if is_issued_by(pair[0], trusted, host):
                return tls_context(*pair)
        return None


def _host_of(client: Object) -> str:
    """Return the host name by which the API server calls a client configuration's Service."""
    service = client.get("service")
    return f"{service['name']}.{service['namespace']}.svc" if service else ""


def _pem_of(client: Object) -> bytes:
    """Return the CAs in a client configuration. Some charts write a line break as placeholder."""
    try:
        return base64.b64decode(client.get("caBundle") or "").strip()
    except binascii.Error:
        return b""


def _unavailable(host: str) -> tuple[int, Object]:
    message = f"rehearsal: {host} is simulated and serves nothing"
    about = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure"}
    return 503, {**about, "message": message, "reason": "ServiceUnavailable", "code": 503}
