"""The whole rehearsal with only the deployment's policy. Without one of its statements, the step
that needs it fails with a clear error and succeeds once the statement is back."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from jarkkit.decisions.permissions import needed_statements
from jarkkit.decisions.permissions.policy import policy_document
from jarkkit.sandbox import daemon_client
from jarkkit.sandbox.account.iam.policies import RequiredPermission, evaluate
from jarkkit.settings import Settings
from tests.e2e.recording import write_policies
from tests.support.account import sandbox_environment
from tests.support.deployments import ACCOUNT, CliDeployment
from tests.support.stacks import SMALL, resolved

SETTINGS = Settings.from_values({"name": "bounded", **SMALL})
LimitPolicy = Callable[[str], None]


@pytest.fixture
def restricted_sandbox(tmp_path: Path, terraform: str) -> Iterator[daemon_client.RunningSandbox]:
    """A separate sandbox account that at first allows everything."""
    running = daemon_client.start(tmp_path / ".sandbox", account_only=True)
    yield running
    daemon_client.stop(running.home)


@pytest.fixture
def limit_policy(restricted_sandbox: daemon_client.RunningSandbox, tmp_path: Path) -> LimitPolicy:
    """Limit the user to the policy without one statement; an empty name removes none."""

    def limit(sid: str) -> None:
        daemon_client.set_policies(
            restricted_sandbox.home, write_policies(tmp_path / "policies", SETTINGS, sid)
        )

    return limit


def failed_step(cli: CliDeployment, *args: str) -> dict[str, Any]:
    """Run a step that must fail; return its error."""
    result = cli.run(*args, "--json")
    assert result.returncode == 1
    return dict(json.loads(result.stdout or result.stderr)["error"])


def test_a_rehearsal_needs_exactly_the_statements_of_its_policy(
    tmp_path: Path, restricted_sandbox: daemon_client.RunningSandbox, limit_policy: LimitPolicy
) -> None:
    cli = CliDeployment(tmp_path, SETTINGS.name, sandbox_environment(restricted_sandbox))
    cli.make()
    written = cli.ok(
        "permissions", cli.name, "--account", ACCOUNT, "--out", str(tmp_path / "written")
    )
    expected = [path.read_text() for path in write_policies(tmp_path / "policies", SETTINGS)]
    assert [Path(line).read_text() for line in written.splitlines()] == expected

    limit_policy("CreateCluster")
    report = json.loads(cli.run("preflight", cli.name, "--json").stdout)
    (finding,) = [c for c in report["checks"] if c["code"] == "JK-PERMISSION-MISSING"]
    assert "deploy: eks:CreateCluster" in finding["found"]

    limit_policy("ReadRegions")
    error = failed_step(cli, "plan", cli.name)
    assert error["code"] == "JK-AWS-DENIED"
    assert "ec2:Describe" in error["evidence"]

    limit_policy("")
    cli.ok("plan", cli.name)

    limit_policy("CreateCluster")
    assert failed_step(cli, "deploy", cli.name, "--yes")["code"] == "JK-PREFLIGHT-BLOCKED"
    error = failed_step(cli, "deploy", cli.name, "--yes", "--skip-preflight")
    assert error["code"] == "JK-AWS-DENIED"
    assert "not authorized to perform: eks:CreateCluster" in error["evidence"]

    limit_policy("")
    cli.ok("preflight", cli.name)
    cli.ok("deploy", cli.name, "--yes")
    cli.ok("verify", cli.name)

    limit_policy("ManageLogGroups")
    error = failed_step(cli, "cleanup", cli.name, "--confirm", cli.name)
    assert error["code"] == "JK-AWS-DENIED"
    assert "not authorized to perform: logs:DeleteLogGroup" in error["evidence"]

    limit_policy("")
    cli.ok("cleanup", cli.name, "--confirm", cli.name)
    assert not cli.resource_counts()

    policy = policy_document(needed_statements(resolved(SETTINGS), ACCOUNT))
    for line in (restricted_sandbox.home / "permissions.log").read_text().splitlines():
        action, resource, context = json.loads(line)
        need = RequiredPermission(
            action, resource, {key: tuple(values) for key, values in context.items()}
        )
        assert evaluate([policy], need).decision == "allowed", line
