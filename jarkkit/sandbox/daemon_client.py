"""Start, find and stop a sandbox. This module imports nothing from moto, so it loads fast."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from jarkkit.model.errors import JarkkitError
from jarkkit.model.polling import poll
from jarkkit.sandbox import account_profiles

# What the extra `sandbox` of the package brings (pyproject.toml).
EXTRA = ("cryptography", "flask", "flask-cors", "moto", "werkzeug")
_START_SECONDS = 60.0
_STOP_SECONDS = 30.0
_ANSWER_SECONDS = 10.0


@dataclass(frozen=True)
class RunningSandbox:
    """A sandbox that is running and responds.

    Attributes:
        speed: how many times faster than AWS; 0 means immediately.
        env: environment variables that a process needs to reach it.
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
    profile: str = account_profiles.DEFAULT,
    faults: Iterable[str] = (),
    account_only: bool = False,
    latency_ms: float | None = None,
    rate_limits: bool | None = None,
    policies: Sequence[Path] = (),
) -> RunningSandbox:
    """Start a sandbox in that folder, with the account saved there, and wait until it responds.

    A sandbox that already runs with the same options is reused; its latency and rate limits are
    updated.

    Args:
        account_only: clusters are records without control planes, so no programs are needed.
        latency_ms, rate_limits: see `set_pace`; None leaves them unchanged, and off at first.
        policies: see `set_policies`; a running sandbox adopts them.

    Raises JK-SANDBOX-SPEED, JK-SANDBOX-STATE, JK-SANDBOX-FAULT, JK-SANDBOX-POLICY,
    JK-SANDBOX-EXTRA, JK-SANDBOX-START, JK-TOOLCHAIN-MISSING.
    """
    if profile not in account_profiles.PROFILES:
        choice = ", ".join(account_profiles.PROFILES)
        raise JarkkitError(
            "JK-USAGE", f"There is no profile {profile!r}.", f"Choose from: {choice}."
        )
    if running := find(home):
        same = _same(running, speed, fresh, profile, account_only)
        set_pace(home, latency_ms=latency_ms, rate_limits=rate_limits)
        if policies:
            set_policies(home, policies)
        return same
    _require_packages()
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
            start_new_session=True,  # Ctrl-C must not reach the daemon
        )
    _reap(0)  # daemons that were killed
    _KEPT.append(process)  # the pipe to the daemon must live as long as this process
    return _wait_for(home, process)


def _require_packages() -> None:
    """Raise JK-SANDBOX-EXTRA if jarkkit was installed without the extra of the sandbox."""
    missing = [name for name in EXTRA if importlib.util.find_spec(name.replace("-", "_")) is None]
    if missing:
        raise JarkkitError(
            "JK-SANDBOX-EXTRA",
            f"The sandbox needs Python packages that are not installed: {', '.join(missing)}.",
            'Install them: pip install "jarkkit[sandbox]", or in a clone: make setup',
        )


_KEPT: list[subprocess.Popen[bytes]] = []


def find(home: Path) -> RunningSandbox | None:
    """Return the sandbox that runs in that folder, or None."""
    try:
        known = json.loads((home / "sandbox.json").read_text())
        process = psutil.Process(known["pid"])
        if process.status() == psutil.STATUS_ZOMBIE or "jarkkit.sandbox" not in process.cmdline():
            return None
        fields = {
            name: known[name] for name in RunningSandbox.__dataclass_fields__ if name != "home"
        }
        running = RunningSandbox(home=home, **fields)
    except (OSError, ValueError, KeyError, psutil.Error):
        return None
    return running if _ask(running, "status") else None


def status(home: Path) -> dict[str, Any]:
    """Return the status that the sandbox reports. Raises JK-SANDBOX-MISSING."""
    return _send(home, "status", {})


def is_limited(home: Path) -> bool:
    """Return True if you gave the sandbox policies that limit its user.

    Raises JK-SANDBOX-MISSING.
    """
    return bool(_part(status(home), "limited"))


def set_faults(home: Path, faults: Iterable[str]) -> dict[str, Any]:
    """Activate these faults and no others. Raises JK-SANDBOX-MISSING, JK-SANDBOX-FAULT."""
    return _send(home, "faults", {"faults": list(faults)})


def set_pace(
    home: Path, *, latency_ms: float | None = None, rate_limits: bool | None = None
) -> dict[str, Any]:
    """Add latency to calls and throttle them, as AWS does; None leaves a setting unchanged.

    Raises JK-SANDBOX-MISSING.

    Args:
        latency_ms: milliseconds per call; concurrent calls wait in parallel.
        rate_limits: whether the published rates of EC2, Service Quotas, Pricing and so on apply.
    """
    return _send(home, "pace", {"latency_ms": latency_ms, "rate_limits": rate_limits})


def set_policies(home: Path, paths: Iterable[Path]) -> dict[str, Any]:
    """Allow the sandbox's user exactly what the policies in these files allow; none: everything.

    Raises JK-SANDBOX-MISSING, JK-SANDBOX-POLICY.
    """
    return _send(home, "policies", {"policies": [str(path.resolve()) for path in paths]})


