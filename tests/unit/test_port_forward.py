"""What a port-forward does with its sockets: each is used and closed by one thread."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from jarkkit.model.port_answers import ClusterToken
from jarkkit.ports.kube.http import HttpClient
from jarkkit.ports.kube.port_forward import _Bridge
from tests.support.authority import CA_CERTIFICATE
from tests.support.poll import wait_for


class FakeRemote:
    """A websocket to a pod that echoes the first frame."""

    def __init__(self) -> None:
        self.sock, self.pod = socket.socketpair()
        self._frames = iter((2, 1 << 16))  # the first frame of a channel contains the port

    def send_binary(self, data: bytes) -> None:
        self.pod.sendall(b"\x00\x50" + data)

    def recv_data_frame(self, control: bool) -> tuple[int, Any]:
        data = self.sock.recv(next(self._frames))
        return (0x2, SimpleNamespace(data=data)) if data else (0x8, None)


class Bridge(_Bridge):
    """A bridge to pods that echo."""

    def __init__(self) -> None:
        def token() -> ClusterToken:
            return ClusterToken("t", datetime.now(UTC))

        super().__init__(HttpClient("https://127.0.0.1:1", CA_CERTIFICATE, token, 0), "/x", 80)
        self.remotes: list[FakeRemote] = []

    def connect(self) -> Any:
        self.remotes.append(FakeRemote())
        return self.remotes[-1]


@pytest.fixture
def bridge() -> Iterator[Bridge]:
    bridge = Bridge()
    yield bridge
    for remote in bridge.remotes:
        remote.pod.close()


def client_of(port: int) -> socket.socket:
    client = socket.create_connection(("127.0.0.1", port))
    client.settimeout(60)
    return client


def test_a_connection_accepted_after_the_end_is_closed(bridge: Bridge) -> None:
    client, accepted = socket.socketpair()
    with bridge:
        pass
    bridge._start(bridge._relay, accepted)
    client.settimeout(60)
    with client:
        assert client.recv(1) == b""
    wait_for(lambda: accepted.fileno() == -1)


def test_the_end_of_the_context_ends_connections_in_use_and_the_listener(bridge: Bridge) -> None:
    before = threading.active_count()
    with bridge:
        port = bridge.serve(0)
        client = client_of(port)
        client.sendall(b"hello")
        assert client.recv(5) == b"hello"
    with client, contextlib.suppress(ConnectionResetError):
        assert client.recv(1) == b""
    with pytest.raises(OSError, match="refused"):
        client_of(port)
    assert threading.active_count() <= before
    assert bridge._open == set()
    assert [remote.sock.fileno() for remote in bridge.remotes] == [-1]


def test_a_client_that_leaves_ends_the_connection_to_the_pod(bridge: Bridge) -> None:
    with bridge:
        with client_of(bridge.serve(0)) as client:
            client.sendall(b"hello")
            assert client.recv(5) == b"hello"
        wait_for(lambda: bridge.remotes[0].sock.fileno() == -1)


def test_sockets_are_shut_down_by_others_and_closed_by_their_own_thread(
    bridge: Bridge, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A descriptor that another thread closes may be a new connection's the moment after."""
    closed: list[tuple[str, int]] = []
    close = socket.socket.close

    def recorded(end: socket.socket) -> None:
        closed.append((threading.current_thread().name, end.fileno()))
        close(end)

    with bridge:
        client = client_of(bridge.serve(0))
        client.sendall(b"hello")
        assert client.recv(5) == b"hello"
        own = {end.fileno() for end in bridge._open}
        monkeypatch.setattr(socket.socket, "close", recorded)
    monkeypatch.undo()
    client.close()
    assert len(own) == 3  # the listener, the client's and the pod's connection
    assert {name for name, number in closed if number in own} == {"port-forward"}
    assert {number for _, number in closed} >= own


class StreamingRemote:
    """A websocket to a pod that answers with more than sockets buffer before it has read all."""

    def __init__(self, size: int) -> None:
        self.sock, self.pod = socket.socketpair()
        self.received = 0
        self._left = size
        self._first = True

    def send_binary(self, data: bytes) -> None:
        self.received += len(data) - 1

    def recv_data_frame(self, control: bool) -> tuple[int, Any]:
        if self._first:
            self._first = False
            return 0x2, SimpleNamespace(data=b"\x00\x50")
        self._left -= 1 << 16
        if self._left < 0:
            self.sock.recv(1)  # nothing more to read
            return 0x2, SimpleNamespace(data=b"")
        return 0x2, SimpleNamespace(data=b"\x00" + bytes(1 << 16))


def test_a_client_may_send_everything_before_it_reads(bridge: Bridge) -> None:
    size = 16 << 20
    remote = StreamingRemote(size)
    remote.pod.sendall(b"x")  # readable
    bridge.connect = lambda: remote  # type: ignore[method-assign]
    with bridge, remote.pod, client_of(bridge.serve(0)) as client:
        client.sendall(bytes(size))
        received = 0
        while received < size:
            received += len(client.recv(1 << 20))
        wait_for(lambda: remote.received == size)
