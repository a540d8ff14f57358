"""A session with AWS whose services return what the test sets."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

from jarkkit.ports.aws.response_cache import CachedResponse


class FakeClient:
    """A client that answers by operation, without pagination."""

    def __init__(self, **answers: dict[str, Any]) -> None:
        self._answers = answers
        self.meta = SimpleNamespace(method_to_api_mapping={name: name for name in answers})

    def can_paginate(self, _operation: str) -> bool:
        return False

    def __getattr__(self, operation: str) -> Callable[..., dict[str, Any]]:
        return lambda **_: self._answers[operation]


class FakeSession:
    """A session with one client for all services and without a cache."""

    region = "us-east-1"

    def __init__(self, **answers: dict[str, Any]) -> None:
        self._client = FakeClient(**answers)

    def in_region(self, _region: str) -> FakeSession:
        return self

    def client(self, _service: str) -> FakeClient:
        return self._client

    def identity(self) -> dict[str, str]:
        return {"Account": "111122223333"}

    def cached(self, _request: str, _age: float, fetch: Callable[[], Any]) -> CachedResponse:
        return CachedResponse(fetch(), datetime(2026, 11, 27, tzinfo=UTC))
