"""The account as AWS' own services see it: for controllers that act in it, one at a time."""

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
        place = "aws" if service in ("iam", "sts", "s3") else self.region
        known: Any = get_backend(service)  # type: ignore[call-overload]
        return known[DEFAULT_ACCOUNT_ID]["global" if service == "sts" else place]


class Account:
    """The way into the account.

    Never talk to a cluster inside `read` or `change`: its API server asks the account who somebody
    is, and would wait for us.

    Args:
        lock: held while a request is served.
        changed: to be called after a change, so that it is saved.
    """

    def __init__(self, lock: threading.Lock, changed: Callable[[], None]) -> None:
        self._lock = lock
        self._changed = changed

    @contextlib.contextmanager
    def read(self, region: str) -> Iterator[Backends]:
        """Look, while nobody changes anything."""
        with self._lock:
            yield Backends(region)

    @contextlib.contextmanager
    def change(self, region: str) -> Iterator[Backends]:
        """Change something; it is saved soon after."""
        with self._lock:
            yield Backends(region)
        self._changed()
