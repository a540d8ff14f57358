"""What a headless rehearsal may do in the simulated account."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from jarkkit.cli.run_notebooks import RunLimits, kernel_environment, run_limits
from jarkkit.decisions.permissions import needed_statements
from jarkkit.decisions.permissions.policy import named_policies
from jarkkit.deployment import Deployment
from jarkkit.model.checks import Check
from jarkkit.model.errors import JarkkitError
from jarkkit.notebook.ui import HEADLESS, open_deployment
from jarkkit.ports.paths import sandbox_home
from jarkkit.sandbox import daemon_client
from jarkkit.settings import Settings
from tests.support.account import CLEAN, error_code_of, make_client
from tests.support.deployments import ACCOUNT, CliDeployment
from tests.support.poll import wait_for
from tests.support.stacks import resolved

NAME = "limited-run"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home with a sandbox."""
    folder = tmp_path_factory.mktemp("home")
    running = daemon_client.start(sandbox_home(folder), account_only=True)
    yield folder
    daemon_client.stop(running.home)


@pytest.fixture
def place(home: Path, monkeypatch: pytest.MonkeyPatch) -> CliDeployment:
    """A deployment with a budget, and a caller without AWS variables."""
    for name in ("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    cli = CliDeployment(home, NAME, CLEAN)
    if not cli.folder.is_dir():
        cli.make(budget_usd_per_month=100, budget_emails=["a@example.org"])
    return cli


def policies_of(settings: Settings) -> dict[str, dict[str, Any]]:
    """Return the policies of a deployment with these settings, by name."""
    return named_policies(settings.name, needed_statements(resolved(settings), ACCOUNT))


def test_a_run_is_limited_to_what_the_command_prints(place: CliDeployment, tmp_path: Path) -> None:
    printed = place.ok("permissions", NAME, "--account", ACCOUNT, "--out", str(tmp_path))
    expected = {Path(line).stem: json.loads(Path(line).read_text()) for line in printed.split()}
    assert expected == policies_of(place.deployment.settings)
    assert run_limits(place.home, place.deployment).policies == tuple(expected)


def test_preflight_of_a_run_finds_a_missing_statement(place: CliDeployment) -> None:
    def simulated(environ: Mapping[str, str]) -> Check:
        deployment = Deployment.open(NAME, home=place.home, environ={**CLEAN, **environ})
        return {check.name: check for check in deployment.preflight().checks}[
            "Permissions of the steps"
        ]

    assert simulated(run_limits(place.home, place.deployment).environment).status == "pass"
    without = {"budget_usd_per_month": 0, "budget_emails": []}
    policies = policies_of(place.deployment.settings.with_changes(without))
    found = simulated(limited_to(place, policies))
    assert found.code == "JK-PERMISSION-MISSING"
    assert "budgets:ModifyBudget" in found.found


def test_a_step_of_a_run_fails_without_a_statement(place: CliDeployment) -> None:
    policies = policies_of(place.deployment.settings)
    for policy in policies.values():
        policy["Statement"] = [s for s in policy["Statement"] if s["Sid"] != "ReadRegions"]
    environ = {**CLEAN, **limited_to(place, policies)}
    with pytest.raises(JarkkitError) as caught:
        list(Deployment.open(NAME, home=place.home, environ=environ).plan())
    assert caught.value.code == "JK-AWS-DENIED"


def test_a_run_deletes_only_its_own_classic_load_balancers(place: CliDeployment) -> None:
    running = daemon_client.require(sandbox_home(place.home))
    settings = place.deployment.settings
    limited = replace(running, env=limited_to(place, policies_of(settings)))
    elb, allowed = (make_client(of, "elb", settings.region) for of in (running, limited))
    for name, cluster in (("own", NAME), ("foreign", "other")):
        elb.create_load_balancer(
            LoadBalancerName=name,
            Listeners=[{"Protocol": "TCP", "LoadBalancerPort": 80, "InstancePort": 30080}],
            AvailabilityZones=[f"{settings.region}a"],
            Tags=[{"Key": f"kubernetes.io/cluster/{cluster}", "Value": "owned"}],
        )
    allowed.delete_load_balancer(LoadBalancerName="own")
    refused = error_code_of(allowed.delete_load_balancer, LoadBalancerName="foreign")
    left = elb.describe_load_balancers()["LoadBalancerDescriptions"]
    assert (refused, [found["LoadBalancerName"] for found in left]) == ("AccessDenied", ["foreign"])


def test_a_run_keeps_policies_that_you_chose(place: CliDeployment, tmp_path: Path) -> None:
    chosen = tmp_path / "mine.json"
    chosen.write_text(json.dumps(policies_of(place.deployment.settings)[f"jarkkit-{NAME}-build-1"]))
    daemon_client.set_policies(sandbox_home(place.home), [chosen])
    try:
        limits = run_limits(place.home, place.deployment)
    finally:
        daemon_client.set_policies(sandbox_home(place.home), [])
    assert limits == RunLimits(own_policies=True)


def test_the_kernels_of_a_limited_run_have_no_other_aws_variables(place: CliDeployment) -> None:
    others = {"AWS_PROFILE": "work", "AWS_SESSION_TOKEN": "", "AWS_ENDPOINT_URL_EC2": "x"}
    shell = {**others, "HOME": "h"}
    assert kernel_environment(shell, RunLimits()) == shell
    limits = run_limits(place.home, place.deployment)
    found = kernel_environment(shell, limits)
    assert not others.keys() & found.keys()
    kept = ("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "JARKKIT_ACCOUNT_CACHE")
    assert {name: found[name] for name in kept} == {name: limits.environment[name] for name in kept}
    assert found["HOME"] == "h"


def test_a_sandbox_that_dies_during_a_run_starts_again_with_its_limits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = sandbox_home(tmp_path)
    running = daemon_client.start(home, account_only=True)
    try:
        cli = CliDeployment(tmp_path, NAME, CLEAN)
        cli.make()
        environ = kernel_environment({}, run_limits(tmp_path, cli.deployment))
        for name, value in {**environ, "JARKKIT_HOME": str(tmp_path), HEADLESS: "1"}.items():
            monkeypatch.setenv(name, value)
        key, saved = environ["AWS_ACCESS_KEY_ID"].encode(), home / "account.pickle"
        wait_for(lambda: saved.exists() and key in saved.read_bytes(), 20)
        os.kill(running.pid, signal.SIGKILL)
        psutil.Process(running.pid).wait(10)
        opened = open_deployment.open(NAME)
        assert opened.caller_identity().arn.endswith("user/learner")
        assert daemon_client.require(home).endpoint == environ["AWS_ENDPOINT_URL"]
        limited = replace(running, env=environ)
        refused = error_code_of(make_client(limited, "dynamodb").list_tables)
        assert refused == "AccessDeniedException"
    finally:
        daemon_client.stop(home)


def test_a_run_in_a_shell_with_the_environment_of_a_sandbox(
    place: CliDeployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoint = daemon_client.require(sandbox_home(place.home)).endpoint
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    assert run_limits(place.home, place.deployment).policies
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")  # a sandbox of another home
    assert not run_limits(place.home, place.deployment).policies


def limited_to(place: CliDeployment, policies: dict[str, dict[str, Any]]) -> dict[str, str]:
    """Return the environment of a run with these policies."""
    return daemon_client.limited_environment(sandbox_home(place.home), NAME, policies)
