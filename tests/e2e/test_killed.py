"""SIGKILL at several points: run again, a step ends as if nothing had happened."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from jarkkit.records import Event
from tests.e2e.conftest import Place, alive, kill_tree

Seen = Callable[[tuple[Event, ...]], bool]


def is_(status: str, part: str, action: str = "create") -> Seen:
    return lambda events: any(
        e.kind == "resource" and e.status == status and e.action == action and part in e.subject
        for e in events
    )


def counted(count: int) -> Seen:
    return lambda events: sum(e.status == "done" and e.action == "create" for e in events) >= count


# What an undisturbed deployment of these settings has in the account.
WHOLE = {
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


@pytest.mark.parametrize(
    ("name", "point"),
    [
        ("kill-first", counted(6)),
        ("kill-vpc", is_("started", "aws_vpc.this")),
        ("kill-cluster", is_("started", "aws_eks_cluster")),
        ("kill-nodes", is_("started", "aws_eks_node_group")),
        ("kill-addons", is_("started", "aws_eks_addon.after_compute")),
    ],
)
def test_a_deploy_that_was_killed_ends_in_the_same_state(
    name: str, point: Seen, slow_place: Callable[[str], Place], terraform: str
) -> None:
    place = slow_place(name)
    place.make()
    place.ok("plan", name)
    process = place.start("deploy", name)
    place.wait_until(point, process)
    time.sleep(0.3)  # so that the call under way reaches the account in some runs and not in others
    kill_tree(process, place.terraform_pid())

    assert place.kit.status().state == "failed"
    assert place.kit.status().next_command == f"jarkkit deploy {name}"
    place.ok("deploy", name)

    assert place.kit.status().state == "deployed"
    assert not any(e.action == "delete" for e in place.kit.events()), "something was made anew"
    found = place.in_account()
    assert {kind: found.get(kind) for kind in WHOLE} == WHOLE
    assert place.terraform_plan(terraform) == 0


def test_when_only_the_kit_is_killed_terraform_goes_on_and_is_followed(
    slow_place: Callable[[str], Place], terraform: str
) -> None:
    place = slow_place("kit-only")
    place.make()
    place.ok("plan", place.name)
    process = place.start("deploy", place.name)
    place.wait_until(is_("started", "aws_eks_cluster"), process)
    running = place.terraform_pid()
    process.kill()
    process.wait()
    assert alive(running)
    assert place.kit.status().running

    said = place.run("deploy", place.name)
    assert said.returncode == 0, said.stderr
    assert "following it" in said.stderr
    assert place.terraform_plan(terraform) == 0
    assert place.kit.status().state == "deployed"
    place.ok("cleanup", place.name, "--confirm", place.name)


def test_a_cleanup_that_was_killed_is_taken_up(slow_place: Callable[[str], Place]) -> None:
    place = slow_place("kill-cleanup")
    place.make()
    place.ok("plan", place.name)
    place.ok("deploy", place.name)
    process = place.start("cleanup", place.name, "--confirm", place.name)
    place.wait_until(is_("started", "aws_eks_node_group", "delete"), process)
    kill_tree(process, place.terraform_pid())

    assert place.kit.status().next_command == f"jarkkit cleanup {place.name}"
    place.ok("cleanup", place.name, "--confirm", place.name)
    receipt = place.kit.last_receipt()
    assert receipt is not None
    assert receipt.clean
    assert place.in_account() == {}
