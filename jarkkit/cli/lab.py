"""`jarkkit lab`: JupyterLab with the notebooks, on loopback.

What belongs to this home lies in the home's folder `.lab`, which only its owner can read: the
kernel of this very Python, the token, what is running, open tabs. Of the user's own Jupyter folders
only the choices count that the user makes (like the theme). The token is on no command line and in
no log; `.lab/address` holds it.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jarkkit.cli import show
from jarkkit.errors import JarkkitError
from jarkkit.home import find_home, notebooks_folder, sandbox_home

_LAB = ".lab"
_START_SECONDS = 60.0
_FIRST_PORT = 8888
# No questions about news and no calls for them; what a user has chosen counts more.
_QUIET = {
    "@jupyterlab/apputils-extension:notification": {
        "fetchNews": "false",
        "checkForUpdates": False,
    }
}
# Otherwise it runs npm for every page to see whether something is to be built.
_NO_BUILDS = {"buildAvailable": False, "buildCheck": False}


def run(*, sandbox: bool, browser: bool, port: int) -> int:
    """Serve until interrupted; returns the exit code. The sandbox ends with it."""
    home = find_home()
    first = min(own_copies(home).glob("00-*.ipynb")).relative_to(home)
    if sandbox:
        from jarkkit.sandbox import control

        folder_of_it = sandbox_home(home)
        running = control.find(folder_of_it) or control.start(folder_of_it)
        show.say(f"The sandbox answers at {running.endpoint}.")
    folder = prepare(home)
    signal.signal(signal.SIGHUP, signal.default_int_handler)  # the terminal was closed
    with subprocess.Popen(
        command_line(home, first, browser=browser, port=port),
        env=environment(home, folder, os.environ),
        stdin=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C is for us; we end it in order
    ) as server:
        try:
            _tell(folder, _wait_for(folder, server), first)
            return server.wait()
        except KeyboardInterrupt:
            return 130
        finally:
            (folder / "address").unlink(missing_ok=True)
            with contextlib.suppress(ProcessLookupError):
                server.terminate()


def prepare(home: Path) -> Path:
    """The folder of what Jupyter keeps, with a fresh token and the kernel."""
    folder = home / _LAB
    folder.mkdir(mode=0o700, exist_ok=True)
    folder.chmod(0o700)
    kernel = folder / "kernels" / "python3"  # the name that the notebooks ask for
    kernel.mkdir(parents=True, exist_ok=True)
    (kernel / "kernel.json").write_text(json.dumps(kernel_spec(home), indent=1))
    config = folder / "labconfig"
    config.mkdir(exist_ok=True)
    (config / "default_setting_overrides.json").write_text(json.dumps(_QUIET))
    (config / "page_config.json").write_text(json.dumps(_NO_BUILDS))
    _write_private(folder / "token", secrets.token_urlsafe(32))
    return folder


def kernel_spec(home: Path) -> dict[str, Any]:
    """The kernel of this very Python, whatever kernels the user has registered."""
    return {
        "argv": [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        "display_name": "jarkkit",
        "language": "python",
        "env": {"JARKKIT_HOME": str(home)},
        "metadata": {"debugger": True, "supported_encryption": "curve"},
    }


def command_line(home: Path, first: Path, *, browser: bool, port: int) -> list[str]:
    """How JupyterLab is started: on loopback, at the first notebook, asking nobody else."""
    line = [
        sys.executable, "-m", "jupyterlab", "--ServerApp.ip=127.0.0.1",
        f"--ServerApp.port={port or _FIRST_PORT}", f"--ServerApp.root_dir={home}",
        "--ServerApp.log_level=ERROR", "--LabApp.log_level=ERROR",
        f"--LabApp.workspaces_dir={home / _LAB / 'workspaces'}",
        f"--LabApp.default_url=/lab/tree/{first}",
        "--LabApp.extension_manager=readonly", "--KernelManager.transport_encryption=auto",
    ]  # fmt: skip
    line += [] if browser else ["--no-browser"]
    if os.geteuid() == 0:  # in a container there is often nobody else; it is on loopback only
        line += ["--allow-root"]
    return line


def environment(home: Path, folder: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """What it sees. A token given in the environment would be seen by every kernel, too."""
    kept = {name: value for name, value in environ.items() if name != "JUPYTER_TOKEN"}
    added = {
        name: os.pathsep.join([str(folder), *filter(None, [environ.get(name)])])
        for name in ("JUPYTER_PATH", "JUPYTER_CONFIG_PATH")
    }
    return {
        **kept,
        **added,
        "JARKKIT_HOME": str(home),
        "JUPYTER_RUNTIME_DIR": str(folder / "runtime"),
        "JUPYTER_TOKEN_FILE": str(folder / "token"),
    }


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


def _wait_for(folder: Path, server: subprocess.Popen[bytes]) -> dict[str, Any]:
    """What the server writes down of itself when it listens. Raises JK-INTERNAL."""
    written = folder / "runtime" / f"jpserver-{server.pid}.json"
    deadline = time.monotonic() + _START_SECONDS
    while server.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError, ValueError):
            return dict(json.loads(written.read_text()))
        time.sleep(0.05)
    raise JarkkitError(
        "JK-INTERNAL",
        "JupyterLab did not start.",
        "Look at the lines above. If the port is taken, choose another: jarkkit lab --port 9000",
    )


def _tell(folder: Path, server: Mapping[str, Any], first: Path) -> None:
    url = f"{server['url']}lab/tree/{first}"
    _write_private(folder / "address", f"{url}?token={server['token']}\n")
    show.say(f"JupyterLab answers at {url}. Ctrl-C ends it.")
    show.say(f"To open it in another browser: the address in {folder / 'address'}")


def _write_private(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as handle:
        handle.write(text)
