"""A cache of all objects of one resource, updated by a watch, like client-go's informers."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable

from jarkkit.ports.kube.list_watch import list_pages, watch_once
from jarkkit.sandbox.kubernetes.api import Api, ApiError, Object, key_of

_WATCH_SECONDS = 120.0
_PAUSE_SECONDS = 0.3

Listener = Callable[[str, Object | None], None]


class Informer:
    """The objects of a resource by key (`namespace/name`).

    Args:
        path: of the resource in all namespaces, such as `/api/v1/pods`.
        transform: reduces an object to what is cached, which keeps ten thousand pods small; None
            drops it.
        query: selectors of list and watch.
    """

    def __init__(
        self,
        api: Api,
        path: str,
        *,
        transform: Callable[[Object], Object | None] = lambda obj: obj,
        query: dict[str, str] | None = None,
    ) -> None:
        self._calls = api.calls
        self._path = path
        self._keep = transform
        self._query = query or {}
        self._objects: dict[str, Object] = {}
        self._listeners: list[Listener] = []
        self._synced = threading.Event()
        self._stopping = threading.Event()

    def start(self) -> None:
        """Start the watch in a thread of its own."""
        threading.Thread(target=self._run, name=f"watch {self._path}", daemon=True).start()

    def stop(self) -> None:
        """Stop; the thread ends with its connection."""
        self._stopping.set()

    def wait_until_synced(self, seconds: float) -> bool:
        """Wait for the first list; return True when it is complete, False on a timeout."""
        return self._synced.wait(seconds)

    def listen(self, listener: Listener) -> None:
        """Call the listener, in the thread, with each changed key and object (None: deleted)."""
        self._listeners.append(listener)

    def all(self) -> list[Object]:
        """Return all cached objects."""
        return list(self._objects.values())

    def find(self, key: str) -> Object | None:
        """Return one object, or None."""
        return self._objects.get(key)

    def _run(self) -> None:
        while not self._stopping.is_set():
            with contextlib.suppress(ApiError):
                version = self._list()
                self._synced.set()
                while not self._stopping.is_set():
                    version = self._follow(version)
                    self._stopping.wait(_PAUSE_SECONDS)  # the server may end each one at once
            self._stopping.wait(_PAUSE_SECONDS)

    def _list(self) -> str:
        now: dict[str, Object] = {}
        for page in list_pages(self._calls, self._path, self._query, restarts=0):
            kept = ((key_of(obj), self._keep(obj)) for obj in page.items)
            now |= {key: obj for key, obj in kept if obj is not None}
        gone = self._objects.keys() - now.keys()
        self._objects = now
        for key in (*gone, *now):
            self._notify(key)
        return page.resource_version

    def _follow(self, version: str) -> str:
        """Follow one connection to its end; return the last resource version.

        Raises ApiError, which causes a new list.
        """
        call = self._calls, self._path, self._query, version
        for kind, obj in watch_once(*call, longest=_WATCH_SECONDS):
            version = obj["metadata"]["resourceVersion"]
            if kind != "BOOKMARK":
                self._note(kind, obj)
            if self._stopping.is_set():
                break
        return version

    def _note(self, kind: str, obj: Object) -> None:
        key = key_of(obj)
        kept = None if kind == "DELETED" else self._keep(obj)
        if kept is not None:
            self._objects[key] = kept
        elif self._objects.pop(key, None) is None:
            return
        self._notify(key)

    def _notify(self, key: str) -> None:
        for listener in self._listeners:
            listener(key, self._objects.get(key))
