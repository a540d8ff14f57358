"""Terminates the processes that a sandbox leaves behind, in a process of its own per sandbox.

The daemon holds the other end of stdin. However the daemon exits, SIGKILL included, the pipe closes
with it. Then this process terminates every process that has the sandbox's home in its environment.
It runs as long as the sandbox does, so it imports little.
"""

from __future__ import annotations

import contextlib
import shutil
import sys
import tempfile
from pathlib import Path

import psutil

from jarkkit.sandbox.private_files import HOME_VARIABLE

_GRACE_SECONDS = 3.0


def processes_of(home: str) -> list[psutil.Process]:
    """Return the processes that have that sandbox's home in their environment, except this one."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.pid != psutil.Process().pid and process.environ().get(HOME_VARIABLE) == home:
                found.append(process)
    return found


def terminate_all(home: str) -> None:
    """Terminate them, kill those that do not exit in time, and remove their socket folders."""
    found = processes_of(home)
    for process in found:
        with contextlib.suppress(psutil.Error):
            process.terminate()
    _, stubborn = psutil.wait_procs(found, timeout=_GRACE_SECONDS)
    for process in stubborn:
        with contextlib.suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(stubborn, timeout=_GRACE_SECONDS)
    for note in Path(tempfile.gettempdir()).glob("jk-*/home"):
        with contextlib.suppress(OSError):
            if note.read_text() == home:
                shutil.rmtree(note.parent)


def main() -> int:
    """Wait until the daemon exits, then clean up."""
    home = sys.argv[1]
    while sys.stdin.buffer.read(4096):
        pass
    terminate_all(home)
    return 0


if __name__ == "__main__":
    sys.exit(main())
