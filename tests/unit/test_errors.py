"""Errors: a complete list of codes, a message with a fix, no traceback in a notebook."""

from __future__ import annotations

import copy
import pickle
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from jarkkit.model.errors import (
    CODES,
    AccessDenied,
    ApiCallError,
    Conflict,
    Interrupted,
    JarkkitError,
    NotFound,
    ObjectNotFound,
    Throttled,
    TimedOut,
    Unreachable,
    error_class,
)

PACKAGE = Path(__file__).parents[2] / "jarkkit"


def test_every_code_is_used_and_every_used_code_is_listed() -> None:
    used = set()
    files = [*PACKAGE.rglob("*.py"), *(PACKAGE.parent / "notebooks").glob("*.ipynb")]
    for path in files:
        if path != PACKAGE / "model" / "errors.py":
            used |= set(re.findall(r"\"(JK-[A-Z]+(?:-[A-Z]+)*)\\?\"", path.read_text()))
    assert used - set(CODES) == set()
    assert set(CODES) - used == set()


def test_an_unlisted_code_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        JarkkitError("JK-NOT-THERE", "x", "y")


def test_an_error_shows_its_message_and_its_fix() -> None:
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
    error = JarkkitError("JK-USAGE", "m", "f", evidence="e", subjects=["name"])
    there = pickle.loads(pickle.dumps(error))
    assert (there.as_dict(), there.subjects) == (error.as_dict(), ("name",))


def test_the_code_decides_the_class() -> None:
    assert type(JarkkitError("JK-INTERRUPTED", "m", "f")) is Interrupted
    assert type(ApiCallError("JK-KUBE-DENIED", "m", "f")) is AccessDenied
    assert type(JarkkitError("JK-INTERNAL", "m", "f")) is JarkkitError
    assert set(map(error_class, CODES)) > {Conflict, NotFound, Throttled, TimedOut, Unreachable}


def test_where_the_cause_is_known_a_subclass_has_the_code() -> None:
    missing = ObjectNotFound("JK-KUBE-FAILED", "m", "f")
    assert isinstance(missing, NotFound)
    assert isinstance(missing, ApiCallError)
    assert TimedOut("JK-HELM-FAILED", "m", "f").code == "JK-HELM-FAILED"


@pytest.mark.parametrize(
    ("kind", "code"),
    [(Interrupted, "JK-USAGE"), (NotFound, "JK-KUBE-FAILED"), (TimedOut, "JK-AWS-DENIED")],
)
def test_a_code_of_another_class_is_a_type_error(kind: type[JarkkitError], code: str) -> None:
    with pytest.raises(TypeError, match=code):
        kind(code, "m", "f")


def test_an_error_is_transient_as_its_class_or_as_its_cause() -> None:
    assert Throttled("JK-AWS-THROTTLED", "m", "f").transient
    assert not Unreachable("JK-KUBE-UNREACHABLE", "m", "f", transient=False).transient
    assert not JarkkitError("JK-HELM-FAILED", "m", "f").transient


def test_the_code_of_a_record_has_a_class() -> None:
    assert Interrupted.has_code("JK-INTERRUPTED")
    assert ApiCallError.has_code("JK-AWS-DENIED")
    assert not Interrupted.has_code("")
    assert not Interrupted.has_code("JK-USAGE")


def test_other_details_keep_the_class() -> None:
    known = ObjectNotFound(
        "JK-KUBE-FAILED", "m", "f", evidence="e", transient=True, subjects=("x",)
    )
    other = known.with_details("Add-on x: m", evidence="e, y")
    assert (type(other), other.transient, other.subjects) == (ObjectNotFound, True, ("x",))
    assert known.with_details("m", subjects=iter("yz")).subjects == ("y", "z")
    assert other.as_dict() == {
        "code": "JK-KUBE-FAILED",
        "message": "Add-on x: m",
        "fix": "f",
        "evidence": "e, y",
    }


@pytest.mark.parametrize("copied", [copy.copy, lambda error: pickle.loads(pickle.dumps(error))])
def test_a_copy_has_the_class(copied: Callable[[JarkkitError], JarkkitError]) -> None:
    error = copied(ObjectNotFound("JK-KUBE-FAILED", "m", "f", transient=True))
    assert (type(error), error.transient) == (ObjectNotFound, True)


def test_the_page_in_docs_is_up_to_date() -> None:
    page = (PACKAGE.parent / "docs" / "errors.md").read_text()
    for code, meaning in CODES.items():
        assert code in page
        assert meaning in page
