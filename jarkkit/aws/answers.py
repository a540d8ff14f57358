"""What an account answered before, with the time it was asked.

A file per question below a folder per account and Region, readable by its owner only. Each value
carries when it was asked, so that everything made of it can say so. Errors are never kept: only who
got an answer calls `put`. A file that cannot be read or written is as good as none.
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

from jarkkit.home import user_cache

# How long an answer is good for, in seconds.
MINUTE = 60.0
DAY = 86_400.0

PUBLIC = "public"
"""In the place of an account id, for what is the same in every account (prices)."""


class Key(NamedTuple):
    """What was asked where.

    Args:
        account_id: 12 digits, or `PUBLIC`.
        region: a Region, or `global`.
        question: in words, with everything that the answer depends on; any length.
    """

    account_id: str
    region: str
    question: str


@dataclass(frozen=True)
class Answer:
    """A value and when it was asked.

    Args:
        value: as JSON gives it back: no tuples, no sets, keys are strings.
        asked: UTC.
    """

    value: Any
    asked: datetime


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Answers:
    """The dated cache. Good for many threads; making one reads nothing.

    Args:
        folder: where the files are; None remembers for this object's life only.
        clock: UTC now.
    """

    def __init__(self, folder: Path | None, *, clock: Callable[[], datetime] = _utc_now) -> None:
        self._folder = folder
        self._clock = clock
        self._not_before = datetime.min.replace(tzinfo=UTC)
        self._known: dict[Key, Answer] = {}
        self._lock = threading.Lock()

    def forget(self) -> None:
        """From now on only what is put from now on is given back."""
        self._not_before = self._clock()

    def get(self, key: Key, max_age_seconds: float) -> Answer | None:
        """The answer, unless there is none or it is older than that."""
        with self._lock:
            found = self._known.get(key)
        if found is None and (found := self._read(key)) is not None:
            with self._lock:
                found = self._known.setdefault(key, found)
        if found is None or found.asked < self._not_before:
            return None
        age = self._clock() - found.asked
        # A date that lies ahead was written by another clock: it says nothing about the age.
        fresh = timedelta(0) <= age <= timedelta(seconds=max_age_seconds)
        return found if fresh else None

    def put(self, key: Key, value: Any) -> Answer:
        """Keep an answer that was given just now."""
        answer = Answer(value, self._clock())
        with self._lock:
            self._known[key] = answer
        with contextlib.suppress(OSError):
            self._write(key, answer)
        return answer

    def ask(self, key: Key, max_age_seconds: float, question: Callable[[], Any]) -> Answer:
        """The answer that is known, else the one that `question` gives. Its errors are raised."""
        return self.get(key, max_age_seconds) or self.put(key, question())

    # -- files ---------------------------------------------------------------------------------

    def _path(self, folder: Path, key: Key) -> Path:
        digest = hashlib.sha256(key.question.encode()).hexdigest()[:12]
        words = re.sub(r"[^a-z0-9]+", "-", key.question.lower())[:48].strip("-")
        return folder / key.account_id / key.region / f"{words}-{digest}.json"

    def _read(self, key: Key) -> Answer | None:
        if self._folder is None:
            return None
        try:
            saved = json.loads(self._path(self._folder, key).read_bytes())
            if saved["question"] != key.question:
                return None
            return Answer(saved["value"], datetime.fromisoformat(saved["asked"]).astimezone(UTC))
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _write(self, key: Key, answer: Answer) -> None:
        if self._folder is None:
            return
        path = self._path(self._folder, key)
        saved = {
            "question": key.question,
            "asked": answer.asked.isoformat(),
            "value": answer.value,
        }
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        # mkstemp makes the file 0600; a name of its own keeps two processes apart.
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".tmp")
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                json.dump(saved, file)
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise


def answers_folder(environ: Mapping[str, str] = os.environ) -> Path | None:
    """Where answers are kept: $JARKKIT_ACCOUNT_CACHE, else `account` in the user's cache folder of
    jarkkit. None for an endpoint of one's own that names no folder: what a pretend account answers
    must never be taken for a real one's."""
    if named := environ.get("JARKKIT_ACCOUNT_CACHE"):
        return Path(named).expanduser()
    if environ.get("AWS_ENDPOINT_URL"):
        return None
    return user_cache(environ) / "account"
