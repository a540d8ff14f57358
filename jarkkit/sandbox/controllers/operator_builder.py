"""Builds the operators in the background when a pod needs one that is not built yet."""

from __future__ import annotations

import os
import threading
from collections.abc import Generator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from jarkkit.model.errors import JarkkitError
from jarkkit.sandbox.kubernetes.toolchain import OPERATORS, PROGRAMS, BuildProgress, Toolchain
from jarkkit.sandbox.private_files import HOME_VARIABLE


class OperatorBuilder:
    """Finds programs, and starts to build the operators when one is missing.

    Args:
        home: the sandbox's folder; it marks the compilers, so that they end with the sandbox.

    Attributes:
        progress_message: progress of the build, or why it failed; empty before the first build.
    """

    def __init__(self, tools: Toolchain, home: Path) -> None:
        self._tools = replace(tools, environ={**os.environ, HOME_VARIABLE: str(home)})
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self.progress_message = ""

    def find(self, name: str) -> Path | None:
        """Return the program, None while it is being built."""
        (program,) = (program for program in PROGRAMS if program.name == name)
        found = self._tools.find(program)
        if found is None:
            self._begin()
        return found

    def stop(self) -> None:
        """Stop a running build; finished packages and programs are kept."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()

    def _begin(self) -> None:
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._build, daemon=True)
                self._thread.start()

    def _build(self) -> None:
        try:
            with closing(self._tools.set_up(OPERATORS)) as progress:
                self._follow(progress)
        except JarkkitError as error:
            self.progress_message = f"{error.message} {error.fix}"

    def _follow(self, progress: Generator[BuildProgress, None, None]) -> None:
        for at in progress:
            self.progress_message = (
                f"{at.program} is being built, about {at.seconds_left / 60:.1f} min left"
            )
            if self._stopping.is_set():
                return
