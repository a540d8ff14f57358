"""An HTTP client of the Kubernetes API that returns given responses: objects, pages, streams."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, cast

from jarkkit.ports.kube.errors import ApiStatusError
from jarkkit.ports.kube.http import HttpClient


def make_object(name: str, version: int = 1) -> dict[str, Any]:
    return {"metadata": {"name": name, "uid": name, "resourceVersion": str(version)}}


def page(*names: str, version: int = 1, more: str = "") -> dict[str, Any]:
    meta = {"resourceVersion": str(version), **({"continue": more} if more else {})}
    return {"metadata": meta, "items": [make_object(name) for name in names] or None}


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
