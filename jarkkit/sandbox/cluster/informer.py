"""All objects of one resource, kept up to date by a watch, as client-go's informers do."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable

from jarkkit.sandbox.cluster.api import Api, ApiError, Object, key_of

_WATCH_SECONDS = 120.0
_PAUSE_SECONDS = 0.3
# Objects that are read at a time: ten thousand whole pods at once take hundreds of megabytes.
_PART = "500"

Listener = Callable[[str, Object | None], None]


class Informer:
    """Objects by key (`namespace/name`).

    Args:
        path: of the resource in all namespaces, such as `/api/v1/pods`.
        keep: what to remember of an object; None forgets it. Ten thousand pods want little kept.
        query: selectors of list and watch.
    """

    def __init__(
        self,
        api: Api,
        path: str,
        *,
        keep: Callable[[Object], Object | None] = lambda thing: thing,
        query: dict[str, str] | None = None,
    ) -> None:
        self._api = api
        self._path = path
        self._keep = keep
        self._query = query or {}
        self._objects: dict[str, Object] = {}
        self._listeners: list[Listener] = []
        self._synced = threading.Event()
        self._stopping = threading.Event()

    def start(self) -> None:
        """Begin, in a thread of its own."""
        threading.Thread(target=self._run, name=f"watch {self._path}", daemon=True).start()

    def stop(self) -> None:
        """End; the thread notices when its connection ends."""
        self._stopping.set()

    def wait(self, seconds: float) -> bool:
        """True when everything that was there at the beginning is known."""
        return self._synced.wait(seconds)

    def listen(self, listener: Listener) -> None:
        """Tell of each change: the key, and what is known now (None: gone). From the thread."""
        self._listeners.append(listener)

    def all(self) -> list[Object]:
        """What is there now."""
        return list(self._objects.values())

    def find(self, key: str) -> Object | None:
        """One object, or None."""
        return self._objects.get(key)

    def _run(self) -> None:
        while not self._stopping.is_set():
            with contextlib.suppress(ApiError):
                version = self._list()
                self._synced.set()
                while not self._stopping.is_set():
                    version = self._follow(version)
            self._stopping.wait(_PAUSE_SECONDS)

    def _list(self) -> str:
        now: dict[str, Object] = {}
        more: str | None = None
        while more != "":
            query = {**self._query, "limit": _PART, "continue": more or ""}
            answer = self._api.get(self._path, **query)
            kept = ((key_of(thing), self._keep(thing)) for thing in answer["items"] or ())
            now |= {key: thing for key, thing in kept if thing is not None}
            more = answer["metadata"].get("continue", "")
        gone = self._objects.keys() - now.keys()
        self._objects = now
        for key in (*gone, *now):
            self._tell(key)
        return str(answer["metadata"]["resourceVersion"])

    def _follow(self, version: str) -> str:
        """Until the watch ends in order; ApiError makes a new list."""
        for event in self._api.watch(self._path, version, _WATCH_SECONDS, **self._query):
            thing = event["object"]
            if event["type"] == "ERROR":
                raise ApiError(int(thing.get("code", 0)), thing.get("reason", ""), "watch")
            version = thing["metadata"]["resourceVersion"]
            if event["type"] != "BOOKMARK":
                self._note(event["type"], thing)
            if self._stopping.is_set():
                break
        return version

    def _note(self, kind: str, thing: Object) -> None:
        key = key_of(thing)
        kept = None if kind == "DELETED" else self._keep(thing)
        if kept is not None:
            self._objects[key] = kept
        elif self._objects.pop(key, None) is None:
            return
        self._tell(key)

    def _tell(self, key: str) -> None:
        for listener in self._listeners:
            listener(key, self._objects.get(key))
