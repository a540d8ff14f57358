"""The memory of a process."""

from __future__ import annotations

import resource
from pathlib import Path


def peak_memory() -> float:
    """Return the peak resident memory of this process so far, in MB.

    On Linux, ru_maxrss also includes the memory of the process that started this one.
    """
    status = Path("/proc/self/status")
    if not status.is_file():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6  # bytes on macOS
    lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
    return int(lines["VmHWM"].split()[0]) * 1024 / 1e6