def limited_environment(
    home: Path, holder: str, policies: Mapping[str, Mapping[str, Any]]
) -> dict[str, str]:
    """Return environment variables for calls that may do exactly what these policies allow.

    The calls are the sandbox's user's, with an access key of the holder's own. Other calls stay as
    they are. Raises JK-SANDBOX-MISSING, JK-SANDBOX-POLICY.

    Args:
        holder: whose key it is; its earlier policies are replaced.
        policies: by name.
    """
    answer = _send(home, "limited-key", {"holder": holder, "policies": policies})
    return {**require(home).env, **_part(answer, "env")}


def require(home: Path) -> RunningSandbox:
    """Return the running sandbox. Raises JK-SANDBOX-MISSING."""
    running = find(home)
    if running is None:
        raise JarkkitError(
            "JK-SANDBOX-MISSING",
            "No sandbox is running here.",
            "Start a sandbox: jarkkit sandbox up --detach",
        )
    return running


def stop(home: Path) -> bool:
    """Save and stop the sandbox. Return False when none was running."""
    running = find(home)
    if running is None:
        return False
    process = psutil.Process(running.pid)
    _ask(running, "stop")
    try:
        process.wait(_STOP_SECONDS)
    except psutil.TimeoutExpired:
        process.kill()
    _reap(running.pid)
    return True


def _reap(pid: int) -> None:
    """Reap the daemon and close the pipe to it, if this process started it."""
    for process in [kept for kept in _KEPT if kept.pid == pid or kept.poll() is not None]:
        _KEPT.remove(process)
        process.communicate()


def _same(
    running: RunningSandbox, speed: float, fresh: bool, profile: str, account_only: bool
) -> RunningSandbox:
    requested = (speed, profile, account_only)
    if not fresh and requested == (running.speed, running.profile, running.account_only):
        return running
    raise JarkkitError(
        "JK-SANDBOX-SPEED",
        f"A sandbox is running already (speed {running.speed:g}, profile {running.profile}"
        f"{', account only' if running.account_only else ''}).",
        "Stop it first: jarkkit sandbox down",
    )


def _environment() -> dict[str, str]:
    """Return the daemon's environment, without any of the user's AWS configuration.

    MALLOC_ARENA_MAX: glibc would otherwise keep freed memory per thread, 20 MB in total.
    """
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "MOTO_"))}
    ours = {"PYTHONWARNINGS": "ignore", "MOTO_IAM_LOAD_MANAGED_POLICIES": "true"}
    return {**kept, **ours, "MALLOC_ARENA_MAX": "1"}


def _wait_for(home: Path, process: subprocess.Popen[bytes]) -> RunningSandbox:
    for _ in poll(0.05, _START_SECONDS):
        running = find(home)
        if running and running.pid == process.pid:
            return running
        if process.poll() is not None:
            raise _not_started((home / "sandbox.log").read_text(errors="replace"))
    process.kill()
    raise _not_started(f"no response within {_START_SECONDS:g} seconds")


def _not_started(output: str) -> JarkkitError:
    for line in output.splitlines():
        with contextlib.suppress(ValueError, KeyError, TypeError):
            known = json.loads(line)
            return JarkkitError(known["code"], known["message"], known["fix"])
    return JarkkitError(
        "JK-SANDBOX-START",
        "The sandbox did not start.",
        "Read the log lines below; run jarkkit doctor to check the installation.",
        evidence="\n".join(output.splitlines()[-15:]),
    )


def _send(home: Path, command: str, body: dict[str, Any]) -> dict[str, Any]:
    """Send a command and return the response. Raises JK-SANDBOX-MISSING, the sandbox's errors."""
    answer = _ask(require(home), command, body)
    if answer is None:
        raise _unusable(f"did not answer within {_ANSWER_SECONDS:g} seconds, or with an error")
    if error := answer.get("error"):
        raise JarkkitError(error["code"], error["message"], error["fix"])
    return answer


def _part(answer: Mapping[str, Any], name: str) -> Any:
    """Return a part of a response. Raises JK-SANDBOX-MISSING if a sandbox of another version
    answers without it."""
    if name not in answer:
        raise _unusable("belongs to another version of jarkkit")
    return answer[name]


def _unusable(why: str) -> JarkkitError:
    return JarkkitError(
        "JK-SANDBOX-MISSING",
        f"The sandbox that is running here cannot be used: it {why}.",
        "Stop it, then start it again: jarkkit sandbox down, then jarkkit sandbox up --detach. "
        "Its account is as you left it.",
    )


def _ask(
    running: RunningSandbox, command: str, body: dict[str, Any] | None = None
) -> dict[str, Any] | None:
    request = urllib.request.Request(  # noqa: S310 - our own endpoint on loopback
        f"{running.endpoint}/jarkkit/{command}",
        data=json.dumps(body or {}).encode(),
        headers={"X-Jarkkit-Token": running.token},
    )
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(request, timeout=_ANSWER_SECONDS) as answer:
            return dict(json.load(answer))
    except (OSError, ValueError, urllib.error.URLError):
        return None
