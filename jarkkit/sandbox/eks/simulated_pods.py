"""What is behind simulated pods for those who ask: a line of log, an answer to any HTTP request.

A pod that a process plays has a Logs and a PortForward of its own, which KWOK prefers.
"""

from __future__ import annotations

import socketserver
import threading
import time
from typing import Any

from jarkkit.sandbox.cluster import answering
from jarkkit.sandbox.eks.controller import Controller
from jarkkit.sandbox.files import write_private

SAYING = "This container is simulated by jarkkit's sandbox (KWOK): nothing runs in it."
_KWOK = "kwok.x-k8s.io/v1alpha1"


def answer(question: answering.Question) -> tuple[int, Any]:
    """200, whatever was asked."""
    return 200, {"simulated": True, "message": SAYING, "path": question.path}


class SimulatedPods(Controller):
    """Tells KWOK what to show of pods that it plays itself.

    Attributes:
        port: on loopback, where the answer is.
    """

    name = "simulated-pods"
    port: int

    def start(self) -> None:
        """Listen, on a port that is free now."""

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                answering.serve(self.request, answer)

        self._server = _Server(("127.0.0.1", 0), Handler)
        self.port = int(self._server.server_address[1])
        threading.Thread(target=self._server.serve_forever, args=(0.5,), daemon=True).start()
        super().start()

    def stop(self) -> None:
        """Listen no more."""
        super().stop()
        self._server.shutdown()
        self._server.server_close()

    def reconcile(self) -> float | None:
        """Write the line, in CRI's format, and tell KWOK of it and of the port."""
        logs = self.cluster.folder / "simulated.log"
        moment = time.strftime("%Y-%m-%dT%H:%M:%S.000000000Z", time.gmtime())
        write_private(logs, f"{moment} stdout F {SAYING}\n".encode())
        target = {"address": "127.0.0.1", "port": self.port}
        shown = {"logsFile": str(logs), "previousLogsFile": str(logs)}
        self._tell("ClusterLogs", {"logs": [shown]})
        self._tell("ClusterPortForward", {"forwards": [{"target": target}]})
        return None

    def _tell(self, kind: str, spec: dict[str, Any]) -> None:
        meta = {"name": "simulated"}
        self.cluster.api.apply({"apiVersion": _KWOK, "kind": kind, "metadata": meta, "spec": spec})


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
