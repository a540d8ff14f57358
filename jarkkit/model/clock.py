"""The clock that jarkkit uses, in one module so that tests can replace it."""

from __future__ import annotations

import time
from datetime import UTC, datetime


def now() -> str:
    """Return the current UTC time, ISO 8601 with milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def monotonic() -> float:
    """Return the seconds of a clock that never goes backward."""
    return time.monotonic()
