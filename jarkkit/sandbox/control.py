"""Start, find and stop a sandbox. Light: nothing of moto is imported here."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from jarkkit.errors import JarkkitError
from jarkkit.sandbox import profiles

_START_SECONDS = 60.0
_STOP_SECONDS = 30.0


@dataclass(frozen=True)
class Running:
    """A sandbox that answers.

    Attributes:
        speed: how many times faster than AWS; 0 is at once.
        env: what a process needs in its environment to reach it.
    """

    home: Path
    endpoint: str
    pid: int
    account_id: str
    speed: float
    profile: str
    account_only: bool
    started: str
    token: str
    env: dict[str, str]


def start(
    home: Path,
    *,
    speed: float = 0.0,
    detach: bool = False,
    fresh: bool = False,
    port: int = 0,
    profile: str = profiles.DEFAULT,
    faults: Iterable[str] = (),
    account_only: bool = False,
    latency_ms: float | None = None,
    rate_limits: bool | None = None,
    policies: Sequence[Path] = (),
) -> Running:
    """Start a sandbox in that folder, with the account that was saved there, and wait until it
    answers. One that runs with the same options is taken as it is, at the pace that is asked for.

    Args:
        account_only: nothing stands behind its clusters, and no programs are needed.
        latency_ms, rate_limits: see `set_pace`; None leaves it, and is none at first.
        policies: see `set_policies`; a sandbox that runs takes them over.

    Raises JK-SANDBOX-SPEED, JK-SANDBOX-STATE, JK-SANDBOX-FAULT, JK-SANDBOX-POLICY,
    JK-SANDBOX-START, JK-TOOLCHAIN-MISSING.
    """
    if profile not in profiles.PROFILES:
        choice = ", ".join(profiles.PROFILES)
        raise JarkkitError(
            "JK-USAGE", f"There is no profile {profile!r}.", f"Choose from: {choice}."
        )
    if running := find(home):
        same = _same(running, speed, fresh, profile, account_only)
        set_pace(home, latency_ms=latency_ms, rate_limits=rate_limits)
        if policies:
            set_policies(home, policies)
        return same
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    words = ["--speed", str(speed), "--port", str(port), "--profile", profile]
    words += [word for fault in faults for word in ("--fault", fault)]
    words += ["--fresh"] if fresh else []
    words += ["--account-only"] if account_only else []
    words += ["--latency", str(latency_ms)] if latency_ms else []
    words += ["--rate-limits"] if rate_limits else []
    words += [word for path in policies for word in ("--policy", str(path.resolve()))]
    words += [] if detach else ["--with-parent"]
    with (home / "sandbox.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "jarkkit.sandbox", str(home), *words],
            env=_environment(),
            stdin=subprocess.DEVNULL if detach else subprocess.PIPE,
            stdout=log,
            stderr=log,
            start_new_session=True,  # Ctrl-C is for the one who asked, not for the account
        )
    _let_go_of(0)  # those that were killed
    _KEPT.append(process)  # the pipe to it must live as long as this process
    return _wait_for(home, process)


_KEPT: list[subprocess.Popen[bytes]] = []


def find(home: Path) -> Running | None:
    """The sandbox that runs in that folder, or None."""
    try:
        known = json.loads((home / "sandbox.json").read_text())
        process = psutil.Process(known["pid"])
        if process.status() == psutil.STATUS_ZOMBIE or "jarkkit.sandbox" not in process.cmdline():
            return None
        fields = {name: known[name] for name in Running.__dataclass_fields__ if name != "home"}
        running = Running(home=home, **fields)
    except (OSError, ValueError, KeyError, psutil.Error):
        return None
    return running if _ask(running, "status") else None


def status(home: Path) -> dict[str, Any]:
    """What it says of itself. Raises JK-SANDBOX-MISSING."""
    return _ask(require(home), "status") or {}


def set_faults(home: Path, faults: Iterable[str]) -> dict[str, Any]:
    """Switch faults on; those not named are off. Raises JK-SANDBOX-MISSING, JK-SANDBOX-FAULT."""
    return _tell(home, "faults", {"faults": list(faults)})


def set_pace(
    home: Path, *, latency_ms: float | None = None, rate_limits: bool | None = None
) -> dict[str, Any]:
    """Let calls take time on their way, and be refused when they are too many, as by AWS; None
    leaves it as it is. Raises JK-SANDBOX-MISSING.

    Args:
        latency_ms: milliseconds per call; those at the same time wait side by side.
        rate_limits: whether the published rates of EC2, Service Quotas, Pricing and so on hold.
    """
    return _tell(home, "pace", {"latency_ms": latency_ms, "rate_limits": rate_limits})


def set_policies(home: Path, paths: Iterable[Path]) -> dict[str, Any]:
    """Let the sandbox's user do exactly what the policies in these files allow together; without
    any, everything. Raises JK-SANDBOX-MISSING, JK-SANDBOX-POLICY."""
    return _tell(home, "policies", {"policies": [str(path.resolve()) for path in paths]})


def require(home: Path) -> Running:
    """The running sandbox. Raises JK-SANDBOX-MISSING."""
    running = find(home)
    if running is None:
        raise JarkkitError(
            "JK-SANDBOX-MISSING",
            "No sandbox is running here.",
            "Start one: jarkkit sandbox up --detach",
        )
    return running


def stop(home: Path) -> bool:
    """Save and end the sandbox; False when none was running."""
    running = find(home)
    if running is None:
        return False
    process = psutil.Process(running.pid)
    _ask(running, "stop")
    try:
        process.wait(_STOP_SECONDS)
    except psutil.TimeoutExpired:
        process.kill()
    _let_go_of(running.pid)
    return True


def _let_go_of(pid: int) -> None:
    """Reap it and close the pipe to it, where this process started it."""
    for process in [kept for kept in _KEPT if kept.pid == pid or kept.poll() is not None]:
        _KEPT.remove(process)
        process.communicate()


def _same(running: Running, speed: float, fresh: bool, profile: str, account_only: bool) -> Running:
    asked = (speed, profile, account_only)
    if not fresh and asked == (running.speed, running.profile, running.account_only):
        return running
    raise JarkkitError(
        "JK-SANDBOX-SPEED",
        f"A sandbox is running already (speed {running.speed:g}, profile {running.profile}"
        f"{', account only' if running.account_only else ''}).",
        "End it first: jarkkit sandbox down",
    )


def _environment() -> dict[str, str]:
    """Nothing of the user's AWS configuration may steer the pretend account.

    glibc would keep freed memory apart for each of the daemon's threads: 20 MB.
    """
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "MOTO_"))}
    ours = {"PYTHONWARNINGS": "ignore", "MOTO_IAM_LOAD_MANAGED_POLICIES": "true"}
    return {**kept, **ours, "MALLOC_ARENA_MAX": "1"}


def _wait_for(home: Path, process: subprocess.Popen[bytes]) -> Running:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        running = find(home)
        if running and running.pid == process.pid:
            return running
        if process.poll() is not None:
            raise _not_started((home / "sandbox.log").read_text(errors="replace"))
        time.sleep(0.05)
    process.kill()
    raise _not_started(f"no answer within {_START_SECONDS:g} seconds")


def _not_started(said: str) -> JarkkitError:
    for line in said.splitlines():
        with contextlib.suppress(ValueError, KeyError, TypeError):
            known = json.loads(line)
            return JarkkitError(known["code"], known["message"], known["fix"])
    return JarkkitError(
        "JK-SANDBOX-START",
        "The sandbox did not start.",
        "Look at the lines below; jarkkit doctor checks the installation.",
        evidence="\n".join(said.splitlines()[-15:]),
    )


def _tell(home: Path, word: str, asked: dict[str, Any]) -> dict[str, Any]:
    """What the sandbox says to it. Raises JK-SANDBOX-MISSING, and what the sandbox raises."""
    answer = _ask(require(home), word, asked) or {}
    if error := answer.get("error"):
        raise JarkkitError(error["code"], error["message"], error["fix"])
    return answer


def _ask(running: Running, word: str, body: dict[str, Any] | None = None) -> dict[str, Any] | None:
    request = urllib.request.Request(  # noqa: S310 - our own endpoint on loopback
        f"{running.endpoint}/jarkkit/{word}",
        data=json.dumps(body or {}).encode(),
        headers={"X-Jarkkit-Token": running.token},
    )
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(request, timeout=10) as answer:
            return dict(json.load(answer))
    except (OSError, ValueError, urllib.error.URLError):
        return None
