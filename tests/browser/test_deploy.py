"""A rehearsed deploy at the screen: watched, stopped, taken up again, left and found again; and the
same notebooks with nobody there."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import nbformat
import pytest
from playwright.sync_api import Locator, expect

from jarkkit.checks import Report
from jarkkit.kit import Kit
from tests.browser.conftest import Server
from tests.browser.pages import Cell, Lab, Notebook
from tests.e2e.conftest import BARE, Place

NAME = "watched"


@pytest.fixture(scope="module")
def place(server: Server) -> Place:
    """A small deployment."""
    return server.deployment(NAME, **BARE)


def started(notebook: Notebook) -> Cell:
    """The cell that starts the deploy, run: at once the kernel is free again."""
    return notebook.about(NAME).run("ui.start(kit.deploy)")


def head(cell: Cell) -> Locator:
    return cell.output.locator("strong", has_text=re.compile("^deploy: "))


def done(cell: Cell) -> int:
    """How far the bar is."""
    return int(cell.output.get_by_role("progressbar").get_attribute("aria-valuenow") or 0)


def wait_until_done(cell: Cell, count: int) -> None:
    bar = cell.output.get_by_role("progressbar")
    deadline = time.monotonic() + 60
    while not bar.count() or done(cell) < count:
        assert time.monotonic() < deadline, cell.output.inner_text()
        cell.page.wait_for_timeout(100)


def test_preflight_and_plan(lab: Lab, place: Place) -> None:
    lab.open("01-preflight").about(NAME).run("kit = ui.resume", "kit.preflight()", "must_pass")
    plan = lab.open("03-plan").about(NAME)
    plan.run("kit.plan()", "ui.summary(plan)", "ui.must(", seconds=120)
    assert place.kit.status().state == "planned"


def test_a_deploy_is_watched_stopped_and_taken_up_again(lab: Lab, place: Place) -> None:
    notebook = lab.open("04-deploy")
    cell = started(notebook)
    expect(head(cell)).to_have_text("deploy: under way")
    wait_until_done(cell, 3)

    other = notebook.cell("ui.picture(kit)").run().ok(10)  # the kernel is not busy
    assert other.output.locator("img").count()

    waiting = notebook.cell("await building").run()
    wait_until_done(cell, 10)
    assert cell.output.locator("td", has_text="created").count() >= 3
    cell.output.get_by_text("What Terraform wrote").click()
    cell.output.get_by_text("Creation complete").first.wait_for()
    cell.output.get_by_text("What Terraform wrote").click()
    lab.picture("04-under-way", cell.at)

    cell.output.get_by_role("button", name="Stop").click()
    expect(head(cell)).to_have_text("deploy: stopped", timeout=60_000)
    assert "JK-INTERRUPTED" in cell.output.inner_text()
    assert "JK-INTERRUPTED" in waiting.done().output.inner_text()
    assert place.kit.entries()[-1].status == "interrupted"

    cell = notebook.run("ui.start(kit.deploy)")
    expect(head(cell)).to_have_text("deploy: under way")
    notebook.save()


def test_a_page_that_is_loaded_anew_and_a_new_kernel_find_the_deploy(
    lab: Lab, place: Place
) -> None:
    notebook = lab.open("04-deploy")
    cell = notebook.cell("ui.start(kit.deploy)")
    expect(head(cell)).to_have_text("deploy: under way")  # the last test's

    pid = place.kit.entries()[-1].pid
    notebook.restart_kernel()
    cell = started(notebook)
    expect(head(cell)).to_have_text(re.compile("under way|done"))
    notebook.run("await building", seconds=120)
    expect(head(cell)).to_have_text("deploy: done")
    begun = [e.pid for e in place.kit.entries() if e.step == "deploy" and e.status == "started"]
    assert begun[-1] == pid  # nothing was started anew
    notebook.run("ui.picture(kit)", "ui.summary(deployed)", "ui.must(")
    lab.picture("04-done", cell.at)


def test_what_is_saved_reads_without_widgets(lab: Lab, server: Server, place: Place) -> None:
    notebook = lab.open("04-deploy")
    started(notebook)  # once more: everything is there, nothing is changed
    notebook.run("await building", seconds=120)
    notebook.save()
    path = server.home / "notebooks" / "04-deploy.ipynb"
    (shown,) = outputs(path, "ui.start(kit.deploy)")
    assert set(shown.data) == {"text/html", "text/plain"}
    for form in shown.data.values():
        assert "deploy: done" in form
    account = place.kit.where_am_i().account_id
    text = path.read_text()
    assert account not in text
    assert str(server.home) not in text
    assert str(server.user) not in text


def outputs(path: Path, words: str) -> list[nbformat.NotebookNode]:
    book = nbformat.read(str(path), as_version=4)
    (cell,) = [c for c in book.cells if words in c.source and c.cell_type == "code"]
    return list(cell.outputs)


def test_it_is_verified_and_cleaned_up(lab: Lab, server: Server, place: Place) -> None:
    server.hurry()
    place = server.place(NAME)
    notebook = lab.open("05-verify").about(NAME)
    report = notebook.run("kit.verify(").at
    notebook.run("report.must_pass")
    lab.picture("05-verify", report)

    notebook = lab.open("08-cleanup").about(NAME)
    typed = notebook.run("ui.confirmation(").output.get_by_label(re.compile("to destroy it"))
    typed.fill(NAME)
    lab.page.keyboard.press("Tab")
    cell = notebook.run("ui.start(kit.cleanup")
    notebook.run("await removing", seconds=180)
    notebook.run("ui.summary(receipt)", "kit.proof()", "ui.must(")
    lab.picture("08-cleanup", cell.at)
    assert place.kit.status().state == "removed"
    assert place.in_account() == {}


def test_with_nobody_there_the_notebooks_come_to_the_same(server: Server) -> None:
    name = "unwatched"
    unwatched = server.deployment(name, **BARE)
    unwatched.ok("run", name)
    assert results(unwatched.kit) == results(server.place(NAME).kit)


def results(kit: Kit) -> dict[str, Any]:
    """What a deployment came to, without its name and what differs from day to day."""
    plan, receipt = kit.planned(), kit.last_receipt()
    assert plan is not None
    assert receipt is not None
    return {
        "settings": {**kit.settings.model_dump(), "name": ""},
        "preflight": answers(kit.last_report("preflight"), found=False),
        "plan": sorted((change.address, change.action) for change in plan.pending),
        "verify": answers(kit.last_report("verify"), found=True),
        "receipt": (receipt.destroyed, receipt.left, receipt.looked_at, receipt.not_looked_at),
        "state": kit.status().state,
    }


def answers(report: Report | None, *, found: bool) -> list[tuple[str, ...]]:
    assert report is not None
    return [(c.name, c.status, c.found if found else "") for c in report.checks]
