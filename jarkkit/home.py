"""Where things are on this machine: the user's home for deployments, and the files we ship.

A *home* is the folder that holds `deployments/` (and `.sandbox/` when one was started). Notebooks
run in a folder below it, so it is looked for upwards.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from pathlib import Path

DEPLOYMENTS = "deployments"
SANDBOX = ".sandbox"


def find_home(environ: Mapping[str, str] = os.environ, cwd: Path | None = None) -> Path:
    """The home: $JARKKIT_HOME, else the nearest folder upwards that holds `deployments/`.

    Where nothing was deployed yet it is the current folder, or the parent of a folder called
    `notebooks`, so that the first notebook puts its deployment beside the notebooks.
    """
    if named := environ.get("JARKKIT_HOME"):
        return Path(named).expanduser().resolve()
    here = (cwd or Path.cwd()).resolve()
    for folder in (here, *here.parents):
        if (folder / DEPLOYMENTS).is_dir():
            return folder
    return here.parent if here.name == "notebooks" else here


def deployments(home: Path) -> tuple[str, ...]:
    """Names of the deployments in a home, sorted."""
    found = (home / DEPLOYMENTS).glob("*/settings.yaml")
    return tuple(sorted(path.parent.name for path in found))


def sandbox_home(home: Path) -> Path:
    """The folder of the home's sandbox."""
    return home / SANDBOX


def user_cache(environ: Mapping[str, str] = os.environ) -> Path:
    """The user's cache folder of jarkkit: $JARKKIT_CACHE, else the system's own place."""
    if named := environ.get("JARKKIT_CACHE"):
        return Path(named).expanduser()
    if platform.system() == "Darwin":
        return Path.home() / "Library" / "Caches" / "jarkkit"
    return Path(environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "jarkkit"


def notebooks_folder() -> Path:
    """The shipped notebooks: inside the wheel, or in the clone."""
    return _shipped("notebooks")


def terraform_folder() -> Path:
    """The shipped Terraform configuration: inside the wheel, or in the clone."""
    return _shipped("terraform")


def _shipped(name: str) -> Path:
    package = Path(__file__).parent
    in_wheel = package / "assets" / name
    return in_wheel if in_wheel.is_dir() else package.parent / name
