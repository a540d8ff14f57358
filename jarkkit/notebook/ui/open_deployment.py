"""Creating and opening deployments in a notebook, interactive or headless."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from jarkkit.decisions.rehearsal_environment import names_a_sandbox
from jarkkit.deployment import Deployment
from jarkkit.notebook.ui.parameters import apply_parameters, as_type_of, has_injected
from jarkkit.ports.paths import find_home, sandbox_home

HEADLESS = "JARKKIT_HEADLESS"


# Set in the kernels of JupyterLab and of VS Code: you are present, also in an executed notebook.
_INTERACTIVE = ("JPY_SESSION_NAME", "VSCODE_PID", "VSCODE_CWD")


def is_headless() -> bool:
    """Return True when the notebook runs unattended: in `jarkkit run`, or in papermill itself."""
    if os.environ.get(HEADLESS):
        return True
    return not any(map(os.environ.get, _INTERACTIVE)) and has_injected()


def create(deployment: str, *, rehearsal: bool) -> Deployment:
    """Create the deployment, or open an existing one. Starts the sandbox of a rehearsal.

    Raises JK-SETTINGS-UNKNOWN and JK-SETTINGS-INVALID for the notebook's parameters.
    """
    apply_parameters()
    deployment = as_type_of("", "deployment", deployment)
    rehearsal = as_type_of(True, "rehearsal", rehearsal)
    opened = Deployment.create(deployment, rehearsal=rehearsal, exist_ok=True)
    return open(deployment) if opened.rehearsal else opened


def open(deployment: str) -> Deployment:
    """Open a deployment that notebook 00 has created. Starts the sandbox of a rehearsal if needed.

    A sandbox that the environment names starts again too, if it is that of this home.

    In an interactive notebook the sandbox outlives the kernel, because other notebooks and running
    steps need it. Stop it with `jarkkit sandbox down`. Raises JK-SETTINGS-UNKNOWN and
    JK-SETTINGS-INVALID for the notebook's parameters.
    """
    apply_parameters()
    deployment = as_type_of("", "deployment", deployment)
    opened = Deployment.open(deployment)
    home = sandbox_home(find_home())
    if opened.rehearsal and (not names_a_sandbox(os.environ) or _names(home)):
        from jarkkit.sandbox import daemon_client

        if daemon_client.find(home) is None:
            daemon_client.start(home, detach=not is_headless(), **_options())
        opened = Deployment.open(deployment)
    return opened


def _names(home: Path) -> bool:
    """Return True if the environment is of the sandbox in that folder, running or not."""
    cache = os.environ.get("JARKKIT_ACCOUNT_CACHE", "")
    return Path(cache).parent == home.resolve()


def _options() -> dict[str, Any]:
    """Return the options with which the sandbox that the environment names starts again.

    The saved account has its access keys with their policies, and the port is the same.
    """
    if not names_a_sandbox(os.environ):
        return {}
    return {
        "port": urlsplit(os.environ["AWS_ENDPOINT_URL"]).port,
        "speed": float(os.environ.get("JARKKIT_SANDBOX_SPEED") or 0),
        "account_only": bool(os.environ.get("JARKKIT_SANDBOX_ACCOUNT_ONLY")),
    }
