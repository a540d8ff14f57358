"""The base of the sandbox's controllers: on any change, reconcile everything."""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Iterable
from typing import ClassVar, TypeVar

from jarkkit.sandbox.controllers.cluster_context import ClusterContext
from jarkkit.sandbox.kubernetes.api import ApiError
from jarkkit.sandbox.kubernetes.informer import Informer

_PAUSE_SECONDS = 1.0
# After each run a controller rests this many times as long as it computed, up to the limit below:
# with ten thousand pods a run takes long, and something changes all the time.
_RESTS = 9.0
_LONGEST_SECONDS = 0.5


class Controller:
    """A level-triggered controller: `reconcile` compares the actual state with the desired one.

    `reconcile` may be called at any time. It runs in a thread of its own, one call at a time.

    Attributes:
        name: in logs.
        follows_account: reconcile whenever something in the account changes.
        rest: least seconds between two runs, so that a burst of changes causes one run.
    """

    name: ClassVar[str]
    follows_account: ClassVar[bool] = False
    rest: ClassVar[float] = 0.05

    def __init__(self, cluster: ClusterContext) -> None:
        self.cluster = cluster
        self._dirty = threading.Event()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def watched(self) -> tuple[Informer, ...]:
        """Return informers of the resources whose changes matter. Called once."""
        return ()

    def reconcile(self) -> float | None:
        """Make the actual state the desired one; return the seconds until the latest next run."""
        raise NotImplementedError

    def start(self) -> None:
        """Start the thread."""
        for informer in self.watched():
            informer.listen(lambda key, obj: self.wake())
        self._dirty.set()
        self._thread = threading.Thread(target=self._run, name=self.name, daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Reconcile soon."""
        self._dirty.set()

    def stop(self) -> None:
        """Stop; return when the current run has ended, or after a few seconds."""
        self._stopping.set()
        self._dirty.set()
        if self._thread is not None:
            self._thread.join(5.0)

    def _run(self) -> None:
        again: float | None = None
        while True:
            self._dirty.wait(again)
            if self._stopping.is_set():
                return
            self._dirty.clear()
            worked = time.thread_time()
            again = self._once()
            worked = time.thread_time() - worked
            self._stopping.wait(max(self.rest, min(_RESTS * worked, _LONGEST_SECONDS)))

    def _once(self) -> float | None:
        try:
            return self.reconcile()
        except ApiError as error:
            if not self._stopping.is_set():
                self.cluster.log(f"{self.name}: {error}")
        except Exception:  # one controller's defect must not end the others; it is in the log
            self.cluster.log(f"{self.name}: {traceback.format_exc()}")
        return _PAUSE_SECONDS


C = TypeVar("C", bound=Controller)


def find(controllers: Iterable[Controller], kind: type[C]) -> C | None:
    """Return the controller of that kind, None when the cluster has not started it yet."""
    return next((found for found in controllers if isinstance(found, kind)), None)
