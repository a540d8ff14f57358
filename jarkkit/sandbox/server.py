"""The daemon: moto's server with the extensions, faults, a clock and a memory.

One request is served at a time: moto's backends are not made for more, a snapshot then never sees
half a change, and no call takes longer than milliseconds.
"""

from __future__ import annotations

import contextlib
import fcntl
import io
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from moto.backends import get_backend
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.iam.models import iam_backends
from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from werkzeug.serving import BaseWSGIServer, make_server

from jarkkit.errors import JarkkitError
from jarkkit.sandbox import calls, faults, guard, profiles, regions, state
from jarkkit.sandbox.account import install
from jarkkit.sandbox.account.iam import limits, service_linked
from jarkkit.sandbox.account.sqs import waiting
from jarkkit.sandbox.backends import Account
from jarkkit.sandbox.clock import CLOCK
from jarkkit.sandbox.clusters import HOST, POD_IDENTITY
from jarkkit.sandbox.files import write_private
from jarkkit.sandbox.pace import PACE

if TYPE_CHECKING:
    from jarkkit.sandbox.cluster.toolchain import Toolchain

ADMIN = "/jarkkit/"
CHARTS = "charts"
ANSWERS = "answers"

Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


@dataclass
class Options:
    """How a sandbox is to run.

    Attributes:
        account_only: its clusters are entries in the account, with nothing behind them.
        policies: files with all that the user may do; none lets the user do everything.
    """

    speed: float = 0.0
    port: int = 0
    profile: str = profiles.DEFAULT
    faults: tuple[str, ...] = ()
    fresh: bool = False
    account_only: bool = False
    latency_ms: float = 0.0
    rate_limits: bool = False
    policies: tuple[Path, ...] = ()


