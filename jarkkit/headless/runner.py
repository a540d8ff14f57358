"""Unattended notebook runs: papermill executes the notebooks in order.

papermill runs in a separate thread. The main thread yields the events that the step inside the
notebook records, and forwards an interrupt to the kernel instead of killing it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

import nbformat
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager

from jarkkit.decisions.redaction import Redactor
from jarkkit.model.clock import now
from jarkkit.model.errors import CODES, JarkkitError
from jarkkit.model.events import PhaseProgress, stamped
from jarkkit.model.notebook_runs import NotebookResult, NotebookRun
from jarkkit.model.records import Event
from jarkkit.notebook.ui import HEADLESS
from jarkkit.ports.paths import notebooks_folder, with_programs
from jarkkit.ports.workspace import Workspace
from jarkkit.steps.queries.past_durations import timed_runs

_POLL_SECONDS = 0.1


def select_notebooks(first: str = "", last: str = "") -> tuple[Path, ...]:
    """Return the notebooks from `first` to `last`, given by number or name; all if empty.

    Raises JK-NOTEBOOK-MISSING.
    """
    notebooks = tuple(sorted(notebooks_folder().glob("[0-9][0-9]-*.ipynb")))
    begin = _index(notebooks, first) if first else 0
    end = _index(notebooks, last) if last else len(notebooks) - 1
    return notebooks[begin : end + 1]


def redact_notebook(path: Path, redactor: Redactor) -> None:
    """Redact an executed notebook in place; do nothing if it does not exist."""
    with contextlib.suppress(FileNotFoundError):
        book = nbformat.read(str(path), as_version=4)
        nbformat.write(nbformat.from_dict(redactor.value(book)), str(path))
        path.chmod(0o600)


def _index(notebooks: Sequence[Path], requested: str) -> int:
    for index, path in enumerate(notebooks):
        if requested in (path.stem, path.name) or path.stem[:2] == requested.zfill(2):
            return index
    names = ", ".join(path.stem for path in notebooks)
    raise JarkkitError(
        "JK-NOTEBOOK-MISSING", f"There is no notebook {requested!r}.", f"Choose one of: {names}."
    )


def parameters_of(notebook: Path, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the given parameters that the notebook declares."""
    known = known_parameters(notebook)
    return {name: value for name, value in given.items() if name in known}


def known_parameters(notebook: Path) -> tuple[str, ...]:
    """Return the names in the notebook's cell tagged `parameters`."""
    from papermill import inspect_notebook

    return tuple(inspect_notebook(str(notebook)))


@dataclass
class NotebookRunner:
    """Runs notebooks for one deployment.

    Args:
        environ: the environment of the kernels.
        parameters: by name; each notebook gets those that it declares.
        policies: names of the policies that limit the environment's calls to a simulated account.
        own_policies: True if policies that you gave the sandbox limit them instead.
    """

    workspace: Workspace
    environ: Mapping[str, str]
    parameters: Mapping[str, Any]
    redactor: Redactor
    policies: tuple[str, ...] = ()
    own_policies: bool = False
    _ran: list[NotebookResult] = field(default_factory=list)

    def run(
        self, notebooks: Sequence[Path]
    ) -> Generator[Event | NotebookResult, None, NotebookRun]:
        """Run the notebooks until one fails; yield events and each notebook's result.

        The executed notebooks are in the deployment's folder, without account ids and local paths.
        """
        started, began = now(), time.monotonic()
        for index, notebook in enumerate(notebooks):
            yield stamped(PhaseProgress(notebook.stem, "started"), "configure")
            ran = yield from self._run_one(notebook)
            self._ran.append(ran)
            yield ran
            if ran.status == "failed":
                rest = notebooks[index + 1 :]
                self._ran += [NotebookResult(name=path.stem, status="skipped") for path in rest]
                break
        run = NotebookRun(
            deployment=self.workspace.name,
            rehearsal=bool(self.parameters.get("rehearsal")),
            started=started,
            seconds=round(time.monotonic() - began, 1),
            notebooks=tuple(self._ran),
            times=timed_runs(self.workspace, started) if self.workspace.exists else (),
            policies=self.policies,
            own_policies=self.own_policies,
        )
        if self.workspace.exists:
            self.workspace.save("run", run)
        return run

    def _run_one(self, notebook: Path) -> Generator[Event | NotebookResult, None, NotebookResult]:
        began = time.monotonic()
        work = _Execution(
            notebook,
            self._output(notebook),
            parameters_of(notebook, self.parameters),
            {**with_programs(self.environ), HEADLESS: "1"},
        )
        offset = self.workspace.events_from(0).offset
        try:
            work.start()
            running = True
            while running:
                running = not work.ended(_POLL_SECONDS)
                events, offset = self.workspace.events_from(offset)
                yield from events
        except (KeyboardInterrupt, GeneratorExit):
            work.interrupt()
            raise
        finally:
            work.join()
            redact_notebook(work.output, self.redactor)
            _sign(work.output)
        return self._result(notebook, work.error, time.monotonic() - began)

    def _output(self, notebook: Path) -> Path:
        folder = self.workspace.folder / "notebooks"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return folder / notebook.name

    def _result(self, notebook: Path, error: JarkkitError | None, seconds: float) -> NotebookResult:
        if error is None:
            return NotebookResult(name=notebook.stem, status="ok", seconds=round(seconds, 1))
        return NotebookResult(
            name=notebook.stem,
            status="failed",
            seconds=round(seconds, 1),
            code=error.code,
            message=self.redactor.text(error.message),
            fix=self.redactor.text(error.fix),
        )


