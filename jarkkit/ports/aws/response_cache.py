"""Cache of AWS responses with the time of each request.

It keeps one file per request, in a folder per account and Region that only its owner can read. Each
value has the time of its request, so that results based on it can show how old it is. Errors are
never cached, because callers call `put` only with a response. A file that cannot be read or written
counts as missing.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import tempfile
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from jarkkit.ports.paths import user_cache

# Typical lifetimes of cached responses, in seconds.
MINUTE = 60.0
DAY = 86_400.0

ANY_ACCOUNT = "public"
"""Replaces the account id for data that is the same in every account (prices)."""


class CacheKey(NamedTuple):
    """Cache key of a request.

    Args:
        account_id: 12 digits, or `ANY_ACCOUNT`.
        region: a Region, or `global`.
        request: description with everything that the response depends on; any length.
    """

    account_id: str
    region: str
    request: str


@dataclass(frozen=True)
class CachedResponse:
    """A cached value with the time of its request.

    Args:
        value: as JSON returns it: no tuples, no sets, keys are strings.
        fetched_at: time of the request, UTC.
    """

    value: Any
    fetched_at: datetime


def _utc_now() -> datetime:
    return datetime.now(UTC)


class ResponseCache:
    """The response cache. Thread-safe; the constructor reads nothing.

    Args:
        folder: folder of the files; None caches in memory only.
        clock: returns the current time, UTC.
    """

    def __init__(self, folder: Path | None, *, clock: Callable[[], datetime] = _utc_now) -> None:
        self._folder = folder
        self._clock = clock
        self._not_before = datetime.min.replace(tzinfo=UTC)
        self._known: dict[CacheKey, CachedResponse] = {}
        self._lock = threading.Lock()

    def ignore_cache(self) -> None:
        """Ignore everything that was cached before now."""
        self._not_before = self._clock()

    def get(self, key: CacheKey, max_age_seconds: float) -> CachedResponse | None:
        """Return the cached response, or None if it is missing or older than that."""
        with self._lock:
            found = self._known.get(key)
        if found is None and (found := self._read(key)) is not None:
            with self._lock:
                found = self._known.setdefault(key, found)
        if found is None or found.fetched_at < self._not_before:
            return None
        age = self._clock() - found.fetched_at
        # Another clock wrote a date in the future, so the age is unknown.
        fresh = timedelta(0) <= age <= timedelta(seconds=max_age_seconds)
        return found if fresh else None

    def put(self, key: CacheKey, value: Any) -> CachedResponse:
        """Cache a response that was just received."""
        answer = CachedResponse(value, self._clock())
        with self._lock:
            self._known[key] = answer
        with contextlib.suppress(OSError):
            self._write(key, answer)
        return answer

    def get_or_fetch(
        self, key: CacheKey, max_age_seconds: float, fetch: Callable[[], Any]
    ) -> CachedResponse:
        """Return the cached response, or call the function and cache its result. Raises its
        errors."""
        return self.get(key, max_age_seconds) or self.put(key, fetch())

    # -- files ---------------------------------------------------------------------------------

    def _path(self, folder: Path, key: CacheKey) -> Path:
        digest = hashlib.sha256(key.request.encode()).hexdigest()[:12]
        words = re.sub(r"[^a-z0-9]+", "-", key.request.lower())[:48].strip("-")
        return folder / key.account_id / key.region / f"{words}-{digest}.json"

    def _read(self, key: CacheKey) -> CachedResponse | None:
        if self._folder is None:
            return None
        try:
            saved = json.loads(self._path(self._folder, key).read_bytes())
            if saved["question"] != key.request:
                return None
            return CachedResponse(
                saved["value"], datetime.fromisoformat(saved["asked"]).astimezone(UTC)
            )
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _write(self, key: CacheKey, answer: CachedResponse) -> None:
        if self._folder is None:
            return
        path = self._path(self._folder, key)
        saved = {
            "question": key.request,
            "asked": answer.fetched_at.isoformat(),
            "value": answer.value,
        }
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        # mkstemp creates the file with mode 0600 and a unique name: two processes cannot collide.
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".tmp")
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                json.dump(saved, file)
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise


def response_cache_folder(environ: Mapping[str, str] = os.environ) -> Path | None:
    """Return the cache folder: $JARKKIT_ACCOUNT_CACHE, else `account` in the user cache folder.

    Return None for a custom endpoint without $JARKKIT_ACCOUNT_CACHE, so that a simulated account's
    responses are never used for a real account.
    """
    if named := environ.get("JARKKIT_ACCOUNT_CACHE"):
        return Path(named).expanduser()
    if environ.get("AWS_ENDPOINT_URL"):
        return None
    return user_cache(environ) / "account"
