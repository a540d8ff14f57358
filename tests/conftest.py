"""What all tests share: an environment without the user's AWS, and sandboxes that end with us.

These have nothing behind their clusters; tests/clusters/ is about real ones.
"""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from jarkkit.sandbox import control

# A shell starts its background jobs deaf to Ctrl-C, and children inherit that; ours must hear it.
signal.signal(signal.SIGINT, signal.default_int_handler)

CLEAN = {
    name: value
    for name, value in os.environ.items()
    if not name.startswith(("AWS_", "TF_", "JARKKIT_"))
}


def pointed_at(running: control.Running) -> dict[str, str]:
    """A clean environment that reaches the sandbox."""
    return {**CLEAN, **{name: value for name, value in running.env.items() if value}}


def _sandbox(home: Path, speed: float) -> Iterator[control.Running]:
    running = control.start(home, speed=speed, account_only=True)
    yield running
    control.stop(home)


@pytest.fixture(scope="session")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[control.Running]:
    """A pretend account where everything happens at once; shared, so use names of your own."""
    yield from _sandbox(tmp_path_factory.mktemp("sandbox"), 0.0)


@pytest.fixture(scope="session")
def slow_sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[control.Running]:
    """One where a cluster takes seven seconds, so that things can be caught half-way."""
    yield from _sandbox(tmp_path_factory.mktemp("slow"), 80.0)


@pytest.fixture(scope="session")
def terraform() -> str:
    """The program; tests that need it are skipped where it is missing."""
    path = shutil.which("terraform") or shutil.which("tofu")
    if path is None:
        pytest.skip("needs terraform or tofu on PATH")
    return path
