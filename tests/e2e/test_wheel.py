"""The wheel works without the clone: notebooks, Terraform and data travel with it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
import zipfile
from pathlib import Path

import pytest

from tests.conftest import CLEAN

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the wheel is installed, and nothing of the clone."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    built = ["wheel", "--no-deps", "--no-build-isolation", "-w", str(folder / "dist"), str(ROOT)]
    subprocess.run([*pip, *built], check=True, capture_output=True)
    (wheel,) = (folder / "dist").glob("jarkkit-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def command(installed: Path, home: Path, *words: str) -> tuple[list[str], dict[str, str]]:
    """The line and environment that run the installed kit."""
    line = [sys.executable, "-c", "from jarkkit.cli import main; main()", *words]
    return line, {**CLEAN, "PYTHONPATH": str(installed), "JARKKIT_HOME": str(home)}


def test_it_carries_everything(installed: Path) -> None:
    for name in (
        "jarkkit/assets/notebooks/00-start.ipynb",
        "jarkkit/assets/terraform/modules/cluster/main.tf",
        "jarkkit/addons/catalog/vpc-cni.yaml",
        "jarkkit/sandbox/__main__.py",
    ):
        assert (installed / name).is_file(), name
    assert not list(installed.rglob("*.tfstate*"))


def test_a_plan_can_be_made_with_it(installed: Path, tmp_path: Path, terraform: str) -> None:
    line, environ = command(installed, tmp_path, "run", "demo", "--sandbox", "--to", "03")
    done = subprocess.run(
        line, cwd=tmp_path, env=environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "deployments/demo/plan.tfplan").is_file()


def test_the_lab_opens_at_the_first_notebook(installed: Path, tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    line, environ = command(installed, tmp_path, "lab", "--no-browser", "--port", str(port))
    with (tmp_path / "lab.log").open("wb") as log:
        lab = subprocess.Popen(
            line, cwd=tmp_path, env=environ, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
    try:
        address = _address(tmp_path, port, lab)
        with urllib.request.urlopen(address, timeout=20) as answer:
            assert answer.status == 200
        assert "/lab/tree/notebooks/00-start.ipynb" in address
        assert (tmp_path / "notebooks/08-cleanup.ipynb").is_file()
    finally:
        lab.terminate()
        lab.wait(timeout=30)


def _address(home: Path, port: int, lab: subprocess.Popen[bytes]) -> str:
    """The address with its token, which is in a file of the user's alone and never in the log."""
    log, file = home / "lab.log", home / ".lab/address"
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline and not file.is_file():
        assert lab.poll() is None, log.read_text()
        time.sleep(0.3)
    address = file.read_text().strip()
    assert address.startswith(f"http://127.0.0.1:{port}/lab/tree")
    assert "token=" in address
    assert "token=" not in log.read_text()
    assert file.stat().st_mode & 0o077 == 0
    return address


def test_the_editable_install_shows_the_clones_own_files() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from jarkkit.home import *; print(notebooks_folder())"],
        cwd="/",
        env={**CLEAN, "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=True,
    )
    assert Path(done.stdout.strip()) == ROOT / "notebooks"
