"""The door to the Kubernetes API without a cluster: what answers mean, lists, watches, patience."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from jarkkit.errors import JarkkitError
from jarkkit.kube import Kube, reading
from jarkkit.kube.client import happened_at
from jarkkit.kube.discovery import Kinds, Resource
from jarkkit.kube.http import Calls
from jarkkit.kube.problems import NoAnswerError, RefusedError, explain, refusal
from jarkkit.kube.reading import pages, watched


def status(code: int, reason: str, message: str, *fields: str) -> bytes:
    """A Status object as the API server writes it."""
    causes = [{"field": field} for field in fields]
    said = {"kind": "Status", "reason": reason, "message": message, "details": {"causes": causes}}
    return json.dumps({**said, "code": code}).encode()


def thing(name: str, version: int = 1) -> dict[str, Any]:
    return {"metadata": {"name": name, "uid": name, "resourceVersion": str(version)}}


def an_authority() -> str:
    """Some authority, as EKS would tell it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "somebody")])
    today = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(today)
        .not_valid_after(today + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    return base64.b64encode(made.public_bytes(serialization.Encoding.PEM)).decode()


class FakeCalls:
    """Answers what it was told to, in that order; an exception is raised."""

    patience = 0.1

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.queries: list[dict[str, str]] = []

    def json(self, method: str, path: str, *, query: Any = None) -> Any:
        return self._next(query)

    def open(self, method: str, path: str, *, query: Any, **_: Any) -> Any:
        return FakeStream(self._next(query))

    def _next(self, query: Any) -> Any:
        self.queries.append(dict(query or {}))
        if not self.answers:
            raise RefusedError(404, "NotFound", "nothing left to say")
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


class FakeStream:
    """A watch's answer: lines, cut in odd places."""

    def __init__(self, events: list[dict[str, Any]]) -> None:
        self._data = b"".join(json.dumps(event).encode() + b"\n" for event in events)

    def stream(self, _: int) -> Iterator[bytes]:
        for start in range(0, len(self._data), 7):
            yield self._data[start : start + 7]

    def close(self) -> None:
        pass


def page(*names: str, version: int = 1, more: str = "") -> dict[str, Any]:
    meta = {"resourceVersion": str(version), **({"continue": more} if more else {})}
    return {"metadata": meta, "items": [thing(name) for name in names] or None}


class TestMeanings:
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
    def test_every_refusal_has_a_code_and_its_words(
        self, code: int, reason: str, message: str, expected: str
    ) -> None:
        error = explain(refusal(code, status(code, reason, message)), "do it")
        assert error.code == expected
        assert error.evidence == message
        assert "do it" in error.message

    @pytest.mark.parametrize(
        ("code", "message", "passing"),
        [
            (429, "too many requests", True),
            (503, "apiserver not ready", True),
            (500, "etcdserver: request timed out", True),
            (500, "failed to create typed patch object", False),
            (422, "is invalid", False),
            (404, "not found", False),
        ],
    )
    def test_what_may_pass_is_known(self, code: int, message: str, passing: bool) -> None:
        assert refusal(code, status(code, "", message)).passing is passing

    def test_a_secrets_values_are_not_shown(self) -> None:
        said = "Secret is invalid: data.key: Invalid value: hunter2"
        error = explain(refusal(422, status(422, "Invalid", said, "data.key")), "x", secret=True)
        assert error.evidence == "data.key"
        misfit = "failed to create typed patch object: .data.key: expected string, got hunter2"
        error = explain(refusal(500, status(500, "", misfit)), "x", secret=True)
        assert error.evidence == ".data.key"

    def test_evidence_is_short(self) -> None:
        error = explain(refusal(422, status(422, "Invalid", "x" * 5000)), "do it")
        assert len(error.evidence) == 600

    def test_what_is_not_a_status_is_shown_as_it_is(self) -> None:
        assert refusal(502, b"<html>Bad Gateway").message == "<html>Bad Gateway"
        assert refusal(502, b"[]").message == "[]"

    def test_the_wait_that_is_asked_for_is_known(self) -> None:
        assert refusal(429, b"{}", "3").wait == 3.0
        assert refusal(429, b"{}", "Wed, 21 Oct 2026 07:28:00 GMT").wait == 0.0


class TestPages:
    def test_all_pages_are_read(self) -> None:
        calls = FakeCalls(page("a", "b", more="t"), page("c"))
        assert [p.items for p in pages(calls, "/x", {"labelSelector": "l"})] == [
            (thing("a"), thing("b")),
            (thing("c"),),
        ]
        assert [q.get("continue") for q in calls.queries] == [None, "t"]
        assert {q["labelSelector"] for q in calls.queries} == {"l"}

    def test_an_empty_list_may_be_null(self) -> None:
        assert [p.items for p in pages(FakeCalls(page()), "/x", {})] == [()]

    def test_a_list_that_took_too_long_begins_again_without_repeating(self) -> None:
        gone = RefusedError(410, "Expired", "too old")
        calls = FakeCalls(page("a", "b", more="t"), gone, page("a", "b", more="u"), page("c"))
        read = [one["metadata"]["name"] for p in pages(calls, "/x", {}) for one in p.items]
        assert read == ["a", "b", "c"]
        assert [q.get("continue") for q in calls.queries] == [None, "t", None, "u"]

    def test_it_gives_up_at_last(self) -> None:
        gone = RefusedError(410, "Expired", "too old")
        calls = FakeCalls(*[page("a", more="t"), gone] * 4)
        with pytest.raises(RefusedError):
            list(pages(calls, "/x", {}))


class TestWatch:
    def watch(self, calls: FakeCalls) -> list[tuple[str, str]]:
        """The events until the fake has nothing left, which it says by 404."""
        seen: list[tuple[str, str]] = []
        happened = watched(calls, "/x", {}, 60.0, lambda _: None)
        with pytest.raises(RefusedError, match="nothing left"):
            seen.extend((kind, one["metadata"]["name"]) for kind, one in happened)
        return seen

    def test_what_is_there_comes_first_and_bookmarks_are_for_us(self) -> None:
        calls = FakeCalls(
            page("a", version=5),
            [
                {"type": "MODIFIED", "object": thing("a", 6)},
                {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "9"}}},
            ],
            [{"type": "DELETED", "object": thing("a", 11)}],
        )
        assert self.watch(calls) == [("ADDED", "a"), ("MODIFIED", "a"), ("DELETED", "a")]
        assert [q["resourceVersion"] for q in calls.queries[1:]] == ["5", "9", "11"]

    def test_after_too_long_it_lists_again_and_tells_what_has_gone(self) -> None:
        gone = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"}
        calls = FakeCalls(
            page("a", "b", version=5),
            [{"type": "ERROR", "object": gone}],
            page("b", "c", version=50),
            [{"type": "MODIFIED", "object": thing("c", 51)}],
            RefusedError(410, "Expired", "too old"),
            page("c", version=60),
        )
        assert self.watch(calls) == [
            ("ADDED", "a"), ("ADDED", "b"),
            ("ADDED", "b"), ("ADDED", "c"), ("DELETED", "a"),
            ("MODIFIED", "c"),
            ("ADDED", "c"), ("DELETED", "b"),
        ]  # fmt: skip

    def test_an_error_that_may_pass_is_a_lost_connection(self) -> None:
        busy = {"kind": "Status", "code": 500, "reason": "InternalError", "message": "etcd"}
        calls = FakeCalls(
            page("a", version=5),
            [{"type": "ERROR", "object": busy}],
            [{"type": "MODIFIED", "object": thing("a", 6)}],
        )
        assert self.watch(calls) == [("ADDED", "a"), ("MODIFIED", "a")]

    def test_it_ends_when_the_time_is_up(self, monkeypatch: pytest.MonkeyPatch) -> None:
        clock = iter(range(1000))
        monkeypatch.setattr(reading, "monotonic", lambda: float(next(clock)))
        calls = FakeCalls(page("a"), *[[]] * 50)
        events = list(watched(calls, "/x", {}, 20.0, lambda _: None))
        assert [kind for kind, _ in events] == ["ADDED"]
        assert all(int(q["timeoutSeconds"]) <= 20 for q in calls.queries[1:])


