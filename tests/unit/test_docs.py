"""The pages of docs/ say what the code says."""

from __future__ import annotations

from pathlib import Path

import pytest

from jarkkit.addons.catalogue import Addon, catalogue
from jarkkit.addons.words import MADE, OUTPUTS
from jarkkit.docs import addons_table, main, renewed

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "addons.md").read_text()


def test_the_table_of_add_ons_is_up_to_date() -> None:
    assert renewed("addons.md", PAGE) == PAGE


def test_the_questions_of_preflight_are_up_to_date() -> None:
    page = (ROOT / "docs" / "preflight.md").read_text()
    assert renewed("preflight.md", page) == page
    with pytest.raises(ValueError, match="marks"):
        renewed("preflight.md", "# Preflight\n")


def test_every_add_on_has_a_row() -> None:
    rows = addons_table().splitlines()[2:]
    assert [row.partition("]")[0] for row in rows] == [f"| [{name}" for name in catalogue()]


@pytest.mark.parametrize("word", [*OUTPUTS, *MADE, *(f for f in Addon.model_fields if f != "name")])
def test_what_a_file_of_the_catalogue_may_say_is_described(word: str) -> None:
    assert f"`{word}`" in PAGE


def test_a_page_that_has_lost_its_marks_is_refused() -> None:
    with pytest.raises(ValueError, match="marks"):
        renewed("addons.md", "# Add-ons\n")


def test_the_rest_of_the_page_stays_as_it_is(tmp_path: Path) -> None:
    written = tmp_path / "addons.md"
    written.write_text(PAGE.replace(addons_table(), "old\n") + "more\n")
    main(tmp_path)
    assert written.read_text() == PAGE + "more\n"


def test_a_variable_of_the_environment_is_described() -> None:
    page = (ROOT / "docs" / "sandbox.md").read_text()
    for name in ("CHART_CACHE", "STAND_IN_CHARTS", "SANDBOX_ACCOUNT_ONLY", "CACHE", "KUBE_BIN"):
        assert f"`JARKKIT_{name}`" in page
