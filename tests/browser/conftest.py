"""JupyterLab beside a pretend account, and Debian's Chromium that looks at it.

Everything is on loopback. `JARKKIT_SCREENSHOTS` names a folder for the pictures; otherwise they
lie in the tests' own temporary folder, which pytest keeps for some runs.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from jarkkit.sandbox import control
from tests.conftest import CLEAN, pointed_at
from tests.e2e.conftest import Place, jarkkit_command

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from tests.browser.pages import Lab

NAMES = ("chromium", "chromium-browser", "google-chrome")
SWITCHES = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
# A cluster takes eighteen seconds, a deploy most of a minute: long enough to look at, and to stop,
# also on a machine that is busy with other things.
SPEED = 30.0


@dataclass(frozen=True)
class Server:
    """A JupyterLab that `jarkkit lab` has started.

    Attributes:
        home: of the kit, with deployments and notebooks.
        user: the home of the user who started it.
        log: all that it wrote.
    """

    home: Path
    user: Path
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def address(self) -> str:
        return (self.home / ".lab" / "address").read_text().strip()

    def deployment(self, name: str, **values: Any) -> Place:
        """A deployment of its own, without what takes long."""
        place = self.place(name)
        place.make(**values)
        return place

    def place(self, name: str) -> Place:
        """One that is there."""
        sandbox = control.require(self.home / ".sandbox")
        return Place(self.home, name, pointed_at(sandbox))

    def hurry(self) -> None:
        """From now on everything happens at once: the sandbox ends, and begins with its account."""
        control.stop(self.home / ".sandbox")
        control.start(self.home / ".sandbox", account_only=True)

    @property
    def processes(self) -> list[psutil.Process]:
        """It and all that it has started."""
        own = psutil.Process(self.process.pid)
        return [own, *own.children(recursive=True)]


@pytest.fixture(scope="session")
def chromium() -> str:
    """The browser's program; the tests are skipped where it or its driver is missing."""
    if importlib.util.find_spec("playwright") is None:
        pytest.skip("needs the package playwright (in requirements.txt)")
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip(f"needs one of {', '.join(NAMES)} on PATH (apt-get install chromium)")
    return found


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    """It ends with the module: its driver keeps an event loop running, which disturbs others."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=SWITCHES)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, terraform: str) -> Iterator[Server]:
    """JupyterLab in a new home of a new user, with a sandbox that takes its time."""
    home, user = tmp_path_factory.mktemp("lab"), tmp_path_factory.mktemp("user")
    environ = {**CLEAN, "HOME": str(user), "JARKKIT_HOME": str(home)}
    control.start(home / ".sandbox", speed=SPEED, account_only=True)
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
    process.wait(30)
    control.stop(home / ".sandbox")


@pytest.fixture
def lab(browser: Browser, server: Server, pictures: Path) -> Iterator[Lab]:
    """A new window, as somebody opens it who comes for the first time today."""
    from tests.browser.pages import Lab

    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.set_default_timeout(60_000)
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield Lab(page, server.address, pictures)
    page.close()
    assert not errors


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where screenshots are kept."""
    if named := os.environ.get("JARKKIT_SCREENSHOTS"):
        Path(named).mkdir(parents=True, exist_ok=True)
        return Path(named)
    return tmp_path_factory.mktemp("screenshots")


def _wait_for(path: Path, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while not path.exists():
        assert process.poll() is None, "JupyterLab has ended"
        assert time.monotonic() < deadline, "JupyterLab does not answer"
        time.sleep(0.1)
