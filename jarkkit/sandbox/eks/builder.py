"""Operators that are not built yet are built when a pod wants one, while the cluster goes on."""

from __future__ import annotations

import os
import threading
from collections.abc import Generator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from jarkkit.errors import JarkkitError
from jarkkit.sandbox.cluster.toolchain import OPERATORS, PROGRAMS, Progress, Toolchain
from jarkkit.sandbox.files import MARK


class Builder:
    """Finds programs, and begins to build the operators when one is missing.

    Args:
        home: the sandbox's; it marks the compilers, so that they end with the sandbox.

    Attributes:
        saying: how far the build is, or why it failed; empty before the first.
    """

    def __init__(self, tools: Toolchain, home: Path) -> None:
        self._tools = replace(tools, environ={**os.environ, MARK: str(home)})
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self.saying = ""

    def find(self, name: str) -> Path | None:
        """The program; None while it is being built."""
        (program,) = (program for program in PROGRAMS if program.name == name)
        found = self._tools.find(program)
        if found is None:
            self._begin()
        return found

    def stop(self) -> None:
        """End a build that is under way; what is done is kept."""
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
            self.saying = f"{error.message} {error.fix}"

    def _follow(self, progress: Generator[Progress, None, None]) -> None:
        for at in progress:
            self.saying = f"{at.program} is being built, about {at.seconds_left / 60:.1f} min left"
            if self._stopping.is_set():
                return
