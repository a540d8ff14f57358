"""The client of the Kubernetes API without a cluster: errors, lists, watches, retries."""

from __future__ import annotations

import base64
import json
import socketserver
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

from jarkkit.model.errors import (
    AccessDenied,
    ApiCallError,
    JarkkitError,
    ObjectConflict,
    ObjectNotFound,
    Throttled,
    Unreachable,
)
from jarkkit.model.kubernetes_values import event_time
from jarkkit.model.port_answers import ClusterToken
from jarkkit.ports.kube import Kube, list_watch
from jarkkit.ports.kube.discovery import ApiResource, Discovery
from jarkkit.ports.kube.errors import (
    ApiError,
    ApiStatusError,
    NoResponseError,
    explain,
    parse_status_error,
    unknown_kind,
)
from jarkkit.ports.kube.http import ClientCertificate, HttpClient, proxy_for
from jarkkit.ports.kube.list_watch import list_pages, watch_events
from jarkkit.ports.kube.port_forward import websocket_configuration
from tests.support.authority import CA_CERTIFICATE
from tests.support.fakes.http_client import FakeHttpClient, FakeStream, make_object, page


def status(code: int, reason: str, message: str, *fields: str) -> bytes:
    """Return a Status object as the API server writes it."""
    causes = [{"field": field} for field in fields]
    details = {
        "kind": "Status",
        "reason": reason,
        "message": message,
        "details": {"causes": causes},
    }
    return json.dumps({**details, "code": code}).encode()


class TestErrors:
    @pytest.mark.parametrize(
        ("code", "reason", "message", "expected"),
        [
            (401, "Unauthorized", "Unauthorized", "JK-KUBE-DENIED"),
            (403, "Forbidden", 'User "u" cannot get resource "pods"', "JK-KUBE-DENIED"),
            (403, "Forbidden", "exceeded quota: gpus", "JK-KUBE-REFUSED"),
            (403, "Forbidden", 'violates PodSecurity "restricted:latest"', "JK-KUBE-REFUSED"),
            (400, "BadRequest", 'strict decoding error: unknown field "x"', "JK-KUBE-REFUSED"),
            (409, "Conflict", "the object has been modified", "JK-KUBE-REFUSED"),
            (422, "Invalid", "spec.replicas: Invalid value", "JK-KUBE-REFUSED"),
            (500, "", "failed to create typed patch object: .x", "JK-KUBE-REFUSED"),
            (500, "InternalError", "failed calling webhook: no endpoints", "JK-KUBE-REFUSED"),
            (404, "NotFound", 'namespaces "x" not found', "JK-KUBE-FAILED"),
            (500, "", "etcdserver: leader changed", "JK-KUBE-FAILED"),
        ],
    )
    def test_every_error_has_a_code_and_its_message(
        self, code: int, reason: str, message: str, expected: str
    ) -> None:
        error = explain(parse_status_error(code, status(code, reason, message)), "do it")
        assert error.code == expected
        assert error.evidence == message
        assert "do it" in error.message

    @pytest.mark.parametrize(
        ("code", "reason", "message", "kind", "transient"),
        [
            (401, "Unauthorized", "Unauthorized", AccessDenied, False),
            (403, "Forbidden", 'User "u" cannot get resource "pods"', AccessDenied, False),
            (403, "Forbidden", "exceeded quota: gpus", ApiCallError, False),
            (403, "Forbidden", "namespace x because it is being terminated", ApiCallError, True),
            (404, "NotFound", 'namespaces "x" not found', ObjectNotFound, False),
            (404, "NotFound", "could not find the requested resource", ObjectNotFound, True),
            (409, "Conflict", "the object has been modified", ObjectConflict, True),
            (409, "AlreadyExists", 'pods "x" already exists', ObjectConflict, False),
            (422, "Invalid", "spec.replicas: Invalid value", ApiCallError, False),
            (429, "TooManyRequests", "too many requests", Throttled, True),
            (500, "InternalError", "failed calling webhook: no endpoints", ApiCallError, True),
        ],
    )
    def test_every_error_has_a_class(
        self, code: int, reason: str, message: str, kind: type[JarkkitError], transient: bool
    ) -> None:
        error = explain(parse_status_error(code, status(code, reason, message)), "do it")
        assert (type(error), error.transient) == (kind, transient)

    def test_no_response_is_unreachable_and_transient_unless_the_certificate_is_wrong(self) -> None:
        for transient in (True, False):
            error = explain(NoResponseError("no route", is_transient=transient), "do it")
            assert (type(error), error.transient) == (Unreachable, transient)

    def test_a_kind_that_is_not_served_may_be_soon(self) -> None:
        error = unknown_kind("karpenter.sh/v1", "NodePool")
        assert (type(error), error.transient) == (ObjectNotFound, True)

    @pytest.mark.parametrize(
        ("code", "message", "transient"),
        [
            (429, "too many requests", True),
            (503, "apiserver not ready", True),
            (500, "etcdserver: request timed out", True),
            (500, "failed to create typed patch object", False),
            (422, "is invalid", False),
            (404, "not found", False),
        ],
    )
    def test_transient_and_permanent_errors(self, code: int, message: str, transient: bool) -> None:
        assert parse_status_error(code, status(code, "", message)).is_transient is transient

    def test_values_of_a_secret_are_not_shown(self) -> None:
        details = "Secret is invalid: data.key: Invalid value: hunter2"
        error = explain(
            parse_status_error(422, status(422, "Invalid", details, "data.key")), "x", secret=True
        )
        assert error.evidence == "data.key"
        misfit = "failed to create typed patch object: .data.key: expected string, got hunter2"
        error = explain(parse_status_error(500, status(500, "", misfit)), "x", secret=True)
        assert error.evidence == ".data.key"

    def test_evidence_is_truncated(self) -> None:
        error = explain(parse_status_error(422, status(422, "Invalid", "x" * 5000)), "do it")
        assert len(error.evidence) == 600

    def test_a_body_that_is_not_a_status_is_shown_unchanged(self) -> None:
        assert parse_status_error(502, b"<html>Bad Gateway").message == "<html>Bad Gateway"
        assert parse_status_error(502, b"[]").message == "[]"

    def test_retry_after_is_read(self) -> None:
        assert parse_status_error(429, b"{}", "3").retry_after_seconds == 3.0
        assert (
            parse_status_error(429, b"{}", "Wed, 21 Oct 2026 07:28:00 GMT").retry_after_seconds
            == 0.0
        )

    def test_one_class_has_all_failed_calls(self) -> None:
        errors: tuple[ApiError, ...] = (NoResponseError("refused"), ApiStatusError(409, "", ""))
        assert [error.status for error in errors] == [0, 409]