def _sign(executed: Path) -> None:
    """Sign an executed notebook as Jupyter does after a run in the browser.

    JupyterLab removes pictures and colors from the output of an unsigned notebook. The signature is
    in the user's Jupyter data folder; without access to it, the notebook stays unsigned.
    """
    from nbformat.sign import NotebookNotary

    if not executed.is_file():  # the kernel did not start
        return
    with contextlib.suppress(OSError), contextlib.closing(NotebookNotary()) as notary:
        notary.sign(nbformat.read(str(executed), as_version=4))


class _Execution:
    """One notebook in papermill, in a thread."""

    def __init__(
        self, notebook: Path, output: Path, parameters: dict[str, Any], environ: dict[str, str]
    ) -> None:
        self.notebook, self.output = notebook, output
        self.error: JarkkitError | None = None
        self._parameters, self._environ = parameters, environ
        self._interrupted = False
        self._thread = threading.Thread(target=self._execute, name=notebook.stem)

    def start(self) -> None:
        """Start the thread."""
        self.output.unlink(missing_ok=True)
        self._thread.start()

    def ended(self, wait_seconds: float) -> bool:
        """Wait up to `wait_seconds`; return True when the notebook has ended."""
        self._thread.join(wait_seconds)
        return not self._thread.is_alive()

    def join(self) -> None:
        """Wait until the notebook has ended. Forward further interrupts to the kernel."""
        while self._thread.is_alive():
            try:
                self._thread.join(_POLL_SECONDS)
            except KeyboardInterrupt:
                self.interrupt()

    def interrupt(self) -> None:
        """Interrupt the running cell, as the notebook's stop button does.

        No further cell runs. A kernel that is still starting ignores SIGINT, so it is killed.
        """
        self._interrupted = True
        CurrentPythonKernel.interrupt()

    def _execute(self) -> None:
        from papermill import execute_notebook

        CurrentPythonKernel.environ = self._environ
        try:
            executed = execute_notebook(
                str(self.notebook),
                str(self.output),
                parameters=self._parameters,
                kernel_name="python3",
                kernel_manager_class=f"{__name__}.{CurrentPythonKernel.__name__}",
                cwd=str(self.output.parent),
                progress_bar=False,
                on_cell_execute=self._before_cell,
                on_cell_executed=self._after_cell,
            )
            self.error = _quiet_exit(executed)
        except Exception as error:  # the run's report shows every error
            self.error = _explain(self.notebook, self.output, error, interrupted=self._interrupted)
        finally:
            CurrentPythonKernel.environ = {}

    def _before_cell(self, **_: Any) -> None:
        CurrentPythonKernel.state = "busy"  # first: an interrupt from now on reaches the cell
        if self._interrupted:
            CurrentPythonKernel.state = "idle"
            raise _InterruptedError

    def _after_cell(self, **_: Any) -> None:
        CurrentPythonKernel.state = "idle"


