"""Actions that are under way: they can be cancelled from another thread, or by Ctrl-C."""

from __future__ import annotations

import contextlib
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from jarkkit.helm import sdk
from jarkkit.helm.problems import interrupted

T = TypeVar("T")


class Run:
    """One action on one release.

    Attributes:
        doing: such as `install jupyterhub`.
        context: the SDK's, by which its calls can be ended.
    """

    def __init__(self, doing: str, context: Any) -> None:
        self.doing = doing
        self.context = context
        self._cancelled = threading.Event()

    def mark(self) -> None:
        """It is to end, and does nothing more by itself."""
        self._cancelled.set()

    def cancel(self) -> None:
        """End it: at once where Helm can, else after the call that is being made."""
        self.mark()
        with contextlib.suppress(Exception):  # it has ended meanwhile
            self.context.cancel()

    def check(self) -> None:
        """Raises JK-INTERRUPTED when it was cancelled."""
        if self._cancelled.is_set():
            raise interrupted(self.doing)

    def pause(self, seconds: float) -> None:
        """Sleep, unless it is cancelled. Raises JK-INTERRUPTED."""
        self._cancelled.wait(seconds)
        self.check()


class Runs:
    """All that is under way. Actions on one release wait for each other: at the same time they
    would damage its history."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._releases: dict[tuple[str, str], threading.Lock] = defaultdict(threading.Lock)
        self._under_way: set[Run] = set()

    def carry_out(self, release: tuple[str, str], doing: str, work: Callable[[Run], T]) -> T:
        """Do it as soon as the release is free. Raises JK-INTERRUPTED."""
        with self._one(doing) as run, self._lock_of(release):
            run.check()
            if threading.current_thread() is not threading.main_thread():
                return work(run)
            return _beside(run, work)

    def cancel(self) -> None:
        """End all of them."""
        with self._lock:
            under_way = tuple(self._under_way)
        for run in under_way:
            run.mark()  # all of them first: what waits for a release must not begin when it is free
        for run in under_way:
            run.cancel()

    @contextlib.contextmanager
    def _one(self, doing: str) -> Iterator[Run]:
        with sdk.load().HelmContext() as context:
            run = Run(doing, context)
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


def _beside(run: Run, work: Callable[[Run], T]) -> T:
    """In another thread, because the main one hears Ctrl-C only between calls of the library."""
    done: list[T] = []
    failed: list[BaseException] = []

    def act() -> None:
        try:
            done.append(work(run))
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=act, name=run.doing, daemon=True)
    thread.start()
    try:
        thread.join()
    except KeyboardInterrupt:
        run.cancel()
        thread.join()
        raise interrupted(run.doing) from None
    if failed:
        raise failed[0]
    return done[0]
