"""JupyterLab as somebody at the screen sees it: notebooks, cells, menus."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import Locator, Page

_READY_SECONDS = 60.0
THEMES = {"light": "JupyterLab Light", "dark": "JupyterLab Dark"}
SIZES = {"1280x800": (1280, 800), "1920x1080": (1920, 1080)}


@dataclass
class Cell:
    """A code cell."""

    page: Page
    at: Locator

    @property
    def output(self) -> Locator:
        """What it shows."""
        return self.at.locator(".jp-Cell-outputArea")

    def run(self) -> Cell:
        """Run it, as Shift-Enter does, and do not wait."""
        self.at.locator(".cm-content").click()
        self.page.keyboard.press("Shift+Enter")
        return self

    def done(self, seconds: float = 60.0) -> Cell:
        """Wait until it has run."""
        prompt = self.at.locator(".jp-InputPrompt").first
        deadline = time.monotonic() + seconds
        while not re.fullmatch(r"\[\d+\]:", prompt.inner_text().strip()):
            assert time.monotonic() < deadline, f"still {prompt.inner_text()!r}"
            self.page.wait_for_timeout(100)
        return self

    def ok(self, seconds: float = 60.0) -> Cell:
        """Wait until it has run, and without an error."""
        self.done(seconds)
        error = self.output.locator("[data-mime-type='application/vnd.jupyter.stderr']")
        assert not error.count(), error.first.inner_text()
        return self


class Notebook:
    """The notebook that is open."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.at = page.locator(".jp-NotebookPanel:not(.lm-mod-hidden)")

    def wait(self) -> Notebook:
        """Until its kernel is ready."""
        self.at.locator(".jp-CodeCell").first.wait_for()
        self.page.locator(".jp-Spinner").first.wait_for(state="detached")
        self.idle()
        return self

    def idle(self, seconds: float = _READY_SECONDS) -> None:
        """Wait until its kernel has nothing to do."""
        at = self.page.get_by_text(re.compile(r"\| Idle$"))
        at.wait_for(timeout=seconds * 1000)

    def cell(self, words: str) -> Cell:
        """The first code cell with those words in it, scrolled into sight."""
        found = self.at.locator(".jp-CodeCell").filter(
            has=self.page.locator(".jp-InputArea .cm-content", has_text=words)
        )
        found.first.scroll_into_view_if_needed()
        return Cell(self.page, found.first)

    def run(self, *words: str, seconds: float = 60.0) -> Cell:
        """Run cells one after the other, each to its end and without an error."""
        for each in words:
            cell = self.cell(each).run().ok(seconds)
        return cell

    def about(self, deployment: str) -> Notebook:
        """Write another deployment's name into the cell of parameters, and run it."""
        source = self.cell("deployment = ").at.locator(".cm-content")
        text = source.inner_text().replace('"demo"', f'"{deployment}"')
        source.click()
        self.page.keyboard.press("Control+a")
        self.page.keyboard.insert_text(text)
        self.page.keyboard.press("Shift+Enter")
        self.cell(f'deployment = "{deployment}"').ok()
        return self

    def run_all(self) -> None:
        """By the menu."""
        self._menu("Run", "Run All Cells")

    def save(self) -> None:
        """By the keyboard."""
        self.page.keyboard.press("Escape")
        self.page.keyboard.press("Control+s")
        self.page.locator(".lm-TabBar-tab.lm-mod-current.jp-mod-dirty").wait_for(state="detached")

    def restart_kernel(self) -> None:
        """By the menu, and confirmed."""
        self._menu("Kernel", "Restart Kernel…")
        self.page.locator(".jp-Dialog").get_by_role("button", name="Confirm Kernel Restart").click()
        self.page.locator(".jp-Dialog").wait_for(state="detached")
        self.idle()

    def theme(self, name: str) -> None:
        """Choose light or dark by the menu."""
        self._menu("Settings", "Theme", THEMES[name])
        self.page.locator(f"body[data-jp-theme-name='{THEMES[name]}']").wait_for(state="attached")

    def _menu(self, *path: str) -> None:
        bar, *items = path
        self.page.locator(".lm-MenuBar-item", has_text=bar).click()
        for item in items:
            exactly = re.compile(rf"^{re.escape(item)}$")
            label = self.page.locator(".lm-Menu-itemLabel").filter(has_text=exactly)
            label.last.click()


class Lab:
    """The pages of one server in one browser.

    Args:
        address: of the first notebook, with the token.
        pictures: where screenshots are kept.
    """

    def __init__(self, page: Page, address: str, pictures: Path) -> None:
        self.page, self.address, self.pictures = page, address, pictures

    def first(self) -> Notebook:
        """What opens when nothing else is said."""
        self.page.goto(self.address)
        return Notebook(self.page).wait()

    def open(self, name: str) -> Notebook:
        """A notebook by its name, alone."""
        url = urlsplit(self.address)
        folder = url.path.rpartition("/")[0]
        self.page.goto(
            url._replace(path=f"{folder}/{name}.ipynb", query=f"reset&{url.query}").geturl()
        )
        return Notebook(self.page).wait()

    def picture(self, name: str, at: Locator) -> None:
        """The screen in two sizes and both themes, with a place at its top."""
        for theme in THEMES:
            Notebook(self.page).theme(theme)
            for size, (width, height) in SIZES.items():
                self.page.set_viewport_size({"width": width, "height": height})
                at.evaluate("place => place.scrollIntoView({block: 'start'})")
                self.page.wait_for_timeout(250)  # until it is drawn anew
                self.page.screenshot(path=self.pictures / f"{name}-{size}-{theme}.png")