class _InterruptedError(Exception):
    """Ends papermill's execution."""


class CurrentPythonKernel(AsyncKernelManager):
    """A kernel of this Python, whatever kernels the user has registered."""

    # Unix sockets: no other user of the machine can connect.
    transport = "ipc"
    environ: ClassVar[dict[str, str]] = {}
    state: ClassVar[Literal["starting", "idle", "busy"]] = "starting"
    _pid: ClassVar[int | None] = None

    @property
    def kernel_spec(self) -> KernelSpec:
        """The kernel spec of this Python."""
        return KernelSpec(
            argv=[sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
            display_name="jarkkit",
            language="python",
            env=dict(self.environ),
        )

    async def _async_post_start_kernel(self, **kw: Any) -> None:
        await super()._async_post_start_kernel(**kw)
        CurrentPythonKernel._pid = getattr(self.provisioner, "pid", None)

    post_start_kernel = _async_post_start_kernel

    async def _async_cleanup_resources(self, restart: bool = False) -> None:
        CurrentPythonKernel._pid, CurrentPythonKernel.state = None, "starting"
        await super()._async_cleanup_resources(restart=restart)

    cleanup_resources = _async_cleanup_resources

    async def _async_interrupt_kernel(self) -> None:
        # The manager interrupts before it shuts down; a kernel without a running cell reports that
        # as an error.
        if self.state == "busy":
            await super()._async_interrupt_kernel()

    interrupt_kernel = _async_interrupt_kernel

    @classmethod
    def interrupt(cls) -> None:
        """Interrupt the running cell; kill a kernel that is still starting."""
        number = {"busy": signal.SIGINT, "starting": signal.SIGKILL}.get(cls.state)
        if cls._pid is not None and number is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(cls._pid, number)


def _explain(notebook: Path, output: Path, error: Exception, *, interrupted: bool) -> JarkkitError:
    """Convert papermill's error to one of ours."""
    from nbclient.exceptions import DeadKernelError

    if isinstance(error, DeadKernelError) and not interrupted:
        return JarkkitError(
            "JK-KERNEL-DIED",
            f"The kernel of {notebook.stem} died before the notebook ended.",
            "Run it again: every step continues where it stopped. If it dies again, check whether "
            "the machine runs out of memory.",
        )
    shown = _shown_error(output)
    if shown is not None:
        return shown
    text = f"{getattr(error, 'ename', type(error).__name__)}: {getattr(error, 'evalue', error)}"
    if interrupted or text.startswith("KeyboardInterrupt"):
        return JarkkitError(
            "JK-INTERRUPTED",
            f"{notebook.stem} was interrupted.",
            "Run it again: every step continues where it stopped.",
        )
    return JarkkitError(
        "JK-NOTEBOOK-FAILED",
        f"{notebook.stem} stopped: {text}",
        f"Open the executed notebook: {output.name} in the deployment's notebooks folder.",
    )


def _shown_error(output: Path) -> JarkkitError | None:
    """Return our own error from an executed notebook, with the displayed message and fix."""
    with contextlib.suppress(OSError, ValueError):
        for cell in nbformat.read(str(output), as_version=4).cells:
            for item in cell.get("outputs", []):
                code, _, message = str(item.get("evalue", "")).partition(": ")
                if code in CODES:
                    lines = [str(line).strip() for line in item.get("traceback", [])]
                    fixes = [line[5:] for line in lines if line.startswith("fix: ")]
                    return JarkkitError(code, message, fixes[0] if fixes else "See the notebook.")
    return None


def _quiet_exit(executed: Any) -> JarkkitError | None:
    """Return an error if a cell called `exit(0)`: papermill treats that as success."""
    for cell in executed.cells:
        for item in cell.get("outputs", []):
            if item.get("ename") == "SystemExit":
                return JarkkitError(
                    "JK-NOTEBOOK-FAILED",
                    "A cell called exit, so the cells after it did not run.",
                    "Remove the call. A notebook ends with its last cell.",
                )
    return None
