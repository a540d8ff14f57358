"""Which change of a cluster's version is planned, refused, or split into two rounds."""

from __future__ import annotations

from datetime import date

import pytest

from jarkkit.decisions.cluster_versions import (
    PlannedVersions,
    RunningVersions,
    next_versions,
    support_warning,
)
from jarkkit.model.errors import JarkkitError
from jarkkit.model.records import ClusterVersion


def running(
    version: str, nodes: str = "", deployed: str = "", days: float | None = None
) -> RunningVersions:
    return RunningVersions(version, {"core": nodes or version}, deployed, days)


def refusal(wanted: str, present: RunningVersions) -> JarkkitError:
    with pytest.raises(JarkkitError) as caught:
        next_versions(wanted, present)
    return caught.value


class TestUpgrades:
    @pytest.mark.parametrize(
        "present", [None, running("1.35"), running("1.36"), running("1.36", nodes="1.35")]
    )
    def test_a_new_cluster_and_one_step_are_planned(self, present: RunningVersions | None) -> None:
        assert next_versions("1.36", present) == PlannedVersions("1.36", "1.36")

    def test_a_jump_is_refused_with_the_way(self) -> None:
        error = refusal("1.36", running("1.34"))
        assert error.code == "JK-VERSION-STEP"
        assert "1.34 -> 1.35 -> 1.36" in error.message
        assert "Set cluster_version to 1.35" in error.fix

    def test_node_groups_that_are_behind_go_first(self) -> None:
        error = refusal("1.36", running("1.35", nodes="1.34"))
        assert error.code == "JK-VERSION-STEP"
        assert "core" in error.message
        assert "Set cluster_version to 1.35" in error.fix


class TestRollback:
    def test_the_nodes_go_first(self) -> None:
        planned = next_versions("1.35", running("1.36", deployed="1.36", days=2))
        assert (planned.control_plane, planned.nodes) == ("1.36", "1.35")
        assert "two rounds" in planned.warning

    def test_then_the_control_plane(self) -> None:
        planned = next_versions("1.35", running("1.36", nodes="1.35", deployed="1.36", days=2))
        assert (planned.control_plane, planned.nodes) == ("1.35", "1.35")
        assert "7 days" in planned.warning

    @pytest.mark.parametrize(
        ("wanted", "days", "reason"),
        [
            ("1.34", 1, "one minor version only"),
            ("1.35", None, "was not upgraded"),
            ("1.35", 8, "within 7 days"),
        ],
    )
    def test_others_are_refused_with_the_reason(
        self, wanted: str, days: float | None, reason: str
    ) -> None:
        error = refusal(wanted, running("1.36", deployed="1.36", days=days))
        assert error.code == "JK-VERSION-STEP"
        assert reason in error.message
        assert error.fix == "Set cluster_version to 1.36."


@pytest.mark.parametrize("deployed", ["", "1.34"])
def test_an_upgrade_by_aws_is_drift_and_no_rollback(deployed: str) -> None:
    error = refusal("1.34", running("1.35", nodes="1.34", deployed=deployed, days=1))
    assert error.code == "JK-VERSION-DRIFT"
    assert "-p cluster_version=1.35" in error.fix


@pytest.mark.parametrize(
    ("support", "ends", "expected"),
    [
        ("STANDARD", "2027-06-01", ""),
        ("STANDARD", "", ""),
        ("STANDARD", "2026-12-02", "ends on 2026-12-02"),
        ("EXTENDED", "2026-11-01", "ended on 2026-11-01"),
    ],
)
def test_the_end_of_standard_support(support: str, ends: str, expected: str) -> None:
    version = ClusterVersion(version="1.34", support=support, end_of_standard_support=ends)
    warning = support_warning(version, date(2026, 11, 30))
    assert expected in warning
    assert bool(warning) is bool(expected)
