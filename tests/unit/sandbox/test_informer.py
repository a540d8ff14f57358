"""What an informer caches and reports while its connections end and its API server restarts."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any, cast

from jarkkit.ports.kube.errors import ApiStatusError, NoResponseError
from jarkkit.sandbox.kubernetes.api import Api
from jarkkit.sandbox.kubernetes.informer import Informer
from tests.support.fakes.http_client import FakeHttpClient, make_object, page


def event(kind: str, name: str, version: int) -> dict[str, Any]:
    return {"type": kind, "object": make_object(name, version)}


def follow(calls: FakeHttpClient, last: str, **options: Any) -> tuple[Informer, list[str]]:
    """Return the informer, and the changes that it reported, after it reported the last one."""
    informer = Informer(cast(Api, SimpleNamespace(calls=calls.client)), "/x", **options)
    changes: list[str] = []
    ended = threading.Event()

    def note(key: str, obj: object) -> None:
        changes.append(f"{key} {'gone' if obj is None else 'there'}")
        if changes[-1] == last:
            informer.stop()
            ended.set()

    informer.listen(note)
    informer.start()
    assert ended.wait(30), changes
    return informer, changes


def test_the_watch_continues_after_a_lost_connection() -> None:
    bookmark = {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "9"}}}
    calls = FakeHttpClient(
        page("a", version=5),
        [event("MODIFIED", "a", 6), bookmark],
        [event("ADDED", "b", 10)],
    )
    informer, changes = follow(calls, "b there")
    assert changes == ["a there", "a there", "b there"]
    assert [query["resourceVersion"] for query in calls.queries[1:]] == ["5", "9"]
    assert informer.find("a") == make_object("a", 6)


def test_an_api_server_that_restarts_is_listed_again() -> None:
    calls = FakeHttpClient(
        page("a", "b", version=5),
        [event("DELETED", "b", 6)],
        NoResponseError("connection refused"),
        NoResponseError("connection refused"),
        ApiStatusError(503, "", "not ready"),
        page("c", version=20),
    )
    informer, changes = follow(calls, "c there")
    assert changes == ["a there", "b there", "b gone", "a gone", "c there"]
    assert informer.all() == [make_object("c")]


def test_an_expired_watch_is_listed_again() -> None:
    gone = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"}
    calls = FakeHttpClient(
        page("a", version=5), [{"type": "ERROR", "object": gone}], page("b", version=50)
    )
    _, changes = follow(calls, "b there")
    assert changes == ["a there", "a gone", "b there"]


def test_what_the_transform_drops_is_not_cached() -> None:
    def without_b(obj: dict[str, Any]) -> dict[str, Any] | None:
        return None if obj["metadata"]["name"] == "b" else obj

    calls = FakeHttpClient(
        page("a", "b", more="next"),
        page("c"),
        [event("MODIFIED", "b", 6), event("DELETED", "a", 7)],
    )
    informer, changes = follow(calls, "a gone", transform=without_b)
    assert changes == ["a there", "c there", "a gone"]
    assert informer.all() == [make_object("c")]


def test_a_list_that_expires_between_two_pages_starts_again_from_nothing() -> None:
    calls = FakeHttpClient(
        page("a", "b", version=5, more="next"),
        ApiStatusError(410, "Expired", "the continue token is too old"),
        page("c", version=20),
    )
    informer, changes = follow(calls, "c there")
    assert changes == ["c there"]
    assert informer.all() == [make_object("c")]
