"""Progress of a step that runs in this kernel."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Generator, Iterator
from typing import TypeVar

from jarkkit.decisions.step_progress import StepProgress
from jarkkit.model.errors import Interrupted, JarkkitError
from jarkkit.model.records import Event
from jarkkit.model.step_generators import run_to_end
from jarkkit.notebook.ui.live_progress import FRAME_SECONDS, LiveDisplay

R = TypeVar("R")


def follow(work: Generator[Event, None, R]) -> R:
    """Run a step in this kernel, show its progress, and return its value. For steps of seconds.

    The kernel is busy meanwhile. Interrupt it (the notebook's ■) to stop the step cleanly. The
    summary stays in the saved notebook. For a deploy or a cleanup use `start`.
    """
    live = LiveDisplay(StepProgress())
    live.show()
    try:
        with _drawn(live):
            value = run_to_end(work, live.add)
    except JarkkitError as error:
        live.close("stopped" if isinstance(error, Interrupted) else "failed", error)
        raise
    except BaseException:
        live.close("stopped")
        raise
    live.close("done")
    return value


@contextlib.contextmanager
def _drawn(live: LiveDisplay) -> Iterator[None]:
    """Redraw periodically until the work is over, also while it yields no events."""
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