SERVED = {
    "resources": [
        {"kind": "Deployment", "name": "deployments", "namespaced": True},
        {"kind": "Scale", "name": "deployments/scale", "namespaced": True},
    ]
}


class TestKinds:
    def test_subresources_are_not_kinds(self) -> None:
        kinds = Kinds(FakeCalls(SERVED, SERVED))
        found = kinds.find("apps/v1", "Deployment")
        assert found == Resource("/apis/apps/v1", "deployments", True)
        assert kinds.find("apps/v1", "Scale") is None

    def test_what_was_missing_is_looked_for_again(self) -> None:
        absent = RefusedError(404, "NotFound", "no such group")
        calls = FakeCalls(absent, {"resources": []}, SERVED)
        kinds = Kinds(calls)
        found = [kinds.find("apps/v1", "Deployment") for _ in range(4)]
        assert [one is not None for one in found] == [False, False, True, True]
        assert len(calls.queries) == 3

    def test_paths(self) -> None:
        pods, nodes = Resource("/api/v1", "pods", True), Resource("/api/v1", "nodes", False)
        assert pods.collection() == "/api/v1/pods"
        assert pods.collection("a") == "/api/v1/namespaces/a/pods"
        assert pods.path("x") == "/api/v1/namespaces/default/pods/x"
        assert nodes.path("x", "a") == "/api/v1/nodes/x"
        assert nodes.path("system:x") == "/api/v1/nodes/system%3Ax"


