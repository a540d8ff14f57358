"""Calls whose answers several queries and checks need: each is made once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Any, TypeVar

from jarkkit.ports.kube import Kube, Object

V = TypeVar("V")


class SharedCalls:
    """The answers of one diagnosis' calls, or their errors. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._answers: dict[Hashable, Future[Any]] = {}

    def ask(self, key: Hashable, call: Callable[[], V]) -> V:
        """Return the call's answer; wait if another thread makes it. Raises the call's error."""
        with self._lock:
            first = key not in self._answers
            answer: Future[V] = self._answers.setdefault(key, Future())
        if first:
            try:
                answer.set_result(call())
            except BaseException as error:
                answer.set_exception(error)
        return answer.result()


class SharedLists:
    """All objects of a kind in a cluster, listed once. Thread-safe."""

    def __init__(self, kube: Kube) -> None:
        self.kube = kube
        self._calls = SharedCalls()

    def list(self, api_version: str, kind: str) -> tuple[Object, ...]:
        """Return all objects of a kind that the cluster serves. Raises JK-KUBE-…"""
        call = (api_version, kind)
        return self._calls.ask(call, lambda: tuple(self.kube.list(*call)))

    def list_if_served(self, api_version: str, kind: str) -> tuple[Object, ...]:
        """Do the same; return nothing for a kind that the cluster does not serve."""
        served = self.kube.serves_kind(api_version, kind)
        return self.list(api_version, kind) if served else ()
