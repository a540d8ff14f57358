"""Errors: complete list, two clear sentences, no traceback in a notebook."""

from __future__ import annotations

import pickle
import re
from pathlib import Path

import pytest

from jarkkit.errors import CODES, JarkkitError

PACKAGE = Path(__file__).parents[2] / "jarkkit"


def test_every_code_is_used_and_every_used_code_is_listed() -> None:
    used = set()
    places = [*PACKAGE.rglob("*.py"), *(PACKAGE.parent / "notebooks").glob("*.ipynb")]
    for path in places:
        if path.name != "errors.py":
            used |= set(re.findall(r"\"(JK-[A-Z]+(?:-[A-Z]+)*)\\?\"", path.read_text()))
    assert used - set(CODES) == set()
    assert set(CODES) - used == set()


def test_a_code_that_is_not_listed_is_a_defect() -> None:
    with pytest.raises(KeyError):
        JarkkitError("JK-NOT-THERE", "x", "y")


def test_an_error_shows_what_and_what_next() -> None:
    error = JarkkitError("JK-USAGE", "Something is wrong.", "Do this.", evidence="line one\ntwo")
    assert error.lines() == [
        "JK-USAGE: Something is wrong.",
        "  fix: Do this.",
        "  evidence:",
        "    line one",
        "    two",
    ]
    assert error._render_traceback_() == error.lines()


def test_an_error_survives_a_process_boundary() -> None:
    error = JarkkitError("JK-USAGE", "m", "f", evidence="e")
    assert pickle.loads(pickle.dumps(error)).as_dict() == error.as_dict()


def test_the_page_in_docs_is_up_to_date() -> None:
    page = (PACKAGE.parent / "docs" / "errors.md").read_text()
    for code, meaning in CODES.items():
        assert code in page
        assert meaning in page
