"""Notebooks that fail, in real kernels."""

from __future__ import annotations

import contextlib
import gc
import os
import threading
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import nbformat
import psutil
import pytest
from nbformat.sign import NotebookNotary
from nbformat.v4 import new_code_cell, new_notebook

from jarkkit.decisions.redaction import Redactor, sensitive_values
from jarkkit.headless.runner import CurrentPythonKernel, NotebookRunner, _Execution
from jarkkit.model.notebook_runs import NotebookResult, NotebookRun
from jarkkit.ports.paths import local_paths
from jarkkit.ports.workspace import Workspace
from jarkkit.settings import Settings
from tests.support.poll import wait_for


def write_notebook(folder: Path, name: str, *cells: str) -> Path:
    """Write a notebook of these cells; the first one holds the parameters."""
    book = new_notebook(cells=[new_code_cell(source) for source in cells])
    book.cells[0].metadata["tags"] = ["parameters"]
    book.metadata["kernelspec"] = {"name": "python3", "language": "python", "display_name": "x"}
    path = folder / f"{name}.ipynb"
    nbformat.write(book, str(path))
    return path


@pytest.fixture(autouse=True)
def collect_jupyter_garbage() -> Iterator[None]:
    """jupyter_client leaves its event loop and sockets to the garbage collector. Collect them here,
    where the warning is expected, and not in some other test."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.fixture
def runner(tmp_path: Path) -> NotebookRunner:
    """A runner of notebooks for an empty deployment."""
    workspace = Workspace(tmp_path / "deployments" / "demo")
    workspace.create(Settings(), rehearsal=True)
    scrub = Redactor(
        sensitive_values(
            local_paths(tmp_path), account_id="123456789012", secrets=("very-secret-word",)
        )
    )
    return NotebookRunner(workspace, os.environ, {"deployment": "demo"}, scrub)


def run(runner: NotebookRunner, *notebooks: Path) -> NotebookRun:
    """Run notebooks to the end; return the result."""
    work = runner.run(notebooks)
    while True:
        try:
            next(work)
        except StopIteration as end:
            result: NotebookRun = end.value
            return result


def only_notebook(result: NotebookRun) -> NotebookResult:
    """Return the result of the run's only notebook."""
    (outcome,) = result.notebooks
    return outcome


def test_a_dead_kernel_is_an_error_and_the_rest_is_skipped(
    runner: NotebookRunner, tmp_path: Path
) -> None:
    first = write_notebook(
        tmp_path, "00-dying", 'deployment = "x"', "import os; os.kill(os.getpid(), 9)"
    )
    second = write_notebook(tmp_path, "01-after", 'deployment = "x"')
    result = run(runner, first, second)
    assert [(outcome.status, outcome.code) for outcome in result.notebooks] == [
        ("failed", "JK-KERNEL-DIED"),
        ("skipped", ""),
    ]
    assert not result.ok


def test_an_error_of_jarkkit_keeps_its_code_and_fix(runner: NotebookRunner, tmp_path: Path) -> None:
    cell = (
        "from jarkkit.model.errors import JarkkitError\n"
        'raise JarkkitError("JK-CONFIRM", "Not typed.", "Type it.")'
    )
    path = write_notebook(tmp_path, "00-ours", 'deployment = "x"', cell)
    outcome = only_notebook(run(runner, path))
    assert (outcome.status, outcome.code, outcome.message, outcome.fix) == (
        "failed", "JK-CONFIRM", "Not typed.", "Type it.",
    )  # fmt: skip
    text = (runner.workspace.folder / "notebooks" / path.name).read_text()
    assert "Traceback" not in text


def test_any_other_error_is_a_failed_notebook(runner: NotebookRunner, tmp_path: Path) -> None:
    outcome = only_notebook(
        run(runner, write_notebook(tmp_path, "00-other", 'deployment = "x"', "1 / 0"))
    )
    assert (outcome.status, outcome.code) == ("failed", "JK-NOTEBOOK-FAILED")
    assert "ZeroDivisionError" in outcome.message


def test_a_notebook_that_exits_early_has_failed(runner: NotebookRunner, tmp_path: Path) -> None:
    path = write_notebook(tmp_path, "00-exit", 'deployment = "x"', "import sys; sys.exit(0)", "1")
    outcome = only_notebook(run(runner, path))
    assert (outcome.status, outcome.code) == ("failed", "JK-NOTEBOOK-FAILED")


