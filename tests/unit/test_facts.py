"""Facts with a date: every one has its source, and what repeats them agrees."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

import pytest

from jarkkit.catalog import facts
from jarkkit.decisions.quotas import quota_codes
from jarkkit.sandbox.account.servicequotas import reference_data
from jarkkit.settings import CLUSTER_VERSIONS, Settings

ROOT = Path(__file__).parents[2]


def test_every_file_is_listed() -> None:
    folder = ROOT / "jarkkit" / "catalog" / "facts"
    assert sorted(path.stem for path in folder.glob("*.yaml")) == sorted(facts.FILES)


@pytest.mark.parametrize("file", facts.FILES)
def test_every_source_has_a_place_and_a_date(file: str) -> None:
    for source in facts.sources(file).values():
        assert source.where
        assert re.fullmatch(r"20\d\d(-\d\d){0,2}", source.date)


def test_every_fact_has_a_source() -> None:
    assert {d.source for d in facts.durations().values()} == facts.sources("durations").keys()
    assert {q.source for q in facts.quotas().values()} == facts.sources("quotas").keys()


def test_terraform_rejects_the_same_zones() -> None:
    zones = facts.zones_without_control_planes()
    for name in ("network.tf", "README.md"):
        text = (ROOT / "terraform" / name).read_text()
        assert set(re.findall(r"\b[a-z]+\d-az\d\b", text)) == zones, name


def test_versions_that_jarkkit_supports_have_their_dates() -> None:
    versions = facts.eks_versions()
    assert set(CLUSTER_VERSIONS) <= versions.keys()
    assert facts.default_eks_version() in versions
    for version in versions.values():
        assert version.released < version.standard_support_ends < version.extended_support_ends


def test_terraform_has_the_same_default_version() -> None:
    text = (ROOT / "terraform" / "variables.tf").read_text()
    block = text.partition('variable "cluster_version"')[2].partition("\n}")[0]
    assert f'"{Settings(name="demo").cluster_version}"' in block


def test_the_end_of_support_is_a_day() -> None:
    assert facts.standard_support_ends("1.35") == "2027-03-27"
    assert facts.eks_versions()["1.35"].extended_support_ends == date(2028, 3, 26)
    assert facts.standard_support_ends("1.2") == ""


def test_durations_of_resources_by_action() -> None:
    created, deleted = facts.resource_durations("create"), facts.resource_durations("delete")
    assert created["aws_eks_cluster"].seconds == 544.0
    assert deleted["aws_eks_cluster"].spread == (0.6, 1.9)
    assert "aws_vpc" not in deleted


def test_the_sandbox_lists_the_quotas_that_the_library_reads() -> None:
    listed = {code for quotas in reference_data.QUOTAS.values() for code in quotas}
    p6 = {quota_codes.CAPACITY_BLOCKS[family].code for family in ("p6-b200", "p6-b300")}
    assert quota_codes.QUOTAS.keys() - listed == p6
