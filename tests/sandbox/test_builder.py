"""Operators are built once, when a pod needs one, and the build ends with the sandbox."""

from __future__ import annotations

import time
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

from jarkkit.model.errors import JarkkitError
from jarkkit.sandbox.controllers.operator_builder import OperatorBuilder
from jarkkit.sandbox.kubernetes.toolchain import OPERATORS, BuildProgress, Program, Toolchain
from jarkkit.sandbox.private_files import HOME_VARIABLE
from tests.support.poll import wait_for


@dataclass(frozen=True)
class SlowToolchain(Toolchain):
    """A toolchain without programs, whose build never ends or fails."""

    fails: bool = False

    def find(self, program: Program) -> Path | None:
        return None

    def set_up(self, *groups: str, wait: bool = True) -> Generator[BuildProgress, None, None]:
        began = self.cache / "began"
        began.write_text(f"{began.read_text() if began.exists() else ''}{' '.join(groups)} ")
        (self.cache / "mark").write_text(self.environ[HOME_VARIABLE])
        if self.fails:
            raise JarkkitError("JK-TOOLCHAIN-NETWORK", "No network.", "Connect.")
        try:
            while True:
                yield BuildProgress("kuberay-operator", 0, 2, 10, 90.0)
                time.sleep(0.01)
        finally:
            (self.cache / "ended").touch()


def wait_for_progress(builder: OperatorBuilder, text: str) -> None:
    """Wait until the builder's progress message contains the text."""
    wait_for(lambda: text in builder.progress_message, 5, pause=0.01)


def test_a_build_is_started_once_and_reports_its_progress(tmp_path: Path) -> None:
    builder = OperatorBuilder(SlowToolchain(tmp_path), tmp_path / "home")
    for _ in range(3):
        assert builder.find("kuberay-operator") is None
    wait_for_progress(builder, "kuberay-operator is being built, about 1.5 min left")
    builder.stop()
    assert (tmp_path / "began").read_text() == f"{OPERATORS} "
    assert (tmp_path / "mark").read_text() == str(tmp_path / "home")
    assert (tmp_path / "ended").exists()


def test_a_failed_build_is_reported(tmp_path: Path) -> None:
    builder = OperatorBuilder(SlowToolchain(tmp_path, fails=True), tmp_path)
    builder.find("workflow-controller")
    wait_for_progress(builder, "No network. Connect.")
    builder.stop()
