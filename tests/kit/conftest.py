"""A deployment and a cluster on fakes, which the tests of the steps use."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from jarkkit.deployment import Deployment
from jarkkit.ports.workspace import Workspace
from jarkkit.settings import Settings
from jarkkit.steps.cluster import web_uis
from tests.support.fakes.account import FakeAccount, FakeTerraform
from tests.support.fakes.deployment import DeploymentHarness
from tests.support.fakes.healthy_cluster import HealthyCluster, healthy_cluster
from tests.support.fakes.machine import FakeMachine


@pytest.fixture
def harness(tmp_path: Path) -> DeploymentHarness:
    workspace = Workspace(tmp_path / "deployments" / "demo")
    workspace.create(Settings(), rehearsal=False)
    account, terraform = FakeAccount(), FakeTerraform(workspace.folder)
    deployment = Deployment(
        workspace,
        {"JARKKIT_SANDBOX_ACCOUNT_ONLY": "1", "JARKKIT_SANDBOX_SPEED": "0"},
        account=account,  # type: ignore[arg-type]
        terraform=terraform,  # type: ignore[arg-type]
        machine=FakeMachine(),
    )
    return DeploymentHarness(deployment, account, terraform)


@pytest.fixture
def web_server() -> Iterator[int]:
    """Start a web server that answers every request; yield its port."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = b"Sign in"
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


@pytest.fixture
def kube(web_server: int, monkeypatch: pytest.MonkeyPatch) -> HealthyCluster:
    monkeypatch.setattr(web_uis.WebEndpoint, "scheme", "http")
    made = healthy_cluster()
    made.port = web_server
    return made
