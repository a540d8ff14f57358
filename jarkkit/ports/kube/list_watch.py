"""Paged lists, and watches that survive lost connections."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from jarkkit.model.clock import monotonic
from jarkkit.ports.kube.errors import ApiStatusError, NoResponseError, parse_status_error
from jarkkit.ports.kube.http import HttpClient, Object, read_lines

_PAGE = 500  # kubectl's page size; 500 parsed pods need about ten megabytes
_RESTARTS = 3
# A watch reconnects after this time, which detects a server that hangs.
_STRETCH_SECONDS = 20.0
_PAUSE_SECONDS = 0.5
_GONE = 410


@dataclass(frozen=True)
class ListPage:
    """A page of a list.

    Attributes:
        resource_version: resource version of the whole list.
    """

    resource_version: str
    items: tuple[Object, ...]


def list_pages(
    calls: HttpClient, path: str, selectors: Mapping[str, str], *, restarts: int = _RESTARTS
) -> Iterator[ListPage]:
    """Yield a list's pages, each object once. Raises ApiStatusError, NoResponseError.

    Args:
        restarts: how often to start again when the list expires between two pages. Pages from
            before may then be outdated, so a cache that continues with a watch takes 0.
    """
    seen: set[str] = set()
    token = ""
    while True:
        query = {**selectors, "limit": str(_PAGE), **({"continue": token} if token else {})}
        try:
            answer = calls.json("GET", path, query=query)
        except ApiStatusError as error:
            if error.status != _GONE or not token or not restarts:
                raise
            restarts, token = restarts - 1, ""  # the continue token expired: start again
            continue
        items = answer["items"] or ()
        token = answer["metadata"].get("continue", "")
        fresh = [item for item in items if item["metadata"].get("uid", "") not in seen]
        if token:
            seen.update(item["metadata"]["uid"] for item in fresh if "uid" in item["metadata"])
        yield ListPage(answer["metadata"].get("resourceVersion", ""), tuple(fresh))
        if not token:
            return


def watch_events(
    calls: HttpClient,
    path: str,
    selectors: Mapping[str, str],
    seconds: float,
    sleep: Callable[[float], None],
) -> Iterator[tuple[str, Object]]:
    """Yield the events of `Kube.watch`. Raises ApiStatusError, NoResponseError."""
    until = monotonic() + seconds
    objects: dict[str, Object] = {}
    while True:
        version = yield from _relist(calls, path, selectors, objects)
        try:
            yield from _followed(calls, path, selectors, version, until, objects, sleep)
        except ApiStatusError as error:
            if error.status != _GONE:
                raise
        else:
            return


def _relist(
    calls: HttpClient, path: str, selectors: Mapping[str, str], objects: dict[str, Object]
) -> Generator[tuple[str, Object], None, str]:
    """Yield all objects as ADDED and missing ones as DELETED. Returns the resource version."""
    before = dict(objects)
    version = ""
    objects.clear()
    for page in list_pages(calls, path, selectors):
        version = page.resource_version
        for item in page.items:
            _note(objects, "ADDED", item)
            yield "ADDED", item
    for uid in before.keys() - objects.keys():
        yield "DELETED", before[uid]
    return version


def _followed(
    calls: HttpClient,
    path: str,
    selectors: Mapping[str, str],
    version: str,
    until: float,
    objects: dict[str, Object],
    sleep: Callable[[float], None],
) -> Iterator[tuple[str, Object]]:
    """Yield the events after that resource version, until the time is up.

    Raises ApiStatusError (410 if the resource version expired), NoResponseError.
    """
    while (left := until - monotonic()) > 0:
        begun = monotonic()
        try:
            for kind, item in watch_once(calls, path, selectors, version, left):
                version = item["metadata"]["resourceVersion"]
                if kind != "BOOKMARK":
                    _note(objects, kind, item)
                    yield kind, item
                if monotonic() > until:
                    return
        except (ApiStatusError, NoResponseError) as error:
            gone = isinstance(error, ApiStatusError) and error.status == _GONE
            if gone or monotonic() < until:  # otherwise the watch just ends
                raise
        if monotonic() - begun < _PAUSE_SECONDS:
            sleep(min(_PAUSE_SECONDS, max(until - monotonic(), 0.0)))


def watch_once(
    calls: HttpClient,
    path: str,
    selectors: Mapping[str, str],
    version: str,
    left: float = math.inf,
    *,
    longest: float = _STRETCH_SECONDS,
) -> Iterator[tuple[str, Object]]:
    """Yield the events of one connection, bookmarks included; a lost connection ends them.

    Raises ApiStatusError (410 if the resource version expired), NoResponseError if it cannot
    connect.

    Args:
        version: the resource version after which the events start.
        left: seconds until the whole watch ends.
        longest: seconds after which the connection ends.
    """
    stretch = min(left, longest)
    query = {
        **selectors,
        "watch": "true",
        "resourceVersion": version,
        "allowWatchBookmarks": "true",
        "timeoutSeconds": str(math.ceil(stretch)),
    }
    retry_seconds = min(calls.retry_seconds, left)
    answer = calls.open("GET", path, query=query, read=stretch, retry_seconds=retry_seconds)
    try:
        for line in read_lines(answer):
            event = json.loads(line)
            if event["type"] != "ERROR":
                yield event["type"], event["object"]
            elif not (error := _error(event["object"])).is_transient:
                raise error
    except NoResponseError:
        return  # the next connection continues here, or raises the error
    finally:
        answer.close()


def _error(status: dict[str, Any]) -> ApiStatusError:
    return parse_status_error(int(status.get("code") or 500), json.dumps(status).encode())


def _note(objects: dict[str, Object], kind: str, item: Object) -> None:
    """Track the existing objects, with only the metadata that a DELETED event needs."""
    meta = item["metadata"]
    if kind == "DELETED":
        objects.pop(meta["uid"], None)
    else:
        kept = {name: meta[name] for name in ("name", "namespace", "uid") if name in meta}
        objects[meta["uid"]] = {"metadata": kept}
