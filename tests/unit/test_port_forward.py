"""What a port-forward does with connections that arrive while it ends."""

from __future__ import annotations

import socket
from datetime import UTC, datetime
from typing import cast

from jarkkit.model.port_answers import ClusterToken
from jarkkit.ports.kube.http import HttpClient
from jarkkit.ports.kube.port_forward import _Bridge
from tests.support.authority import CA_CERTIFICATE


class _Listener:
    """Accepts one connection, then behaves like a closed listener."""

    def __init__(self, accepted: socket.socket) -> None:
        self._accepted = [accepted]

    def accept(self) -> tuple[socket.socket, object]:
        if not self._accepted:
            raise OSError("closed")
        return self._accepted.pop(), None


def test_a_connection_accepted_after_the_end_is_closed() -> None:
    client, accepted = socket.socketpair()
    calls = HttpClient(
        "https://127.0.0.1:1",
        CA_CERTIFICATE,
        lambda: ClusterToken("t", datetime.now(UTC)),
        0,
    )
    bridge = _Bridge(calls, "/x", 80)
    with bridge:
        pass
    bridge._accept(cast(socket.socket, _Listener(accepted)))
    client.settimeout(5)
    with client:
        assert client.recv(1) == b""
    assert accepted.fileno() == -1
