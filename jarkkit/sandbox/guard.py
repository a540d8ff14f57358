"""Ends what a sandbox started when the sandbox is no more: `python -m jarkkit.sandbox.guard HOME`.

The daemon holds the other end of stdin. However the daemon ends, SIGKILL included, the pipe ends
with it, and every process that carries the sandbox's mark in its environment is ended too. It is
a process for as long as the sandbox is, so it imports little.
"""

from __future__ import annotations

import contextlib
import shutil
import sys
import tempfile
from pathlib import Path

import psutil

from jarkkit.sandbox.files import MARK

_GRACE_SECONDS = 3.0


def processes_of(home: str) -> list[psutil.Process]:
    """The processes that carry that sandbox's mark, this one left out."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.pid != psutil.Process().pid and process.environ().get(MARK) == home:
                found.append(process)
    return found


def end_all(home: str) -> None:
    """End them: asked first, then killed; and remove the folders of their sockets."""
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
    """Wait for the daemon's end, then tidy up."""
    home = sys.argv[1]
    while sys.stdin.buffer.read(4096):
        pass
    end_all(home)
    return 0


if __name__ == "__main__":
    sys.exit(main())
