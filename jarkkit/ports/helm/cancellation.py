"""Cancellation of running Helm actions, from another thread or by Ctrl-C."""

from __future__ import annotations

import contextlib
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from jarkkit.ports.helm import sdk
from jarkkit.ports.helm.errors import interrupted_error

T = TypeVar("T")


class HelmAction:
    """One action on one release.

    Attributes:
        operation: description, such as `install jupyterhub`.
        context: the SDK's context, which can cancel its calls.
    """

    def __init__(self, doing: str, context: Any) -> None:
        self.operation = doing
        self.context = context
        self._cancelled = threading.Event()

    def mark_cancelled(self) -> None:
        """Mark the action as canceled, so that it starts no further call."""
        self._cancelled.set()

    def cancel(self) -> None:
        """Cancel the action: at once if Helm supports it, else after the current call."""
        self.mark_cancelled()
        with contextlib.suppress(Exception):  # it has already ended
            self.context.cancel()

    def raise_if_cancelled(self) -> None:
        """Raise JK-INTERRUPTED if the action was canceled."""
        if self._cancelled.is_set():
            raise interrupted_error(self.operation)

    def sleep(self, seconds: float) -> None:
        """Sleep until the time is up or the action is canceled. Raises JK-INTERRUPTED."""
        self._cancelled.wait(seconds)
        self.raise_if_cancelled()


class RunningActions:
    """All running actions. Actions on the same release run one after the other, because parallel
    ones would corrupt its history."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._releases: dict[tuple[str, str], threading.Lock] = defaultdict(threading.Lock)
        self._under_way: set[HelmAction] = set()

    def run(self, release: tuple[str, str], doing: str, work: Callable[[HelmAction], T]) -> T:
        """Run the action as soon as no other one uses the release. Raises JK-INTERRUPTED."""
        with self._one(doing) as run, self._lock_of(release):
            run.raise_if_cancelled()
            if threading.current_thread() is not threading.main_thread():
                return work(run)
            return _in_thread(run, work)

    def cancel(self) -> None:
        """Cancel all actions."""
        with self._lock:
            under_way = tuple(self._under_way)
        for run in under_way:
            run.mark_cancelled()  # mark all first: actions that wait for a release must not start
        for run in under_way:
            run.cancel()

    @contextlib.contextmanager
    def _one(self, doing: str) -> Iterator[HelmAction]:
        with sdk.load().HelmContext() as context:
            run = HelmAction(doing, context)
            with self._lock:
                self._under_way.add(run)
            try:
                yield run
            finally:
                with self._lock:
                    self._under_way.discard(run)

    def _lock_of(self, release: tuple[str, str]) -> threading.Lock:
        with self._lock:
            return self._releases[release]


def _in_thread(run: HelmAction, work: Callable[[HelmAction], T]) -> T:
    """Run in another thread, because the main thread gets Ctrl-C only between library calls."""
    done: list[T] = []
    failed: list[BaseException] = []

    def act() -> None:
        try:
            done.append(work(run))
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=act, name=run.operation, daemon=True)
    thread.start()
    try:
        thread.join()
    except KeyboardInterrupt:
        run.cancel()
        thread.join()
        raise interrupted_error(run.operation) from None
    if failed:
        raise failed[0]
    return done[0]
