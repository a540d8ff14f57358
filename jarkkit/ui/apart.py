"""A step in a process of its own: the command line, started from a notebook.

What it does is in the deployment's folder (ledger, events), so a kernel only watches. The kernel
may be used, restarted or killed meanwhile; whoever runs the cell again finds the step at work, or
what became of it.
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

import psutil

from jarkkit.errors import JarkkitError
from jarkkit.kit import Kit
from jarkkit.records import Deployed, Plan, Receipt, Record, Step

_KNOWN = ".step"
_SAID = ".step.out"
_ENDS_WITH: dict[str, type[Record]] = {"plan": Plan, "deploy": Deployed, "cleanup": Receipt}


class Known(Record):
    """What is written down of a step that a notebook has started.

    Attributes:
        created: when the process was made, seconds since 1970: its id may be used again.
        offset: where its events begin, bytes into events.jsonl.
    """

    step: Step
    pid: int
    created: float
    offset: int


class Apart:
    """The one step of a deployment that a notebook has started, if there is one."""

    def __init__(self, kit: Kit) -> None:
        self.kit = kit
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def known(self) -> Known | None:
        """What is written down; None when nothing is, or nothing that can be read."""
        with contextlib.suppress(OSError, JarkkitError):
            return self.kit.workspace.load(_KNOWN, Known)
        return None

    def start(self, step: Step, words: Sequence[str]) -> Known:
        """Start `jarkkit STEP NAME WORDS`. It outlives this process and its terminal."""
        home = self.kit.folder.parent.parent
        _, offset = self.kit.workspace.events_from(0)
        with _private(self.kit.folder / _SAID) as said:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "jarkkit", step, self.kit.name, "--json", *words],
                cwd=home,
                env={**os.environ, "JARKKIT_HOME": str(home)},
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        made = psutil.Process(self._process.pid).create_time()
        known = Known(step=step, pid=self._process.pid, created=made, offset=offset)
        self.kit.workspace.save(_KNOWN, known)
        return known

    def alive(self, known: Known) -> bool:
        """True while it works."""
        if self._process is not None:
            self._process.poll()  # a child that has ended stays a zombie until it is asked
        try:
            process = psutil.Process(known.pid)
            same = abs(process.create_time() - known.created) < 1.0
            return same and process.status() != psutil.STATUS_ZOMBIE
        except psutil.Error:
            return False

    def stop(self, known: Known) -> None:
        """Stop it in order, as Ctrl-C does. (That signal itself may be blocked for children.)"""
        if self.alive(known):
            with contextlib.suppress(ProcessLookupError):
                os.kill(known.pid, signal.SIGTERM)

    def outcome(self, known: Known) -> Record | JarkkitError:
        """What it ended with; for one that was killed JK-INTERRUPTED."""
        try:
            said = json.loads((self.kit.folder / _SAID).read_text())
            if error := said.get("error"):
                return JarkkitError(**error)
            return _ENDS_WITH[known.step].model_validate(said)
        except (OSError, ValueError, AttributeError):
            return JarkkitError(
                "JK-INTERRUPTED",
                f"The process of {known.step} ended without a word (killed?).",
                "Run the cell again: it goes on where it stopped.",
            )

    def unseen(self, known: Known) -> bool:
        """True when it ended well or failed, nobody has seen that yet, and it is still the last
        thing that was done: then it is shown and not done again."""
        ended = self.outcome(known)
        if isinstance(ended, JarkkitError) and ended.code == "JK-INTERRUPTED":
            return False
        changes = [e for e in self.kit.entries() if e.step in ("configure", *_ENDS_WITH)]
        begun = [e.pid for e in changes[-2:] if e.step == known.step and e.status == "started"]
        return begun == [known.pid]

    def forget(self) -> None:
        """Somebody has seen how it ended."""
        self.kit.workspace.forget(_KNOWN)
        (self.kit.folder / _SAID).unlink(missing_ok=True)


def _private(path: Path) -> Any:
    """A new file that only its owner can read."""
    return open(path, "wb", opener=lambda name, flags: os.open(name, flags, 0o600))


def raw_tail(path: Path | None, size: int = 32_768) -> list[str]:
    """The last messages of a log of Terraform's."""
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
