"""A cache of responses that take seconds to render and are the same in every sandbox.

It is in memory and, for the next sandbox, in the user's cache folder. Karpenter's request for all
instance types costs moto five seconds of CPU time, and two replicas send it while everything else
starts.
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

from jarkkit.ports.paths import user_cache
from jarkkit.sandbox.private_files import write_private

_IN_MEMORY = 8
# Rendering shorter responses is faster than reading them from a file.
_WORTH_A_FILE = 100_000
_MEMORY: dict[str, TYPE_RESPONSE] = {}


def get_or_create(request: str, write: Callable[[], TYPE_RESPONSE]) -> TYPE_RESPONSE:
    """Return the cached response to a request, or render and cache it.

    Args:
        request: the key of the request.
    """
    name = hashlib.sha256(f"{_code_version()} {request}".encode()).hexdigest()[:24]
    if name not in _MEMORY:
        _MEMORY[name] = _read(name) or _stored(name, write())
        while len(_MEMORY) > _IN_MEMORY:
            _MEMORY.pop(next(iter(_MEMORY)))
    status, headers, body = _MEMORY[name]
    return status, dict(headers), body


@cache
def _code_version() -> str:
    """Return a key that changes with everything that a response depends on."""
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
        return None  # missing or truncated: rendered again


def _stored(name: str, answer: TYPE_RESPONSE) -> TYPE_RESPONSE:
    """Cache the response. A failure to write the file is ignored."""
    status, headers, body = answer
    text = body.decode() if isinstance(body, bytes) else body
    if len(text) < _WORTH_A_FILE:
        return status, headers, text
    saved = json.dumps({"status": status, "headers": dict(headers), "body": text})
    with contextlib.suppress(OSError):
        _folder().mkdir(parents=True, exist_ok=True)
        _evict_old()
        write_private(_folder() / name, gzip.compress(saved.encode(), compresslevel=1))
    return status, dict(headers), text


def _evict_old(most: int = 40) -> None:
    """Delete the oldest files: those of other releases are never read again."""
    kept = sorted(_folder().iterdir(), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in kept[most:]:
        path.unlink(missing_ok=True)
