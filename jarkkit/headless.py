"""The notebooks run with nobody there: papermill executes them one after the other.

papermill works in a thread of its own, so that this one can show what the step inside the notebook
writes down, and can pass an interrupt on to the kernel instead of tearing it down.
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
from pydantic import BaseModel, ConfigDict

from jarkkit.clock import now
from jarkkit.errors import CODES, JarkkitError
from jarkkit.home import notebooks_folder
from jarkkit.inquiries.past import timed
from jarkkit.records import Event, Timed
from jarkkit.scrub import Scrub
from jarkkit.settings import unknown_name
from jarkkit.ui import HEADLESS
from jarkkit.workspace import Workspace

_POLL_SECONDS = 0.1


class Ran(BaseModel):
    """What became of one notebook.

    Attributes:
        seconds: how long it ran.
        code: the error's code when it failed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    status: Literal["ok", "failed", "skipped"]
    seconds: float = 0.0
    code: str = ""
    message: str = ""
    fix: str = ""


class Run(BaseModel):
    """A whole run; saved as run.json.

    Attributes:
        times: of each deploy and cleanup what was expected before it began, and what it took.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    deployment: str
    rehearsal: bool
    started: str
    seconds: float
    notebooks: tuple[Ran, ...]
    times: tuple[Timed, ...] = ()

    @property
    def ok(self) -> bool:
        """True when no notebook failed."""
        return all(ran.status != "failed" for ran in self.notebooks)


def choose(first: str = "", last: str = "") -> tuple[Path, ...]:
    """The notebooks from `first` to `last`, each given by number or name; all when empty.

    Raises JK-NOTEBOOK-MISSING.
    """
    everything = tuple(sorted(notebooks_folder().glob("[0-9][0-9]-*.ipynb")))
    begin = _index(everything, first) if first else 0
    end = _index(everything, last) if last else len(everything) - 1
    return everything[begin : end + 1]


def _index(notebooks: Sequence[Path], wanted: str) -> int:
    for index, path in enumerate(notebooks):
        if wanted in (path.stem, path.name) or path.stem[:2] == wanted.zfill(2):
            return index
    names = ", ".join(path.stem for path in notebooks)
    raise JarkkitError(
        "JK-NOTEBOOK-MISSING", f"There is no notebook {wanted!r}.", f"The notebooks are: {names}."
    )


def parameters_of(notebook: Path, given: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the given parameters that the notebook has."""
    known = known_parameters(notebook)
    return {name: value for name, value in given.items() if name in known}


def check_parameters(notebook: Path, given: Mapping[str, Any]) -> None:
    """Refuse parameters that the notebook does not have. Raises JK-SETTINGS-UNKNOWN.

    papermill itself only warns, and then runs with the defaults.
    """
    known = known_parameters(notebook)
    for name in given:
        if name not in known:
            raise unknown_name(name, known, source=notebook.stem)


def known_parameters(notebook: Path) -> tuple[str, ...]:
    """Names in the notebook's cell tagged `parameters`."""
    from papermill import inspect_notebook

    return tuple(inspect_notebook(str(notebook)))


@dataclass
class Runner:
    """Runs notebooks for one deployment.

    Args:
        environ: what the kernels see.
        given: parameters by name; each notebook takes those that it has.
    """

    workspace: Workspace
    environ: Mapping[str, str]
    given: Mapping[str, Any]
    scrub: Scrub
    _ran: list[Ran] = field(default_factory=list)

    def run(self, notebooks: Sequence[Path]) -> Generator[Event | Ran, None, Run]:
        """Execute them until one fails; yields what happens and each notebook's fate.

        The executed notebooks lie in the deployment's folder, freed of account ids and paths.
        """
        started, began = now(), time.monotonic()
        for index, notebook in enumerate(notebooks):
            yield Event(
                time=now(), step="configure", kind="phase", subject=notebook.stem, status="started"
            )
            ran = yield from self._one(notebook)
            self._ran.append(ran)
            yield ran
            if ran.status == "failed":
                rest = notebooks[index + 1 :]
                self._ran += [Ran(name=path.stem, status="skipped") for path in rest]
                break
        run = Run(
            deployment=self.workspace.name,
            rehearsal=bool(self.given.get("rehearsal")),
            started=started,
            seconds=round(time.monotonic() - began, 1),
            notebooks=tuple(self._ran),
            times=timed(self.workspace, started) if self.workspace.exists else (),
        )
        if self.workspace.exists:
            self.workspace.save("run", run)
        return run

    def _one(self, notebook: Path) -> Generator[Event | Ran, None, Ran]:
        began = time.monotonic()
        work = _Execution(
            notebook,
            self._output(notebook),
            parameters_of(notebook, self.given),
            {**self.environ, HEADLESS: "1"},
        )
        _, seen = self.workspace.events_from(0)
        try:
            work.start()
            running = True
            while running:
                running = not work.ended(_POLL_SECONDS)
                fresh, seen = self.workspace.events_from(seen)
                yield from fresh
        except (KeyboardInterrupt, GeneratorExit):
            work.interrupt()
            raise
        finally:
            work.join()
            self.scrub.notebook(work.output)
        return self._fate(notebook, work.error, time.monotonic() - began)

    def _output(self, notebook: Path) -> Path:
        folder = self.workspace.folder / "notebooks"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return folder / notebook.name

    def _fate(self, notebook: Path, error: JarkkitError | None, seconds: float) -> Ran:
        if error is None:
            return Ran(name=notebook.stem, status="ok", seconds=round(seconds, 1))
        return Ran(
            name=notebook.stem,
            status="failed",
            seconds=round(seconds, 1),
            code=error.code,
            message=self.scrub.text(error.message),
            fix=self.scrub.text(error.fix),
        )


