"""The kit's clock, in one place so that tests can hand in another."""

from __future__ import annotations

import time
from datetime import UTC, datetime


def now() -> str:
    """UTC now, ISO 8601 with milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def monotonic() -> float:
    """Seconds on a clock that never goes back."""
    return time.monotonic()
