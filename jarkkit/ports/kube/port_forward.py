"""Port-forward from a loopback socket through the API server to a pod's port.

It opens one websocket per connection with subprotocol v4.channel.k8s.io. Every frame starts with a
channel byte, 0 for data, 1 for errors; the first frame of each channel contains only the port.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jarkkit.ports.kube.errors import NoResponseError, parse_status_error
from jarkkit.ports.kube.http import HttpClient, api_configuration

_DATA = 0
_BINARY, _CLOSE = 0x2, 0x8  # opcodes of RFC 6455
_CHUNK = 64 * 1024
_END_SECONDS = 5.0


@contextlib.contextmanager
def port_forward(calls: HttpClient, path: str, port: int, local_port: int = 0) -> Iterator[int]:
    """Yield the loopback port.

    Raises ApiStatusError, NoResponseError if the first connection fails, OSError if the local port
    is in use.

    Args:
        local_port: port to listen on; 0 for any free port.
    """
    with _Bridge(calls, path, port) as bridge:
        _close(bridge.connect())  # fail early if it does not work
        yield bridge.serve(local_port)


class _Bridge:
    """Accepts connections and bridges each to the pod, until the context ends."""

    def __init__(self, calls: HttpClient, path: str, port: int) -> None:
        self._calls = calls
        self._path = f"{path}?ports={port}"
        self._ends = contextlib.ExitStack()
        self._lock = threading.Lock()
        self._open: set[Any] = set()
        self._threads: list[threading.Thread] = []
        self._ended = False

    def __enter__(self) -> _Bridge:
        # The websocket client reads the CA certificate from a file for each connection.
        folder = self._ends.enter_context(tempfile.TemporaryDirectory(prefix="jarkkit-"))
        self._authority = Path(folder) / "ca.pem"
        self._authority.write_text(self._calls.ca_certificate)
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._ended = True
            still_open = tuple(self._open)
        for end in still_open:
            _close(end)
        for thread in tuple(self._threads):
            thread.join(_END_SECONDS)
        self._ends.close()

    def connect(self) -> Any:
        """Open a websocket to the pod's port. Raises ApiStatusError, NoResponseError."""
        from kubernetes.stream import ws_client

        configuration = api_configuration(self._calls.endpoint, ssl_ca_cert=str(self._authority))
        headers = {"authorization": f"Bearer {self._calls.bearer_token()}"}
        url = self._calls.endpoint.replace("http", "ws", 1) + self._path
        connect: Any = ws_client.create_websocket
        try:
            return connect(configuration, url, headers)
        except Exception as error:  # of sockets, TLS and the websocket client
            status = getattr(error, "status_code", None)
            if status is None:
                raise NoResponseError(str(error)) from error
            raise parse_status_error(status, getattr(error, "resp_body", None) or b"") from error

    def serve(self, port: int) -> int:
        """Listen on a loopback port, 0 for any. Returns the port. Raises OSError."""
        listener = socket.create_server(("127.0.0.1", port))
        self._keep(listener)
        self._start(self._accept, listener)
        return int(listener.getsockname()[1])

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                local, _ = listener.accept()
            except OSError:  # closed
                return
            self._keep(local)  # first: a bridge that has ended starts no thread that closes it
            self._start(self._relay, local)

    def _relay(self, local: socket.socket) -> None:
        """Bridge one connection to its end; close it at once if the API server rejects it."""
        try:
            with contextlib.suppress(Exception):
                remote = self.connect()
                self._keep(remote)
                self._start(_send, local, remote)
                _receive(local, remote)
                self._drop(remote)
        finally:
            self._drop(local)

    def _start(self, work: Any, *given: Any) -> None:
        thread = threading.Thread(target=work, args=given, name="port-forward", daemon=True)
        with self._lock:
            self._threads = [thread for thread in self._threads if thread.is_alive()]
            if not self._ended:
                thread.start()
                self._threads.append(thread)

    def _keep(self, end: Any) -> None:
        """Track a socket, so that the bridge closes it at its end."""
        with self._lock:
            self._open.add(end)
            late = self._ended
        if late:
            _close(end)

    def _drop(self, end: Any) -> None:
        _close(end)
        with self._lock:
            self._open.discard(end)


def _send(local: socket.socket, remote: Any) -> None:
    """Copy data from the client to the pod."""
    with contextlib.suppress(Exception):
        while data := local.recv(_CHUNK):
            remote.send_binary(bytes([_DATA]) + data)
    _close(remote)


def _receive(local: socket.socket, remote: Any) -> None:
    """Copy data from the pod to the client, until the pod, the client or the bridge closes."""
    named: set[int] = set()
    while True:
        code, frame = remote.recv_data_frame(True)
        if code == _CLOSE:
            return
        if code != _BINARY or not frame.data:
            continue
        channel = frame.data[0]
        if channel not in named:
            named.add(channel)
        elif channel == _DATA:
            local.sendall(frame.data[1:])
        else:  # an error from the pod's side
            return


def _close(end: Any) -> None:
    """Close a socket or a websocket and wake threads that wait for it."""
    plain = getattr(end, "sock", end)
    if isinstance(plain, ssl.SSLSocket | socket.socket):
        with contextlib.suppress(OSError):
            plain.shutdown(socket.SHUT_RDWR)
    with contextlib.suppress(Exception):
        plain.close()
