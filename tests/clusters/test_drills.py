"""Drills on a deployed cluster: each fault is seen with its code, and passes when it is mended."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from jarkkit.checks import Check, Report
from jarkkit.drills import NAMESPACE, drill
from jarkkit.sandbox import control
from jarkkit.ui.drilling import Drilling
from tests.clusters.conftest import wait_for
from tests.e2e.conftest import BARE, Place, kubectl, stood_up

# JupyterHub to break, Karpenter to starve, and what these two need.
SOME = {**BARE["addons"], "jupyterhub": True}


@pytest.fixture(scope="module")
def place(terraform: str) -> Iterator[Place]:
    """A detached sandbox and a small deployment in it."""
    with stood_up("drills", addons=SOME, accelerators=[], cpu_capacity=["spot"]) as made:
        yield made


def faults_on(place: Place) -> list[str]:
    return list(control.status(place.home / ".sandbox")["faults"])


def drilling(place: Place, name: str) -> Drilling:
    """The drill as a notebook would do it, in the place's sandbox."""
    home = place.home / ".sandbox"

    def switch(words: tuple[str, ...]) -> tuple[str, ...]:
        before = tuple(control.status(home)["faults"])
        control.set_faults(home, words)
        return before

    return Drilling(place.kit, drill(name), place.kit.drill_hindrance(name), switch=switch)


def done(place: Place, name: str) -> Report:
    """What was seen of it; afterwards all is as before."""
    with drilling(place, name) as drilled:
        assert not drilled.skipped
        report = drilled.diagnosis()
    assert faults_on(place) == []
    drilled.recovery(120)
    return report


@pytest.mark.parametrize(
    "name",
    ["image-pull", "crash-loop", "oom", "node-unhealthy",
     "expired-credentials", "access-denied", "throttled", "api-unreachable"],
)  # fmt: skip
def test_a_fault_is_seen_and_passes(place: Place, name: str) -> None:
    report = done(place, name)
    check = next(check for check in report.checks if check.code == drill(name).code)
    assert check.found
    assert check.fix


def test_capacity_is_the_cause_and_the_pod_its_symptom(place: Place) -> None:
    (cause,) = done(place, "insufficient-capacity").failures()
    assert cause.name == "Instances for Karpenter"
    assert any("needs-a-node" in line for line in cause.follows)
    assert NAMESPACE not in kubectl(place, "get", "namespaces", "-o", "name")


def test_an_instance_that_does_not_join_is_the_cause_of_what_waits_for_it(place: Place) -> None:
    def cause() -> Check | None:
        checks = place.kit.diagnose().checks
        lost = (check for check in checks if check.name.startswith("Instance i-"))
        return next((check for check in lost if "needs-a-node" in str(check.follows)), None)

    with drilling(place, "node-not-joining") as drilled:
        found = wait_for(cause)
    assert found is not None
    assert found.code == "JK-NODE-NOT-JOINED"
    assert any(line.startswith("NodeClaim ") for line in found.follows)
    drilled.recovery(120)


def test_the_command_line_says_the_same_and_ends_with_one(place: Place) -> None:
    with drilling(place, "image-pull") as drilled:
        drilled.diagnosis()
        broken = place.run("diagnose", "drills", "--json")
    assert broken.returncode == 1
    codes = {check["code"] for check in json.loads(broken.stdout)["checks"]}
    assert "JK-ADDON-IMAGE" in codes
    drilled.recovery()
    well = place.run("diagnose", "drills")
    assert well.returncode == 0, well.stdout
    assert "Is all well? Yes" in well.stdout


def test_all_is_as_it_was(place: Place) -> None:
    place.ok("verify", "drills")


def test_a_spot_instance_that_is_taken_back_is_told_and_harms_nobody(place: Place) -> None:
    """The last one: Karpenter takes minutes to see that an instance died while it was joining."""
    with drilling(place, "spot-interruption") as drilled:
        report = drilled.diagnosis()
    assert any(check.code == "JK-NODE-RECLAIMED" for check in report.checks)
    assert faults_on(place) == []
