"""JupyterLab as a user sees it in the browser: notebooks, cells and menus."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import Locator, Page

from tests.support.poll import wait_for

_READY_SECONDS = 240.0
THEMES = {"light": "JupyterLab Light", "dark": "JupyterLab Dark"}
SIZES = {"1280x800": (1280, 800), "1920x1080": (1920, 1080)}


@dataclass
class Cell:
    """A code cell."""

    page: Page
    locator: Locator

    @property
    def output(self) -> Locator:
        """The cell's output area."""
        return self.locator.locator(".jp-Cell-outputArea")

    def run(self) -> Cell:
        """Run the cell with Shift-Enter; do not wait."""
        self.locator.locator(".cm-content").click()
        self.page.keyboard.press("Shift+Enter")
        return self

    def wait_until_run(self, seconds: float = 60.0) -> Cell:
        """Wait until the cell has run."""
        prompt = self.locator.locator(".jp-InputPrompt").first
        wait_for(
            lambda: re.fullmatch(r"\[\d+\]:", prompt.inner_text().strip()),
            seconds,
            sleep=self.wait_seconds,
            saying=prompt.inner_text,
        )
        return self

    def wait_seconds(self, seconds: float) -> None:
        """Wait; the browser keeps working."""
        self.page.wait_for_timeout(1000 * seconds)

    def wait_until_ok(self, seconds: float = 60.0) -> Cell:
        """Wait until the cell has run without an error."""
        self.wait_until_run(seconds)
        error = self.output.locator("[data-mime-type='application/vnd.jupyter.stderr']")
        assert not error.count(), error.first.inner_text()
        return self


class Notebook:
    """The open notebook."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.locator = page.locator(".jp-NotebookPanel:not(.lm-mod-hidden)")

    def wait(self) -> Notebook:
        """Wait until the notebook's kernel is ready."""
        self.locator.locator(".jp-CodeCell").first.wait_for()
        self.page.locator(".jp-Spinner").first.wait_for(state="detached")
        self.idle()
        return self

    def idle(self, seconds: float = _READY_SECONDS) -> None:
        """Wait until the notebook's kernel is idle."""
        status_bar = self.page.get_by_text(re.compile(r"\| Idle$"))
        status_bar.wait_for(timeout=seconds * 1000)

    def cell(self, code: str) -> Cell:
        """Return the first code cell that contains this code, scrolled into view."""
        found = self.locator.locator(".jp-CodeCell").filter(
            has=self.page.locator(".jp-InputArea .cm-content", has_text=code)
        )
        found.first.scroll_into_view_if_needed()
        return Cell(self.page, found.first)

    def run(self, *code: str, seconds: float = 60.0) -> Cell:
        """Run cells one after the other, each to its end and without an error; return the last."""
        for snippet in code:
            cell = self.cell(snippet).run().wait_until_ok(seconds)
        return cell

    def use_deployment(self, deployment: str) -> Notebook:
        """Write a deployment's name into the parameters cell and run the cell."""
        source = self.cell("deployment = ").locator.locator(".cm-content")
        text = source.inner_text().replace('"demo"', f'"{deployment}"')
        source.click()
        self.page.keyboard.press("Control+a")
        self.page.keyboard.insert_text(text)
        self.page.keyboard.press("Shift+Enter")
        self.cell(f'deployment = "{deployment}"').wait_until_ok()
        return self

    def run_all(self) -> None:
        """Run all cells through the menu."""
        self._menu("Run", "Run All Cells")

    def save(self) -> None:
        """Save the notebook with the keyboard."""
        self.page.keyboard.press("Escape")
        self.page.keyboard.press("Control+s")
        self.page.locator(".lm-TabBar-tab.lm-mod-current.jp-mod-dirty").wait_for(state="detached")

    def restart_kernel(self) -> None:
        """Restart the kernel through the menu and confirm."""
        self._menu("Kernel", "Restart Kernel…")
        self.page.locator(".jp-Dialog").get_by_role("button", name="Confirm Kernel Restart").click()
        self.page.locator(".jp-Dialog").wait_for(state="detached")
        self.idle()

    def theme(self, name: str) -> None:
        """Choose the light or the dark theme in the menu."""
        self._menu("Settings", "Theme", THEMES[name])
        self.page.locator(f"body[data-jp-theme-name='{THEMES[name]}']").wait_for(state="attached")

    def _menu(self, *path: str) -> None:
        bar, *items = path
        self.page.locator(".lm-MenuBar-item", has_text=bar).click()
        for item in items:
            exact_label = re.compile(rf"^{re.escape(item)}$")
            label = self.page.locator(".lm-Menu-itemLabel").filter(has_text=exact_label)
            label.last.click()


class Lab:
    """The pages of one server in one browser.

    Args:
        address: the address of the first notebook, with the token.
        screenshots: the folder of the screenshots.
    """

    def __init__(self, page: Page, address: str, screenshots: Path) -> None:
        self.page, self.address, self.screenshots = page, address, screenshots

    def first(self) -> Notebook:
        """Open the server's start page, which is the first notebook."""
        self.page.goto(self.address)
        return Notebook(self.page).wait()

    def open(self, name: str) -> Notebook:
        """Open a notebook by its name."""
        url = urlsplit(self.address)
        folder = url.path.rpartition("/")[0]
        self.page.goto(
            url._replace(path=f"{folder}/{name}.ipynb", query=f"reset&{url.query}").geturl()
        )
        return Notebook(self.page).wait()

    def screenshot(self, name: str, element: Locator) -> None:
        """Save screenshots in two sizes and both themes, with an element at the top."""
        for theme in THEMES:
            Notebook(self.page).theme(theme)
            for size, (width, height) in SIZES.items():
                self.page.set_viewport_size({"width": width, "height": height})
                element.evaluate("element => element.scrollIntoView({block: 'start'})")
                self.page.wait_for_timeout(250)  # until the page is drawn again
                self.page.screenshot(path=self.screenshots / f"{name}-{size}-{theme}.png")
