"""The wheel works without the clone: it contains the notebooks, Terraform modules and data."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import urllib.request
import zipfile
from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError, PathDistribution, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.support.account import CLEAN
from tests.support.poll import wait_for

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that contains the installed wheel and nothing of the clone."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    built = ["wheel", "--no-deps", "--no-build-isolation", "-w", str(folder / "dist"), str(ROOT)]
    subprocess.run([*pip, *built], check=True, capture_output=True)
    (wheel,) = (folder / "dist").glob("jarkkit-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def command(installed: Path, home: Path, *args: str) -> tuple[list[str], dict[str, str]]:
    """Return the command line and the environment that run the installed package."""
    line = [sys.executable, "-c", "from jarkkit.cli import main; main()", *args]
    return line, {**CLEAN, "PYTHONPATH": str(installed), "JARKKIT_HOME": str(home)}


def test_the_wheel_contains_all_assets(installed: Path) -> None:
    for name in (
        "jarkkit/assets/notebooks/00-start.ipynb",
        "jarkkit/assets/terraform/.opentofu.lock.hcl",
        "jarkkit/assets/terraform/.terraform.lock.hcl",
        "jarkkit/assets/terraform/modules/cluster/main.tf",
        "jarkkit/catalog/addons/vpc-cni.yaml",
        "jarkkit/catalog/prices.json",
        "jarkkit/py.typed",
        "jarkkit/sandbox/__main__.py",
    ):
        assert (installed / name).is_file(), name
    assert not list(installed.rglob("*.tfstate*"))


def requirements(package: Distribution, extras: set[str]) -> Iterator[Requirement]:
    """Yield what pip installs for a package with these extras on this machine."""
    for text in package.requires or ():
        needed = Requirement(text)
        marker = needed.marker
        if marker is None or any(marker.evaluate({"extra": extra}) for extra in {"", *extras}):
            yield needed


def all_requirements(package: Distribution, extras: set[str]) -> dict[str, Distribution]:
    """Return the installed packages that pip would install for a package, and for these."""
    found: dict[str, Distribution] = {}
    done: set[tuple[str, str]] = set()
    rest = list(requirements(package, extras))
    while rest:
        needed = rest.pop()
        name = needed.name.lower().replace("_", "-")
        wanted = {"", *needed.extras} - {extra for known, extra in done if known == name}
        if not wanted:
            continue
        done |= {(name, extra) for extra in wanted}
        try:
            found[name] = distribution(name)
        except PackageNotFoundError:
            continue  # test_the_library_works_… fails if it is needed
        rest += requirements(found[name], set(needed.extras))
    return found


SANDBOX_PACKAGES = {"flask", "flask-cors", "moto", "werkzeug"}


@pytest.fixture(scope="module")
def without_extra(installed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with links to the wheel and to what `pip install jarkkit` brings."""
    (metadata,) = installed.glob("jarkkit-*.dist-info")
    packages = all_requirements(PathDistribution(metadata), set())
    assert SANDBOX_PACKAGES & packages.keys() == set()
    folder = tmp_path_factory.mktemp("without-extra")
    for package in packages.values():
        for top in {file.parts[0] for file in package.files or () if file.parts[0] != ".."}:
            if not (folder / top).exists():
                (folder / top).symlink_to(Path(str(package.locate_file(top))))
    for path in installed.iterdir():
        (folder / path.name).symlink_to(path)
    return folder


def run_without_extra(folder: Path, home: Path, code: str) -> subprocess.CompletedProcess[str]:
    """Run code that sees these packages and the standard library, and no others."""
    line = [sys.executable, "-S", "-c", code]
    environ = {**CLEAN, "PYTHONPATH": str(folder), "JARKKIT_HOME": str(home)}
    return subprocess.run(line, cwd=home, env=environ, capture_output=True, text=True, check=False)


