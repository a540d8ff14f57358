"""Port-forward: a listening loopback socket, each of whose connections goes through the API server
to a pod's port.

One websocket per connection, subprotocol v4.channel.k8s.io: every frame begins with a channel byte,
0 for data, 1 for errors; the first frame of each channel only names the port.
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

from jarkkit.kube.http import Calls
from jarkkit.kube.problems import NoAnswerError, refusal

_DATA = 0
_BINARY, _CLOSE = 0x2, 0x8  # opcodes of RFC 6455
_CHUNK = 64 * 1024
_END_SECONDS = 5.0


@contextlib.contextmanager
def forwarded(calls: Calls, path: str, port: int) -> Iterator[int]:
    """The loopback port. Raises RefusedError, NoAnswerError when the API server does not let us."""
    with _Bridge(calls, path, port) as bridge:
        _close(bridge.connect())  # whether it works at all is better known now
        yield bridge.serve()


class _Bridge:
    """Accepts connections and bridges each to the pod, until it is left."""

    def __init__(self, calls: Calls, path: str, port: int) -> None:
        self._calls = calls
        self._path = f"{path}?ports={port}"
        self._ends = contextlib.ExitStack()
        self._lock = threading.Lock()
        self._open: set[Any] = set()
        self._threads: list[threading.Thread] = []
        self._ended = False

    def __enter__(self) -> _Bridge:
        # The websocket client reads the authority from a file, at each connection.
        folder = self._ends.enter_context(tempfile.TemporaryDirectory(prefix="jarkkit-"))
        self._authority = Path(folder) / "ca.pem"
        self._authority.write_text(self._calls.authority)
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
        """A websocket to the pod's port. Raises RefusedError, NoAnswerError."""
        from kubernetes.client.configuration import Configuration
        from kubernetes.stream import ws_client

        configuration = Configuration(host=self._calls.endpoint, ssl_ca_cert=str(self._authority))
        headers = {"authorization": f"Bearer {self._calls.bearer()}"}
        url = self._calls.endpoint.replace("http", "ws", 1) + self._path
        connect: Any = ws_client.create_websocket
        try:
            return connect(configuration, url, headers)
        except Exception as error:  # sockets', TLS' and the websocket client's own
            status = getattr(error, "status_code", None)
            if status is None:
                raise NoAnswerError(str(error)) from error
            raise refusal(status, getattr(error, "resp_body", None) or b"") from error

    def serve(self) -> int:
        """Listen; answers the port."""
        listener = socket.create_server(("127.0.0.1", 0))
        self._keep(listener)
        self._start(self._accept, listener)
        return int(listener.getsockname()[1])

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                local, _ = listener.accept()
            except OSError:  # closed: the end
                return
            self._start(self._carry, local)

    def _carry(self, local: socket.socket) -> None:
        """One connection, to its end. One that the API server refuses is closed at once."""
        self._keep(local)
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
        """Remember it, to be closed with the bridge."""
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
    """From the client to the pod."""
    with contextlib.suppress(Exception):
        while data := local.recv(_CHUNK):
            remote.send_binary(bytes([_DATA]) + data)
    _close(remote)


def _receive(local: socket.socket, remote: Any) -> None:
    """From the pod to the client, until the pod, the client or the bridge ends it."""
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
        else:  # the pod's side says why it cannot go on
            return


def _close(end: Any) -> None:
    """A socket or a websocket; wakes whoever waits for it."""
    plain = getattr(end, "sock", end)
    if isinstance(plain, ssl.SSLSocket | socket.socket):
        with contextlib.suppress(OSError):
            plain.shutdown(socket.SHUT_RDWR)
    with contextlib.suppress(Exception):
        plain.close()
