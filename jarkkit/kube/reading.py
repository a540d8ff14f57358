"""Reading many objects: lists in pages, and watches that outlive lost connections."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from jarkkit.clock import monotonic
from jarkkit.kube.http import Calls, Object, lines
from jarkkit.kube.problems import NoAnswerError, RefusedError, refusal

_PAGE = 500  # as kubectl; 500 pods are some ten megabytes while they are looked at
_RESTARTS = 3
# A watch is renewed that often, so that a server that hangs is noticed.
_STRETCH_SECONDS = 20.0
_PAUSE_SECONDS = 0.5
_GONE = 410


@dataclass(frozen=True)
class Page:
    """A part of a list.

    Attributes:
        version: resource version of the whole list.
    """

    version: str
    items: tuple[Object, ...]


def pages(calls: Calls, path: str, selectors: Mapping[str, str]) -> Iterator[Page]:
    """A list, page by page, each object once. Raises RefusedError, NoAnswerError."""
    seen: set[str] = set()
    restarts, token = 0, ""
    while True:
        query = {**selectors, "limit": str(_PAGE), **({"continue": token} if token else {})}
        try:
            answer = calls.json("GET", path, query=query)
        except RefusedError as error:
            if error.status != _GONE or not token or restarts == _RESTARTS:
                raise
            restarts, token = restarts + 1, ""  # it took too long: from the beginning
            continue
        items = answer["items"] or ()
        token = answer["metadata"].get("continue", "")
        fresh = [item for item in items if item["metadata"].get("uid", "") not in seen]
        if token:
            seen.update(item["metadata"]["uid"] for item in fresh if "uid" in item["metadata"])
        yield Page(answer["metadata"].get("resourceVersion", ""), tuple(fresh))
        if not token:
            return


def watched(
    calls: Calls,
    path: str,
    selectors: Mapping[str, str],
    seconds: float,
    sleep: Callable[[float], None],
) -> Iterator[tuple[str, Object]]:
    """What `Kube.watch` promises. Raises RefusedError, NoAnswerError."""
    until = monotonic() + seconds
    known: dict[str, Object] = {}
    while True:
        version = yield from _afresh(calls, path, selectors, known)
        try:
            yield from _followed(calls, path, selectors, version, until, known, sleep)
        except RefusedError as error:
            if error.status != _GONE:
                raise
        else:
            return


def _afresh(
    calls: Calls, path: str, selectors: Mapping[str, str], known: dict[str, Object]
) -> Generator[tuple[str, Object], None, str]:
    """All there is as ADDED, what is there no more as DELETED; answers the list's version."""
    before = dict(known)
    version = ""
    known.clear()
    for page in pages(calls, path, selectors):
        version = page.version
        for thing in page.items:
            _note(known, "ADDED", thing)
            yield "ADDED", thing
    for uid in before.keys() - known.keys():
        yield "DELETED", before[uid]
    return version


def _followed(
    calls: Calls,
    path: str,
    selectors: Mapping[str, str],
    version: str,
    until: float,
    known: dict[str, Object],
    sleep: Callable[[float], None],
) -> Iterator[tuple[str, Object]]:
    """What happens from that version on, until the time is up.

    Raises RefusedError (410 when the server no longer knows that version), NoAnswerError.
    """
    while (left := until - monotonic()) > 0:
        begun = monotonic()
        try:
            for kind, thing in _stretch(calls, path, selectors, version, left):
                version = thing["metadata"]["resourceVersion"]
                if kind != "BOOKMARK":
                    _note(known, kind, thing)
                    yield kind, thing
                if monotonic() > until:
                    return
        except (RefusedError, NoAnswerError) as error:
            gone = isinstance(error, RefusedError) and error.status == _GONE
            if gone or monotonic() < until:  # else our patience was not used up
                raise
        if monotonic() - begun < _PAUSE_SECONDS:
            sleep(min(_PAUSE_SECONDS, max(until - monotonic(), 0.0)))


def _stretch(
    calls: Calls, path: str, selectors: Mapping[str, str], version: str, left: float
) -> Iterator[tuple[str, Object]]:
    """One connection's worth of events. Raises RefusedError; NoAnswerError when there is none."""
    stretch = min(left, _STRETCH_SECONDS)
    query = {
        **selectors,
        "watch": "true",
        "resourceVersion": version,
        "allowWatchBookmarks": "true",
        "timeoutSeconds": str(math.ceil(stretch)),
    }
    patience = min(calls.patience, left)
    answer = calls.open("GET", path, query=query, read=stretch, patience=patience)
    try:
        for line in lines(answer):
            event = json.loads(line)
            if event["type"] != "ERROR":
                yield event["type"], event["object"]
            elif not (error := _error(event["object"])).passing:
                raise error
    except NoAnswerError:
        return  # the next connection goes on from here, or finds out why not
    finally:
        answer.close()


def _error(status: dict[str, Any]) -> RefusedError:
    return refusal(int(status.get("code") or 500), json.dumps(status).encode())


def _note(known: dict[str, Object], kind: str, thing: Object) -> None:
    """Remember what is there, by as little as tells that it has gone."""
    meta = thing["metadata"]
    if kind == "DELETED":
        known.pop(meta["uid"], None)
    else:
        kept = {name: meta[name] for name in ("name", "namespace", "uid") if name in meta}
        known[meta["uid"]] = {"metadata": kept}