class TestPages:
    def test_all_pages_are_read(self) -> None:
        calls = FakeHttpClient(page("a", "b", more="t"), page("c"))
        assert [p.items for p in list_pages(calls.client, "/x", {"labelSelector": "l"})] == [
            (make_object("a"), make_object("b")),
            (make_object("c"),),
        ]
        assert [q.get("continue") for q in calls.queries] == [None, "t"]
        assert {q["labelSelector"] for q in calls.queries} == {"l"}

    def test_an_empty_list_may_be_null(self) -> None:
        assert [p.items for p in list_pages(FakeHttpClient(page()).client, "/x", {})] == [()]

    def test_an_expired_list_starts_again_without_duplicates(self) -> None:
        gone = ApiStatusError(410, "Expired", "too old")
        calls = FakeHttpClient(page("a", "b", more="t"), gone, page("a", "b", more="u"), page("c"))
        read = [
            one["metadata"]["name"] for p in list_pages(calls.client, "/x", {}) for one in p.items
        ]
        assert read == ["a", "b", "c"]
        assert [q.get("continue") for q in calls.queries] == [None, "t", None, "u"]

    def test_a_list_that_keeps_expiring_fails(self) -> None:
        gone = ApiStatusError(410, "Expired", "too old")
        calls = FakeHttpClient(*[page("a", more="t"), gone] * 4)
        with pytest.raises(ApiStatusError):
            list(list_pages(calls.client, "/x", {}))


