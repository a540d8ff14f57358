"""SIGKILL at several points: run again, a step ends in the same state as without it."""

from __future__ import annotations

import time
from collections.abc import Callable

from tests.support.deployments import (
    CliDeployment,
    EventPredicate,
    alive,
    has_resource_event,
    kill_tree,
)


def has_created(count: int) -> EventPredicate:
    return lambda events: sum(e.status == "done" and e.action == "create" for e in events) >= count


# The resources of a deployment with these settings that was never killed.
EXPECTED_RESOURCES = {
    "aws_eks_cluster": 1,
    "aws_eks_node_group": 1,
    "aws_vpc": 1,
    "aws_nat_gateway": 1,
    "aws_eip": 1,
    "aws_efs_file_system": 1,
    "aws_efs_mount_target": 2,
    "aws_subnet": 6,
    "aws_kms_key": 1,
    "aws_launch_template": 1,
    "aws_instance": 2,
}


def test_a_deploy_killed_again_and_again_ends_in_the_same_state(
    new_slow_cli_deployment: Callable[[str], CliDeployment], terraform: str
) -> None:
    cli = new_slow_cli_deployment("killed")
    cli.make()
    cli.ok("plan", cli.name)
    for reached in (
        has_resource_event("started", "aws_vpc.this"),
        has_created(6),
        has_resource_event("started", "aws_eks_cluster"),
        has_resource_event("started", "aws_eks_node_group"),
        has_resource_event("started", "aws_eks_addon.after_compute"),
    ):
        process = cli.start("deploy", cli.name)
        cli.wait_until(reached, process)
        time.sleep(0.3)  # the call in progress reaches the account in some runs and not in others
        kill_tree(process, cli.terraform_pid())
        assert cli.deployment.status().state == "failed"
        assert cli.deployment.status().next_command == f"jarkkit deploy {cli.name}"
        assert not was_replaced(cli)

    cli.ok("deploy", cli.name)
    assert cli.deployment.status().state == "deployed"
    assert not was_replaced(cli)
    found = cli.resource_counts()
    assert {kind: found.get(kind) for kind in EXPECTED_RESOURCES} == EXPECTED_RESOURCES
    assert cli.terraform_plan(terraform) == 0


def was_replaced(cli: CliDeployment) -> bool:
    """Return True if the last deploy deleted a resource."""
    return any(event.action == "delete" for event in cli.deployment.events())


def test_a_deploy_follows_the_terraform_of_a_killed_one_and_a_killed_cleanup_completes(
    new_slow_cli_deployment: Callable[[str], CliDeployment], terraform: str
) -> None:
    cli = new_slow_cli_deployment("kit-only")
    cli.make()
    cli.ok("plan", cli.name)
    process = cli.start("deploy", cli.name)
    cli.wait_until(has_resource_event("started", "aws_eks_cluster"), process)
    running = cli.terraform_pid()
    process.kill()
    process.wait()
    assert alive(running)
    assert cli.deployment.status().running

    result = cli.run("deploy", cli.name)
    assert result.returncode == 0, result.stderr
    assert "following it" in result.stderr
    assert cli.terraform_plan(terraform) == 0
    assert cli.deployment.status().state == "deployed"

    process = cli.start("cleanup", cli.name, "--confirm", cli.name)
    cli.wait_until(has_resource_event("started", "aws_eks_node_group", "delete"), process)
    kill_tree(process, cli.terraform_pid())
    assert cli.deployment.status().next_command == f"jarkkit cleanup {cli.name}"
    cli.ok("cleanup", cli.name, "--confirm", cli.name)
    receipt = cli.deployment.last_receipt()
    assert receipt is not None
    assert receipt.clean
    assert cli.resource_counts() == {}
