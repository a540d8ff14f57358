"""One sandbox for several runs in one home: who starts it stops it, after the last has ended.

The locks are files' (flock), so that they end with their process, however it ends.
"""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from jarkkit.sandbox import daemon_client


@contextlib.contextmanager
def in_use(home: Path, speed: float | None, waiting: Callable[[], None]) -> Iterator[None]:
    """Use the sandbox of that folder; start it if none runs, and then stop it at the end.

    Raises what `daemon_client.start` raises.

    Args:
        speed: of a sandbox that starts; a running one must have it, unless it is None.
        waiting: called before this waits for other runs that use the sandbox it started.
    """
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (home / "users.lock").open("a") as users, (home / "start.lock").open("a") as starting:
        fcntl.flock(users, fcntl.LOCK_SH)
        fcntl.flock(starting, fcntl.LOCK_EX)  # of two runs that begin at once, one starts it
        try:
            was_running = daemon_client.find(home) is not None
            if not was_running or speed is not None:
                daemon_client.start(home, speed=speed or 0.0)
        finally:
            fcntl.flock(starting, fcntl.LOCK_UN)
        try:
            yield
        finally:
            if not was_running:
                try:
                    _wait_for_others(users, waiting)
                finally:
                    daemon_client.stop(home)


def _wait_for_others(users: IO[str], waiting: Callable[[], None]) -> None:
    """Return when no other run uses the sandbox; new ones wait until it has stopped."""
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        waiting()
        fcntl.flock(users, fcntl.LOCK_EX)
