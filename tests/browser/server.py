"""A JupyterLab that a user has started."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from jarkkit.sandbox import daemon_client
from tests.support.account import sandbox_environment
from tests.support.deployments import CliDeployment


@dataclass(frozen=True)
class Server:
    """A JupyterLab that `jarkkit lab` has started.

    Attributes:
        home: the folder with deployments and notebooks.
        user: the home of the user who started it.
        log: its log file.
    """

    home: Path
    user: Path
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def address(self) -> str:
        return (self.home / ".lab" / "address").read_text().strip()

    def new_cli_deployment(self, name: str, **values: Any) -> CliDeployment:
        """Return a new deployment with these settings."""
        cli_deployment = self.cli_deployment(name)
        cli_deployment.make(**values)
        return cli_deployment

    def cli_deployment(self, name: str) -> CliDeployment:
        """Return an existing deployment."""
        sandbox = daemon_client.require(self.home / ".sandbox")
        return CliDeployment(self.home, name, sandbox_environment(sandbox))

    def speed_up(self) -> None:
        """Restart the sandbox with its account, so that resources no longer take time."""
        daemon_client.stop(self.home / ".sandbox")
        daemon_client.start(self.home / ".sandbox", account_only=True)

    @property
    def processes(self) -> list[psutil.Process]:
        """The server's process and its child processes."""
        own = psutil.Process(self.process.pid)
        return [own, *own.children(recursive=True)]
