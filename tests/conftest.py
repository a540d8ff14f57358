"""What all tests share: an environment without the user's AWS, and sandboxes that end with them.

These sandboxes have no control planes; the tests in tests/clusters/ start real ones.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from jarkkit.model.errors import JarkkitError
from jarkkit.ports.paths import user_cache, with_programs
from jarkkit.ports.terraform import find_tool
from jarkkit.sandbox import daemon_client
from jarkkit.sandbox.kubernetes.toolchain import AWS_LAYER, Toolchain
from tests.support import no_skips, scheduling

# A shell's background jobs ignore Ctrl-C, and children inherit that; the tests' must receive it.
signal.signal(signal.SIGINT, signal.default_int_handler)
# kubectl is that of the Python environment, as in JupyterLab.
os.environ["PATH"] = with_programs(os.environ)["PATH"]

# How long an example takes says nothing on a busy machine.
hypothesis.settings.register_profile("jarkkit", deadline=None)
hypothesis.settings.load_profile("jarkkit")

# The marker of the tests in each folder.
FOLDERS = {
    "sandbox": "account",
    "clusters": "cluster",
    "contract": "cluster",
    "e2e": "e2e",
    "browser": "browser",
}


# What needs the packages of the extra `sandbox`.
NEEDS_EXTRA = {*FOLDERS, "unit/sandbox"}


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that shows that the library's tests need no more than the library."""
    parser.addoption(
        "--without-sandbox",
        action="store_true",
        help="run the library's tests as without the packages of the extra `sandbox`",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Make the imports of these packages fail, and skipped tests if the environment asks for it."""
    if os.environ.get("NO_SKIPS") == "1":
        config.pluginmanager.register(no_skips)
    if config.getoption("without_sandbox"):
        for name in daemon_client.EXTRA:
            # None makes an import fail, as Python documents; its type stubs do not know that.
            sys.modules[name.replace("-", "_")] = None  # type: ignore[assignment]


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave out the folders that need them."""
    folder = collection_path.relative_to(Path(__file__).parent).as_posix()
    return True if config.getoption("without_sandbox") and folder in NEEDS_EXTRA else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark every test with what it needs, so that `-m` can deselect it; sort the tests."""
    tests = Path(__file__).parent
    for item in items:
        folder = item.path.relative_to(tests).parts[0]
        if folder in FOLDERS:
            item.add_marker(FOLDERS[folder])
        if {"sandbox", "slow_sandbox"} & set(getattr(item, "fixturenames", ())):
            item.add_marker("account")
    if config.getoption("without_sandbox"):
        items[:] = [item for item in items if item.get_closest_marker("account") is None]
    items.sort(key=lambda item: scheduling.rank(item.nodeid))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> scheduling.ByUnit | None:
    """Return the scheduler that keeps files with a shared, costly fixture on one worker."""
    return scheduling.ByUnit(config, log) if config.getvalue("dist") == "loadfile" else None


def _sandbox(home: Path, speed: float) -> Iterator[daemon_client.RunningSandbox]:
    running = daemon_client.start(home, speed=speed, account_only=True)
    yield running
    daemon_client.stop(home)


@pytest.fixture(scope="session")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[daemon_client.RunningSandbox]:
    """A sandbox account where everything happens at once. It is shared: use unique names."""
    yield from _sandbox(tmp_path_factory.mktemp("sandbox"), 0.0)


@pytest.fixture(scope="session")
def slow_sandbox(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[daemon_client.RunningSandbox]:
    """A sandbox account where a cluster takes seven seconds, to catch it half-created."""
    yield from _sandbox(tmp_path_factory.mktemp("slow"), 80.0)


@pytest.fixture(scope="session")
def tofu() -> str:
    """The path of OpenTofu: of this machine, or what `make test` built."""
    built = Toolchain(user_cache(), ignore_installed=True).describe(AWS_LAYER)
    path = shutil.which("tofu") or next((str(p.path) for p in built if p.path), None)
    if path is None:
        pytest.skip("needs OpenTofu: jarkkit sandbox setup --only-opentofu")
    return path


@pytest.fixture(scope="session")
def terraform() -> str:
    """The path of the Terraform or OpenTofu that jarkkit uses; tests are skipped without one."""
    try:
        return find_tool(os.environ).path
    except JarkkitError as error:
        pytest.skip(error.message)
