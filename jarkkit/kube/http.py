"""Calls to one API server: TLS, token, and patience while it restarts.

The official client does the HTTP. Its models are left out: they check every object that is read, so
one odd object fails a whole list, and ten thousand pods take seconds.
"""

from __future__ import annotations

import base64
import contextlib
import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import urllib3

from jarkkit.clock import monotonic
from jarkkit.errors import JarkkitError
from jarkkit.kube.problems import NoAnswerError, RefusedError, refusal

Object = dict[str, Any]
Token = Callable[[], tuple[str, datetime]]

JSON = "application/json"
_CONNECT_SECONDS = 5.0
_READ_SECONDS = 20.0
_EARLIER = timedelta(minutes=1)
_CONNECTIONS = 32
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 2.0
_BELIEVED_DENIALS = 2


class Calls:
    """HTTP to one API server. Safe to use from several threads; making one calls nobody.

    Args:
        endpoint: its URL.
        certificate_authority: whom to trust, PEM in base64.
        token: makes a bearer token and says until when it may be used.
        patience: seconds for which a call that may be repeated is tried again.
    """

    def __init__(
        self,
        endpoint: str,
        certificate_authority: str,
        token: Token,
        patience: float,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.endpoint = endpoint.rstrip("/")
        self.patience = patience
        self._authority = certificate_authority
        self._make_token = token
        self._token: tuple[str, datetime] | None = None
        self._client: Any = None
        self._lock = threading.Lock()
        self._sleep = sleep

    # -- asking --------------------------------------------------------------------------------

    def json(self, method: str, path: str, **given: Any) -> Object:
        """The answer's object. Takes what `open` takes; raises RefusedError, NoAnswerError."""
        return dict(json.loads(self.data(method, path, **given) or b"{}"))

    def data(self, method: str, path: str, **given: Any) -> bytes:
        """The answer's bytes, read to the end."""

        def ask() -> bytes:
            with lost_is_no_answer():
                return self._once(method, path, **given).data

        return bytes(self._patiently(ask, given))

    def open(self, method: str, path: str, **given: Any) -> urllib3.BaseHTTPResponse:
        """An answer to be read while it comes; the caller closes it.

        Raises RefusedError, NoAnswerError.

        Args:
            query: parameters.
            body: an object.
            content: the body's type.
            repeat: False for a call that must not be made twice.
            read: seconds without a byte after which the answer counts as lost.
            patience: instead of the usual one.
        """
        answer: urllib3.BaseHTTPResponse = self._patiently(
            lambda: self._once(method, path, **given), given
        )
        return answer

    def _patiently(self, ask: Callable[[], Any], given: Mapping[str, Any]) -> Any:
        """Repeat what may work a moment later: the API server restarts, or is busy."""
        until, pause, denials = 0.0, _FIRST_PAUSE, 0
        while True:
            try:
                return ask()
            except (RefusedError, NoAnswerError) as error:
                until = until or monotonic() + given.get("patience", self.patience)
                denied = isinstance(error, RefusedError) and error.denied
                denials += denied
                passing = self._is_early(denials) if denied else _may_repeat(error, given)
                if not passing or monotonic() >= until:
                    raise
                wait = error.wait if isinstance(error, RefusedError) else 0.0
                self._sleep(min(max(pause, wait), max(until - monotonic(), 0.0)))
                pause = min(2 * pause, _LONGEST_PAUSE)

    def _is_early(self, denials: int) -> bool:
        """True when a denial may come from an API server that starts: it knows no roles at first.
        It may be ready just after it said so, which is why one denial is not believed."""
        try:
            self._attempt("GET", "/readyz", anonymous=True).close()
        except NoAnswerError:
            return True
        except RefusedError as error:
            return error.status >= 500 or denials < _BELIEVED_DENIALS
        return denials < _BELIEVED_DENIALS

    def _once(self, method: str, path: str, **given: Any) -> urllib3.BaseHTTPResponse:
        """One attempt, two when the token was not accepted."""
        try:
            return self._attempt(method, path, **given)
        except RefusedError as error:
            if error.status != 401:
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
        patience: float = 0.0,
        anonymous: bool = False,
    ) -> urllib3.BaseHTTPResponse:
        headers = {"Content-Type": content, "Accept": JSON, "User-Agent": "jarkkit"}
        if not anonymous:
            headers["Authorization"] = f"Bearer {self.bearer()}"
        url = f"{self.endpoint}{path}" + (f"?{urlencode(query)}" if query else "")
        # The client writes JSON itself where the type says so, and takes a text as it is elsewhere.
        written = body if body is None or content.endswith("json") else json.dumps(body)
        with lost_is_no_answer():
            answer: urllib3.BaseHTTPResponse = (
                self._http()
                .request(
                    method,
                    url,
                    headers=headers,
                    body=written,
                    _request_timeout=(_CONNECT_SECONDS, read),
                )
                .response
            )
            if answer.status >= 400:
                raise refusal(answer.status, answer.data, answer.headers.get("Retry-After", ""))
        return answer

    # -- means ---------------------------------------------------------------------------------

    def bearer(self) -> str:
        """A token that is good for a minute at least."""
        with self._lock:
            if self._token is None or self._token[1] - _EARLIER <= datetime.now(UTC):
                self._token = self._make_token()
            return self._token[0]

    def _forget_token(self) -> None:
        with self._lock:
            self._token = None

    @property
    def authority(self) -> str:
        """Whom to trust, as PEM. Raises JK-KUBE-FAILED: without one, everybody would be trusted
        whom this machine trusts."""
        try:
            pem = base64.b64decode(self._authority, validate=True).decode("ascii")
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=pem)
        except (ValueError, ssl.SSLError) as error:
            raise JarkkitError(
                "JK-KUBE-FAILED",
                "The cluster's certificate authority is not a certificate in base64.",
                "Check the Terraform output cluster_certificate_authority.",
            ) from error
        return pem

    def _http(self) -> Any:
        with self._lock:
            if self._client is None:
                self._client = self._made()
            return self._client

    def _made(self) -> Any:
        from kubernetes.client.configuration import Configuration  # takes a third of a second
        from kubernetes.client.rest import RESTClientObject

        configuration = Configuration(host=self.endpoint, ca_cert_data=self.authority)
        configuration.retries = False  # we know better what may be repeated
        configuration.connection_pool_maxsize = _CONNECTIONS
        configuration.keep_alive = True  # load balancers drop a silent watch
        return RESTClientObject(configuration)


def _may_repeat(error: RefusedError | NoAnswerError, given: Mapping[str, Any]) -> bool:
    turned_away = isinstance(error, RefusedError) and error.status == 429
    return error.passing and (turned_away or given.get("repeat", True))


@contextlib.contextmanager
def lost_is_no_answer() -> Iterator[None]:
    """Turns what the HTTP client raises for lost connections into NoAnswerError."""
    try:
        yield
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise NoAnswerError(str(error)) from error
    except Exception as error:
        if type(error).__name__ != "ApiException":  # the client's word for TLS failures
            raise
        text = str(getattr(error, "reason", error))
        raise NoAnswerError(text, passing="certificate verify failed" not in text) from error


def lines(answer: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
    """Its lines, as they come. Raises NoAnswerError when the connection is lost or silent."""
    rest = b""
    chunks = answer.stream(65536)
    while True:
        with lost_is_no_answer():
            chunk = next(chunks, None)
        if chunk is None:
            return
        *whole, rest = (rest + chunk).split(b"\n")
        yield from whole
