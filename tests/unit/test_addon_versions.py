"""The pinned versions of the EKS add-ons."""

from __future__ import annotations

import pytest

from jarkkit.decisions.addons.addon_versions import (
    kept_versions,
    moves,
    unpinned,
    with_versions,
)
from jarkkit.model.records import EksAddonVersions

PINNED = EksAddonVersions(cluster_version="1.35", versions={"vpc-cni": "v1", "coredns": "v1"})
ADDONS = {
    "vpc-cni": {"version": None, "configuration": None},
    "metrics-server": {"version": None, "configuration": None},
    "coredns": {"version": "v0", "configuration": None},
}


@pytest.mark.parametrize(
    ("cluster_version", "upgrade", "kept"),
    [("1.35", False, PINNED.versions), ("1.35", True, {}), ("1.36", False, {})],
)
def test_versions_stay_until_an_upgrade_of_them_or_of_kubernetes(
    cluster_version: str, upgrade: bool, kept: dict[str, str]
) -> None:
    assert kept_versions(PINNED, cluster_version, upgrade=upgrade) == kept


def test_an_add_on_that_is_enabled_later_is_not_pinned_yet() -> None:
    assert unpinned(ADDONS, PINNED.versions) == ("metrics-server",)


def test_the_version_of_the_catalog_wins() -> None:
    found = {name: a["version"] for name, a in with_versions(ADDONS, PINNED.versions).items()}
    assert found == {"vpc-cni": "v1", "metrics-server": None, "coredns": "v0"}


def test_only_a_version_that_changes_is_reported() -> None:
    after = {"vpc-cni": "v2", "coredns": "v1", "metrics-server": "v1"}
    assert moves(PINNED.versions, after) == ("EKS add-on vpc-cni: v1 → v2",)
