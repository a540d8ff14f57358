"""`jarkkit lab`: JupyterLab with the notebooks, on loopback."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from jarkkit.cli import show
from jarkkit.home import find_home, notebooks_folder, sandbox_home


def run(*, sandbox: bool, browser: bool, port: int) -> int:
    """Serve until interrupted; returns the exit code. The sandbox ends with it."""
    home = find_home()
    folder = own_copies(home)
    if sandbox:
        from jarkkit.sandbox import control

        folder_of_it = sandbox_home(home)
        running = control.find(folder_of_it) or control.start(folder_of_it)
        show.say(f"The sandbox answers at {running.endpoint}.")
    first = next(path.name for path in sorted(folder.glob("00-*.ipynb")))
    line = [
        sys.executable, "-m", "jupyterlab", "--ServerApp.ip=127.0.0.1",
        f"--ServerApp.port={port or 8888}", f"--ServerApp.root_dir={home}",
        f"--LabApp.default_url=/lab/tree/{folder.relative_to(home)}/{first}",
    ]  # fmt: skip
    line += [] if browser else ["--no-browser"]
    if os.geteuid() == 0:  # in a container there is often nobody else; it is on loopback only
        line += ["--allow-root"]
    environ = {**os.environ, "JARKKIT_HOME": str(home)}
    with subprocess.Popen(line, env=environ) as server:
        try:
            return server.wait()
        except KeyboardInterrupt:
            server.terminate()
            server.wait()
            return 130


def own_copies(home: Path) -> Path:
    """The notebooks in the user's home: in a clone the shipped ones, else copies to work in."""
    shipped = notebooks_folder()
    if shipped.is_relative_to(home):
        return shipped
    folder = home / "notebooks"
    folder.mkdir(exist_ok=True)
    for path in sorted(shipped.glob("*.ipynb")):
        if not (folder / path.name).exists():  # what the user wrote into one stays
            shutil.copyfile(path, folder / path.name)
    return folder
