"""Following a step that runs in this kernel."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Generator, Iterator
from typing import TypeVar

from jarkkit.errors import JarkkitError
from jarkkit.records import Event
from jarkkit.streams import drain
from jarkkit.ui.live import FRAME_SECONDS, Live
from jarkkit.ui.progress import Progress

R = TypeVar("R")


def follow(work: Generator[Event, None, R]) -> R:
    """Run a step here, show its progress, and return its value; for steps of seconds.

    The kernel is busy meanwhile. Its interrupt (the notebook's ■) stops the step in order. The
    summary stays in the saved notebook. For a deploy or a cleanup see `start`.
    """
    live = Live(Progress())
    live.show()
    try:
        with _drawn(live):
            value = drain(work, live.take)
    except JarkkitError as error:
        live.close("stopped" if error.code == "JK-INTERRUPTED" else "failed", error)
        raise
    except BaseException:
        live.close("stopped")
        raise
    live.close("done")
    return value


@contextlib.contextmanager
def _drawn(live: Live) -> Iterator[None]:
    """Draw it until the work is over, also when the work has nothing to say for a while."""
    over = threading.Event()

    def draw() -> None:
        while not over.wait(FRAME_SECONDS):
            live.draw()

    thread = threading.Thread(target=draw, name="progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
