"""Verify's checks of the control plane."""

from __future__ import annotations

import pytest

from jarkkit.model.records import EksCluster
from jarkkit.settings import Settings
from jarkkit.steps.stack_checks.account import judge_cluster

SETTINGS = Settings()


def cluster(status: str) -> EksCluster:
    version = SETTINGS.cluster_version
    return EksCluster(name="demo", arn="a", status=status, version=version, endpoint="x")


def test_a_missing_cluster_fails_alone() -> None:
    (check,) = judge_cluster(SETTINGS, None)
    assert (check.name, check.status, check.about) == ("Cluster", "fail", ("control plane",))


@pytest.mark.parametrize(
    ("status", "found", "fix"),
    [
        ("ACTIVE", "pass", ""),
        ("UPDATING", "warn", "again in a few minutes"),
        ("CREATING", "fail", "again in a few minutes"),
        ("FAILED", "fail", "jarkkit cleanup"),
    ],
)
def test_only_an_update_leaves_a_cluster_usable(status: str, found: str, fix: str) -> None:
    check = judge_cluster(SETTINGS, cluster(status))[0]
    assert check.status == found
    assert fix in check.fix
