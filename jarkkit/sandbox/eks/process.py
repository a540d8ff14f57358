"""A host process that plays a container: started, followed, its words kept in CRI's log format."""

from __future__ import annotations

import contextlib
import os
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

_GRACE_SECONDS = 5.0
_LOG_BYTES = 10 * 2**20


class Process:
    """One run of a program.

    Args:
        log: file of the container's log, as `kubectl logs` reads it; it is added to.
        ended: called from a thread of ours when the program ends.
    """

    def __init__(
        self,
        command: list[str],
        environ: Mapping[str, str],
        folder: Path,
        log: Path,
        ended: Callable[[], None],
    ) -> None:
        self._log = log
        self._ended = ended
        self.started = time.time()
        self._process = subprocess.Popen(
            command,
            env=dict(environ),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            umask=0o077,
        )
        threading.Thread(target=self._follow, daemon=True).start()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """How it ended, as a shell says it; None while it runs."""
        code = self._process.poll()
        return 128 - code if code is not None and code < 0 else code

    def stop(self) -> None:
        """Ask it to end, and end it when it does not."""
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()
        try:
            self._process.wait(_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _follow(self) -> None:
        said = self._process.stdout
        if said is not None:
            with self._log.open("ab", buffering=0) as log:
                for line in said:
                    self._note(log, line)
        self._process.wait()
        self._ended()

    def _note(self, log: IO[bytes], line: bytes) -> None:
        """In CRI's format: time, stream, full line or part of one."""
        if log.tell() > _LOG_BYTES:
            os.truncate(self._log, 0)  # a chatty program must not fill the disk
        moment = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f000Z")
        log.write(f"{moment} stdout F ".encode() + line.rstrip(b"\n") + b"\n")
