"""The daemon: moto's server with the extensions, faults, a clock and persistence.

It serves one request at a time: moto's backends are not thread-safe, a snapshot then never contains
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
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeVar

from moto.backends import get_backend
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.iam.models import iam_backends
from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from werkzeug.serving import BaseWSGIServer, make_server

from jarkkit.model.errors import JarkkitError
from jarkkit.sandbox import account_profiles, api_calls, faults, persistence, reaper, regions
from jarkkit.sandbox.account import install, validation
from jarkkit.sandbox.account.iam import policy_enforcement, service_linked
from jarkkit.sandbox.account.sqs import long_polling
from jarkkit.sandbox.account_backends import SandboxAccount
from jarkkit.sandbox.clock import CLOCK
from jarkkit.sandbox.cluster_host import CLUSTER_HOST, POD_IDENTITY
from jarkkit.sandbox.private_files import write_private
from jarkkit.sandbox.throttling import THROTTLING

if TYPE_CHECKING:
    from jarkkit.sandbox.kubernetes.toolchain import Toolchain

ADMIN = "/jarkkit/"
CHARTS = "charts"
RESPONSE_CACHE = "answers"

T = TypeVar("T")
WsgiApplication = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


@dataclass
class DaemonOptions:
    """Options of a sandbox.

    Attributes:
        account_only: clusters are records in the account, without control planes.
        policies: files with the user's policies; without any, the user can do everything.
    """

    speed: float = 0.0
    port: int = 0
    profile: str = account_profiles.DEFAULT
    faults: tuple[str, ...] = ()
    fresh: bool = False
    account_only: bool = False
    latency_ms: float = 0.0
    rate_limits: bool = False
    policies: tuple[Path, ...] = ()


@dataclass
class Daemon:
    """The simulated account behind a port on loopback.

    Args:
        home: its folder; `sandbox.json` holds its endpoint, `account.pickle` the saved account.
    """

    home: Path
    options: DaemonOptions
    token: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _changed: threading.Event = field(default_factory=threading.Event)
    _stopping: threading.Event = field(default_factory=threading.Event)
    _served: int = 0
    _answered: dict[str, faults.WsgiResponse] = field(default_factory=dict)
    _calls: IO[str] = field(default_factory=io.StringIO)
    _reaper: subprocess.Popen[bytes] | None = None

    @property
    def state_file(self) -> Path:
        """The file with the saved account."""
        return self.home / "account.pickle"

    def run(self) -> None:
        """Serve until `stop` is called, then save. Raises JK-SANDBOX-STATE, JK-SANDBOX-START."""
        with (self.home / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # the previous daemon may still be saving
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
        self._enforcer = policy_enforcement.PolicyEnforcer(key_id, needs)
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
            CLUSTER_HOST.clusters.stop()
            self._save()
            self._stop_reaper()

    def _open_account(self) -> dict[str, Any]:
        """Create or load the account as the options say. Return the extra data saved with it."""
        CLOCK.speed = self.options.speed
        faults.ACTIVE.activate(self.options.faults)
        THROTTLING.configure(self.options.latency_ms, self.options.rate_limits)
        install()
        from jarkkit.sandbox.account.servicequotas.models import QuotasBackend

        QuotasBackend.profile = self.options.profile
        return {} if self.options.fresh else persistence.load(self.state_file) or {}

    def stop(self) -> None:
        """Make `run` return; safe to call from any thread or signal handler."""
        self._stopping.set()

    def _end_server(self, server: BaseWSGIServer) -> None:
        self._stopping.wait()
        server.shutdown()

    def _bind(self, port_before: int) -> BaseWSGIServer:
        """Bind the previous port if it is free: queue URLs and the Terraform state contain it."""
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
            "Choose another port, or leave it out to use any free port.",
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
        announcement = {
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
                "JARKKIT_SANDBOX_SPEED": f"{self.options.speed:g}",
                **self._about_charts(),
            },
        }
        write_private(self.home / "sandbox.json", json.dumps(announcement, indent=1).encode())

    def _empty_cache(self, beginning: str = RESPONSE_CACHE) -> Path:
        """Create an empty folder for jarkkit's cached responses, and delete earlier ones.

        A process can still be writing to an earlier one, so every folder has a name of its own.
        """
        for old in self.home.glob(f"{beginning}-*"):
            shutil.rmtree(old, ignore_errors=True)
        folder = self.home.resolve() / f"{beginning}-{secrets.token_hex(4)}"
        folder.mkdir(mode=0o700)
        return folder

    def _about_charts(self) -> dict[str, str]:
        """Return environment variables that describe this sandbox to jarkkit; empty means unset."""
        if self.options.account_only:
            return {"JARKKIT_SANDBOX_ACCOUNT_ONLY": "1", "JARKKIT_STUB_CHARTS": ""}
        charts = str(self.home.resolve() / CHARTS)
        return {"JARKKIT_SANDBOX_ACCOUNT_ONLY": "", "JARKKIT_STUB_CHARTS": charts}

    # -- clusters ------------------------------------------------------------------------------

    @property
    def endpoint(self) -> str:
        """URL of the account's API."""
        return f"http://127.0.0.1:{self._port}"

    def _host_clusters(self) -> None:
        """Start the control planes of the clusters, and the process that cleans them up."""
        reaper.terminate_all(
            str(self.home)
        )  # left by a sandbox that was killed together with its reaper
        if self.options.account_only:
            return
        from jarkkit.sandbox.controllers.cluster import REQUIRED_PROGRAMS
        from jarkkit.sandbox.controllers.cluster_context import SandboxContext
        from jarkkit.sandbox.controllers.cluster_manager import ControlPlanes
        from jarkkit.sandbox.controllers.operator_builder import OperatorBuilder
        from jarkkit.sandbox.kubernetes.toolchain import Toolchain, user_cache

        tools = Toolchain(user_cache())
        tools.require(REQUIRED_PROGRAMS)
        self._write_charts(tools)
        account = SandboxAccount(self._lock, self._note_change)
        builder = OperatorBuilder(tools, self.home)
        planes = ControlPlanes(SandboxContext(account, self.endpoint, self.home, tools, builder))
        threading.Thread(target=self._keep_reaper_running, daemon=True).start()
        CLUSTER_HOST.clusters = planes
        planes.resume()

    def _write_charts(self, tools: Toolchain) -> None:
        from jarkkit.sandbox.stub_charts import write_charts

        _logged(lambda: write_charts(self.home / CHARTS, tools))  # the account works without them

    def _keep_reaper_running(self) -> None:
        """Keep one reaper process running; it holds the other end of a pipe to this process."""
        while not self._stopping.is_set():
            self._reaper = subprocess.Popen(
                [sys.executable, "-m", "jarkkit.sandbox.reaper", str(self.home)],
                stdin=subprocess.PIPE,
                start_new_session=True,
            )
            self._reaper.wait()

    def _stop_reaper(self) -> None:
        if self._reaper is not None and self._reaper.stdin is not None:
            self._reaper.stdin.close()
            self._reaper.wait(10)

    def _note_change(self) -> None:
        self._changed.set()
        CLUSTER_HOST.clusters.account_changed()

    # -- persistence ---------------------------------------------------------------------------

    def _save(self) -> float:
        """Save the account and return how many seconds it took."""
        began = time.monotonic()
        with self._lock:
            self._changed.clear()
            persistence.save(self.state_file, {"port": self._port, "key": self._key})
        return time.monotonic() - began

    def _save_when_changed(self) -> None:
        """Save soon after each change, but spend at most a tenth of the time on it."""
        while not self._stopping.is_set():
            _logged(self._catch_up)  # what is due later stays scheduled
            if self._changed.wait(timeout=1.0):
                took = _logged(self._save) or 0.0  # the next change retries
                self._stopping.wait(max(0.5, 10 * took))

    def _catch_up(self) -> None:
        """Run due work even when no request arrives, because controllers wait for it."""
        with self._lock:
            services: list[Any] = [get_backend("ec2"), get_backend("eks")]
            backends = [b for known in services for b in known[DEFAULT_ACCOUNT_ID].values()]
            eks: list[Any] = list(services[1][DEFAULT_ACCOUNT_ID].values())
            due = [partial(backend.later.catch_up, backend) for backend in backends]
            due += [backend.upgrade_expired_clusters for backend in eks]
            # What one of them fails at does not hide what the others did.
            happened = [_logged(work) for work in due]
        if any(result is not False for result in happened):  # None: it failed on its way
            self._note_change()

    # -- requests ------------------------------------------------------------------------------

    @property
    def application(self) -> WsgiApplication:
        """The WSGI application."""
        account: WsgiApplication = DomainDispatcherApplication(create_backend_app)

        def serve(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
            if environ.get("PATH_INFO", "").startswith(ADMIN):
                return self._admin(environ, start_response)
            if environ["PATH_INFO"].startswith(POD_IDENTITY):
                return self._pod_identity(environ, start_response)
            api_calls.buffer_body(environ)
            call = api_calls.identify(environ)
            THROTTLING.delay()
            long_polling.wait_for_message(call, environ, self._lock, self._stopping)
            with self._lock:
                again = environ.get("HTTP_AMZ_SDK_INVOCATION_ID", "") + call.operation
                if answered := self._answered.get(again):
                    start_response(answered[0], answered[1])
                    return answered[2]
                refused = _refusing(call, environ) or self._enforcer.rejection(call, environ)
                status, headers, body = (
                    faults.rejection_response(refused, call)
                    if refused
                    else _invalid(call, environ) or _ask(account, environ, call)
                )
                self._log(call, status)
                if api_calls.is_mutating(environ, call.operation):
                    if status.startswith("2"):
                        service_linked.ensure(service_linked.used_by(call))
                    self._note_change()
                    self._remember(environ, again, (status, headers, body))
            if refused and refused.unreachable:
                return _close_connection(environ)
            start_response(status, headers)
            return body

        return serve

    def _remember(self, environ: dict[str, Any], key: str, answer: faults.WsgiResponse) -> None:
        """Keep the response for a retry with the same invocation id after a lost response.

        AWS recognizes such retries by their client tokens and does nothing twice.
        """
        if "HTTP_AMZ_SDK_INVOCATION_ID" in environ and answer[0].startswith("2"):
            self._answered[key] = answer
            while len(self._answered) > 256:
                del self._answered[next(iter(self._answered))]

    def _limit(self, paths: Sequence[Path]) -> None:
        """Allow the user what these policies allow. Raises JK-SANDBOX-POLICY."""
        self._enforcer.set_policies(paths)
        for answer in self.home.glob(
            f"{RESPONSE_CACHE}-*/**/*"
        ):  # responses may differ from now on
            if answer.is_file():
                answer.unlink()

    def _log(self, call: api_calls.Call, status: str) -> None:
        """Write one line per call to calls.log."""
        self._served += 1
        moment = f"{time.time():.3f}"
        code = int(status.split()[0])
        line = [moment, call.service, call.operation, code, self._enforcer.caller(call)]
        self._calls.write(json.dumps(line) + "\n")

    def _pod_identity(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        """Respond as the Pod Identity agent of every node, for pod processes."""
        identity = environ["PATH_INFO"].removeprefix(POD_IDENTITY).partition("/")[0]
        token = environ.get("HTTP_AUTHORIZATION", "")
        status, answer = CLUSTER_HOST.clusters.pod_credentials(identity, token)
        start_response(status, [("Content-Type", "application/json")])
        return [json.dumps(answer).encode()]

    # -- administration ------------------------------------------------------------------------

    def _admin(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        if environ.get("HTTP_X_JARKKIT_TOKEN") != self.token:
            start_response("403 Forbidden", [("Content-Type", "application/json")])
            return [b"{}"]
        api_calls.buffer_body(environ)
        body = environ["wsgi.input"].read() or b"{}"
        word = environ["PATH_INFO"].removeprefix(ADMIN)
        answer = self._answer(word, json.loads(body))
        start_response("200 OK", [("Content-Type", "application/json")])
        return [json.dumps(answer).encode()]

    def _answer(self, word: str, request: dict[str, Any]) -> dict[str, Any]:
        try:
            if word == "limited-key":
                return {"env": self._limited_key(**request)}
            self._do(word, request)
        except JarkkitError as error:
            return {"error": error.as_dict()}
        return self._status()

    def _limited_key(self, holder: str, policies: dict[str, Any]) -> dict[str, str]:
        """Return environment variables for calls that these policies limit.

        Raises JK-SANDBOX-POLICY.
        """
        with self._lock:
            key = policy_enforcement.limited_key(holder, policies)
            self._note_change()
        # A new folder: earlier policies may have allowed more.
        folder = self._empty_cache(f"{RESPONSE_CACHE}-{key['AWS_ACCESS_KEY_ID']}")
        return {**key, "JARKKIT_ACCOUNT_CACHE": str(folder)}

    def _do(self, word: str, request: dict[str, Any]) -> None:
        if word == "faults":
            faults.ACTIVE.activate(request["faults"])
            CLUSTER_HOST.clusters.account_changed()
        elif word == "policies":
            with self._lock:
                self._limit([Path(path) for path in request["policies"]])
        elif word == "pace":
            THROTTLING.configure(request.get("latency_ms"), request.get("rate_limits"))
        elif word == "save":
            self._save()
        elif word == "stop":
            self.stop()

    def _status(self) -> dict[str, Any]:
        return {
            **self._identity,
            "faults": [str(fault) for fault in faults.ACTIVE.faults],
            "latency_ms": THROTTLING.latency * 1000,
            "rate_limits": THROTTLING.rate_limited,
            "limited": self._enforcer.enforced,
            "calls": self._served,
            "clusters": CLUSTER_HOST.clusters.status(),
            "charts": [] if self.options.account_only else self._charts(),
        }

    def _charts(self) -> list[dict[str, Any]]:
        from jarkkit.sandbox.stub_charts import describe

        return [asdict(stub_chart) for stub_chart in describe(self.home / CHARTS)]


class _Handler(MotoRequestHandler):
    """A request handler that logs errors only, and names the sandbox in the Server header."""

    def log(self, type: str, message: str, *args: Any) -> None:
        if type == "error":
            super().log(type, message, *args)

    def version_string(self) -> str:
        return "jarkkit-sandbox"


def _refusing(call: api_calls.Call, environ: dict[str, Any]) -> faults.FaultKind | None:
    """Return why the call does not reach the account; None when it does."""
    if call.region in regions.NOT_ENABLED:
        return faults.UNKNOWN_KEY
    if fault := faults.ACTIVE.rejecting_fault(call):
        return fault.kind
    exceeded = THROTTLING.exceeds_rate(call, filtered=api_calls.is_filtered(environ))
    return faults.FAULT_KINDS["throttled"] if exceeded else None


def _invalid(call: api_calls.Call, environ: dict[str, Any]) -> faults.WsgiResponse | None:
    """Return the service's response to parameters that it rejects; None when they are valid."""
    error = validation.error_in(call, environ)
    return faults.error_response(call, error.status, error.code, error.message) if error else None


def _ask(
    account: WsgiApplication, environ: dict[str, Any], call: api_calls.Call
) -> faults.WsgiResponse:
    """Return moto's response; calls that moto cannot handle get an error that SDKs do not retry."""
    started: list[Any] = []
    try:
        body = list(account(environ, lambda *given: started.append(given)))
        if not str(started[-1][0]).startswith("500"):
            return started[-1][0], started[-1][1], body
    except Exception:  # to sandbox.log; moto raises NotImplementedError for unsupported calls
        traceback.print_exc()
    message = f"The simulated account does not support {call}; see sandbox.log"
    return faults.error_response(call, 400, "SandboxGap", message)


def _logged(work: Callable[[], T]) -> T | None:
    """Return the result; None after an error, which goes to sandbox.log."""
    try:
        return work()
    except Exception:  # a thread that works until the sandbox stops must not end with it
        traceback.print_exc()
        return None


def _close_connection(environ: dict[str, Any]) -> Iterable[bytes]:
    with contextlib.suppress(OSError):
        environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
    return []


def _new_user() -> tuple[str, str]:
    """Create the sandbox's IAM user and return its access key."""
    iam: Any = iam_backends[DEFAULT_ACCOUNT_ID]["global"]
    iam.create_user("us-east-1", policy_enforcement.USER)
    key = iam.create_access_key(policy_enforcement.USER)
    return key.access_key_id, key.secret_access_key


def _free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        return probe.connect_ex(("127.0.0.1", port)) != 0