class TestPatience:
    def calls(self, monkeypatch: pytest.MonkeyPatch, *answers: Any, patience: float = 30.0) -> Any:
        """Calls whose attempts end as told, on a clock that only sleeping moves."""
        told, slept = list(answers), []
        monkeypatch.setattr("jarkkit.kube.http.monotonic", lambda: 100.0 + sum(slept))
        made = Calls("https://x", "", lambda: ("t", datetime.now(UTC)), patience, slept.append)

        def attempt(method: str, path: str, **_: Any) -> Any:
            if path == "/readyz":
                return FakeStream([])
            answer = told.pop(0) if told else NoAnswerError("refused")
            if isinstance(answer, Exception):
                raise answer
            return answer

        monkeypatch.setattr(made, "_attempt", attempt)
        made.slept = slept
        return made

    def test_a_server_that_is_away_for_a_while_is_waited_for(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        gone = NoAnswerError("refused")
        calls = self.calls(monkeypatch, gone, gone, RefusedError(503, "", "not ready"), "answer")
        assert calls.open("GET", "/x") == "answer"
        assert calls.slept == [0.1, 0.2, 0.4]

    def test_patience_ends(self, monkeypatch: pytest.MonkeyPatch) -> None:
        calls = self.calls(monkeypatch, patience=5.0)
        with pytest.raises(NoAnswerError):
            calls.open("GET", "/x")
        assert sum(calls.slept) == pytest.approx(5.0)

    def test_what_the_server_wants_is_respected(self, monkeypatch: pytest.MonkeyPatch) -> None:
        calls = self.calls(monkeypatch, RefusedError(429, "", "busy", wait=7.0), "answer")
        calls.open("POST", "/x", repeat=False)  # it was turned away, so nothing was done
        assert calls.slept == [7.0]

    @pytest.mark.parametrize(
        "error",
        [RefusedError(422, "Invalid", "x"), NoAnswerError("certificate", passing=False)],
    )
    def test_what_cannot_pass_is_not_repeated(
        self, monkeypatch: pytest.MonkeyPatch, error: Exception
    ) -> None:
        calls = self.calls(monkeypatch, error, "answer")
        with pytest.raises(type(error)):
            calls.open("GET", "/x")

    def test_what_must_not_be_done_twice_is_not_repeated(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        calls = self.calls(monkeypatch, NoAnswerError("reset"), "answer")
        with pytest.raises(NoAnswerError):
            calls.open("POST", "/x", repeat=False)

    def test_one_denial_is_not_believed_two_are(self, monkeypatch: pytest.MonkeyPatch) -> None:
        denial = RefusedError(403, "Forbidden", "User cannot get resource")
        assert self.calls(monkeypatch, denial, "answer").open("GET", "/x") == "answer"
        with pytest.raises(RefusedError):
            self.calls(monkeypatch, denial, denial, "answer").open("GET", "/x")

    def test_a_token_that_is_not_accepted_is_made_anew(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        calls = self.calls(monkeypatch, RefusedError(401, "Unauthorized", ""), "answer")
        assert calls.open("GET", "/x") == "answer"
        assert calls.slept == []


class TestToken:
    def test_it_is_renewed_a_minute_early(self) -> None:
        ends = [30.0, 90.0, 900.0]
        made: list[str] = []

        def token() -> tuple[str, datetime]:
            made.append(f"t{len(made)}")
            return made[-1], datetime.now(UTC) + timedelta(seconds=ends[len(made) - 1])

        calls = Calls("https://x", "", token, 0.0)
        assert [calls.bearer() for _ in range(3)] == ["t0", "t1", "t1"]


@pytest.mark.parametrize(
    "authority",
    ["no base64!", "", base64.b64encode(b"-----BEGIN CERTIFICATE-----\n").decode()],
)
def test_an_authority_that_is_none_is_said(authority: str) -> None:
    kube = Kube("https://127.0.0.1:1", authority, lambda: ("t", datetime.now(UTC)))
    with pytest.raises(JarkkitError) as caught:
        kube.version()
    assert caught.value.code == "JK-KUBE-FAILED"


def test_nobody_there_is_unreachable() -> None:
    def token() -> tuple[str, datetime]:
        return "t", datetime.now(UTC)

    kube = Kube("https://127.0.0.1:1", an_authority(), token, patience=0.0)
    with pytest.raises(JarkkitError) as caught:
        kube.version()
    assert caught.value.code == "JK-KUBE-UNREACHABLE"


def test_events_have_a_time_whoever_wrote_them() -> None:
    meta = {"metadata": {"creationTimestamp": "1"}}
    assert happened_at({**meta, "series": {"lastObservedTime": "4"}, "eventTime": "2"}) == "4"
    assert happened_at({**meta, "lastTimestamp": "3", "eventTime": None}) == "3"
    assert happened_at({**meta, "lastTimestamp": None, "eventTime": "2"}) == "2"
    assert happened_at(meta) == "1"
