"""Starting a step of minutes from a notebook, and coming back to it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Generator
from typing import Any, Generic, ParamSpec, Protocol, TypeVar, cast

from jarkkit.addons import choice
from jarkkit.errors import JarkkitError
from jarkkit.kit import Kit
from jarkkit.records import Event, Step
from jarkkit.ui.apart import Apart, Known, raw_tail
from jarkkit.ui.following import follow
from jarkkit.ui.live import FRAME_SECONDS, Live
from jarkkit.ui.opening import headless
from jarkkit.ui.progress import Progress

R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)
P = ParamSpec("P")
_LOOK_SECONDS = 0.1


class Running(Protocol[R_co]):
    """A step that was started. `await` it for its value, or for the error that it ended with.

    While a cell awaits it, the button works, and the kernel's interrupt (the notebook's ■) stops
    the step in order, like the button.
    """

    def __await__(self) -> Generator[Any, None, R_co]: ...

    def stop(self) -> None:
        """Stop it in order, as Ctrl-C does; who awaits it gets JK-INTERRUPTED."""


def start(
    step: Callable[P, Generator[Event, None, R]], *args: P.args, **kwargs: P.kwargs
) -> Running[R]:
    """Start `kit.plan`, `kit.deploy` or `kit.cleanup` in a process of its own and show it.

    It returns at once: other cells can be run meanwhile. `await` what it returns in a cell of its
    own, so that "run all" goes on only when the step has ended. A kernel that ends does not end the
    step. Run the cell again, and it shows the step that is under way, or how it ended while nobody
    looked; running it once more then starts the step anew.

    Headless it runs the step to its end before it returns.

    Raises JK-DEPLOYMENT-BUSY when a notebook has started another step; what the step itself
    refuses at once, like JK-CONFIRM.
    """
    kit, name = _of(step)
    work = step(*args, **kwargs)  # says at once what it refuses
    if headless():
        return _Ended(follow(work))
    work.close()
    words = {"deploy": ["--yes"], "cleanup": ["--confirm", kit.name]}.get(name, [])
    apart = Apart(kit)
    known = _to_join(apart, name) or apart.start(name, words)
    return cast("Running[R]", _Watched(apart, known))


def _of(step: Callable[..., Any]) -> tuple[Kit, Step]:
    kit, name = getattr(step, "__self__", None), getattr(step, "__name__", "")
    if not isinstance(kit, Kit) or name not in ("plan", "deploy", "cleanup"):
        raise TypeError("start() takes kit.plan, kit.deploy or kit.cleanup, not called")
    return kit, cast("Step", name)


def _to_join(apart: Apart, step: Step) -> Known | None:
    """The step that was started before, if it is to be shown instead of started."""
    known = apart.known
    if known is None:
        return None
    if apart.alive(known):
        if known.step == step:
            return known
        raise JarkkitError(
            "JK-DEPLOYMENT-BUSY",
            f"Another step is under way: {known.step}.",
            "Wait until it has ended, or stop it where it was started: run its cell again.",
        )
    if known.step == step and apart.unseen(known):
        return known
    apart.forget()
    return None


class _Ended(Generic[R]):
    """One that has run to its end already."""

    def __init__(self, value: R) -> None:
        self._value = value

    def __await__(self) -> Generator[Any, None, R]:
        yield from ()
        return self._value

    def stop(self) -> None:
        pass


class _Watched:
    """One in a process of its own, watched by a thread until it has ended."""

    def __init__(self, apart: Apart, known: Known) -> None:
        self._apart, self._known = apart, known
        self._ended = threading.Event()
        self._outcome: Any = None
        self._offset = known.offset
        kit = apart.kit
        self._live = Live(
            Progress(expected(kit, known.step), step=known.step),
            stop=self.stop,
            raw_log=lambda: raw_tail(kit.raw_log()),
        )
        self._read()
        self._live.show()
        self._live.draw()
        threading.Thread(target=self._watch, name=f"watch-{known.step}", daemon=True).start()

    def __await__(self) -> Generator[Any, None, Any]:
        return self._wait().__await__()

    async def _wait(self) -> Any:
        while not self._ended.is_set():
            try:
                await asyncio.sleep(_LOOK_SECONDS)
            except (KeyboardInterrupt, asyncio.CancelledError):
                self.stop()  # and wait until it has: the next cells need to know how it ended
        if isinstance(self._outcome, JarkkitError):
            raise self._outcome
        return self._outcome

    def stop(self) -> None:
        self._apart.stop(self._known)

    def __repr__(self) -> str:
        return f"<{self._known.step}: {'ended' if self._ended.is_set() else 'under way'}>"

    def _watch(self) -> None:
        try:
            while self._apart.alive(self._known):
                self._read()
                self._live.draw()
                self._ended.wait(FRAME_SECONDS)
            self._read()
            self._end(self._apart.outcome(self._known))
        finally:
            self._ended.set()

    def _read(self) -> None:
        events, self._offset = self._apart.kit.workspace.events_from(self._offset)
        for event in events:
            self._live.take(event)

    def _end(self, outcome: Any) -> None:
        self._outcome = outcome
        if not isinstance(outcome, JarkkitError):
            self._live.close("done")
        else:
            stopped = outcome.code == "JK-INTERRUPTED"
            self._live.close("stopped" if stopped else "failed", outcome)
        self._apart.forget()


def expected(kit: Kit, step: Step) -> dict[str, int]:
    """How many resources and add-ons a step is about, as far as it is known beforehand."""
    plan = kit.planned()
    if step == "plan" or plan is None:
        return {}
    there = kit.last_deployed()
    applied = step == "deploy" and there is not None and there.time > plan.made
    addons = len(choice.chosen(kit.settings)) if kit.has_clusters else 0
    return {"resource": 0 if applied else len(plan.pending), "addon": addons}
