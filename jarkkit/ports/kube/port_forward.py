"""Port-forward from a loopback socket through the API server to a pod's port.

It opens one websocket per connection with subprotocol v4.channel.k8s.io. Every frame starts with a
channel byte, 0 for data, 1 for errors; the first frame of each channel contains only the port.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import ssl
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from jarkkit.ports.kube.errors import NoResponseError, parse_status_error
from jarkkit.ports.kube.http import HttpClient, proxy_for, proxy_headers

_DATA = 0
_BINARY, _CLOSE = 0x2, 0x8  # opcodes of RFC 6455
# Less than a writable socket takes without blocking, so that both directions go on.
_CHUNK = 16 * 1024
_END_SECONDS = 5.0
_ACCEPT_SECONDS = 0.2


@contextlib.contextmanager
def port_forward(calls: HttpClient, path: str, port: int, local_port: int = 0) -> Iterator[int]:
    """Yield the loopback port.

    Raises ApiStatusError, NoResponseError if the first connection fails, OSError if the local port
    is in use.

    Args:
        local_port: port to listen on; 0 for any free port.
    """
    with _Bridge(calls, path, port) as bridge:
        bridge.connect().sock.close()  # fail early if it does not work
        yield bridge.serve(local_port)


def websocket_configuration(calls: HttpClient, authority: Path) -> Any:
    """Return the official client's configuration for websockets to the API server.

    Args:
        authority: the CA certificate's file.
    """
    from kubernetes.client.configuration import Configuration

    made = Configuration(host=calls.endpoint, ssl_ca_cert=str(authority), **calls.certificate_files)
    made.proxy = proxy_for(calls.endpoint)
    made.proxy_headers = proxy_headers(made.proxy) if made.proxy else None
    return made


class _Bridge:
    """Accepts connections and bridges each to the pod, until the context ends.

    Each socket is read, written and closed by one thread. If another one closed it, its descriptor
    could belong to a new connection by the time that the first one uses it. The end of the context
    only shuts sockets down, which wakes the threads.
    """

    def __init__(self, calls: HttpClient, path: str, port: int) -> None:
        self._calls = calls
        self._path = f"{path}?ports={port}"
        self._ends = contextlib.ExitStack()
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
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
            for end in self._open:
                _shut_down(end)
        for thread in tuple(self._threads):
            thread.join(_END_SECONDS)
        self._ends.close()

    def connect(self) -> Any:
        """Open a websocket to the pod's port. Raises ApiStatusError, NoResponseError."""
        from kubernetes.stream import ws_client

        configuration = websocket_configuration(self._calls, self._authority)
        url = self._calls.endpoint.replace("http", "ws", 1) + self._path
        connect: Any = ws_client.create_websocket
        try:
            return connect(configuration, url, self._calls.authorization())
        except Exception as error:  # of sockets, TLS and the websocket client
            status = getattr(error, "status_code", None)
            if status is None:
                raise NoResponseError(str(error)) from error
            raise parse_status_error(status, getattr(error, "resp_body", None) or b"") from error

    def serve(self, port: int) -> int:
        """Listen on a loopback port, 0 for any. Returns the port. Raises OSError."""
        listener = socket.create_server(("127.0.0.1", port))
        listener.settimeout(_ACCEPT_SECONDS)
        listening_port = int(listener.getsockname()[1])
        self._start(self._accept, listener)
        return listening_port

    def _accept(self, listener: socket.socket) -> None:
        while not self._ended:
            with contextlib.suppress(TimeoutError):
                local, _ = listener.accept()
                self._start(self._relay, local)

    def _relay(self, local: socket.socket) -> None:
        """Bridge one connection to its end, which is at once if the API server rejects it."""
        remote = self.connect()
        with self._kept(remote.sock):
            _copy(local, remote)

    def _start(self, work: Callable[[socket.socket], None], end: socket.socket) -> None:
        """Start a thread that works with a socket and closes it."""

        def run() -> None:
            with self._kept(end), contextlib.suppress(Exception):
                work(end)

        thread = threading.Thread(target=run, name="port-forward", daemon=True)
        with self._lock:
            self._threads = [thread for thread in self._threads if thread.is_alive()]
            self._threads.append(thread)
            thread.start()

    @contextlib.contextmanager
    def _kept(self, end: socket.socket) -> Iterator[None]:
        """Shut the socket down when the bridge ends; close it when this context ends."""
        with self._lock:
            self._open.add(end)
            if self._ended:
                _shut_down(end)
        try:
            yield
        finally:
            with self._lock:
                self._open.discard(end)
                end.close()


def _copy(local: socket.socket, remote: Any) -> None:
    """Copy data in both directions, until the pod, the client or the bridge ends the connection.

    Neither direction waits for the other: a client may send all of a request before it reads.
    """
    plain, named = remote.sock, set[int]()
    to_pod, to_client = b"", b""
    while True:
        # What TLS has decoded already is no longer in the socket.
        decoded = not to_client and isinstance(plain, ssl.SSLSocket) and plain.pending() > 0
        of_pod, of_client = _ready(
            (plain, not to_client, bool(to_pod)), (local, not to_pod, bool(to_client)), not decoded
        )
        if of_pod & selectors.EVENT_WRITE:
            remote.send_binary(bytes([_DATA]) + to_pod)
            to_pod = b""
        if of_client & selectors.EVENT_WRITE:
            to_client = to_client[local.send(to_client, socket.MSG_DONTWAIT) :]
        if of_client & selectors.EVENT_READ:
            to_pod = local.recv(_CHUNK)
            if not to_pod:
                return
        if decoded or of_pod & selectors.EVENT_READ:
            received = _receive(remote, named)
            if received is None:
                return
            to_client = received


def _ready(
    pod: tuple[socket.socket, bool, bool], client: tuple[socket.socket, bool, bool], wait: bool
) -> tuple[int, int]:
    """Return what can be done with two sockets now.

    Args:
        pod, client: the socket, whether to read from it, whether to write to it.
        wait: until one of them is ready.
    """
    with selectors.DefaultSelector() as selector:
        for end, reads, writes in (pod, client):
            events = selectors.EVENT_READ * reads | selectors.EVENT_WRITE * writes
            if events:
                selector.register(end, events)
        ready = {key.fileobj: events for key, events in selector.select(None if wait else 0)}
    return ready.get(pod[0], 0), ready.get(client[0], 0)


def _receive(remote: Any, named: set[int]) -> bytes | None:
    """Return the data of one frame from the pod; None if it ends the connection.

    Args:
        named: the channels whose first frame, with the port, has come.
    """
    code, frame = remote.recv_data_frame(True)
    if code != _BINARY or not frame.data:
        return None if code == _CLOSE else b""
    channel = frame.data[0]
    if channel not in named:
        named.add(channel)
        return b""
    # Another channel has an error from the pod's side.
    return bytes(frame.data[1:]) if channel == _DATA else None


def _shut_down(end: socket.socket) -> None:
    """End a socket's connection and wake the thread that waits for it.

    The method of `ssl.SSLSocket` would also forget the encryption, and its thread then read and
    write plain text.
    """
    with contextlib.suppress(OSError):
        socket.socket.shutdown(end, socket.SHUT_RDWR)