def test_an_interrupt_reaches_the_cell(runner: NotebookRunner, tmp_path: Path) -> None:
    path = write_notebook(tmp_path, "00-long", 'deployment = "x"', "import time; time.sleep(600)")

    def press_stop() -> None:
        wait_for(lambda: CurrentPythonKernel._pid, 30)
        time.sleep(3)  # until the cell is running
        CurrentPythonKernel.interrupt()

    stopper = threading.Thread(target=press_stop)
    stopper.start()
    began = time.monotonic()
    outcome = only_notebook(run(runner, path))
    stopper.join()
    assert (outcome.status, outcome.code) == ("failed", "JK-INTERRUPTED")
    assert time.monotonic() - began < 500


@pytest.mark.parametrize("launched", [False, True])
def test_an_interrupt_while_the_kernel_starts_ends_the_run(
    tmp_path: Path, *, launched: bool
) -> None:
    ran = tmp_path / "ran"
    path = write_notebook(tmp_path, "00-any", f"open({str(ran)!r}, 'w').close()")
    execution = _Execution(path, tmp_path / "executed.ipynb", {}, dict(os.environ))
    execution.start()
    kernel = wait_for(lambda: CurrentPythonKernel._pid, 30, pause=0.01) if launched else None
    execution.interrupt()
    execution.join()
    assert execution.error is not None
    assert execution.error.code == "JK-INTERRUPTED"
    assert not ran.exists()
    assert kernel is None or not psutil.pid_exists(kernel)
    assert not [child for child in psutil.Process().children() if is_kernel(child)]


def is_kernel(process: psutil.Process) -> bool:
    """Return True if the process is a kernel."""
    return "ipykernel_launcher" in process.cmdline()


def test_no_further_cell_runs_after_an_interrupt(tmp_path: Path) -> None:
    begun, ran = tmp_path / "begun", tmp_path / "ran"
    path = write_notebook(
        tmp_path,
        "00-any",
        f"import contextlib, time; open({str(begun)!r}, 'w').close()\n"
        "with contextlib.suppress(KeyboardInterrupt):\n    time.sleep(600)",
        f"open({str(ran)!r}, 'w').close()",
    )
    execution = _Execution(path, tmp_path / "executed.ipynb", {}, dict(os.environ))
    execution.start()
    wait_for(begun.exists, 60)
    execution.interrupt()
    execution.join()
    assert execution.error is not None
    assert execution.error.code == "JK-INTERRUPTED"
    assert not ran.exists()


def test_a_kernel_without_a_running_cell_is_not_interrupted(
    runner: NotebookRunner, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    # papermill's last request. A kernel on a busy machine is still in its handler after the reply.
    cell = (
        "import time\n"
        "handlers = get_ipython().kernel.shell_handlers\n"
        "answer = handlers['kernel_info_request']\n"
        "async def answer_slowly(*message):\n"
        "    await answer(*message)\n"
        "    time.sleep(1)\n"
        "handlers['kernel_info_request'] = answer_slowly"
    )
    assert run(runner, write_notebook(tmp_path, "00-any", 'deployment = "x"', cell)).ok
    assert "KeyboardInterrupt" not in capfd.readouterr().err


def test_sensitive_values_are_redacted_in_the_executed_notebook(
    runner: NotebookRunner, tmp_path: Path
) -> None:
    source = f"print('123456789012', 'very-secret-word', {str(tmp_path)!r})"
    path = write_notebook(tmp_path, "00-chatty", 'deployment = "x"', source)
    assert only_notebook(run(runner, path)).status == "ok"
    executed = runner.workspace.folder / "notebooks" / path.name
    text = executed.read_text()
    for word in ("123456789012", "very-secret-word", str(tmp_path)):
        assert word not in text.replace(source, "")
    assert executed.stat().st_mode & 0o777 == 0o600


def test_jupyter_trusts_an_executed_notebook(
    runner: NotebookRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "data"))
    assert run(runner, write_notebook(tmp_path, "00-any", 'deployment = "x"')).ok
    executed = runner.workspace.folder / "notebooks" / "00-any.ipynb"
    with contextlib.closing(NotebookNotary(data_dir=str(tmp_path / "data"))) as notary:
        assert notary.check_signature(nbformat.read(str(executed), as_version=4))


def test_a_notebook_runs_without_access_to_the_data_folder_of_jupyter(
    runner: NotebookRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "data").write_text("a file, no folder")
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "data"))
    assert run(runner, write_notebook(tmp_path, "00-any", 'deployment = "x"')).ok