class TestWatch:
    def watch(self, calls: FakeHttpClient) -> list[tuple[str, str]]:
        """Return the events until the fake has no response left, which it reports as 404."""
        seen: list[tuple[str, str]] = []
        stream = watch_events(calls.client, "/x", {}, 60.0, lambda _: None)
        with pytest.raises(ApiStatusError, match="nothing left"):
            seen.extend((kind, one["metadata"]["name"]) for kind, one in stream)
        return seen

    def test_existing_objects_come_first_and_bookmarks_are_not_yielded(self) -> None:
        calls = FakeHttpClient(
            page("a", version=5),
            [
                {"type": "MODIFIED", "object": make_object("a", 6)},
                {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "9"}}},
            ],
            [{"type": "DELETED", "object": make_object("a", 11)}],
        )
        assert self.watch(calls) == [("ADDED", "a"), ("MODIFIED", "a"), ("DELETED", "a")]
        assert [q["resourceVersion"] for q in calls.queries[1:]] == ["5", "9", "11"]

    def test_an_expired_watch_lists_again_and_reports_deleted_objects(self) -> None:
        gone = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"}
        calls = FakeHttpClient(
            page("a", "b", version=5),
            [{"type": "ERROR", "object": gone}],
            page("b", "c", version=50),
            [{"type": "MODIFIED", "object": make_object("c", 51)}],
            ApiStatusError(410, "Expired", "too old"),
            page("c", version=60),
        )
        assert self.watch(calls) == [
            ("ADDED", "a"), ("ADDED", "b"),
            ("ADDED", "b"), ("ADDED", "c"), ("DELETED", "a"),
            ("MODIFIED", "c"),
            ("ADDED", "c"), ("DELETED", "b"),
        ]  # fmt: skip

    def test_a_transient_error_is_a_lost_connection(self) -> None:
        busy = {"kind": "Status", "code": 500, "reason": "InternalError", "message": "etcd"}
        calls = FakeHttpClient(
            page("a", version=5),
            [{"type": "ERROR", "object": busy}],
            [{"type": "MODIFIED", "object": make_object("a", 6)}],
        )
        assert self.watch(calls) == [("ADDED", "a"), ("MODIFIED", "a")]

    def test_a_watch_ends_at_its_timeout(self, monkeypatch: pytest.MonkeyPatch) -> None:
        clock = iter(range(1000))
        monkeypatch.setattr(list_watch, "monotonic", lambda: float(next(clock)))
        calls = FakeHttpClient(page("a"), *[[]] * 50)
        events = list(watch_events(calls.client, "/x", {}, 20.0, lambda _: None))
        assert [kind for kind, _ in events] == ["ADDED"]
        assert all(int(q["timeoutSeconds"]) <= 20 for q in calls.queries[1:])


SERVED = {
    "resources": [
        {"kind": "Deployment", "name": "deployments", "namespaced": True},
        {"kind": "Scale", "name": "deployments/scale", "namespaced": True},
    ]
}


class TestDiscovery:
    def test_subresources_are_not_kinds(self) -> None:
        kinds = Discovery(FakeHttpClient(SERVED, SERVED).client)
        found = kinds.find("apps/v1", "Deployment")
        assert found == ApiResource("/apis/apps/v1", "deployments", True)
        assert kinds.find("apps/v1", "Scale") is None

    def test_a_missing_kind_is_looked_up_again(self) -> None:
        absent = ApiStatusError(404, "NotFound", "no such group")
        calls = FakeHttpClient(absent, {"resources": []}, SERVED)
        kinds = Discovery(calls.client)
        found = [kinds.find("apps/v1", "Deployment") for _ in range(4)]
        assert [one is not None for one in found] == [False, False, True, True]
        assert len(calls.queries) == 3

    def test_paths(self) -> None:
        pods, nodes = ApiResource("/api/v1", "pods", True), ApiResource("/api/v1", "nodes", False)
        assert pods.collection_path() == "/api/v1/pods"
        assert pods.collection_path("a") == "/api/v1/namespaces/a/pods"
        assert pods.object_path("x") == "/api/v1/namespaces/default/pods/x"
        assert nodes.object_path("x", "a") == "/api/v1/nodes/x"
        assert nodes.object_path("system:x") == "/api/v1/nodes/system%3Ax"