class _Execution:
    """One notebook in papermill, in a thread."""

    def __init__(
        self, notebook: Path, output: Path, parameters: dict[str, Any], environ: dict[str, str]
    ) -> None:
        check_parameters(notebook, parameters)
        self.notebook, self.output = notebook, output
        self.error: JarkkitError | None = None
        self._parameters, self._environ = parameters, environ
        self._thread = threading.Thread(target=self._execute, name=notebook.stem)

    def start(self) -> None:
        """Begin."""
        self.output.unlink(missing_ok=True)
        self._thread.start()

    def ended(self, wait_seconds: float) -> bool:
        """Wait a little; True when it is over."""
        self._thread.join(wait_seconds)
        return not self._thread.is_alive()

    def join(self) -> None:
        """Wait until it is over. A second interrupt is passed on too."""
        while self._thread.is_alive():
            try:
                self._thread.join(_POLL_SECONDS)
            except KeyboardInterrupt:
                self.interrupt()

    def interrupt(self) -> None:
        """Interrupt the cell that runs, as the stop button would."""
        OwnKernel.interrupt()

    def _execute(self) -> None:
        from papermill import execute_notebook
        from papermill.exceptions import PapermillException

        OwnKernel.environ = self._environ
        try:
            executed = execute_notebook(
                str(self.notebook),
                str(self.output),
                parameters=self._parameters,
                kernel_name="python3",
                kernel_manager_class=f"{__name__}.{OwnKernel.__name__}",
                cwd=str(self.output.parent),
                progress_bar=False,
            )
            self.error = _quiet_exit(executed)
        except PapermillException as error:
            self.error = _explain(self.notebook, self.output, error)
        except Exception as error:  # whatever goes wrong, the run's report says it
            self.error = _explain(self.notebook, self.output, error)
        finally:
            OwnKernel.environ = {}


class OwnKernel(AsyncKernelManager):
    """A kernel of this very Python, whatever kernels the user has registered."""

    # Sockets in the file system: no other user of the machine can listen in.
    transport = "ipc"
    environ: ClassVar[dict[str, str]] = {}
    _pid: ClassVar[int | None] = None

    @property
    def kernel_spec(self) -> KernelSpec:
        """How it is started."""
        return KernelSpec(
            argv=[sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
            display_name="jarkkit",
            language="python",
            env=dict(self.environ),
        )

    async def _async_post_start_kernel(self, **kw: Any) -> None:
        await super()._async_post_start_kernel(**kw)
        OwnKernel._pid = getattr(self.provisioner, "pid", None)

    post_start_kernel = _async_post_start_kernel

    async def _async_cleanup_resources(self, restart: bool = False) -> None:
        OwnKernel._pid = None
        await super()._async_cleanup_resources(restart=restart)

    cleanup_resources = _async_cleanup_resources

    @classmethod
    def interrupt(cls) -> None:
        """SIGINT for the kernel that runs, if one does."""
        if cls._pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(cls._pid, signal.SIGINT)


def _explain(notebook: Path, output: Path, error: Exception) -> JarkkitError:
    """What papermill's error stands for."""
    from nbclient.exceptions import DeadKernelError

    if isinstance(error, DeadKernelError):
        return JarkkitError(
            "JK-KERNEL-DIED",
            f"The kernel of {notebook.stem} ended before the notebook did.",
            "Run it again: every step goes on where it stopped. If it happens again, look whether "
            "the machine is out of memory.",
        )
    shown = _shown_error(output)
    if shown is not None:
        return shown
    said = f"{getattr(error, 'ename', type(error).__name__)}: {getattr(error, 'evalue', error)}"
    return JarkkitError(
        "JK-INTERRUPTED" if said.startswith("KeyboardInterrupt") else "JK-NOTEBOOK-FAILED",
        f"{notebook.stem} stopped: {said}",
        f"Look at the executed notebook: {output.name} in the deployment's notebooks folder.",
    )


def _shown_error(output: Path) -> JarkkitError | None:
    """Our own error in an executed notebook: code, message and fix as they were displayed."""
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
    """papermill takes `exit(0)` in a cell for success, although the rest did not run."""
    for cell in executed.cells:
        for item in cell.get("outputs", []):
            if item.get("ename") == "SystemExit":
                return JarkkitError(
                    "JK-NOTEBOOK-FAILED",
                    "A cell called exit, so the cells after it did not run.",
                    "Remove the call; a notebook ends with its last cell.",
                )
    return None
