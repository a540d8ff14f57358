"""What the API server asks of kubelets, Services and pods, answered behind the egress socket.

Nothing runs in a simulated pod. What the API server cannot do without is played here: admission and
conversion webhooks, and metrics.k8s.io; the rest is refused in words. As on EKS the API server
itself finds a Ready pod behind a Service first (`--enable-aggregator-routing`), so a webhook whose
pods are not up fails here in Kubernetes' own words.
"""

from __future__ import annotations

import base64
import binascii
import json
import socket
import ssl
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from jarkkit.sandbox.cluster import answering
from jarkkit.sandbox.cluster.answering import Question
from jarkkit.sandbox.cluster.api import ApiError, Object
from jarkkit.sandbox.cluster.egress import Answering
from jarkkit.sandbox.cluster.informer import Informer
from jarkkit.sandbox.eks import metrics, webhooks
from jarkkit.sandbox.eks.certificates import Authority, context, is_issued_by
from jarkkit.sandbox.eks.controller import Controller
from jarkkit.sandbox.eks.objects import NODES, PODS, is_ready

if TYPE_CHECKING:
    from jarkkit.sandbox.eks.cluster import Cluster

KUBELET_PORT = 10250
_WEBHOOKS = (
    "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations",
    "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations",
)
_APIS = "/apis/apiregistration.k8s.io/v1/apiservices"
_CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
_METRICS = "v1beta1.metrics.k8s.io"
_TLS_HANDSHAKE = b"\x16"
# CRDs are large, so they are not watched; what was found in them holds that long.
_CONVERSIONS_SECONDS = 60.0


class SimulatedServices(Controller):
    """Answers, and writes the sandbox's authority where a webhook configuration has none yet.

    The latter is what cert-manager, or a chart's Job that makes certificates, does for real.
    """

    name = "simulated services"

    def __init__(self, cluster: Cluster) -> None:
        super().__init__(cluster)
        self._warnings = webhooks.Warnings()
        self._contexts: dict[tuple[str, bytes], ssl.SSLContext] = {}
        self._conversions: dict[str, tuple[float, bytes]] = {}

    def start(self) -> None:
        """Begin, as the authority that webhook configurations may know from before."""
        self._authority = Authority(self.cluster.folder)
        super().start()

    def watched(self) -> tuple[Informer, ...]:
        """Webhook configurations, which may want our authority. The others are only asked."""
        for path in (NODES, PODS, _APIS):
            self.cluster.informer(path)
        return tuple(self.cluster.informer(path) for path in _WEBHOOKS)

    def reconcile(self) -> None:
        """Where a webhook's caller knows no authority, it is to know the one that answers."""
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
                    self.cluster.log(f"{name} has the sandbox's authority now")

    def _bundle(self, host: str) -> str:
        return base64.b64encode(self._trusted(host)).decode()

    # -- who answers ---------------------------------------------------------------------------

    def answering(self, host: str, port: int) -> Answering:
        """KWOK for kubelets, this for pods, nobody for anything else."""
        if port == KUBELET_PORT and self._is_node(host):
            return self.cluster.plane.kubelet_port
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
        """True while a Ready pod has that address."""
        return any(p["status"].get("podIP") == address and is_ready(p) for p in self.cluster.pods())

    def _serve(self, connection: socket.socket, address: str) -> None:
        if connection.recv(1, socket.MSG_PEEK) != _TLS_HANDSHAKE:
            answering.serve(connection, lambda question: _nothing("the pod"))
            return
        asked: list[str] = []

        def choose(tls: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> int | None:
            """The API server says which Service it means: the pod alone does not tell."""
            try:
                tls.context = self._context(name or "")
            except (ApiError, ssl.SSLError):
                return ssl.ALERT_DESCRIPTION_INTERNAL_ERROR
            asked.append(name or "the pod")
            return None

        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.sni_callback = choose

        def answer(question: Question) -> tuple[int, Object]:
            """The API server keeps connections; they end with the pod."""
            if not self._is_up(address):
                raise ConnectionResetError(address)
            return self._answer(asked[0], question)

        answering.serve(connection, answer, tls)

    def _answer(self, host: str, question: Question) -> tuple[int, Object]:
        if question.method == "POST":
            review = json.loads(question.body)
            if review.get("kind") == "AdmissionReview":
                user = review["request"].get("userInfo", {}).get("username", "")
                service = host.removesuffix(".svc")
                return 200, webhooks.admit(review, self._warnings.of(service, user))
            if review.get("kind") == "ConversionReview":
                return 200, webhooks.convert(review)
        elif self._serves_metrics(host):
            nodes = self.cluster.informer(NODES).all()
            return metrics.answer(question.path, self.cluster.pods(), nodes)
        return _nothing(host)

    def _serves_metrics(self, host: str) -> bool:
        api = self.cluster.informer(_APIS).find(_METRICS)
        return api is not None and _host_of(api["spec"]) == host

    # -- as whom -------------------------------------------------------------------------------

    def _context(self, host: str) -> ssl.SSLContext:
        """TLS as the caller of that Service expects it."""
        trusted = self._trusted(host)
        if (host, trusted) not in self._contexts:
            made = None if trusted == self._authority.pem else self._as_the_chart(host, trusted)
            if made is None:
                trusted = self._authority.pem
                made = self._contexts.get((host, trusted)) or self._authority.context(host)
            self._contexts[host, trusted] = made
        return self._contexts[host, trusted]

    def _trusted(self, host: str) -> bytes:
        """The authorities that the Service's callers know; ours where they know none."""
        known = [_pem_of(client) for client in self._clients() if _host_of(client) == host]
        if not known:
            known = [self._converts(host)]
        return next(filter(None, known), self._authority.pem)

    def _clients(self) -> Iterator[Object]:
        for path in _WEBHOOKS:
            for configuration in self.cluster.informer(path).all():
                yield from (w["clientConfig"] for w in configuration.get("webhooks", ()))
        yield from (api["spec"] for api in self.cluster.informer(_APIS).all())

    def _converts(self, host: str) -> bytes:
        """The same for conversion webhooks, whose CRDs get our authority where they have none."""
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

    def _as_the_chart(self, host: str, trusted: bytes) -> ssl.SSLContext | None:
        """With the certificate that the chart made; None where there is none that fits."""
        namespace = host.split(".")[1]
        path = f"/api/v1/namespaces/{namespace}/secrets"
        for secret in self.cluster.api.list(path, fieldSelector="type=kubernetes.io/tls"):
            pair = [base64.b64decode(secret["data"][word]) for word in ("tls.crt", "tls.key")]
            if is_issued_by(pair[0], trusted, host):
                return context(*pair)
        return None


def _host_of(client: Object) -> str:
    """The name by which the API server calls the Service of a client configuration."""
    service = client.get("service")
    return f"{service['name']}.{service['namespace']}.svc" if service else ""


def _pem_of(client: Object) -> bytes:
    """The authorities in a client configuration. Charts fill the place with a line break."""
    try:
        return base64.b64decode(client.get("caBundle") or "").strip()
    except binascii.Error:
        return b""


def _nothing(host: str) -> tuple[int, Object]:
    message = f"rehearsal: {host} is simulated and serves nothing"
    about = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure"}
    return 503, {**about, "message": message, "reason": "ServiceUnavailable", "code": 503}
