"""Direct access to the account's backends, for controllers that act like AWS' own services."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

from moto.backends import get_backend
from moto.core.models import DEFAULT_ACCOUNT_ID


class Backends:
    """moto's backends of one Region, by service: `backends.ec2`."""

    def __init__(self, region: str) -> None:
        self.region = region

    def __getattr__(self, service: str) -> Any:
        region = "aws" if service in ("iam", "sts", "s3") else self.region
        known: Any = get_backend(service)  # type: ignore[call-overload]
        return known[DEFAULT_ACCOUNT_ID]["global" if service == "sts" else region]


class SandboxAccount:
    """Exclusive access to the account's backends.

    Never call a cluster inside `read` or `change`. Its API server asks the account to authenticate
    callers, so the two would deadlock.

    Args:
        lock: the lock that the server holds while it serves a request.
        changed: the callback after a change, which schedules a save.
    """

    def __init__(self, lock: threading.Lock, changed: Callable[[], None]) -> None:
        self._lock = lock
        self._changed = changed

    @contextlib.contextmanager
    def read(self, region: str) -> Iterator[Backends]:
        """Yield the backends for reading, while no other caller can change them."""
        with self._lock:
            yield Backends(region)

    @contextlib.contextmanager
    def change(self, region: str) -> Iterator[Backends]:
        """Yield the backends for a change, and schedule a save afterwards."""
        with self._lock:
            yield Backends(region)
        self._changed()