@dataclass
class Daemon:
    """The pretend account behind a port on loopback.

    Args:
        home: its folder; `sandbox.json` tells others where it is, `account.pickle` is its memory.
    """

    home: Path
    options: Options
    token: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _changed: threading.Event = field(default_factory=threading.Event)
    _stopping: threading.Event = field(default_factory=threading.Event)
    _served: int = 0
    _answered: dict[str, faults.Answer] = field(default_factory=dict)
    _calls: IO[str] = field(default_factory=io.StringIO)
    _guard: subprocess.Popen[bytes] | None = None

    @property
    def memory(self) -> Path:
        """The file with the saved account."""
        return self.home / "account.pickle"

    def run(self) -> None:
        """Serve until told to stop, then save. Raises JK-SANDBOX-STATE, JK-SANDBOX-START."""
        with (self.home / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # one before us may still be saving
            self._run()

    def _run(self) -> None:
        before = self._open_account()
        key_id, secret = before.get("key") or _new_user()
        self._key = (key_id, secret)
        if self.options.profile != "fresh-account":
            service_linked.ensure(tuple(service_linked.NAMES))
        server = self._bind(before.get("port", 0))
        self._port = server.server_port
        mode = "w" if self.options.fresh else "a"
        self._calls = (self.home / "calls.log").open(mode, buffering=1)
        needs = (self.home / "permissions.log").open(mode, buffering=1)
        self._limits = limits.Limits(key_id, needs)
        self._limit(self.options.policies)
        self._host_clusters()
        self._announce(key_id, secret)
        threading.Thread(target=self._save_when_changed, daemon=True).start()
        threading.Thread(target=self._end_server, args=(server,), daemon=True).start()
        try:
            server.serve_forever(poll_interval=0.05)
        finally:
            self._stopping.set()
            with contextlib.suppress(OSError):
                (self.home / "sandbox.json").unlink()
            HOST.clusters.stop()
            self._save()
            self._dismiss_guard()

    def _open_account(self) -> dict[str, Any]:
        """Make the account as asked for; returns what was saved beside an earlier one."""
        CLOCK.speed = self.options.speed
        faults.ACTIVE.switch(self.options.faults)
        PACE.set(self.options.latency_ms, self.options.rate_limits)
        install()
        from jarkkit.sandbox.account.servicequotas.models import QuotasBackend

        QuotasBackend.profile = self.options.profile
        return {} if self.options.fresh else state.load(self.memory) or {}

    def stop(self) -> None:
        """End `run`; safe from any thread or signal handler."""
        self._stopping.set()

    def _end_server(self, server: BaseWSGIServer) -> None:
        self._stopping.wait()
        server.shutdown()

    def _bind(self, port_before: int) -> BaseWSGIServer:
        """The port of last time if it is free: queues have it in their URL, the state too."""
        wanted = self.options.port or port_before
        for port in dict.fromkeys((wanted, self.options.port)):
            if port and not _free(port):
                continue
            return make_server(
                "127.0.0.1", port, self.application, threaded=True, request_handler=_Handler
            )
        raise JarkkitError(
            "JK-SANDBOX-START",
            f"Port {self.options.port} is in use.",
            "Choose another port, or none: a free one is then taken.",
        )

    def _announce(self, key_id: str, secret: str) -> None:
        endpoint = self.endpoint
        self._identity = {
            "endpoint": endpoint,
            "pid": os.getpid(),
            "account_id": DEFAULT_ACCOUNT_ID,
            "speed": self.options.speed,
            "profile": self.options.profile,
            "account_only": self.options.account_only,
            "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        }
        known = {
            **self._identity,
            "token": self.token,
            "env": {
                "AWS_ENDPOINT_URL": endpoint,
                "AWS_ACCESS_KEY_ID": key_id,
                "AWS_SECRET_ACCESS_KEY": secret,
                "AWS_SESSION_TOKEN": "",
                "AWS_PROFILE": "",
                "AWS_EC2_METADATA_DISABLED": "true",
                "NO_PROXY": "127.0.0.1,localhost",
                "no_proxy": "127.0.0.1,localhost",
                "JARKKIT_ACCOUNT_CACHE": str(self._empty_cache()),
                **self._about_charts(),
            },
        }
        write_private(self.home / "sandbox.json", json.dumps(known, indent=1).encode())

    def _empty_cache(self) -> Path:
        """Where the kit keeps answers of this account: none from before this start."""
        for old in self.home.glob(f"{ANSWERS}-*"):
            shutil.rmtree(old, ignore_errors=True)
        folder = self.home.resolve() / f"{ANSWERS}-{secrets.token_hex(4)}"
        folder.mkdir(mode=0o700)
        return folder

    def _about_charts(self) -> dict[str, str]:
        """What the kit needs to know of this sandbox; empty means not set."""
        if self.options.account_only:
            return {"JARKKIT_SANDBOX_ACCOUNT_ONLY": "1", "JARKKIT_STAND_IN_CHARTS": ""}
        charts = str(self.home.resolve() / CHARTS)
        return {"JARKKIT_SANDBOX_ACCOUNT_ONLY": "", "JARKKIT_STAND_IN_CHARTS": charts}

    # -- clusters ------------------------------------------------------------------------------

    @property
    def endpoint(self) -> str:
        """Where the account answers."""
        return f"http://127.0.0.1:{self._port}"

    def _host_clusters(self) -> None:
        """Start what stands behind the clusters of the account, and what ends it after us."""
        guard.end_all(str(self.home))  # what a sandbox left that was killed together with its guard
        if self.options.account_only:
            return
        from jarkkit.sandbox.cluster.toolchain import Toolchain, user_cache
        from jarkkit.sandbox.eks.builder import Builder
        from jarkkit.sandbox.eks.cluster import NEEDED, Surroundings
        from jarkkit.sandbox.eks.control_planes import ControlPlanes

        tools = Toolchain(user_cache())
        tools.require(NEEDED)
        self._write_charts(tools)
        account = Account(self._lock, self._note_change)
        builder = Builder(tools, self.home)
        planes = ControlPlanes(Surroundings(account, self.endpoint, self.home, tools, builder))
        threading.Thread(target=self._keep_guard, daemon=True).start()
        HOST.clusters = planes
        planes.resume()

    def _write_charts(self, tools: Toolchain) -> None:
        from jarkkit.sandbox.stand_ins import write

        try:
            write(self.home / CHARTS, tools)
        except Exception:  # to sandbox.log: the account is there, whatever the catalogue is like
            traceback.print_exc()

    def _keep_guard(self) -> None:
        """There is always one; it has the other end of a pipe to us."""
        while not self._stopping.is_set():
            self._guard = subprocess.Popen(
                [sys.executable, "-m", "jarkkit.sandbox.guard", str(self.home)],
                stdin=subprocess.PIPE,
                start_new_session=True,
            )
            self._guard.wait()

    def _dismiss_guard(self) -> None:
        if self._guard is not None and self._guard.stdin is not None:
            self._guard.stdin.close()
            self._guard.wait(10)

    def _note_change(self) -> None:
        self._changed.set()
        HOST.clusters.account_changed()

    # -- memory --------------------------------------------------------------------------------

    def _save(self) -> float:
        """Write the account; returns the seconds that it took."""
        began = time.monotonic()
        with self._lock:
            self._changed.clear()
            state.save(self.memory, {"port": self._port, "key": self._key})
        return time.monotonic() - began

    def _save_when_changed(self) -> None:
        """Soon after a change, and never more than a tenth of the time."""
        while not self._stopping.is_set():
            self._catch_up()
            if self._changed.wait(timeout=1.0):
                took = 0.0
                try:
                    took = self._save()
                except Exception:  # said in sandbox.log; the next change tries again
                    traceback.print_exc()
                self._stopping.wait(max(0.5, 10 * took))

    def _catch_up(self) -> None:
        """What is due happens also when nobody asks: controllers are waiting for it."""
        with self._lock:
            services: list[Any] = [get_backend("ec2"), get_backend("eks")]
            backends = [b for known in services for b in known[DEFAULT_ACCOUNT_ID].values()]
            happened = [backend.later.catch_up(backend) for backend in backends]
        if any(happened):
            self._note_change()

    # -- requests ------------------------------------------------------------------------------

    @property
    def application(self) -> Wsgi:
        """The WSGI application."""
        account: Wsgi = DomainDispatcherApplication(create_backend_app)

        def serve(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
            if environ.get("PATH_INFO", "").startswith(ADMIN):
                return self._admin(environ, start_response)
            if environ["PATH_INFO"].startswith(POD_IDENTITY):
                return self._pod_identity(environ, start_response)
            calls.buffer_body(environ)
            call = calls.identify(environ)
            PACE.wait()
            waiting.for_message(call, environ, self._lock, self._stopping)
            with self._lock:
                again = environ.get("HTTP_AMZ_SDK_INVOCATION_ID", "") + call.operation
                if answered := self._answered.get(again):
                    start_response(answered[0], answered[1])
                    return answered[2]
                refused = _refusing(call, environ) or self._limits.refusing(call, environ)
                status, headers, body = (
                    faults.refusal(refused, call) if refused else _ask(account, environ, call)
                )
                self._log(call, status)
                if calls.changes_something(environ, call.operation):
                    if status.startswith("2"):
                        service_linked.ensure(service_linked.used_by(call))
                    self._note_change()
                    self._remember(environ, again, (status, headers, body))
            if refused and refused.unreachable:
                return _hang_up(environ)
            start_response(status, headers)
            return body

        return serve

    def _remember(self, environ: dict[str, Any], key: str, answer: faults.Answer) -> None:
        """An SDK whose answer got lost asks again with the same invocation id; AWS knows that by
        its client tokens and does nothing twice."""
        if "HTTP_AMZ_SDK_INVOCATION_ID" in environ and answer[0].startswith("2"):
            self._answered[key] = answer
            while len(self._answered) > 256:
                del self._answered[next(iter(self._answered))]

    def _limit(self, paths: Sequence[Path]) -> None:
        """Let the user do what these policies allow. Raises JK-SANDBOX-POLICY."""
        self._limits.allow(paths)
        for answer in self.home.glob(f"{ANSWERS}-*/**/*"):  # it may be another one from now on
            if answer.is_file():
                answer.unlink()

    def _log(self, call: calls.Call, status: str) -> None:
        """One line per call, for those who want to know what was asked of the account."""
        self._served += 1
        moment = f"{time.time():.3f}"
        line = json.dumps([moment, call.service, call.operation, int(status.split()[0])])
        self._calls.write(line + "\n")

    def _pod_identity(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        """The Pod Identity agent of every node, for processes that play pods."""
        identity = environ["PATH_INFO"].removeprefix(POD_IDENTITY).partition("/")[0]
        token = environ.get("HTTP_AUTHORIZATION", "")
        status, answer = HOST.clusters.pod_credentials(identity, token)
        start_response(status, [("Content-Type", "application/json")])
        return [json.dumps(answer).encode()]

    # -- administration ------------------------------------------------------------------------

    def _admin(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        if environ.get("HTTP_X_JARKKIT_TOKEN") != self.token:
            start_response("403 Forbidden", [("Content-Type", "application/json")])
            return [b"{}"]
        calls.buffer_body(environ)
        body = environ["wsgi.input"].read() or b"{}"
        word = environ["PATH_INFO"].removeprefix(ADMIN)
        answer = self._answer(word, json.loads(body))
        start_response("200 OK", [("Content-Type", "application/json")])
        return [json.dumps(answer).encode()]

    def _answer(self, word: str, asked: dict[str, Any]) -> dict[str, Any]:
        try:
            self._do(word, asked)
        except JarkkitError as error:
            return {"error": error.as_dict()}
        return self._status()

    def _do(self, word: str, asked: dict[str, Any]) -> None:
        if word == "faults":
            faults.ACTIVE.switch(asked["faults"])
            HOST.clusters.account_changed()
        elif word == "policies":
            with self._lock:
                self._limit([Path(path) for path in asked["policies"]])
        elif word == "pace":
            PACE.set(asked.get("latency_ms"), asked.get("rate_limits"))
        elif word == "save":
            self._save()
        elif word == "stop":
            self.stop()

    def _status(self) -> dict[str, Any]:
        return {
            **self._identity,
            "faults": [str(fault) for fault in faults.ACTIVE.faults],
            "latency_ms": PACE.latency * 1000,
            "rate_limits": PACE.limited,
            "limited": self._limits.enforced,
            "calls": self._served,
            "clusters": HOST.clusters.status(),
            "charts": [] if self.options.account_only else self._charts(),
        }

    def _charts(self) -> list[dict[str, Any]]:
        from jarkkit.sandbox.stand_ins import describe

        return [asdict(stand_in) for stand_in in describe(self.home / CHARTS)]


class _Handler(MotoRequestHandler):
    """Quiet, and with an honest name in the Server header."""

    def log(self, type: str, message: str, *args: Any) -> None:
        if type == "error":
            super().log(type, message, *args)

    def version_string(self) -> str:
        return "jarkkit-sandbox"


def _refusing(call: calls.Call, environ: dict[str, Any]) -> faults.Kind | None:
    """Why the account does not even see the call; None when it does."""
    if call.region in regions.NOT_ENABLED:
        return faults.NOT_ENABLED
    if fault := faults.ACTIVE.refusing(call):
        return fault.kind
    exceeded = PACE.exceeded(call, narrowed=calls.is_narrowed(environ))
    return faults.KINDS["throttled"] if exceeded else None


def _ask(account: Wsgi, environ: dict[str, Any], call: calls.Call) -> faults.Answer:
    """moto's answer. What it cannot answer becomes an error that SDKs do not try again."""
    said: list[Any] = []
    try:
        body = list(account(environ, lambda *given: said.append(given)))
        if not str(said[-1][0]).startswith("500"):
            return said[-1][0], said[-1][1], body
    except Exception:  # to sandbox.log; moto raises NotImplementedError for calls that it has not
        traceback.print_exc()
    message = f"The pretend account cannot answer {call}; sandbox.log says why"
    return faults.error(call, 400, "SandboxGap", message)


def _hang_up(environ: dict[str, Any]) -> Iterable[bytes]:
    with contextlib.suppress(OSError):
        environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
    return []


def _new_user() -> tuple[str, str]:
    """The one who rehearses: an IAM user with an access key."""
    iam: Any = iam_backends[DEFAULT_ACCOUNT_ID]["global"]
    iam.create_user("us-east-1", limits.USER)
    key = iam.create_access_key(limits.USER)
    return key.access_key_id, key.secret_access_key


def _free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        return probe.connect_ex(("127.0.0.1", port)) != 0
