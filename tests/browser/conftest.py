"""JupyterLab with a sandbox account, shown in Debian's Chromium.

Everything is on loopback. `JARKKIT_SCREENSHOTS` names a folder for the screenshots; otherwise they
are in the tests' own temporary folder, which pytest keeps for some runs.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from jarkkit.sandbox import daemon_client
from tests.browser.server import Server
from tests.support.account import CLEAN
from tests.support.deployments import jarkkit_command
from tests.support.poll import wait_for

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from tests.browser.pages import Lab

CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM_FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
# A cluster takes 27 seconds, a deploy more than a minute: long enough to watch and to stop,
# also on a busy machine.
SPEED = 20.0
# How long a page may take to show something on a busy machine.
TIMEOUT_MS = 240_000


@pytest.fixture(scope="session")
def chromium() -> str:
    """The browser's program; the tests are skipped where it or its driver is missing."""
    if importlib.util.find_spec("playwright") is None:
        pytest.skip("needs the package playwright (in requirements.txt)")
    found = next((path for name in CHROMIUM_NAMES if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip(f"needs one of {', '.join(CHROMIUM_NAMES)} on PATH (apt-get install chromium)")
    return found


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    """A browser that ends with the module: the event loop of its driver disturbs other tests."""
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=TIMEOUT_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, terraform: str) -> Iterator[Server]:
    """JupyterLab in a new user's home, with a sandbox whose resources take time."""
    home, user = tmp_path_factory.mktemp("lab"), tmp_path_factory.mktemp("user")
    environ = {**CLEAN, "HOME": str(user), "JARKKIT_HOME": str(home)}
    daemon_client.start(home / ".sandbox", speed=SPEED, account_only=True)
    log = home / "lab.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            jarkkit_command("lab", "--sandbox", "--no-browser"),
            cwd=home,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    server = Server(home, user, process, log)
    _wait_for(home / ".lab" / "address", process)
    yield server
    process.terminate()
    process.wait(120)
    daemon_client.stop(home / ".sandbox")


@pytest.fixture
def lab(browser: Browser, server: Server, screenshots: Path) -> Iterator[Lab]:
    """A new browser window, as for a user's first visit."""
    from tests.browser.pages import Lab

    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.set_default_timeout(TIMEOUT_MS)
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield Lab(page, server.address, screenshots)
    page.close()
    assert not errors


@pytest.fixture(scope="session")
def screenshots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the screenshots."""
    if folder := os.environ.get("JARKKIT_SCREENSHOTS"):
        Path(folder).mkdir(parents=True, exist_ok=True)
        return Path(folder)
    return tmp_path_factory.mktemp("screenshots")


def _wait_for(path: Path, process: subprocess.Popen[bytes]) -> None:
    def is_written() -> bool:
        assert process.poll() is None, "JupyterLab has ended"
        return path.exists()

    wait_for(is_written, 60)
