"""What the API server can reach: loopback and nothing else."""

from __future__ import annotations

import socket
import socketserver
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from jarkkit.sandbox.kubernetes.egress import Egress


class Echo(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        while line := self.rfile.readline():
            self.wfile.write(line)


@pytest.fixture
def echo() -> Iterator[int]:
    """The port of an echo server on loopback."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Echo) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


@pytest.fixture
def egress(tmp_path: Path) -> Iterator[Egress]:
    proxy = Egress(tmp_path / "egress.sock")
    proxy.start()
    yield proxy
    proxy.stop()
    assert not proxy.path.exists()


def ask(egress: Egress, line: str) -> socket.socket:
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(10)
    client.connect(str(egress.path))
    client.sendall(f"{line}\r\n\r\n".encode())
    return client


def test_connections_to_loopback_are_forwarded(egress: Egress, echo: int) -> None:
    with ask(egress, f"CONNECT 127.0.0.1:{echo} HTTP/1.1") as client:
        assert client.recv(100) == b"HTTP/1.1 200 OK\r\n\r\n"
        for _ in range(3):
            client.sendall(b"hello\n")
            assert client.recv(100) == b"hello\n"
        client.shutdown(socket.SHUT_WR)
        assert client.recv(100) == b""


@pytest.mark.parametrize("target", ["172.20.0.1:443", "hub.jupyterhub.svc:8081", "192.0.2.1:80"])
def test_connections_to_other_hosts_are_rejected(egress: Egress, target: str) -> None:
    with ask(egress, f"CONNECT {target} HTTP/1.1") as client:
        assert client.recv(100).startswith(b"HTTP/1.1 503 ")
    assert egress.refused == [target]


def test_a_closed_port_is_reported(egress: Egress) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with ask(egress, f"CONNECT 127.0.0.1:{port} HTTP/1.1") as client:
        assert client.recv(100).startswith(b"HTTP/1.1 502 ")


@pytest.mark.parametrize("line", ["GET / HTTP/1.1", "CONNECT nowhere HTTP/1.1", "nonsense"])
def test_a_request_other_than_connect_is_closed(egress: Egress, line: str) -> None:
    with ask(egress, line) as client:
        assert client.recv(100) == b""


def test_only_the_user_may_connect(egress: Egress) -> None:
    assert egress.path.stat().st_mode & 0o777 == 0o600
