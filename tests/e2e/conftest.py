"""Deployments in a sandbox, worked on through the command line as a user would."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from jarkkit.addons.catalogue import catalogue
from jarkkit.aws import Account
from jarkkit.kit import Kit
from jarkkit.records import Event
from jarkkit.sandbox import control
from jarkkit.settings import Settings
from tests.clusters.conftest import needs_programs
from tests.conftest import CLEAN, pointed_at

ACCOUNT = "123456789012"
# Nothing of Karpenter: for its queue alone the provider waits half a minute.
SMALL: dict[str, Any] = {"karpenter": False, "accelerators": []}
# Nothing that Helm installs: for tests that are about something else.
BARE: dict[str, Any] = {
    **SMALL,
    "addons": {
        a.name: False
        for a in catalogue().values()
        if a.install != "eks" and a.default and a.name != "karpenter"
    },
}


def jarkkit_command(*words: str) -> list[str]:
    """The command line of the kit under test."""
    return [sys.executable, "-c", "from jarkkit.cli import main; main()", *words]


@dataclass
class Place:
    """A home with one deployment, pointing at a sandbox."""

    home: Path
    name: str
    environ: Mapping[str, str]

    @property
    def kit(self) -> Kit:
        return Kit.open(self.name, home=self.home, environ=self.environ)

    @property
    def folder(self) -> Path:
        return self.home / "deployments" / self.name

    def make(self, **values: Any) -> Kit:
        return Kit.create(
            self.name,
            rehearsal=True,
            values={**SMALL, **values},
            home=self.home,
            environ=self.environ,
        )

    def run(self, *words: str, timeout: float = 900) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            jarkkit_command(*words),
            cwd=self.home,
            env={**self.environ, "JARKKIT_HOME": str(self.home)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def ok(self, *words: str) -> str:
        done = self.run(*words)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def limit(self) -> None:
        """Allow what the deployment's policy does, and nothing else."""
        out = str(self.home / "policies")
        said = self.ok("permissions", self.name, "--account", ACCOUNT, "--out", out)
        control.set_policies(self.home / ".sandbox", [Path(line) for line in said.splitlines()])

    def start(self, *words: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            jarkkit_command(*words),
            cwd=self.home,
            env={**self.environ, "JARKKIT_HOME": str(self.home)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def wait_until(
        self,
        seen: Callable[[tuple[Event, ...]], bool],
        process: subprocess.Popen[bytes],
        seconds: float = 240,
    ) -> None:
        """Wait for the events to say so; fails when the process ends before."""
        deadline = time.monotonic() + seconds
        while not seen(self.kit.events()):
            ended, late = process.poll() is not None, time.monotonic() > deadline
            if ended or late:
                kill_tree(process)
                pytest.fail("the step ended before that point" if ended else "never got there")
            time.sleep(0.05)

    def terraform_pid(self) -> int:
        return int(json.loads((self.folder / ".terraform-run.json").read_text())["pid"])

    def terraform_plan(self, terraform: str) -> int:
        """Exit code of a plain `terraform plan -detailed-exitcode` in the deployment's folder."""
        rc = self.folder / ".terraformrc"
        configured = {"TF_CLI_CONFIG_FILE": str(rc)} if rc.is_file() else {}
        return subprocess.run(
            [terraform, "plan", "-detailed-exitcode", "-input=false", "-lock=false"],
            cwd=self.folder,
            env={**self.environ, **configured},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        ).returncode

    def in_account(self) -> dict[str, int]:
        """How many things of the deployment the account has, by type."""
        found, _, unseen = Account(Settings().region, self.environ).owned(self.name)
        assert not unseen
        counts: dict[str, int] = {}
        for item in found:
            counts[item.terraform_type] = counts.get(item.terraform_type, 0) + 1
        return counts


@contextlib.contextmanager
def stood_up(name: str, **values: Any) -> Iterator[Place]:
    """A detached sandbox and a deployment in it, by the README's commands, under the policy that
    the kit makes for it and under nothing else."""
    if shutil.which("kubectl") is None:
        pytest.skip("needs kubectl on PATH")
    needs_programs()
    with tempfile.TemporaryDirectory(prefix="jarkkit-test-") as folder:
        place = Place(Path(folder), name, CLEAN)
        place.ok("sandbox", "up", "--detach")
        try:
            words = [w for k, v in values.items() for w in ("-p", f"{k}={json.dumps(v)}")]
            place.ok("init", name, "--sandbox", *words)
            place.limit()
            for step in ("preflight", "plan", "deploy"):
                place.ok(step, name)
            yield place
        finally:
            place.ok("sandbox", "down")
            assert control.find(place.home / ".sandbox") is None


def kubectl(place: Place, *words: str, given: str = "") -> str:
    """What a user's kubectl says, with nothing but the deployment's kubeconfig."""
    done = subprocess.run(
        ["kubectl", "--kubeconfig", place.folder / "kubeconfig", *words],
        env={"PATH": os.environ["PATH"], "HOME": str(place.home)},
        input=given,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def kill_tree(process: subprocess.Popen[bytes], *others: int) -> None:
    """SIGKILL for a process, others, and all their children, as a power cut would."""
    victims = []
    for pid in (process.pid, *others):
        try:
            parent = psutil.Process(pid)
            victims += [parent, *parent.children(recursive=True)]
        except psutil.NoSuchProcess:
            continue
    for victim in victims:
        try:
            victim.send_signal(signal.SIGKILL)
        except psutil.NoSuchProcess:
            continue
    process.wait()
    psutil.wait_procs(victims, timeout=10)


@pytest.fixture
def place(tmp_path: Path, sandbox: control.Running, terraform: str) -> Callable[[str], Place]:
    """Makes a place in the quick sandbox. Names must differ from test to test."""

    def make(name: str) -> Place:
        return Place(tmp_path, name, pointed_at(sandbox))

    return make


@pytest.fixture
def slow_place(
    tmp_path: Path, slow_sandbox: control.Running, terraform: str
) -> Callable[[str], Place]:
    """The same in the sandbox where things take time."""

    def make(name: str) -> Place:
        return Place(tmp_path, name, pointed_at(slow_sandbox))

    return make


def alive(pid: int) -> bool:
    """True while that process runs."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
