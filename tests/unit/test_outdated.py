"""Outdated versions and dates, with made-up values."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any, ClassVar

import pytest

from jarkkit.model.errors import JarkkitError
from jarkkit.ports.chart_repositories import ChartRepositories
from tools import outdated
from tools.outdated import Row

TODAY = date(2026, 11, 29)


def newest(name: str) -> str:
    """Return the newest version of two packages; fail for all others."""
    return {"keda": "2.10.0", "argo": "v0.45.1"}[name]  # KeyError is a LookupError


def test_versions_are_compared_as_numbers() -> None:
    rows = outdated.charts({"keda": "2.9.1", "argo": "0.45.1", "ray": "1.0.0"}, newest)
    assert rows == [
        Row("chart keda", "2.9.1", "2.10.0", "outdated"),
        Row("chart argo", "0.45.1", "v0.45.1", "current"),
        Row("chart ray", "1.0.0", "", "not checked"),
    ]


def test_prereleases_are_ignored() -> None:
    assert outdated.newest_stable(["1.9.0", "1.10.0", "2.0.0-rc.1", "v1.2.3+build4"]) == "1.10.0"
    with pytest.raises(LookupError):
        outdated.newest_stable(["0.1.0-alpha"])


@pytest.mark.parametrize(
    ("end", "status"),
    [
        (date(2027, 1, 29), "current"),
        (date(2027, 1, 28), "outdated"),
        (date(2026, 1, 1), "outdated"),
        (None, "not checked"),
    ],
)
def test_an_eks_version_is_outdated_sixty_days_before_its_end(
    end: date | None, status: str
) -> None:
    (row,) = outdated.eks_versions({"1.34": end}, TODAY)
    assert row.status == status
    assert row.newest == (f"ends {end}" if end else "")


def test_prices_are_outdated_after_half_a_year() -> None:
    rows = outdated.prices({"cpu": "2026-06-02", "nat": "2026-06-01", "kms": "2026"}, TODAY)
    assert [(row.newest, row.status) for row in rows] == [
        ("180 days old", "current"),
        ("181 days old", "outdated"),
        ("332 days old", "outdated"),
    ]


def test_facts_are_outdated_after_a_year() -> None:
    rows = outdated.dated_facts({"zones eks": "2025-11-29", "quotas vpc": "2025-11"}, TODAY)
    assert [(row.what, row.newest, row.status) for row in rows] == [
        ("fact zones eks", "365 days old", "current"),
        ("fact quotas vpc", "393 days old", "outdated"),
    ]


def test_only_direct_dependencies_are_checked() -> None:
    pyproject = """
[project]
dependencies = ["boto3>=1.40", "helm-python-sdk==0.2.2; sys_platform != 'darwin'"]
[project.optional-dependencies]
dev = ["boto3-stubs[ec2]", "unpinned"]
"""
    requirements = """
boto3==1.41.2 \\
    --hash=sha256:00
boto3-stubs==1.41.0 \\
helm-python-sdk==0.2.2 ; sys_platform != 'darwin' \\
botocore==1.41.2 \\
"""
    assert outdated.pinned_packages(pyproject, requirements) == {
        "boto3": "1.41.2", "boto3-stubs": "1.41.0", "helm-python-sdk": "0.2.2",
    }  # fmt: skip


class TestGo:
    MOD: ClassVar[dict[str, Any]] = {
        "Require": [
            {"Path": "example.com/direct", "Version": "v1.0.0"},
            {"Path": "example.com/tool", "Version": "v2.0.0", "Indirect": True},
            {"Path": "example.com/tool/server/v3", "Version": "v3.0.0", "Indirect": True},
            {"Path": "example.com/other", "Version": "v0.1.0", "Indirect": True},
        ],
        "Tool": [{"Path": "example.com/tool/server/v3/cmd"}],
    }

    @pytest.fixture
    def build(self, tmp_path: Path) -> Path:
        (tmp_path / "go.mod").write_text("module x\n")
        (tmp_path / "go.sum").write_text("")
        return tmp_path

    def test_the_direct_modules_of_a_build(self) -> None:
        assert outdated.direct_modules(self.MOD) == [
            "example.com/direct", "example.com/tool/server/v3",
        ]  # fmt: skip

    def test_updates(self, build: Path) -> None:
        listed = [
            {"Path": "a", "Version": "v1.0.0", "Versions": ["v1.0.0"]},
            {"Path": "b", "Version": "v1.0.0", "Update": {"Version": "v1.1.0"}},
            {"Path": "c", "Version": "v1.0.0"},
        ]

        def run(folder: Path, arguments: Sequence[str]) -> str:
            assert folder != build
            if arguments[0] == "mod":
                return json.dumps(self.MOD)
            return "\n".join(json.dumps(module, indent=1) for module in listed) + "\n"

        assert [(row.newest, row.status) for row in outdated.go_modules(build, run)] == [
            ("v1.0.0", "current"),
            ("v1.1.0", "outdated"),
            ("", "not checked"),
        ]

    def test_without_go_or_network(self, build: Path) -> None:
        def run(folder: Path, arguments: Sequence[str]) -> str:
            raise LookupError("no network")

        (row,) = outdated.go_modules(build, run)
        assert row.status == "not checked"


def test_a_program_that_fails_or_is_missing_is_a_lookup_error(tmp_path: Path) -> None:
    for command in (["/nonexistent"], ["false"]):
        with pytest.raises(LookupError):
            outdated._output(command, tmp_path)


def test_the_table_counts_what_it_lists() -> None:
    text = outdated.table(
        [Row("EKS 1.34", "1.34", "ends 2026-12-02", "outdated"), Row("x", "1", "", "not checked")]
    )
    assert text.splitlines()[1].split("  ")[0] == "EKS 1.34"
    assert text.endswith("0 current, 1 outdated, 1 not checked")


def test_the_facts_of_the_repository_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*_: object) -> str:
        raise LookupError("offline")

    def no_repository(*_: object) -> tuple[str, ...]:
        raise JarkkitError("JK-CHART-PULL", "offline", "")

    monkeypatch.setattr(outdated, "_output", offline)
    monkeypatch.setattr(ChartRepositories, "versions", no_repository)
    rows = outdated.collect(TODAY)
    kinds = {row.what.split()[0] for row in rows}
    assert kinds == {"chart", "Go", "EKS", "price", "fact", "package"}
    assert {row.status for row in rows if row.what.split()[0] in ("chart", "Go", "package")} == {
        "not checked"
    }
