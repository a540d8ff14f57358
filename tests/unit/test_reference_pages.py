"""The generated parts of docs/ are up to date."""

from __future__ import annotations

from pathlib import Path

import pytest

from jarkkit.catalog.addons import Addon, addon_catalog
from jarkkit.decisions.addons.templating import GENERATED, OUTPUTS
from tools.reference_pages import (
    GENERATED_SECTIONS,
    addons_table,
    main,
    options_table,
    refresh_page,
    truth_page,
)

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "addons.md").read_text()


@pytest.mark.parametrize("name", GENERATED_SECTIONS)
def test_the_generated_part_of_a_page_is_up_to_date(name: str) -> None:
    page = (ROOT / "docs" / name).read_text()
    assert refresh_page(name, page) == page


def test_every_option_has_a_row() -> None:
    rows = options_table()
    for command, option in (("deploy", "--confirm"), ("plan", "--upgrade"), ("use open", "--port")):
        assert f"| `jarkkit {command}` | `{option}`" in rows
    assert "jarkkit token" not in rows  # hidden: kubectl calls it


def test_a_preflight_page_without_its_markers_is_rejected() -> None:
    with pytest.raises(ValueError, match="markers"):
        refresh_page("preflight.md", "# Preflight\n")


def test_the_page_of_aws_rules_is_up_to_date() -> None:
    assert truth_page() == (ROOT / "docs" / "truth.md").read_text()


def test_the_tables_of_terraform_are_up_to_date() -> None:
    name = "../terraform/README.md"
    page = (ROOT / "docs" / name).read_text()
    assert refresh_page(name, page) == page


def test_every_add_on_has_a_row() -> None:
    rows = addons_table().splitlines()[2:]
    assert [row.partition("]")[0] for row in rows] == [f"| [{name}" for name in addon_catalog()]


@pytest.mark.parametrize(
    "word",
    [*OUTPUTS, *GENERATED, *(f for f in Addon.model_fields if f not in ("name", "user_values"))],
)
def test_every_key_of_a_catalog_file_is_described(word: str) -> None:
    assert f"`{word}`" in PAGE


def test_a_page_without_its_markers_is_rejected() -> None:
    with pytest.raises(ValueError, match="markers"):
        refresh_page("addons.md", "# Add-ons\n")


def test_the_rest_of_the_page_is_unchanged(tmp_path: Path) -> None:
    written = tmp_path / "addons.md"
    written.write_text(PAGE.replace(addons_table(), "old\n") + "more\n")
    main(tmp_path)
    assert written.read_text() == PAGE + "more\n"


def test_environment_variables_are_described() -> None:
    page = (ROOT / "docs" / "sandbox.md").read_text()
    for name in ("CHART_CACHE", "STUB_CHARTS", "SANDBOX_ACCOUNT_ONLY", "CACHE", "KUBE_BIN"):
        assert f"`JARKKIT_{name}`" in page
