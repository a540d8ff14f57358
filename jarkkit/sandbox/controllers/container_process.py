"""A process of this machine that runs in place of a container, with its output as a CRI log."""

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


class ContainerProcess:
    """One run of a program.

    Args:
        log: the container's log file, as `kubectl logs` reads it; output is appended.
        ended: called from a background thread when the program exits.
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
        """The process id."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """The exit code as a shell reports it, None while the program runs."""
        code = self._process.poll()
        return 128 - code if code is not None and code < 0 else code

    def stop(self) -> None:
        """Terminate the program; kill it when it does not exit in time."""
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()
        try:
            self._process.wait(_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _follow(self) -> None:
        output = self._process.stdout
        if output is not None:
            with self._log.open("ab", buffering=0) as log:
                for line in output:
                    self._note(log, line)
        self._process.wait()
        self._ended()

    def _note(self, log: IO[bytes], line: bytes) -> None:
        """Append a line in CRI's format: time, stream, `F` for a full line."""
        if os.fstat(log.fileno()).st_size > _LOG_BYTES:
            os.truncate(self._log, 0)  # a chatty program must not fill the disk
        moment = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f000Z")
        log.write(f"{moment} stdout F ".encode() + line.rstrip(b"\n") + b"\n")
