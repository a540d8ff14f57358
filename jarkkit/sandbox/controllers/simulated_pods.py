"""What users get from simulated pods: one log line, and an answer to any HTTP request.

A pod with a process has its own Logs and PortForward objects, which KWOK prefers.
"""

from __future__ import annotations

import socketserver
import threading
import time
from typing import Any

from jarkkit.sandbox.controllers.base_controller import Controller
from jarkkit.sandbox.kubernetes import http_server
from jarkkit.sandbox.private_files import write_private

NOTICE = "This container is simulated by jarkkit's sandbox (KWOK): nothing runs in it."
_KWOK = "kwok.x-k8s.io/v1alpha1"


def handle_request(question: http_server.HttpRequest) -> tuple[int, Any]:
    """Answer any request with 200."""
    return 200, {"simulated": True, "message": NOTICE, "path": question.path}


class SimulatedPodController(Controller):
    """Configures KWOK's logs and port forwarding of simulated pods.

    Attributes:
        port: the answering server's, on loopback.
    """

    name = "simulated-pods"
    port: int

    def start(self) -> None:
        """Listen on a free port."""

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                http_server.serve(self.request, handle_request)

        self._server = _Server(("127.0.0.1", 0), Handler)
        self.port = int(self._server.server_address[1])
        threading.Thread(target=self._server.serve_forever, args=(0.5,), daemon=True).start()
        super().start()

    def stop(self) -> None:
        """Stop listening."""
        super().stop()
        self._server.shutdown()
        self._server.server_close()

    def reconcile(self) -> float | None:
        """Write the line, in CRI's format, and configure KWOK with it and with the port."""
        logs = self.cluster.folder / "simulated.log"
        moment = time.strftime("%Y-%m-%dT%H:%M:%S.000000000Z", time.gmtime())
        write_private(logs, f"{moment} stdout F {NOTICE}\n".encode())
        target = {"address": "127.0.0.1", "port": self.port}
        shown = {"logsFile": str(logs), "previousLogsFile": str(logs)}
        self._configure("ClusterLogs", {"logs": [shown]})
        self._configure("ClusterPortForward", {"forwards": [{"target": target}]})
        return None

    def _configure(self, kind: str, spec: dict[str, Any]) -> None:
        meta = {"name": "simulated"}
        self.cluster.api.apply({"apiVersion": _KWOK, "kind": kind, "metadata": meta, "spec": spec})


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
