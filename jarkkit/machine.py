"""The door to this machine: its programs, its proxy, and what can be reached from it."""

from __future__ import annotations

import base64
import http.client
import json
import shutil
import subprocess
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import SplitResult, unquote, urlsplit
from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined]

_PROGRAM_SECONDS = 10.0


@dataclass(frozen=True)
class Machine:
    """This machine, seen from one environment. Making one does nothing.

    Args:
        environ: the environment; PATH and the proxy variables are read.
    """

    environ: Mapping[str, str] = field(default_factory=dict)

    # -- programs ------------------------------------------------------------------------------

    def kubectl_version(self) -> str | None:
        """The version of the kubectl on PATH (`v1.36.2`); None where there is none, empty where it
        does not say."""
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

    # -- the way out ---------------------------------------------------------------------------

    def proxy(self, host: str) -> str:
        """The proxy by which that host is reached over HTTPS, as `host:port` without its login;
        empty where it is reached directly."""
        parts = self._proxy(host)
        return f"{parts.hostname}:{parts.port or 80}" if parts else ""

    def silent(self, hosts: Iterable[str], seconds: float) -> dict[str, str]:
        """Which hosts do not answer over HTTPS, each with the reason. Any answer counts, also a
        refusal. They are asked side by side and after so many seconds in all this returns."""
        wanted = tuple(dict.fromkeys(hosts))
        found = dict.fromkeys(wanted, "no answer")
        until = time.monotonic() + seconds
        # Not a pool: looking up a name cannot be interrupted, and a pool waits for its threads.
        threads = [
            threading.Thread(target=self._try, args=(host, seconds, found), daemon=True)
            for host in wanted
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
        named = self._either("https_proxy")
        if not named or proxy_bypass_environment(host, {"no": self._either("no_proxy")}):
            return None
        return urlsplit(named if "://" in named else f"http://{named}")

    def _either(self, name: str) -> str:
        """The variable in small letters, which wins, or in large ones."""
        return self.environ.get(name) or self.environ.get(name.upper()) or ""


def _login(proxy: SplitResult) -> dict[str, str]:
    if not proxy.username:
        return {}
    pair = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
    return {"Proxy-Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}
