"""What `jarkkit lab` and headless runs give to kernels and terminals."""

from __future__ import annotations

import ast
import os
import shutil
import sysconfig
from pathlib import Path

from jarkkit.cli import lab
from jarkkit.ports.paths import with_programs

OWN = sysconfig.get_path("scripts")


def test_the_programs_of_this_python_are_first_on_path(tmp_path: Path) -> None:
    environ = lab.environment(tmp_path, tmp_path / ".lab", {"PATH": f"/usr/bin{os.pathsep}{OWN}"})
    assert environ["PATH"].split(os.pathsep) == [OWN, "/usr/bin"]


def test_without_a_path_the_systems_own_remains() -> None:
    assert with_programs({})["PATH"] == os.pathsep.join([OWN, os.defpath])


def test_the_commands_of_the_exercises_are_there() -> None:
    path = with_programs({"PATH": ""})["PATH"]
    for program in ("jarkkit", "kubectl"):
        assert (shutil.which(program, path=path) or "").startswith(OWN), program


def test_a_terminal_is_no_login_shell_which_would_reset_path(tmp_path: Path) -> None:
    line = lab.command_line(
        tmp_path, Path("00-start.ipynb"), shell="/bin/zsh", browser=False, port=0
    )
    option = next(word for word in line if word.startswith("--ServerApp.terminado_settings="))
    assert ast.literal_eval(option.partition("=")[2]) == {"shell_command": ["/bin/zsh"]}
