"""The client of the Kubernetes API without a cluster: errors, lists, watches, retries."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, cast

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
    ApiStatusError,
    NoResponseError,
    explain,
    parse_status_error,
    unknown_kind,
)
from jarkkit.ports.kube.http import HttpClient, api_configuration
from jarkkit.ports.kube.list_watch import list_pages, watch_events
from tests.support.authority import CA_CERTIFICATE


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


def make_object(name: str, version: int = 1) -> dict[str, Any]:
    return {"metadata": {"name": name, "uid": name, "resourceVersion": str(version)}}


class FakeHttpClient:
    """Returns the given responses in their order; raises those that are exceptions."""

    retry_seconds = 0.1

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.queries: list[dict[str, str]] = []
        self.client = cast("HttpClient", self)

    def json(self, method: str, path: str, *, query: Any = None) -> Any:
        return self._next(query)

    def open(self, method: str, path: str, *, query: Any, **_: Any) -> Any:
        return FakeStream(self._next(query))

    def _next(self, query: Any) -> Any:
        self.queries.append(dict(query or {}))
        if not self.answers:
            raise ApiStatusError(404, "NotFound", "nothing left")
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


class FakeStream:
    """The response of a watch: lines in chunks that split them."""

    def __init__(self, events: list[dict[str, Any]]) -> None:
        self._data = b"".join(json.dumps(event).encode() + b"\n" for event in events)

    def stream(self, _: int) -> Iterator[bytes]:
        for start in range(0, len(self._data), 7):
            yield self._data[start : start + 7]

    def close(self) -> None:
        pass


def page(*names: str, version: int = 1, more: str = "") -> dict[str, Any]:
    meta = {"resourceVersion": str(version), **({"continue": more} if more else {})}
    return {"metadata": meta, "items": [make_object(name) for name in names] or None}


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
    ) -> Any:
        """Return a client whose attempts get these answers, on a clock that only sleeping moves."""
        pending, reports = list(answers), list(readyz)
        slept: list[float] = []
        monkeypatch.setattr("jarkkit.ports.kube.http.monotonic", lambda: 100.0 + sum(slept))
        made: Any = HttpClient(
            "https://x",
            "",
            lambda: ClusterToken("t", datetime.now(UTC)),
            retry_seconds,
            slept.append,
        )

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
        assert [calls.bearer_token() for _ in range(3)] == ["t0", "t1", "t1"]


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
        assert api_configuration(f"https://{host}").proxy is None
    assert api_configuration("https://x.eks.amazonaws.com").proxy == "http://127.0.0.1:9"
