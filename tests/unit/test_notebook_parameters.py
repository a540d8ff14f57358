"""Parameters that papermill injects: names and types."""

from __future__ import annotations

from typing import Any

import pytest

from jarkkit.cli.run_notebooks import PARAMETERS, split_pairs
from jarkkit.headless.runner import known_parameters, select_notebooks
from jarkkit.model.errors import JarkkitError
from jarkkit.notebook.ui import open_deployment
from jarkkit.notebook.ui.parameters import corrected, find_injected

DECLARED = {"deployment": "demo", "rehearsal": True, "agree": False, "changes": {}}


@pytest.mark.parametrize(
    ("name", "given", "value"),
    [
        ("rehearsal", "False", False),
        ("rehearsal", "false", False),
        ("rehearsal", 0, False),
        ("agree", "no", False),
        ("agree", "False", False),
        ("agree", "yes", True),
        ("agree", None, False),
        ("deployment", 2026, "2026"),
        ("deployment", "höhe", "höhe"),
        ("changes", '{"az_count": 3}', {"az_count": 3}),
        ("changes", "az_count: 3", {"az_count": 3}),
        ("changes", None, {}),
        ("changes", "", {}),
        ("changes", {"az_count": 3}, {"az_count": 3}),
    ],
)
def test_values_get_the_declared_type(name: str, given: Any, value: Any) -> None:
    found = corrected(DECLARED, {name: given})[name]
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("name", "given"),
    [("rehearsal", "maybe"), ("rehearsal", 2), ("changes", "[1]"), ("changes", "{"),
     ("changes", 3), ("deployment", True), ("deployment", ["a"])],
)  # fmt: skip
def test_other_values_are_refused(name: str, given: Any) -> None:
    with pytest.raises(JarkkitError, match=f"JK-SETTINGS-INVALID: The parameter {name}"):
        corrected(DECLARED, {name: given})


def test_unknown_names_are_refused() -> None:
    with pytest.raises(JarkkitError, match="az_count") as caught:
        corrected(DECLARED, {"az_count": 4})
    assert caught.value.code == "JK-SETTINGS-UNKNOWN"


def test_the_injected_cell_is_found() -> None:
    cells = ["", 'deployment = "demo"  # name\nrehearsal = True', "# Parameters\nrehearsal = 0\n"]
    assert find_injected(cells) == ({"deployment": "demo", "rehearsal": True}, {"rehearsal": 0})
    assert find_injected(cells[:2]) is None


def test_papermill_is_headless_and_a_person_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(open_deployment.HEADLESS, raising=False)
    monkeypatch.setattr(open_deployment, "has_injected", lambda: True)
    monkeypatch.delenv("VSCODE_PID", raising=False)
    monkeypatch.delenv("VSCODE_CWD", raising=False)
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    assert open_deployment.is_headless()
    monkeypatch.setenv("JPY_SESSION_NAME", "notebooks/04-deploy.ipynb")
    assert not open_deployment.is_headless()
    monkeypatch.setenv(open_deployment.HEADLESS, "1")
    assert open_deployment.is_headless()


def test_run_passes_on_every_parameter_that_it_does_not_set() -> None:
    ours = {"deployment", "rehearsal", "region", "changes", "agree", "confirm_destroy", "confirm"}
    declared = {name for path in select_notebooks() for name in known_parameters(path)}
    assert set(PARAMETERS) == declared - ours
    settings, parameters = split_pairs(["az_count=3", "deep=false", "lost=JK-A=B"])
    assert (settings, parameters) == (["az_count=3"], {"deep": "false", "lost": "JK-A=B"})
