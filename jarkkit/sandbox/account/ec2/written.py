"""Answers that take seconds to write and are the same in every sandbox: kept in memory and, for the
next sandbox, in the user's cache.

What Karpenter asks about all instance types costs moto five seconds of a core, and two replicas ask
at the moment when everything else starts.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path

import botocore
import moto
from moto.core.common_types import TYPE_RESPONSE

from jarkkit.home import user_cache
from jarkkit.sandbox.files import write_private

_IN_MEMORY = 8
# Shorter ones are written faster than they are found.
_WORTH_A_FILE = 100_000
_MEMORY: dict[str, TYPE_RESPONSE] = {}


def once(asked: str, write: Callable[[], TYPE_RESPONSE]) -> TYPE_RESPONSE:
    """The answer to what was asked; written only where nobody has written it before.

    Args:
        asked: tells it from all other questions.
    """
    name = hashlib.sha256(f"{_state_of_the_code()} {asked}".encode()).hexdigest()[:24]
    if name not in _MEMORY:
        _MEMORY[name] = _read(name) or _written(name, write())
        while len(_MEMORY) > _IN_MEMORY:
            _MEMORY.pop(next(iter(_MEMORY)))
    status, headers, body = _MEMORY[name]
    return status, dict(headers), body


@cache
def _state_of_the_code() -> str:
    """Changes with everything that an answer depends on."""
    ours = [path.read_bytes() for path in sorted(Path(__file__).parent.glob("*.py"))]
    digest = hashlib.sha256(b"\0".join(ours)).hexdigest()
    return f"{moto.__version__} {botocore.__version__} {digest}"


def _folder() -> Path:
    return user_cache() / "sandbox-answers"


def _read(name: str) -> TYPE_RESPONSE | None:
    try:
        saved = json.loads(gzip.decompress((_folder() / name).read_bytes()))
        return saved["status"], saved["headers"], saved["body"]
    except (OSError, EOFError, ValueError, KeyError):
        return None  # not there, or cut short: written anew


def _written(name: str, answer: TYPE_RESPONSE) -> TYPE_RESPONSE:
    """Keep it. A cache that cannot be written is none, and nothing else."""
    status, headers, body = answer
    text = body.decode() if isinstance(body, bytes) else body
    if len(text) < _WORTH_A_FILE:
        return status, headers, text
    saved = json.dumps({"status": status, "headers": dict(headers), "body": text})
    with contextlib.suppress(OSError):
        _folder().mkdir(parents=True, exist_ok=True)
        _forget_old()
        write_private(_folder() / name, gzip.compress(saved.encode(), compresslevel=1))
    return status, dict(headers), text


def _forget_old(most: int = 40) -> None:
    """The oldest go: those of other releases are never asked for again."""
    kept = sorted(_folder().iterdir(), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in kept[most:]:
        path.unlink(missing_ok=True)
