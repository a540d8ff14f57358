"""A step in a background process: the command line, started from a notebook.

The process records its progress in the deployment's folder (ledger, events), and the kernel only
watches. You can use, restart or kill the kernel meanwhile: run the cell again, and it shows the
running step, or how it ended.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jarkkit.deployment import Deployment
from jarkkit.model.errors import Interrupted, JarkkitError
from jarkkit.model.records import DeployResult, Plan, Receipt, Record, Step
from jarkkit.ports.processes import creation_time, find_process

_PROCESS_FILE = ".step"
_OUTPUT_FILE = ".step.out"
_RESULT_TYPES: dict[str, type[Record]] = {"plan": Plan, "deploy": DeployResult, "cleanup": Receipt}


class StepProcess(Record):
    """Saved facts about a step's process that a notebook has started.

    Attributes:
        created: creation time of the process, seconds since 1970, because its id can be reused.
        offset: byte offset of its first event in events.jsonl.
    """

    step: Step
    pid: int
    created: float
    offset: int


class BackgroundStep:
    """The step of a deployment that a notebook has started, if any."""

    def __init__(self, deployment: Deployment) -> None:
        self.deployment = deployment
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def saved_process(self) -> StepProcess | None:
        """The saved process; None if there is none, or if it cannot be read."""
        with contextlib.suppress(OSError, JarkkitError):
            return self.deployment.workspace.load(_PROCESS_FILE, StepProcess)
        return None

    def start(self, step: Step, arguments: Sequence[str]) -> StepProcess:
        """Start `jarkkit STEP NAME ARGUMENTS…`. It outlives this process and its terminal."""
        home = self.deployment.folder.parent.parent
        offset = self.deployment.workspace.events_from(0).offset
        with _private(self.deployment.folder / _OUTPUT_FILE) as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "jarkkit", step, self.deployment.name, "--json", *arguments],
                cwd=home,
                env={**os.environ, "JARKKIT_HOME": str(home)},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        pid = self._process.pid
        process = StepProcess(step=step, pid=pid, created=creation_time(pid), offset=offset)
        self.deployment.workspace.save(_PROCESS_FILE, process)
        return process

    def is_alive(self, step_process: StepProcess) -> bool:
        """Return True while the process runs."""
        if self._process is not None:
            self._process.poll()  # an ended child stays a zombie until it is polled
        return find_process(step_process.pid, step_process.created) is not None

    def stop(self, step_process: StepProcess) -> None:
        """Stop it cleanly, as Ctrl-C does. Sends SIGTERM: children may have SIGINT blocked."""
        if self.is_alive(step_process):
            with contextlib.suppress(ProcessLookupError):
                os.kill(step_process.pid, signal.SIGTERM)

    def outcome(self, step_process: StepProcess) -> Record | JarkkitError:
        """Return its result or its error; JK-INTERRUPTED if it was killed."""
        try:
            result = json.loads((self.deployment.folder / _OUTPUT_FILE).read_text())
            if error := result.get("error"):
                return JarkkitError(**error)
            return _RESULT_TYPES[step_process.step].model_validate(result)
        except (OSError, ValueError, AttributeError):
            return Interrupted(
                "JK-INTERRUPTED",
                f"The process of {step_process.step} ended without a result. "
                "It was probably killed.",
                "Run the cell again. It continues where it stopped.",
            )

    def has_unseen_outcome(self, step_process: StepProcess) -> bool:
        """Return True if it ended by itself, its result was not shown yet, and no other step ran
        since. The caller then shows the result instead of running the step again."""
        ended = self.outcome(step_process)
        if isinstance(ended, Interrupted):
            return False
        changes = [
            e for e in self.deployment.ledger_entries() if e.step in ("configure", *_RESULT_TYPES)
        ]
        started = [
            e.pid for e in changes[-2:] if e.step == step_process.step and e.status == "started"
        ]
        return started == [step_process.pid]

    def forget(self) -> None:
        """Delete the saved process and its output after the result was shown."""
        self.deployment.workspace.discard(_PROCESS_FILE)
        (self.deployment.folder / _OUTPUT_FILE).unlink(missing_ok=True)


def _private(path: Path) -> Any:
    """Open a new file that only its owner can read."""
    return open(path, "wb", opener=lambda name, flags: os.open(name, flags, 0o600))


def log_tail(path: Path | None, size: int = 32_768) -> list[str]:
    """Return the last messages of a Terraform log."""
    if path is None:
        return []
    with path.open("rb") as handle:
        handle.seek(max(path.stat().st_size - size, 0))
        lines = handle.read().decode(errors="replace").splitlines()
    return [_message(line) for line in lines]


def _message(line: str) -> str:
    with contextlib.suppress(ValueError, AttributeError):
        return str(json.loads(line).get("@message", line))
    return line
