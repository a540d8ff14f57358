"""A rehearsed deploy in the browser: watched, stopped, resumed, left and found again; and the same
notebooks headless."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import nbformat
import pytest
from playwright.sync_api import Locator, expect

from jarkkit.deployment import Deployment
from jarkkit.model.checks import Report
from tests.browser.pages import Cell, Lab, Notebook
from tests.browser.server import Server
from tests.support.deployments import CliDeployment
from tests.support.poll import wait_for
from tests.support.stacks import BARE

NAME = "watched"


@pytest.fixture(scope="module")
def cli_deployment(server: Server) -> CliDeployment:
    """A small deployment."""
    return server.new_cli_deployment(NAME, **BARE)


def start_deploy(notebook: Notebook) -> Cell:
    """Run the cell that starts the deploy; the kernel is idle again at once."""
    return notebook.use_deployment(NAME).run("ui.deploy_consent(", "building = ui.start(")


def headline(cell: Cell) -> Locator:
    return cell.output.locator("strong", has_text=re.compile("^deploy: "))


def progress(cell: Cell) -> int:
    """Return the value of the progress bar."""
    return int(cell.output.get_by_role("progressbar").get_attribute("aria-valuenow") or 0)


def wait_for_progress(cell: Cell, count: int) -> None:
    progress_bar = cell.output.get_by_role("progressbar")
    wait_for(
        lambda: progress_bar.count() and progress(cell) >= count,
        60,
        sleep=cell.wait_seconds,
        saying=cell.output.inner_text,
    )


def test_preflight_and_plan_succeed(lab: Lab, cli_deployment: CliDeployment) -> None:
    lab.open("01-preflight").use_deployment(NAME).run(
        "jark = ui.open", "jark.preflight()", "raise_for_failures"
    )
    plan = lab.open("03-plan").use_deployment(NAME)
    plan.run("jark.plan()", "ui.summary(plan)", "ui.check(", seconds=120)
    assert cli_deployment.deployment.status().state == "planned"


def test_a_deploy_can_be_watched_stopped_and_resumed(
    lab: Lab, cli_deployment: CliDeployment
) -> None:
    notebook = lab.open("04-deploy")
    cell = start_deploy(notebook)
    expect(headline(cell)).to_have_text("deploy: running")
    wait_for_progress(cell, 3)

    # The kernel is not busy.
    another_cell = notebook.cell("ui.picture(jark)").run().wait_until_ok()
    assert another_cell.output.locator("svg").count()

    waiting_cell = notebook.cell("await building").run()
    wait_for_progress(cell, 10)
    assert cell.output.locator("td", has_text="created").count() >= 3
    cell.output.get_by_text("Terraform output").click()
    cell.output.get_by_text("Creation complete").first.wait_for()
    cell.output.get_by_text("Terraform output").click()
    lab.screenshot("04-under-way", cell.locator)

    cell.output.get_by_role("button", name="Stop").click()
    expect(headline(cell)).to_have_text("deploy: stopped")
    assert "JK-INTERRUPTED" in cell.output.inner_text()
    assert "JK-INTERRUPTED" in waiting_cell.wait_until_run().output.inner_text()
    assert cli_deployment.deployment.ledger_entries()[-1].status == "interrupted"

    cell = notebook.run("building = ui.start(")
    expect(headline(cell)).to_have_text("deploy: running")
    notebook.save()


def test_a_reloaded_page_and_a_new_kernel_find_the_running_deploy(
    lab: Lab, cli_deployment: CliDeployment
) -> None:
    notebook = lab.open("04-deploy")
    cell = notebook.cell("building = ui.start(")
    expect(headline(cell)).to_have_text("deploy: running")  # of the previous test

    pid = cli_deployment.deployment.ledger_entries()[-1].pid
    notebook.restart_kernel()
    cell = start_deploy(notebook)
    expect(headline(cell)).to_have_text(re.compile("running|done"))
    notebook.run("await building", seconds=120)
    expect(headline(cell)).to_have_text("deploy: done")
    started_pids = [
        e.pid
        for e in cli_deployment.deployment.ledger_entries()
        if e.step == "deploy" and e.status == "started"
    ]
    assert started_pids[-1] == pid  # no second deploy was started
    notebook.run("ui.picture(jark)", "ui.summary(deployed)", "ui.check(")
    lab.screenshot("04-done", cell.locator)


def test_the_saved_notebook_is_readable_without_widgets(
    lab: Lab, server: Server, cli_deployment: CliDeployment
) -> None:
    notebook = lab.open("04-deploy")
    start_deploy(notebook)  # again: everything exists, nothing changes
    notebook.run("await building", seconds=120)
    notebook.save()
    path = server.home / "notebooks" / "04-deploy.ipynb"
    (saved_output,) = outputs(path, "building = ui.start(")
    assert set(saved_output.data) == {"text/html", "text/plain"}
    for text_form in saved_output.data.values():
        assert "deploy: done" in text_form
    account = cli_deployment.deployment.caller_identity().account_id
    text = path.read_text()
    assert account not in text
    assert str(server.home) not in text
    assert str(server.user) not in text


def outputs(path: Path, code: str) -> list[nbformat.NotebookNode]:
    book = nbformat.read(str(path), as_version=4)
    (cell,) = [c for c in book.cells if code in c.source and c.cell_type == "code"]
    return list(cell.outputs)


def test_verify_and_cleanup_succeed(
    lab: Lab, server: Server, cli_deployment: CliDeployment
) -> None:
    server.speed_up()
    cli_deployment = server.cli_deployment(NAME)
    notebook = lab.open("05-verify").use_deployment(NAME)
    report = notebook.run("jark.verify(").locator
    notebook.run("report.raise_for_failures")
    lab.screenshot("05-verify", report)

    notebook = lab.open("08-cleanup").use_deployment(NAME)
    confirmation = notebook.run("ui.confirmation(").output.get_by_label(re.compile("to destroy it"))
    confirmation.fill(NAME)
    lab.page.keyboard.press("Tab")
    cell = notebook.run("ui.start(jark.cleanup")
    notebook.run("await removing", seconds=180)
    notebook.run("ui.summary(receipt)", "jark.cleanup_report()", "ui.check(")
    lab.screenshot("08-cleanup", cell.locator)
    assert cli_deployment.deployment.status().state == "removed"
    assert cli_deployment.resource_counts() == {}


def test_a_headless_run_has_the_same_results(server: Server) -> None:
    name = "unwatched"
    headless = server.new_cli_deployment(name, **BARE)
    headless.ok("run", name)
    assert results(headless.deployment) == results(server.cli_deployment(NAME).deployment)


def results(deployment: Deployment) -> dict[str, Any]:
    """Return a deployment's results without its name and without values that change daily."""
    plan, receipt = deployment.recorded_plan(), deployment.last_receipt()
    assert plan is not None
    assert receipt is not None
    return {
        "settings": {**deployment.settings.model_dump(), "name": ""},
        "preflight": check_results(deployment.last_report("preflight"), found=False),
        "plan": sorted((change.address, change.action) for change in plan.pending),
        "verify": check_results(deployment.last_report("verify"), found=True),
        "receipt": (receipt.destroyed, receipt.left, receipt.looked_at, receipt.not_looked_at),
        "state": deployment.status().state,
    }


def check_results(report: Report | None, *, found: bool) -> list[tuple[str, ...]]:
    assert report is not None
    return [(c.name, c.status, c.found if found else "") for c in report.checks]
