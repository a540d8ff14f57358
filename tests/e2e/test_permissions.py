"""The whole rehearsal under the deployment's own policy and nothing else; and without a statement
of it the step that needs it fails, saying so, and goes on once it is there again."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from jarkkit.permissions import needed
from jarkkit.permissions.policy import document
from jarkkit.sandbox import control
from jarkkit.sandbox.account.iam.policies import Need, decide
from jarkkit.settings import Settings
from tests.conftest import pointed_at
from tests.e2e.conftest import ACCOUNT, SMALL, Place
from tests.e2e.recording import write_policies

SETTINGS = Settings.make({"name": "bounded", **SMALL})
Without = Callable[[str], None]


@pytest.fixture
def limited(tmp_path: Path, terraform: str) -> Iterator[control.Running]:
    """A pretend account of our own, where at first everything is allowed."""
    running = control.start(tmp_path / ".sandbox", account_only=True)
    yield running
    control.stop(running.home)


@pytest.fixture
def without(limited: control.Running, tmp_path: Path) -> Without:
    """Limits the user to the policy without one statement; with all of it for none."""

    def limit(sid: str) -> None:
        control.set_policies(limited.home, write_policies(tmp_path / "policies", SETTINGS, sid))

    return limit


def refused(place: Place, *words: str) -> dict[str, Any]:
    """The error that a step ends with."""
    done = place.run(*words, "--json")
    assert done.returncode == 1
    return dict(json.loads(done.stdout or done.stderr)["error"])


def test_a_rehearsal_under_its_policy_alone(
    tmp_path: Path, limited: control.Running, without: Without
) -> None:
    place = Place(tmp_path, SETTINGS.name, pointed_at(limited))
    place.make()
    written = place.ok(
        "permissions", place.name, "--account", ACCOUNT, "--out", str(tmp_path / "written")
    )
    own = [path.read_text() for path in write_policies(tmp_path / "policies", SETTINGS)]
    assert [Path(line).read_text() for line in written.splitlines()] == own

    without("MakeCluster")
    report = json.loads(place.run("preflight", place.name, "--json").stdout)
    (finding,) = [c for c in report["checks"] if c["code"] == "JK-PERMISSION-MISSING"]
    assert "deploy: eks:CreateCluster" in finding["found"]

    without("LookAtRegions")
    error = refused(place, "plan", place.name)
    assert error["code"] == "JK-AWS-DENIED"
    assert "ec2:Describe" in error["evidence"]

    without("")
    place.ok("plan", place.name)

    without("MakeCluster")
    error = refused(place, "deploy", place.name, "--yes")
    assert error["code"] == "JK-AWS-DENIED"
    assert "not authorized to perform: eks:CreateCluster" in error["evidence"]

    without("")
    place.ok("deploy", place.name, "--yes")
    place.ok("verify", place.name)

    without("ChangeLogs")
    error = refused(place, "cleanup", place.name, "--confirm", place.name)
    assert error["code"] == "JK-AWS-DENIED"
    assert "not authorized to perform: logs:DeleteLogGroup" in error["evidence"]

    without("")
    place.ok("cleanup", place.name, "--confirm", place.name)
    assert not place.in_account()

    policy = document(needed(SETTINGS, ACCOUNT))
    for line in (limited.home / "permissions.log").read_text().splitlines():
        action, resource, context = json.loads(line)
        need = Need(action, resource, {key: tuple(values) for key, values in context.items()})
        assert decide([policy], need).decision == "allowed", line
