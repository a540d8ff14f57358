"""Operators are built when a pod wants one, once, and the build ends with the sandbox."""

from __future__ import annotations

import time
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

from jarkkit.errors import JarkkitError
from jarkkit.sandbox.cluster.toolchain import OPERATORS, Program, Progress, Toolchain
from jarkkit.sandbox.eks.builder import Builder
from jarkkit.sandbox.files import MARK


@dataclass(frozen=True)
class SlowTools(Toolchain):
    """Has nothing, and takes for ever or fails."""

    fails: bool = False

    def find(self, program: Program) -> Path | None:
        return None

    def set_up(
        self, only: str | None = None, *, wait: bool = True
    ) -> Generator[Progress, None, None]:
        began = self.cache / "began"
        began.write_text(f"{began.read_text() if began.exists() else ''}{only} ")
        (self.cache / "mark").write_text(self.environ[MARK])
        if self.fails:
            raise JarkkitError("JK-TOOLCHAIN-NETWORK", "No network.", "Connect.")
        try:
            while True:
                yield Progress("kuberay-operator", 0, 2, 10, 90.0)
                time.sleep(0.01)
        finally:
            (self.cache / "ended").touch()


def until_said(builder: Builder, word: str) -> None:
    """Wait for the builder to say it."""
    deadline = time.monotonic() + 5
    while word not in builder.saying:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_it_is_begun_once_and_says_how_far_it_is(tmp_path: Path) -> None:
    builder = Builder(SlowTools(tmp_path), tmp_path / "home")
    for _ in range(3):
        assert builder.find("kuberay-operator") is None
    until_said(builder, "kuberay-operator is being built, about 1.5 min left")
    builder.stop()
    assert (tmp_path / "began").read_text() == f"{OPERATORS} "
    assert (tmp_path / "mark").read_text() == str(tmp_path / "home")
    assert (tmp_path / "ended").exists()


def test_a_failure_is_said(tmp_path: Path) -> None:
    builder = Builder(SlowTools(tmp_path, fails=True), tmp_path)
    builder.find("workflow-controller")
    until_said(builder, "No network. Connect.")
    builder.stop()
