"""`jarkkit lab`: JupyterLab with the notebooks, on loopback.

The folder `.lab` in this home holds what belongs to the home: the kernel spec of this Python, the
token, runtime files, open tabs. Only its owner can read it. Of the user's own Jupyter folders, only
the user's settings (like the theme) apply. The token is never on a command line or in a log;
`.lab/address` holds it.
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
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jarkkit.cli import output
from jarkkit.model.errors import JarkkitError
from jarkkit.model.polling import poll
from jarkkit.ports.paths import find_home, notebooks_folder, sandbox_home, with_programs

_LAB = ".lab"
_START_SECONDS = 60.0
_FIRST_PORT = 8888
# No prompt about news and no calls for it. The user's own settings take precedence.
_QUIET = {
    "@jupyterlab/apputils-extension:notification": {
        "fetchNews": "false",
        "checkForUpdates": False,
    }
}
# Otherwise JupyterLab runs npm on every page load to see whether a build is needed.
_NO_BUILDS = {"buildAvailable": False, "buildCheck": False}


def run(*, sandbox: bool, browser: bool, port: int) -> int:
    """Serve until interrupted; return the exit code. The sandbox ends with it."""
    home = find_home()
    first = min(user_notebooks(home).glob("00-*.ipynb")).relative_to(home)
    if sandbox:
        from jarkkit.sandbox import daemon_client

        sandbox_folder = sandbox_home(home)
        running = daemon_client.find(sandbox_folder) or daemon_client.start(sandbox_folder)
        output.info(f"The sandbox listens at {running.endpoint}.")
    folder = prepare(home)
    signal.signal(signal.SIGHUP, signal.default_int_handler)  # the terminal was closed
    with subprocess.Popen(
        command_line(home, first, shell=_shell(os.environ), browser=browser, port=port),
        env=environment(home, folder, os.environ),
        stdin=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C goes to us; we shut the server down cleanly
    ) as server:
        try:
            _announce(folder, _wait_for(folder, server), first)
            return server.wait()
        except KeyboardInterrupt:
            return 130
        finally:
            (folder / "address").unlink(missing_ok=True)
            with contextlib.suppress(ProcessLookupError):
                server.terminate()


def prepare(home: Path) -> Path:
    """Create Jupyter's folder with a new token and the kernel spec; return it."""
    folder = home / _LAB
    folder.mkdir(mode=0o700, exist_ok=True)
    folder.chmod(0o700)
    kernel = folder / "kernels" / "python3"  # the kernel name in the notebooks
    kernel.mkdir(parents=True, exist_ok=True)
    (kernel / "kernel.json").write_text(json.dumps(kernel_spec(home), indent=1))
    config = folder / "labconfig"
    config.mkdir(exist_ok=True)
    (config / "default_setting_overrides.json").write_text(json.dumps(_QUIET))
    (config / "page_config.json").write_text(json.dumps(_NO_BUILDS))
    _write_private(folder / "token", secrets.token_urlsafe(32))
    return folder


def kernel_spec(home: Path) -> dict[str, Any]:
    """Return a kernel spec for this Python, whatever kernels the user has registered."""
    return {
        "argv": [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        "display_name": "jarkkit",
        "language": "python",
        "env": {"JARKKIT_HOME": str(home)},
        "metadata": {"debugger": True, "supported_encryption": "curve"},
    }


def command_line(home: Path, first: Path, *, shell: str, browser: bool, port: int) -> list[str]:
    """Return the JupyterLab command: on loopback, at the first notebook, without outside calls."""
    line = [
        sys.executable, "-m", "jupyterlab", "--ServerApp.ip=127.0.0.1",
        f"--ServerApp.port={port or _FIRST_PORT}", f"--ServerApp.root_dir={home}",
        "--ServerApp.log_level=ERROR", "--LabApp.log_level=ERROR",
        f"--LabApp.workspaces_dir={home / _LAB / 'workspaces'}",
        f"--LabApp.default_url=/lab/tree/{first}",
        "--LabApp.extension_manager=readonly", "--KernelManager.transport_encryption=auto",
        # The shell without options: the server would start a login shell when it has no terminal
        # itself, and a login shell resets PATH.
        f"--ServerApp.terminado_settings={{'shell_command': [{shell!r}]}}",
    ]  # fmt: skip
    line += [] if browser else ["--no-browser"]
    if os.geteuid() == 0:  # containers often have no other user; it listens on loopback only
        line += ["--allow-root"]
    return line


def environment(home: Path, folder: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """Return its environment, which kernels and terminals inherit: `jarkkit` and `kubectl` are on
    PATH, and there is no token."""
    kept = {name: value for name, value in environ.items() if name != "JUPYTER_TOKEN"}
    added = {
        name: os.pathsep.join([str(folder), *filter(None, [environ.get(name)])])
        for name in ("JUPYTER_PATH", "JUPYTER_CONFIG_PATH")
    }
    return {
        **with_programs(kept),
        **added,
        "JARKKIT_HOME": str(home),
        "JUPYTER_RUNTIME_DIR": str(folder / "runtime"),
        "JUPYTER_TOKEN_FILE": str(folder / "token"),
    }


def user_notebooks(home: Path) -> Path:
    """Return the folder of the user's notebooks: a clone's own, else working copies in the home."""
    shipped = notebooks_folder()
    if shipped.is_relative_to(home):
        return shipped
    folder = home / "notebooks"
    folder.mkdir(exist_ok=True)
    for path in sorted(shipped.glob("*.ipynb")):
        if not (folder / path.name).exists():  # keep the user's edits
            shutil.copyfile(path, folder / path.name)
    return folder


def _shell(environ: Mapping[str, str]) -> str:
    """Return the program of the terminals."""
    return environ.get("SHELL") or shutil.which("bash") or "sh"


def _wait_for(folder: Path, server: subprocess.Popen[bytes]) -> dict[str, Any]:
    """Wait until the server listens; return its runtime info. Raises JK-INTERNAL."""
    info = folder / "runtime" / f"jpserver-{server.pid}.json"
    for _ in poll(0.05, _START_SECONDS):
        with contextlib.suppress(OSError, ValueError):
            return dict(json.loads(info.read_text()))
        if server.poll() is not None:
            break
    raise JarkkitError(
        "JK-INTERNAL",
        "JupyterLab did not start.",
        "See the lines above. If the port is in use, choose another: jarkkit lab --port 9000",
    )


def _announce(folder: Path, server: Mapping[str, Any], first: Path) -> None:
    url = f"{server['url']}lab/tree/{first}"
    _write_private(folder / "address", f"{url}?token={server['token']}\n")
    output.info(f"JupyterLab listens at {url}. Press Ctrl-C to stop it.")
    output.info(f"To open it in another browser, use the address in {folder / 'address'}")


def _write_private(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as handle:
        handle.write(text)
