"""Paths on this machine: the home folder of deployments, caches and the shipped files.

A *home* is the folder that contains `deployments/` (and `.sandbox/` if you started a sandbox).
Notebooks run in a folder below it, so jarkkit searches the parent folders for it.
"""

from __future__ import annotations

import os
import platform
import sysconfig
from collections.abc import Mapping
from pathlib import Path

DEPLOYMENTS = "deployments"
SANDBOX = ".sandbox"


def find_home(environ: Mapping[str, str] = os.environ, cwd: Path | None = None) -> Path:
    """Return the home: $JARKKIT_HOME, else the nearest parent folder that contains `deployments/`.

    Without any deployment, it is the current folder, or the parent of a folder called `notebooks`,
    so that the first notebook creates its deployment next to the notebooks.
    """
    if named := environ.get("JARKKIT_HOME"):
        return Path(named).expanduser().resolve()
    here = (cwd or Path.cwd()).resolve()
    for folder in (here, *here.parents):
        if (folder / DEPLOYMENTS).is_dir():
            return folder
    return here.parent if here.name == "notebooks" else here


def deployment_names(home: Path) -> tuple[str, ...]:
    """Return the names of the deployments in a home, sorted."""
    found = (home / DEPLOYMENTS).glob("*/settings.yaml")
    return tuple(sorted(path.parent.name for path in found))


def sandbox_home(home: Path) -> Path:
    """Return the folder of the home's sandbox."""
    return home / SANDBOX


def user_cache(environ: Mapping[str, str] = os.environ) -> Path:
    """Return jarkkit's user cache folder: $JARKKIT_CACHE, else the system's default location."""
    if named := environ.get("JARKKIT_CACHE"):
        return Path(named).expanduser()
    if platform.system() == "Darwin":
        return Path.home() / "Library" / "Caches" / "jarkkit"
    return Path(environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "jarkkit"


def with_programs(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment with this Python's own programs (jarkkit, kubectl) first on PATH."""
    own = sysconfig.get_path("scripts")
    rest = environ.get("PATH", os.defpath).split(os.pathsep)
    return {**environ, "PATH": os.pathsep.join([own, *(part for part in rest if part != own)])}


def notebooks_folder() -> Path:
    """Return the folder of the shipped notebooks, in the wheel or in the clone."""
    return _shipped("notebooks")


def terraform_folder() -> Path:
    """Return the folder of the shipped Terraform configuration, in the wheel or in the clone."""
    return _shipped("terraform")


def local_paths(home: Path) -> dict[str, str]:
    """Return the paths that name this machine's user, each with what to show in its place."""
    return {
        str(Path(__file__).parents[1]): "jarkkit",
        str(notebooks_folder()): "notebooks",
        str(home.absolute()): ".",
        str(home.resolve()): ".",
        str(Path.home()): "~",
    }


def _shipped(name: str) -> Path:
    package = Path(__file__).parents[1]
    in_wheel = package / "assets" / name
    return in_wheel if in_wheel.is_dir() else package.parent / name
