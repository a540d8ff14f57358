"""Processes that a saved record names: their ids can be reused."""

from __future__ import annotations

import psutil


def creation_time(pid: int) -> float:
    """Return when a process was created, in seconds since 1970; 0 if there is none."""
    try:
        return float(psutil.Process(pid).create_time())
    except psutil.Error:
        return 0.0


def find_process(pid: int, created: float) -> psutil.Process | None:
    """Return the process that had this id when it was created, if it still runs."""
    try:
        process = psutil.Process(pid)
        same = abs(process.create_time() - created) < 1.0
        return process if same and process.status() != psutil.STATUS_ZOMBIE else None
    except psutil.Error:
        return None
