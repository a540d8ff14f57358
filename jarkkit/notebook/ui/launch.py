"""Start a long step from a notebook, and reattach to it later."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Callable, Generator, Mapping
from typing import Any, Generic, ParamSpec, Protocol, TypeVar, cast

from jarkkit.decisions.step_progress import StepProgress
from jarkkit.deployment import Deployment
from jarkkit.model.errors import Interrupted, JarkkitError
from jarkkit.model.records import Event, Step
from jarkkit.notebook.ui.background_step import BackgroundStep, StepProcess, log_tail
from jarkkit.notebook.ui.follow_step import follow
from jarkkit.notebook.ui.live_progress import FRAME_SECONDS, LiveDisplay
from jarkkit.notebook.ui.open_deployment import is_headless

R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)
P = ParamSpec("P")
_POLL_SECONDS = 0.1
# Options of the command line for arguments that are True.
_FLAGS = {
    "agreed": "--yes",
    "allow_orphans": "--allow-orphans",
    "skip_preflight": "--skip-preflight",
    "upgrade": "--upgrade",
}


class RunningStep(Protocol[R_co]):
    """A started step. `await` it to get its value, or the error that it ended with.

    While a cell awaits it, the Stop button works. Interrupting the kernel (the notebook's ■) stops
    the step cleanly, like the button.
    """

    def __await__(self) -> Generator[Any, None, R_co]: ...

    def stop(self) -> None:
        """Stop it cleanly, as Ctrl-C does; awaiting it then raises JK-INTERRUPTED."""


def start(
    step: Callable[P, Generator[Event, None, R]], *args: P.args, **kwargs: P.kwargs
) -> RunningStep[R]:
    """Start a deployment's `plan`, `deploy` or `cleanup` in a background process and show it.

    The call returns immediately, so you can run other cells meanwhile. `await` the result in a
    separate cell, so that "run all" continues only after the step has ended. The step continues if
    the kernel ends. Run the cell again to see the running step, or how it ended meanwhile; run it
    once more to start the step again.

    Headless, it runs the step to its end before it returns. A deploy in a real account needs
    `agreed=True`: nothing agrees in your place.

    Raises JK-DEPLOYMENT-BUSY if a notebook has started another step, and the errors that the step
    itself raises immediately, like JK-CONFIRM and JK-PREFLIGHT-BLOCKED. Raises TypeError for an
    argument that the step does not have.
    """
    deployment, name = _deployment_and_step(step)
    inspect.signature(step).bind(*args, **kwargs)  # also where the cell shows a running step
    background = BackgroundStep(deployment)
    process = None if is_headless() else _to_join(background, name)
    if process is None:
        if name == "deploy":
            kwargs.setdefault("agreed", False)
        work = step(*args, **kwargs)  # raises immediately if the step rejects its arguments
        if is_headless():
            return _Ended(follow(work))
        work.close()
        process = background.start(name, options_of(kwargs))
    return cast("RunningStep[R]", _Watched(background, process))


def _deployment_and_step(step: Callable[..., Any]) -> tuple[Deployment, Step]:
    deployment, name = getattr(step, "__self__", None), getattr(step, "__name__", "")
    if not isinstance(deployment, Deployment) or name not in ("plan", "deploy", "cleanup"):
        raise TypeError(
            "start() takes the plan, deploy or cleanup of a deployment, without calling it"
        )
    return deployment, cast("Step", name)


def options_of(arguments: Mapping[str, Any]) -> list[str]:
    """Return the command line's options for a step's arguments.

    Raises TypeError for an argument that no option hands on.
    """
    if unknown := arguments.keys() - {*_FLAGS, "confirm"}:
        raise TypeError(f"the command line has no option for {', '.join(sorted(unknown))}")
    flags = [option for name, option in _FLAGS.items() if arguments.get(name)]
    confirm = arguments.get("confirm")
    return [*flags, *(["--confirm", str(confirm)] if confirm else [])]


def _to_join(background: BackgroundStep, step: Step) -> StepProcess | None:
    """Return the step that was started before, if the cell shows it instead of a new one."""
    process = background.saved_process
    if process is None:
        return None
    if background.is_alive(process):
        if process.step == step:
            return process
        raise JarkkitError(
            "JK-DEPLOYMENT-BUSY",
            f"Another step is running: {process.step}.",
            "Wait until it ends, or stop it: run its cell again and press Stop.",
        )
    if process.step == step and background.has_unseen_outcome(process):
        return process
    background.forget()
    return None


class _Ended(Generic[R]):
    """A step that has already ended."""

    def __init__(self, value: R) -> None:
        self._value = value

    def __await__(self) -> Generator[Any, None, R]:
        yield from ()
        return self._value

    def stop(self) -> None:
        pass


class _Watched:
    """A step in a background process, watched by a thread until it ends."""

    def __init__(self, background: BackgroundStep, process: StepProcess) -> None:
        self._background, self._process = background, process
        self._ended = threading.Event()
        self._outcome: Any = None
        self._offset = process.offset
        deployment = background.deployment
        self._live = LiveDisplay(
            StepProgress(expected_counts(deployment, process.step), step=process.step),
            stop=self.stop,
            raw_log=lambda: log_tail(deployment.raw_log()),
        )
        self._read()
        self._live.show()
        self._live.draw()
        threading.Thread(target=self._watch, name=f"watch-{process.step}", daemon=True).start()

    def __await__(self) -> Generator[Any, None, Any]:
        return self._wait().__await__()

    async def _wait(self) -> Any:
        while not self._ended.is_set():
            try:
                await asyncio.sleep(_POLL_SECONDS)
            except (KeyboardInterrupt, asyncio.CancelledError):
                self.stop()  # then wait for the end: the next cells depend on the outcome
        if isinstance(self._outcome, Exception):
            raise self._outcome
        return self._outcome

    def stop(self) -> None:
        self._background.stop(self._process)

    def __repr__(self) -> str:
        return f"<{self._process.step}: {'ended' if self._ended.is_set() else 'running'}>"

    def _watch(self) -> None:
        try:
            while self._background.is_alive(self._process):
                self._read()
                self._live.draw()
                self._ended.wait(FRAME_SECONDS)
            self._read()
            self._end(self._background.outcome(self._process))
        except Exception as error:  # in a thread it would only be printed: `await` raises it
            self._outcome = error
        finally:
            self._ended.set()

    def _read(self) -> None:
        events, self._offset = self._background.deployment.workspace.events_from(self._offset)
        for event in events:
            self._live.add(event)

    def _end(self, outcome: Any) -> None:
        self._outcome = outcome
        if not isinstance(outcome, JarkkitError):
            self._live.close("done")
        else:
            stopped = isinstance(outcome, Interrupted)
            self._live.close("stopped" if stopped else "failed", outcome)
        self._background.forget()


def expected_counts(deployment: Deployment, step: Step) -> dict[str, int]:
    """Return the number of resources and add-ons of a step, as far as known in advance."""
    plan = deployment.recorded_plan()
    if step == "plan" or plan is None:
        return {}
    deployed = deployment.last_deploy_result()
    applied = step == "deploy" and deployed is not None and deployed.time > plan.made
    addons = len(deployment.stack.addons) if deployment.has_clusters else 0
    return {"resource": 0 if applied else len(plan.pending), "addon": addons}
