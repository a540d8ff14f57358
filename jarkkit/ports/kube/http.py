"""HTTP client for one API server: TLS, credentials and retries.

The official client is not used: its models validate every object, so that one invalid object fails
a whole list, and ten thousand pods take seconds; its HTTP is urllib3, too, after an import of a
third of a second and twenty megabytes.
"""

from __future__ import annotations

import base64
import contextlib
import json
import logging
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlencode, urlsplit
from urllib.request import getproxies, proxy_bypass

import urllib3

from jarkkit.decisions.rehearsal_environment import is_loopback
from jarkkit.model.clock import monotonic
from jarkkit.model.errors import JarkkitError
from jarkkit.ports.kube.errors import ApiStatusError, NoResponseError, parse_status_error

if TYPE_CHECKING:  # its module brings pydantic: eight megabytes that the sandbox does not need
    from jarkkit.model.port_answers import ClusterToken

_logger = logging.getLogger(__name__)

Object = dict[str, Any]
TokenProvider = Callable[[], "ClusterToken"]

JSON = "application/json"
_CONNECT_SECONDS = 5.0
_READ_SECONDS = 20.0
_EARLIER = timedelta(minutes=1)
_CONNECTIONS = 32
_KEEP_ALIVE_SECONDS = 30  # as client-go; load balancers drop idle connections
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 2.0
# A server that also denies /readyz is starting, or serves it to known callers only: four denials
# decide.
_CERTAINTY_WITHOUT_READYZ = 0.25


@dataclass(frozen=True)
class ClientCertificate:
    """A client certificate and its private key, as paths of PEM files."""

    certificate: Path
    key: Path


class HttpClient:
    """HTTP client for one API server. Thread-safe; the constructor makes no call.

    Args:
        endpoint: URL of the API server.
        certificate_authority: CA certificate, PEM in base64.
        credentials: a client certificate, or a function that returns a bearer token and its expiry.
        retry_seconds: how long a repeatable call is retried; with 0, it never is.
        agent: the User-Agent, which is the field manager of a call that names none.
    """

    def __init__(
        self,
        endpoint: str,
        certificate_authority: str,
        credentials: TokenProvider | ClientCertificate,
        retry_seconds: float,
        sleep: Callable[[float], None] = time.sleep,
        agent: str = "jarkkit",
    ) -> None:
        self.endpoint = endpoint.rstrip("/")
        self.retry_seconds = retry_seconds
        self._authority = certificate_authority
        self._credentials = credentials
        self._token: ClusterToken | None = None
        self._pool: urllib3.PoolManager | None = None
        self._lock = threading.Lock()
        self._sleep = sleep
        self._agent = agent

    # -- requests ------------------------------------------------------------------------------

    def json(self, method: str, path: str, **given: Any) -> Object:
        """Return the response's JSON object. Takes the arguments of `open`.

        Raises ApiStatusError, NoResponseError.
        """
        return dict(json.loads(self.read(method, path, **given) or b"{}"))

    def read(self, method: str, path: str, **given: Any) -> bytes:
        """Return the whole body of the response."""

        def ask() -> bytes:
            with translate_connection_errors():
                return self._once(method, path, **given).data

        return bytes(self._retry(ask, given))

    def open(self, method: str, path: str, **given: Any) -> urllib3.BaseHTTPResponse:
        """Return a streaming response, which the caller closes.

        Raises ApiStatusError, NoResponseError.

        Args:
            query: query parameters.
            body: a JSON object.
            content: content type of the body.
            repeat: False for a call that must not be repeated.
            read: read timeout in seconds.
            retry_seconds: overrides the default of the client.
        """
        answer: urllib3.BaseHTTPResponse = self._retry(
            lambda: self._once(method, path, **given), given
        )
        return answer

    def _retry(self, ask: Callable[[], Any], given: Mapping[str, Any]) -> Any:
        """Retry transient errors: the API server restarts or is overloaded."""
        until, pause, certainty = 0.0, _FIRST_PAUSE, 0.0
        while True:
            try:
                return ask()
            except (ApiStatusError, NoResponseError) as error:
                until = until or monotonic() + given.get("retry_seconds", self.retry_seconds)
                if monotonic() >= until:
                    raise
                if isinstance(error, ApiStatusError) and error.is_access_denied:
                    passing = certainty < 1.0
                    certainty += self._certainty_of_denial() if passing else 0.0
                else:
                    passing = _may_repeat(error, given)
                if not passing:
                    raise
                wait = error.retry_after_seconds if isinstance(error, ApiStatusError) else 0.0
                self._sleep(min(max(pause, wait), max(until - monotonic(), 0.0)))
                pause = min(2 * pause, _LONGEST_PAUSE)

    def _certainty_of_denial(self) -> float:
        """Return how far the next denial is the cluster's decision: 0.0 to 1.0.

        An API server that starts denies calls until it has loaded the RBAC roles, this anonymous
        one included. What it reports counts for the next denial only, because it may have become
        ready between the last denial and this call.
        """
        try:
            self._attempt("GET", "/readyz", anonymous=True).close()
        except NoResponseError:
            return 0.0
        except ApiStatusError as error:
            return 0.0 if error.status >= 500 else _CERTAINTY_WITHOUT_READYZ
        return 1.0

    def _once(self, method: str, path: str, **given: Any) -> urllib3.BaseHTTPResponse:
        """Make one attempt, and a second one with a new token if the server rejects the token."""
        try:
            return self._attempt(method, path, **given)
        except ApiStatusError as error:
            if error.status != 401 or isinstance(self._credentials, ClientCertificate):
                raise
            self._forget_token()
            return self._attempt(method, path, **given)

    def _attempt(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Object | None = None,
        content: str = JSON,
        read: float = _READ_SECONDS,
        repeat: bool = True,
        retry_seconds: float = 0.0,
        anonymous: bool = False,
    ) -> urllib3.BaseHTTPResponse:
        headers = {"Content-Type": content, "Accept": JSON, "User-Agent": self._agent}
        if not anonymous:
            headers |= self.authorization()
        url = f"{self.endpoint}{path}" + (f"?{urlencode(query)}" if query else "")
        began, outcome = monotonic(), "no response"
        try:
            with translate_connection_errors():
                answer = self._http().request(
                    method,
                    url,
                    headers=headers,
                    body=None if body is None else json.dumps(body),
                    timeout=urllib3.Timeout(connect=_CONNECT_SECONDS, read=read),
                    preload_content=False,
                )
                outcome = str(answer.status)
                if answer.status >= 400:
                    raise parse_status_error(
                        answer.status, answer.data, answer.headers.get("Retry-After", "")
                    )
        finally:
            _logger.debug(
                "%s %s: %s (%.0f ms)", method, path, outcome, (monotonic() - began) * 1000
            )
        return answer

    # -- connection ----------------------------------------------------------------------------

    def authorization(self) -> dict[str, str]:
        """Return the header with a token that is valid for at least one more minute; nothing for a
        client certificate."""
        if isinstance(self._credentials, ClientCertificate):
            return {}
        with self._lock:
            if self._token is None or self._token.expires - _EARLIER <= datetime.now(UTC):
                self._token = self._credentials()
            return {"authorization": f"Bearer {self._token.token}"}

    def _forget_token(self) -> None:
        with self._lock:
            self._token = None

    @property
    def ca_certificate(self) -> str:
        """The CA certificate as PEM. Raises JK-KUBE-FAILED if it is invalid: the client must not
        fall back to this machine's CAs."""
        try:
            pem = base64.b64decode(self._authority, validate=True).decode("ascii")
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=pem)
        except (ValueError, ssl.SSLError) as error:
            raise JarkkitError(
                "JK-KUBE-FAILED",
                "The cluster's CA certificate is not a base64-encoded certificate.",
                "Check the Terraform output cluster_certificate_authority.",
            ) from error
        return pem

    @property
    def certificate_files(self) -> dict[str, Any]:
        """The client certificate's files, as urllib3 and the official client name them."""
        if not isinstance(self._credentials, ClientCertificate):
            return {}
        files = {"cert_file": self._credentials.certificate, "key_file": self._credentials.key}
        return {name: str(path) for name, path in files.items()}

    def _http(self) -> urllib3.PoolManager:
        with self._lock:
            if self._pool is None:
                self._pool = self._made()
            return self._pool

    def _made(self) -> urllib3.PoolManager:
        options: dict[str, Any] = {
            "ca_cert_data": self.ca_certificate,
            **self.certificate_files,
            "maxsize": _CONNECTIONS,
            "retries": False,  # `_retry` retries instead
            "socket_options": _keep_alive(),
        }
        proxy = proxy_for(self.endpoint)
        if proxy is None:
            return urllib3.PoolManager(**options)
        return urllib3.ProxyManager(proxy, proxy_headers=proxy_headers(proxy), **options)


