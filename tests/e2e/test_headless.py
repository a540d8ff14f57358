"""Notebooks that misbehave, in real kernels."""

from __future__ import annotations

import gc
import os
import threading
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from jarkkit.errors import JarkkitError
from jarkkit.headless import OwnKernel, Ran, Run, Runner, check_parameters
from jarkkit.home import notebooks_folder
from jarkkit.scrub import Scrub, words_of
from jarkkit.settings import Settings
from jarkkit.workspace import Workspace


def notebook(folder: Path, name: str, *cells: str) -> Path:
    """A notebook of those cells; the first one holds the parameters."""
    book = new_notebook(cells=[new_code_cell(source) for source in cells])
    book.cells[0].metadata["tags"] = ["parameters"]
    book.metadata["kernelspec"] = {"name": "python3", "language": "python", "display_name": "x"}
    path = folder / f"{name}.ipynb"
    nbformat.write(book, str(path))
    return path


@pytest.fixture(autouse=True)
def jupyters_leftovers() -> Iterator[None]:
    """jupyter_client leaves its event loop and sockets to the garbage collector: it comes here,
    where it is known why, and not in some other test."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.fixture
def runner(tmp_path: Path) -> Runner:
    """Runs notebooks for an empty deployment."""
    workspace = Workspace(tmp_path / "deployments" / "demo")
    workspace.create(Settings(), rehearsal=True)
    scrub = Scrub(words_of(tmp_path, account_id="123456789012", secrets=("very-secret-word",)))
    return Runner(workspace, os.environ, {"deployment": "demo"}, scrub)


def run(runner: Runner, *notebooks: Path) -> Run:
    """To the end, without watching."""
    work = runner.run(notebooks)
    while True:
        try:
            next(work)
        except StopIteration as end:
            result: Run = end.value
            return result


def only(result: Run) -> Ran:
    """The run's one notebook."""
    (ran,) = result.notebooks
    return ran


def test_a_kernel_that_dies_is_told_and_the_rest_is_skipped(runner: Runner, tmp_path: Path) -> None:
    dying = notebook(tmp_path, "00-dying", 'deployment = "x"', "import os; os.kill(os.getpid(), 9)")
    after = notebook(tmp_path, "01-after", 'deployment = "x"')
    result = run(runner, dying, after)
    assert [(ran.status, ran.code) for ran in result.notebooks] == [
        ("failed", "JK-KERNEL-DIED"),
        ("skipped", ""),
    ]
    assert not result.ok


def test_an_error_of_ours_keeps_its_code_and_fix(runner: Runner, tmp_path: Path) -> None:
    cell = (
        "from jarkkit.errors import JarkkitError\n"
        'raise JarkkitError("JK-CONFIRM", "Not typed.", "Type it.")'
    )
    path = notebook(tmp_path, "00-ours", 'deployment = "x"', cell)
    ran = only(run(runner, path))
    assert (ran.status, ran.code, ran.message, ran.fix) == (
        "failed", "JK-CONFIRM", "Not typed.", "Type it.",
    )  # fmt: skip
    text = (runner.workspace.folder / "notebooks" / path.name).read_text()
    assert "Traceback" not in text


def test_any_other_error_is_a_failed_notebook(runner: Runner, tmp_path: Path) -> None:
    ran = only(run(runner, notebook(tmp_path, "00-other", 'deployment = "x"', "1 / 0")))
    assert (ran.status, ran.code) == ("failed", "JK-NOTEBOOK-FAILED")
    assert "ZeroDivisionError" in ran.message


def test_leaving_early_is_no_success(runner: Runner, tmp_path: Path) -> None:
    path = notebook(tmp_path, "00-exit", 'deployment = "x"', "import sys; sys.exit(0)", "1")
    ran = only(run(runner, path))
    assert (ran.status, ran.code) == ("failed", "JK-NOTEBOOK-FAILED")


def test_an_interrupt_reaches_the_cell(runner: Runner, tmp_path: Path) -> None:
    path = notebook(tmp_path, "00-long", 'deployment = "x"', "import time; time.sleep(60)")

    def press_stop() -> None:
        deadline = time.monotonic() + 30
        while OwnKernel._pid is None and time.monotonic() < deadline:
            time.sleep(0.1)
        time.sleep(3)  # so that the cell is running
        OwnKernel.interrupt()

    stopper = threading.Thread(target=press_stop)
    stopper.start()
    began = time.monotonic()
    ran = only(run(runner, path))
    stopper.join()
    assert (ran.status, ran.code) == ("failed", "JK-INTERRUPTED")
    assert time.monotonic() - began < 45


def test_what_must_not_be_shown_is_taken_out(runner: Runner, tmp_path: Path) -> None:
    said = f"print('123456789012', 'very-secret-word', {str(tmp_path)!r})"
    path = notebook(tmp_path, "00-chatty", 'deployment = "x"', said)
    assert only(run(runner, path)).status == "ok"
    executed = runner.workspace.folder / "notebooks" / path.name
    text = executed.read_text()
    for word in ("123456789012", "very-secret-word", str(tmp_path)):
        assert word not in text.replace(said, "")
    assert executed.stat().st_mode & 0o777 == 0o600


def test_an_unknown_parameter_is_refused_with_the_nearest_name() -> None:
    path = notebooks_folder() / "01-preflight.ipynb"
    check_parameters(path, {"region": "eu-west-1"})
    given: dict[str, Any] = {"regoin": "eu-west-1"}
    with pytest.raises(JarkkitError) as caught:
        check_parameters(path, given)
    assert caught.value.code == "JK-SETTINGS-UNKNOWN"
    assert "region" in caught.value.fix
