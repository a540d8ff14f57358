"""The API server's only way out: an HTTP CONNECT proxy on a unix socket of the sandbox.

Without it the API server connects to the addresses of Services, pods and nodes through the
machine's default route, so a rehearsal would send packets into the network. The proxy forwards
connections to loopback, serves what the sandbox simulates, and rejects everything else immediately.

EgressSelectorConfiguration: https://kubernetes.io/docs/tasks/extend-kubernetes/setup-konnectivity/
"""

from __future__ import annotations

import contextlib
import socket
import socketserver
import threading
from collections.abc import Callable
from pathlib import Path

_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_HEAD_BYTES = 4096
_CONNECT_SECONDS = 5.0

# What serves a host and port: a port on loopback, or a function that serves the connection itself;
# None when nothing does.
Upstream = Callable[[socket.socket], None] | int | None
Route = Callable[[str, int], Upstream]


class Egress:
    """The proxy, in threads of this process.

    Args:
        path: the socket; its folder belongs to the user alone.

    Attributes:
        route: returns what serves a host beyond loopback; at first nothing does.
        refused: the last hundred rejected targets.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.route: Route = lambda host, port: None
        self.refused: list[str] = []
        self._server: socketserver.BaseServer | None = None

    def start(self) -> None:
        """Listen. Raises OSError when it cannot bind the path, for example one above 107 bytes."""
        self.path.unlink(missing_ok=True)
        egress = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                egress._serve(self.request)

        server = _Server(str(self.path), Handler)
        self.path.chmod(0o600)
        self._server = server
        threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True).start()

    def stop(self) -> None:
        """Stop listening."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None
        self.path.unlink(missing_ok=True)

    def _serve(self, client: socket.socket) -> None:
        target = _target_of(client)
        if target is None:
            return
        host, port = target
        answering = port if host in _LOOPBACK else self.route(host, port)
        if answering is None:
            self.refused = [*self.refused[-99:], f"{host}:{port}"]
            client.sendall(b"HTTP/1.1 503 nothing answers there in a rehearsal\r\n\r\n")
        elif callable(answering):
            client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            with contextlib.suppress(OSError):
                answering(client)
        else:
            _tunnel(client, answering)


def _tunnel(client: socket.socket, port: int) -> None:
    """Forward everything to a port on loopback, and back."""
    try:
        server = socket.create_connection(("127.0.0.1", port), _CONNECT_SECONDS)
    except OSError:
        client.sendall(b"HTTP/1.1 502 connection refused\r\n\r\n")
        return
    with server:
        server.settimeout(None)
        client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        back = threading.Thread(target=_pump, args=(server, client), daemon=True)
        back.start()
        _pump(client, server)
        back.join()


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    request_queue_size = 256


def _target_of(client: socket.socket) -> tuple[str, int] | None:
    """Return host and port of the CONNECT request, None for anything else."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        # Byte by byte: what follows the header belongs to the tunnel.
        byte = client.recv(1)
        if not byte or len(head) > _HEAD_BYTES:
            return None
        head += byte
    words = head.split(b"\r\n", 1)[0].decode("latin-1").split()
    if len(words) != 3 or words[0] != "CONNECT":
        return None
    host, _, port = words[1].rpartition(":")
    return (host.strip("[]"), int(port)) if port.isdigit() else None


def _pump(source: socket.socket, sink: socket.socket) -> None:
    """Copy everything from one socket to the other, until the source ends."""
    with contextlib.suppress(OSError):
        while chunk := source.recv(65536):
            sink.sendall(chunk)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)