def proxy_for(endpoint: str) -> str | None:
    """Return the URL of the environment's proxy for that URL; None for a direct connection.

    A cluster on this machine never has one, because no proxy can reach it. As for boto3 and
    Terraform, ALL_PROXY does not count, and a proxy without a scheme is an HTTP proxy.
    """
    url = urlsplit(endpoint)
    if is_loopback(endpoint) or proxy_bypass(url.netloc):
        return None
    proxy = getproxies().get(url.scheme)
    return proxy if not proxy or "://" in proxy else f"http://{proxy}"


def proxy_headers(proxy: str) -> dict[str, str]:
    """Return the headers that sign in to a proxy; none if its URL has no user."""
    url = urlsplit(proxy)
    if url.username is None:
        return {}
    user = f"{unquote(url.username)}:{unquote(url.password or '')}"
    return dict(urllib3.make_headers(proxy_basic_auth=user))


def _keep_alive() -> list[tuple[int, int, int]]:
    """Return urllib3's socket options, with TCP keep-alive."""
    idle = "TCP_KEEPIDLE" if hasattr(socket, "TCP_KEEPIDLE") else "TCP_KEEPALIVE"  # on Macs
    return [
        *urllib3.connection.HTTPConnection.default_socket_options,
        (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
        (socket.IPPROTO_TCP, getattr(socket, idle), _KEEP_ALIVE_SECONDS),
    ]


def _may_repeat(error: ApiStatusError | NoResponseError, given: Mapping[str, Any]) -> bool:
    throttled = isinstance(error, ApiStatusError) and error.status == 429
    return error.is_transient and (throttled or given.get("repeat", True))


@contextlib.contextmanager
def translate_connection_errors() -> Iterator[None]:
    """Translate urllib3's errors into NoResponseError."""
    try:
        yield
    except (urllib3.exceptions.HTTPError, OSError) as error:
        untrusted = "certificate verify failed" in str(error)
        raise NoResponseError(str(error), is_transient=not untrusted) from error


def read_lines(answer: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
    """Yield the response's lines as they arrive. Raises NoResponseError if the connection is lost
    or times out."""
    rest = b""
    chunks = answer.stream(65536)
    while True:
        with translate_connection_errors():
            chunk = next(chunks, None)
        if chunk is None:
            return
        *whole, rest = (rest + chunk).split(b"\n")
        yield from whole