class TestRetries:
    def calls(
        self,
        monkeypatch: pytest.MonkeyPatch,
        *answers: Any,
        retry_seconds: float = 30.0,
        readyz: tuple[Any, ...] = (),
        credentials: Any = lambda: ClusterToken("t", datetime.now(UTC)),
    ) -> Any:
        """Return a client whose attempts get these answers, on a clock that only sleeping moves."""
        pending, reports = list(answers), list(readyz)
        slept: list[float] = []
        monkeypatch.setattr("jarkkit.ports.kube.http.monotonic", lambda: 100.0 + sum(slept))
        made: Any = HttpClient("https://x", "", credentials, retry_seconds, slept.append)

        def attempt(method: str, path: str, **_: Any) -> Any:
            if path == "/readyz":
                answer = reports.pop(0) if reports else FakeStream([])
            else:
                answer = pending.pop(0) if pending else NoResponseError("refused")
            if isinstance(answer, Exception):
                raise answer
            return answer

        monkeypatch.setattr(made, "_attempt", attempt)
        made.slept = slept
        return made

    def test_an_unreachable_server_is_retried(self, monkeypatch: pytest.MonkeyPatch) -> None:
        gone = NoResponseError("refused")
        calls = self.calls(monkeypatch, gone, gone, ApiStatusError(503, "", "not ready"), "answer")
        assert calls.open("GET", "/x") == "answer"
        assert calls.slept == [0.1, 0.2, 0.4]

    def test_retries_end_at_the_timeout(self, monkeypatch: pytest.MonkeyPatch) -> None:
        calls = self.calls(monkeypatch, retry_seconds=5.0)
        with pytest.raises(NoResponseError):
            calls.open("GET", "/x")
        assert sum(calls.slept) == pytest.approx(5.0)

    def test_retry_after_is_respected(self, monkeypatch: pytest.MonkeyPatch) -> None:
        calls = self.calls(
            monkeypatch, ApiStatusError(429, "", "busy", retry_after_seconds=7.0), "answer"
        )
        calls.open("POST", "/x", repeat=False)  # the server rejected it, so nothing was done
        assert calls.slept == [7.0]

    @pytest.mark.parametrize(
        "error",
        [ApiStatusError(422, "Invalid", "x"), NoResponseError("certificate", is_transient=False)],
    )
    def test_a_permanent_error_is_not_retried(
        self, monkeypatch: pytest.MonkeyPatch, error: Exception
    ) -> None:
        calls = self.calls(monkeypatch, error, "answer")
        with pytest.raises(type(error)):
            calls.open("GET", "/x")

    def test_a_call_that_must_not_repeat_is_not_retried(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        calls = self.calls(monkeypatch, NoResponseError("reset"), "answer")
        with pytest.raises(NoResponseError):
            calls.open("POST", "/x", repeat=False)

    def test_a_denial_is_retried_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        denial = ApiStatusError(403, "Forbidden", "User cannot get resource")
        assert self.calls(monkeypatch, denial, "answer").open("GET", "/x") == "answer"
        with pytest.raises(ApiStatusError):
            self.calls(monkeypatch, denial, denial, "answer").open("GET", "/x")

    def test_denials_of_a_server_that_starts_are_retried(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        denial = ApiStatusError(403, "Forbidden", "User cannot get resource")
        starting = ApiStatusError(503, "", "not ready")
        # The second denial was answered before the server became ready.
        calls = self.calls(monkeypatch, denial, denial, "answer", readyz=(starting,))
        assert calls.open("GET", "/x") == "answer"

    def test_denials_are_final_when_the_server_denies_readyz_too(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        denial = ApiStatusError(403, "Forbidden", "User cannot get resource")
        calls = self.calls(monkeypatch, *[denial] * 4, "answer", readyz=(denial,) * 4)
        assert calls.open("GET", "/x") == "answer"
        with pytest.raises(ApiStatusError):
            self.calls(monkeypatch, *[denial] * 5, "answer", readyz=(denial,) * 4).open("GET", "/x")

    def test_a_call_that_is_never_retried_costs_one_request(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        denial = ApiStatusError(403, "Forbidden", "User cannot get resource")
        asked = (AssertionError("asked whether the server is ready"),)
        with pytest.raises(ApiStatusError):
            self.calls(monkeypatch, denial, retry_seconds=0.0, readyz=asked).open("GET", "/x")

    def test_a_rejected_certificate_is_not_tried_again(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        rejected = ApiStatusError(401, "Unauthorized", "")
        certificate = ClientCertificate(Path("admin.crt"), Path("admin.key"))
        calls = self.calls(
            monkeypatch, rejected, "answer", retry_seconds=0.0, credentials=certificate
        )
        with pytest.raises(ApiStatusError):
            calls.open("GET", "/x")

    def test_a_rejected_token_is_renewed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        calls = self.calls(monkeypatch, ApiStatusError(401, "Unauthorized", ""), "answer")
        assert calls.open("GET", "/x") == "answer"
        assert calls.slept == []


class TestToken:
    def test_a_token_is_renewed_a_minute_early(self) -> None:
        ends = [30.0, 90.0, 900.0]
        made: list[str] = []

        def token() -> ClusterToken:
            made.append(f"t{len(made)}")
            expires = datetime.now(UTC) + timedelta(seconds=ends[len(made) - 1])
            return ClusterToken(made[-1], expires)

        calls = HttpClient("https://x", "", token, 0.0)
        headers = [calls.authorization()["authorization"] for _ in range(3)]
        assert headers == ["Bearer t0", "Bearer t1", "Bearer t1"]


class _ApiServer(BaseHTTPRequestHandler):
    """Returns what it reads from a call: some headers and the body."""

    protocol_version = "HTTP/1.1"
    connections: ClassVar[set[object]] = set()

    def do_PATCH(self) -> None:
        self.connections.add(self.client_address)
        sent = self.rfile.read(int(self.headers["Content-Length"])).decode()
        names = ("Authorization", "User-Agent", "Content-Type")
        read = [*(self.headers[name] for name in names), json.loads(sent)]
        body = json.dumps({"read": read}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def authority(tmp_path: Path) -> ClientCertificate:
    """Return a certificate that is its own CA, for server and client."""
    pytest.importorskip("cryptography", reason="a package of the extra `sandbox`")
    from tests.support.certificates import make_server_certificate

    return ClientCertificate(*make_server_certificate(tmp_path))


@pytest.fixture(params=[True, False], ids=["certificate", "token"])
def by_certificate(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
def endpoint(authority: ClientCertificate, by_certificate: bool) -> Iterator[str]:
    """Start a server that requires a client certificate, or none. Returns its URL."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority.certificate, authority.key)
    context.load_verify_locations(authority.certificate)
    context.verify_mode = ssl.CERT_REQUIRED if by_certificate else ssl.CERT_NONE
    server = ThreadingHTTPServer(("127.0.0.1", 0), _ApiServer)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"https://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


class TestCredentials:
    def test_both_kinds_authenticate_on_one_direct_connection(
        self,
        authority: ClientCertificate,
        endpoint: str,
        by_certificate: bool,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        for name in ("HTTPS_PROXY", "https_proxy"):
            monkeypatch.setenv(name, "http://127.0.0.1:9")
        connections: set[object] = set()
        monkeypatch.setattr(_ApiServer, "connections", connections)
        token = ClusterToken("t", datetime.now(UTC) + timedelta(hours=1))
        credentials = authority if by_certificate else lambda: token
        ca_certificate = base64.b64encode(authority.certificate.read_bytes()).decode()
        calls = HttpClient(endpoint, ca_certificate, credentials, 0.0, agent="sandbox")
        header = None if by_certificate else "Bearer t"
        for content in ("application/merge-patch+json", "application/apply-patch+yaml"):
            answer = calls.json("PATCH", "/x", body={"a": 1}, content=content)
            assert answer == {"read": [header, "sandbox", content, {"a": 1}]}
        assert len(connections) == 1

    @pytest.mark.parametrize("by_certificate", [True])
    def test_a_token_is_no_certificate(self, authority: ClientCertificate, endpoint: str) -> None:
        token = ClusterToken("t", datetime.now(UTC) + timedelta(hours=1))
        ca_certificate = base64.b64encode(authority.certificate.read_bytes()).decode()
        calls = HttpClient(endpoint, ca_certificate, lambda: token, 0.0)
        with pytest.raises(NoResponseError):
            calls.json("PATCH", "/x", body={})

    @pytest.mark.parametrize("by_certificate", [False])
    def test_an_untrusted_server_stays_untrusted(self, endpoint: str) -> None:
        token = ClusterToken("t", datetime.now(UTC) + timedelta(hours=1))
        calls = HttpClient(endpoint, CA_CERTIFICATE, lambda: token, 30.0)
        with pytest.raises(NoResponseError) as caught:
            calls.json("PATCH", "/x", body={})
        assert not caught.value.is_transient

    def test_files_of_a_certificate_may_not_exist_yet(self) -> None:
        missing = ClientCertificate(Path("no-admin.crt"), Path("no-admin.key"))
        calls = HttpClient("https://127.0.0.1:1", CA_CERTIFICATE, missing, 0.0)
        with pytest.raises(NoResponseError):
            calls.json("GET", "/version")

    def test_a_websocket_has_the_same_credentials(self) -> None:
        certificate = ClientCertificate(Path("admin.crt"), Path("admin.key"))
        calls = HttpClient("https://127.0.0.1:1", CA_CERTIFICATE, certificate, 0.0)
        made = websocket_configuration(calls, Path("ca.pem"))
        assert (made.cert_file, made.key_file) == ("admin.crt", "admin.key")
        assert made.ssl_ca_cert == "ca.pem"
        assert calls.authorization() == {}


@pytest.mark.parametrize(
    "ca_certificate",
    ["no base64!", "", base64.b64encode(b"-----BEGIN CERTIFICATE-----\n").decode()],
)
def test_an_invalid_ca_certificate_is_an_error(ca_certificate: str) -> None:
    kube = Kube("https://127.0.0.1:1", ca_certificate, lambda: ClusterToken("t", datetime.now(UTC)))
    with pytest.raises(JarkkitError) as caught:
        kube.version()
    assert caught.value.code == "JK-KUBE-FAILED"


def test_an_unreachable_server_is_an_error() -> None:
    def token() -> ClusterToken:
        return ClusterToken("t", datetime.now(UTC))

    kube = Kube("https://127.0.0.1:1", CA_CERTIFICATE, token, retry_seconds=0.0)
    with pytest.raises(JarkkitError) as caught:
        kube.version()
    assert caught.value.code == "JK-KUBE-UNREACHABLE"


def test_every_form_of_event_has_a_time() -> None:
    meta = {"metadata": {"creationTimestamp": "1"}}
    assert event_time({**meta, "series": {"lastObservedTime": "4"}, "eventTime": "2"}) == "4"
    assert event_time({**meta, "lastTimestamp": "3", "eventTime": None}) == "3"
    assert event_time({**meta, "lastTimestamp": None, "eventTime": "2"}) == "2"
    assert event_time(meta) == "1"


def test_a_proxy_is_for_clusters_elsewhere_only(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    for name in ("HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for host in ("127.0.0.1:6443", "localhost:6443", "[::1]:6443"):
        assert proxy_for(f"https://{host}") is None
    assert proxy_for("https://x.eks.amazonaws.com") == "http://127.0.0.1:9"
    monkeypatch.setenv("no_proxy", ".eks.amazonaws.com")
    assert proxy_for("https://x.eks.amazonaws.com") is None


class TestProxy:
    @pytest.fixture
    def proxy(self) -> Iterator[tuple[int, list[str]]]:
        """A proxy that records the requests and refuses them."""
        heads: list[str] = []

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                heads.append(b"".join(iter(self.rfile.readline, b"\r\n")).decode())
                self.wfile.write(b"HTTP/1.1 502 Bad Gateway\r\n\r\n")

        with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
            thread = threading.Thread(target=server.serve_forever, args=(0.05,))
            thread.start()
            yield server.server_address[1], heads
            server.shutdown()
            thread.join()

    @pytest.mark.parametrize("scheme", ["http://", ""])
    def test_a_proxy_with_a_password_is_signed_in_to(
        self, monkeypatch: pytest.MonkeyPatch, proxy: tuple[int, list[str]], scheme: str
    ) -> None:
        port, heads = proxy
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
        for name in ("HTTPS_PROXY", "https_proxy"):
            monkeypatch.setenv(name, f"{scheme}us%40er:p%20w@127.0.0.1:{port}")
        valid = ClusterToken("t", datetime.now(UTC) + timedelta(hours=1))
        kube = Kube("https://x.eks.example", CA_CERTIFICATE, lambda: valid, retry_seconds=0)
        with pytest.raises(JarkkitError, match="JK-KUBE-UNREACHABLE"):
            kube.version()
        with pytest.raises(JarkkitError), kube.port_forward("a", "b", 80):
            pass
        signed_in = base64.b64encode(b"us@er:p w").decode()
        assert len(heads) == 2  # the request, and the websocket
        for head in heads:
            assert head.startswith("CONNECT x.eks.example:443")
            assert f"authorization: basic {signed_in}".lower() in head.lower()

    def test_only_the_proxy_of_the_scheme_counts(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("NO_PROXY", "no_proxy", "HTTPS_PROXY", "https_proxy"):
            monkeypatch.delenv(name, raising=False)
        for name in ("ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, "socks5h://127.0.0.1:9")
        assert proxy_for("https://x.eks.example") is None
