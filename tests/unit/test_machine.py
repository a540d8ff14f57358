"""The local machine: programs on PATH, the proxy, reachable hosts."""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from socket import create_server

import pytest

from jarkkit.ports.machine import LocalMachine

PROXIED = LocalMachine(
    {"https_proxy": "http://me:s%40fe@proxy.example:3128", "NO_PROXY": ".corp,10.1.1.1"}
)


@pytest.mark.parametrize(
    ("host", "proxy"),
    [
        ("sts.amazonaws.com", "proxy.example:3128"),
        ("git.corp", ""),
        ("10.1.1.1", ""),
        ("10.1.1.2", "proxy.example:3128"),
    ],
)
def test_the_proxy_of_a_host(host: str, proxy: str) -> None:
    assert PROXIED.proxy(host) == proxy


def test_a_proxy_variable_may_lack_a_scheme_and_be_upper_case() -> None:
    assert LocalMachine({"HTTPS_PROXY": "proxy.example"}).proxy("a.b") == "proxy.example:80"
    assert LocalMachine({}).proxy("a.b") == ""


def program(folder: Path, text: str) -> LocalMachine:
    path = folder / "kubectl"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return LocalMachine({"PATH": f"{folder}:/bin:/usr/bin"})


def test_the_version_of_kubectl(tmp_path: Path) -> None:
    answer = """echo '{"clientVersion": {"gitVersion": "v1.36.2"}}'"""
    assert program(tmp_path, answer).kubectl_version() == "v1.36.2"


@pytest.mark.parametrize("text", ["exit 1", "echo no", "echo '{}'", "echo '[]'"])
def test_a_kubectl_without_a_version(tmp_path: Path, text: str) -> None:
    assert program(tmp_path, text).kubectl_version() == ""


def test_without_kubectl(tmp_path: Path) -> None:
    assert LocalMachine({"PATH": str(tmp_path)}).kubectl_version() is None


class _RejectingHandler(BaseHTTPRequestHandler):
    """Rejects every request; as a proxy it requires a login."""

    def do_HEAD(self) -> None:
        self.send_error(403)

    def do_CONNECT(self) -> None:
        known = self.headers.get("Proxy-Authorization") == "Basic bWU6c0BmZQ=="  # me:s@fe
        self.send_error(502 if known else 407)

    def log_message(self, format: str, *args: object) -> None:
        pass


def serving(server: HTTPServer) -> Iterator[str]:
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def plain() -> Iterator[str]:
    yield from serving(HTTPServer(("127.0.0.1", 0), _RejectingHandler))


@pytest.fixture
def encrypted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Start an HTTPS server with a trusted certificate."""
    pytest.importorskip("cryptography", reason="a package of the extra `sandbox`")
    from tests.support.certificates import make_server_certificate

    certificate, key = make_server_certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server = HTTPServer(("127.0.0.1", 0), _RejectingHandler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    yield from serving(server)


def test_a_host_that_returns_an_error_is_reachable(encrypted: str) -> None:
    assert LocalMachine().unreachable_hosts([encrypted], 5) == {}


def test_a_host_without_https_is_unreachable(plain: str) -> None:
    assert set(LocalMachine().unreachable_hosts([plain], 5)) == {plain}


def test_a_silent_host_times_out() -> None:
    with create_server(("127.0.0.1", 0)) as silent_server:
        host = f"127.0.0.1:{silent_server.getsockname()[1]}"
        began = time.monotonic()
        found = LocalMachine().unreachable_hosts([host, host], 0.3)
    assert set(found) == {host}
    assert time.monotonic() - began < 20


def test_the_login_of_the_proxy_is_sent(plain: str) -> None:
    def reason_by_proxy(login: str) -> str:
        machine = LocalMachine({"HTTPS_PROXY": f"http://{login}{plain}"})
        return machine.unreachable_hosts(["sts.example"], 5)["sts.example"]

    assert "502" in reason_by_proxy("me:s%40fe@")
    assert "407" in reason_by_proxy("")
