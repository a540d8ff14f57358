"""An HTTP server for one accepted connection, used behind the egress socket."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from typing import Any, NamedTuple


class HttpRequest(NamedTuple):
    """An HTTP request: method, path with its query, body."""

    method: str
    path: str
    body: bytes


# Returns a status and the body to send as JSON.
RequestHandler = Callable[[HttpRequest], tuple[int, Any]]


def serve(
    connection: socket.socket, answer: RequestHandler, tls: ssl.SSLContext | None = None
) -> None:
    """Answer requests until the other side ends the connection."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 300.0

        def handle_any(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            status, content = answer(HttpRequest(self.command, self.path, self.rfile.read(length)))
            body = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any  # noqa: N815

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with contextlib.suppress(OSError):  # includes TLS errors of a peer that hung up
        wrapped = tls.wrap_socket(connection, server_side=True) if tls else connection
        Handler(wrapped, ("", 0), None)  # type: ignore[arg-type]  # no server is needed