def jarkkit_without_extra(folder: Path, home: Path, *args: str) -> subprocess.CompletedProcess[str]:
    code = f"import sys; sys.argv = ['jarkkit', *{args!r}]; from jarkkit.cli import main; main()"
    return run_without_extra(folder, home, code)


def test_the_extra_brings_the_sandbox(installed: Path) -> None:
    (metadata,) = installed.glob("jarkkit-*.dist-info")
    packages = all_requirements(PathDistribution(metadata), {"sandbox"})
    assert packages.keys() >= SANDBOX_PACKAGES


def test_the_library_works_without_the_extra(without_extra: Path, tmp_path: Path) -> None:
    code = """
import importlib, importlib.util, pkgutil
import jarkkit

names = [m.name for m in pkgutil.walk_packages(jarkkit.__path__, "jarkkit.")]
for name in names:
    if not name.startswith("jarkkit.sandbox.") and not name.endswith("__main__"):
        importlib.import_module(name)
from jarkkit import Deployment, Settings
print(len(names), Settings(name="demo").name, importlib.util.find_spec("moto"))
"""
    done = run_without_extra(without_extra, tmp_path, code)
    assert done.returncode == 0, done.stderr
    number, name, moto = done.stdout.split()
    assert int(number) > 300
    assert (name, moto) == ("demo", "None")


@pytest.mark.parametrize("args", [("--help",), ("sandbox", "--help"), ("sandbox", "fault")])
def test_the_command_line_works_without_the_extra(
    without_extra: Path, tmp_path: Path, args: tuple[str, ...]
) -> None:
    done = jarkkit_without_extra(without_extra, tmp_path, *args)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout


def test_the_status_of_no_sandbox_is_an_answer_without_the_extra(
    without_extra: Path, tmp_path: Path
) -> None:
    assert (
        "JK-SANDBOX-MISSING"
        in jarkkit_without_extra(without_extra, tmp_path, "sandbox", "status").stderr
    )


@pytest.mark.parametrize(
    "args", [("sandbox", "up", "--account-only"), ("run", "demo", "--sandbox", "--to", "00")]
)
def test_a_rehearsal_without_the_extra_names_it(
    without_extra: Path, tmp_path: Path, args: tuple[str, ...]
) -> None:
    done = jarkkit_without_extra(without_extra, tmp_path, *args)
    assert done.returncode == 1
    assert "JK-SANDBOX-EXTRA" in done.stderr
    assert "flask, flask-cors, moto, werkzeug" in done.stderr
    assert 'pip install "jarkkit[sandbox]"' in done.stderr
    assert "Traceback" not in done.stderr + done.stdout
    assert list(tmp_path.rglob("sandbox.log")) == []


def test_the_installed_package_can_plan(installed: Path, tmp_path: Path, terraform: str) -> None:
    line, environ = command(installed, tmp_path, "run", "demo", "--sandbox", "--to", "03")
    done = subprocess.run(
        line, cwd=tmp_path, env=environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "deployments/demo/plan.tfplan").is_file()


def test_the_installed_lab_opens_at_the_first_notebook(installed: Path, tmp_path: Path) -> None:
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
        lab.wait(timeout=120)


def _address(home: Path, port: int, lab: subprocess.Popen[bytes]) -> str:
    """Return the address with its token, which is in a private file and never in the log."""
    log, file = home / "lab.log", home / ".lab/address"

    def is_written() -> bool:
        assert lab.poll() is None, log.read_text()
        return file.is_file()

    wait_for(is_written, 90)
    address = file.read_text().strip()
    assert address.startswith(f"http://127.0.0.1:{port}/lab/tree")
    assert "token=" in address
    assert "token=" not in log.read_text()
    assert file.stat().st_mode & 0o077 == 0
    return address


def test_the_editable_install_uses_the_files_of_the_clone() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from jarkkit.ports.paths import *; print(notebooks_folder())"],
        cwd="/",
        env={**CLEAN, "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=True,
    )
    assert Path(done.stdout.strip()) == ROOT / "notebooks"
