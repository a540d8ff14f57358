"""What the sandbox's controllers have in common: something changed, so look at all and mend it."""

from __future__ import annotations

import threading
import time
import traceback
from typing import TYPE_CHECKING, ClassVar

from jarkkit.sandbox.cluster.api import ApiError
from jarkkit.sandbox.cluster.informer import Informer

if TYPE_CHECKING:
    from jarkkit.sandbox.eks.cluster import Cluster

_PAUSE_SECONDS = 1.0
# A controller rests this many times as long as it has computed, within reason: with ten thousand
# pods a look takes long, and something changes all the time.
_RESTS = 9.0
_LONGEST_SECONDS = 0.5


class Controller:
    """Level-triggered: `reconcile` compares what is with what should be, and may be called at any
    time. It runs in a thread of its own, one call at a time.

    Attributes:
        name: in logs.
        follows_account: look again whenever something in the account changed.
        rest: seconds between two looks at least, so that a burst of changes is one look.
    """

    name: ClassVar[str]
    follows_account: ClassVar[bool] = False
    rest: ClassVar[float] = 0.05

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self._dirty = threading.Event()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def watched(self) -> tuple[Informer, ...]:
        """The resources whose changes matter. Called once."""
        return ()

    def reconcile(self) -> float | None:
        """Do what is to be done; returns the seconds after which to look again at the latest."""
        raise NotImplementedError

    def start(self) -> None:
        """Begin."""
        for informer in self.watched():
            informer.listen(lambda key, thing: self.wake())
        self._dirty.set()
        self._thread = threading.Thread(target=self._run, name=self.name, daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Look again soon."""
        self._dirty.set()

    def stop(self) -> None:
        """End; returns when a call under way has ended, or after a few seconds."""
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
