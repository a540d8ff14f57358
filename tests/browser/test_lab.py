"""`jarkkit lab`: who can reach it, and what it leaves behind."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import psutil

from tests.browser.pages import Lab, Notebook
from tests.browser.server import Server


def test_the_lab_opens_the_first_notebook_with_jarkkits_kernel(lab: Lab) -> None:
    notebook = lab.first()
    assert lab.page.url.endswith("/lab/tree/notebooks/00-start.ipynb")
    assert notebook.locator.locator(".jp-Toolbar-kernelName").inner_text() == "jarkkit"
    notebook.run_all()
    contents = notebook.cell("ui.contents(jark)").wait_until_ok()
    notebook.cell("ui.check(").wait_until_ok()
    assert "✔ done" in contents.output.locator("tr", has_text="00 · Start").inner_text()
    lab.screenshot("00-start", contents.locator)
    contents.output.get_by_role("link", name="01 · Preflight").click()
    lab.page.locator(".lm-TabBar-tab.lm-mod-current", has_text="01-preflight.ipynb").wait_for()
    Notebook(lab.page).wait()


def test_the_lab_does_not_offer_jupyter_news(lab: Lab) -> None:
    lab.first()
    assert not lab.page.get_by_text("Jupyter news").count()


def test_the_token_is_in_no_log_and_on_no_command_line(server: Server) -> None:
    (token,) = parse_qs(urlsplit(server.address).query)["token"]
    assert token not in server.log.read_text()
    for process in server.processes:
        assert token not in " ".join(process.cmdline())
    private = server.home / ".lab"
    assert private.stat().st_mode & 0o077 == 0
    for name in ("token", "address"):
        assert (private / name).stat().st_mode & 0o077 == 0


def test_the_lab_listens_only_on_loopback(server: Server) -> None:
    listening = {
        connection.laddr.ip
        for process in server.processes
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }
    assert listening == {"127.0.0.1"}


def test_the_lab_writes_nothing_to_the_users_jupyter_folders(server: Server) -> None:
    data, settings = server.user / ".local" / "share" / "jupyter", server.user / ".jupyter"
    for path in (data / "kernels", data / "runtime", settings / "lab" / "workspaces"):
        assert not path.exists()
