"""Facts about this machine: programs, proxy and reachable hosts."""

from __future__ import annotations

import base64
import http.client
import json
import platform
import shutil
import subprocess
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib import metadata
from urllib.parse import SplitResult, unquote, urlsplit
from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined]

_PROGRAM_SECONDS = 10.0


@dataclass(frozen=True)
class LocalMachine:
    """This machine in one environment. The constructor does nothing.

    Args:
        environ: environment variables, of which PATH and the proxy variables are used.
    """

    environ: Mapping[str, str] = field(default_factory=dict)

    # -- programs ------------------------------------------------------------------------------

    def kubectl_version(self) -> str | None:
        """Return the version of the kubectl on PATH (`v1.36.2`): None without kubectl, empty if it
        does not report a version."""
        path = shutil.which("kubectl", path=self.environ.get("PATH"))
        if path is None:
            return None
        try:
            answer = subprocess.run(
                [path, "version", "--client", "--output=json"],
                capture_output=True,
                env=dict(self.environ),
                timeout=_PROGRAM_SECONDS,
                check=False,
            )
            return str(json.loads(answer.stdout)["clientVersion"]["gitVersion"])
        except (OSError, ValueError, KeyError, TypeError, subprocess.TimeoutExpired):
            return ""

    def python_version(self) -> str:
        """Return the version of the Python that runs jarkkit."""
        return platform.python_version()

    def system(self) -> str:
        """Return operating system, its version and the processor's architecture."""
        return platform.platform()

    def package_versions(self, names: Iterable[str]) -> dict[str, str | None]:
        """Return the installed version of each package; None if it is not installed."""
        return {name: _package_version(name) for name in names}

    # -- network ---------------------------------------------------------------------------------

    def proxy(self, host: str) -> str:
        """Return the HTTPS proxy for that host, as `host:port` without credentials; empty for a
        direct connection."""
        parts = self._proxy(host)
        return f"{parts.hostname}:{parts.port or 80}" if parts else ""

    def unreachable_hosts(self, hosts: Iterable[str], seconds: float) -> dict[str, str]:
        """Return the hosts that do not answer over HTTPS, each with the reason.

        Any response counts as an answer, even an error. All hosts are tried in parallel, within so
        many seconds in total.
        """
        unique = tuple(dict.fromkeys(hosts))
        found = dict.fromkeys(unique, "no answer")
        until = time.monotonic() + seconds
        # No thread pool: a pool waits for its threads, and a DNS lookup cannot be interrupted.
        threads = [
            threading.Thread(target=self._try, args=(host, seconds, found), daemon=True)
            for host in unique
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(max(0.0, until - time.monotonic()))
        return {host: why for host, why in tuple(found.items()) if why}

    def _try(self, host: str, seconds: float, found: dict[str, str]) -> None:
        try:
            connection = self._connection(host, seconds)
            try:
                connection.request("HEAD", "/", headers={"User-Agent": "jarkkit"})
                connection.getresponse()
            finally:
                connection.close()
            found[host] = ""
        except (OSError, http.client.HTTPException, ValueError) as error:
            found[host] = str(error) or type(error).__name__

    def _connection(self, host: str, seconds: float) -> http.client.HTTPSConnection:
        proxy = self._proxy(host)
        if proxy is None:
            return http.client.HTTPSConnection(host, timeout=seconds)
        connection = http.client.HTTPSConnection(
            proxy.hostname or "", proxy.port or 80, timeout=seconds
        )
        connection.set_tunnel(host, 443, headers=_login(proxy))
        return connection

    def _proxy(self, host: str) -> SplitResult | None:
        named = self._variable("https_proxy")
        if not named or proxy_bypass_environment(host, {"no": self._variable("no_proxy")}):
            return None
        return urlsplit(named if "://" in named else f"http://{named}")

    def _variable(self, name: str) -> str:
        """Return the variable in lowercase, which takes precedence, or in uppercase."""
        return self.environ.get(name) or self.environ.get(name.upper()) or ""


def _package_version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _login(proxy: SplitResult) -> dict[str, str]:
    if not proxy.username:
        return {}
    pair = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
    return {"Proxy-Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}
