"""Deployments in a sandbox that tests work on through the command line, as a user does."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from jarkkit.deployment import Deployment
from jarkkit.model.records import Event
from jarkkit.ports.aws import Account
from jarkkit.sandbox import daemon_client
from jarkkit.settings import Settings
from tests.support.account import CLEAN
from tests.support.clusters import needs_programs
from tests.support.poll import wait_for
from tests.support.stacks import SMALL

EventPredicate = Callable[[tuple[Event, ...]], bool]

ACCOUNT = "123456789012"


def jarkkit_command(*words: str) -> list[str]:
    """Return the command that runs the jarkkit under test."""
    return [sys.executable, "-c", "from jarkkit.cli import main; main()", *words]


@dataclass
class CliDeployment:
    """One deployment in a home folder of its own, driven through the command line."""

    home: Path
    name: str
    environ: Mapping[str, str]

    @property
    def deployment(self) -> Deployment:
        return Deployment.open(self.name, home=self.home, environ=self.environ)

    @property
    def folder(self) -> Path:
        return self.home / "deployments" / self.name

    def make(self, **values: Any) -> Deployment:
        return Deployment.create(
            self.name,
            rehearsal=True,
            values={**SMALL, **values},
            home=self.home,
            environ=self.environ,
        )

    def run(self, *words: str, timeout: float = 1500) -> subprocess.CompletedProcess[str]:
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
        """Let the sandbox allow only what the deployment's IAM policy allows."""
        out = str(self.home / "policies")
        paths = self.ok("permissions", self.name, "--account", ACCOUNT, "--out", out)
        daemon_client.set_policies(
            self.home / ".sandbox", [Path(line) for line in paths.splitlines()]
        )

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
        """Wait until the events match; fail if the process ends before that."""

        def matched() -> bool:
            matches = seen(self.deployment.events())
            assert matches or process.poll() is None, "the step ended before that point"
            return matches

        try:
            wait_for(matched, seconds, pause=0.05)
        except AssertionError:
            kill_tree(process)
            raise

    def terraform_pid(self) -> int:
        return int(json.loads((self.folder / ".terraform-run.json").read_text())["pid"])

    def terraform_plan(self, terraform: str) -> int:
        """Return the exit code of `terraform plan -detailed-exitcode` in the folder."""
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

    def resource_counts(self) -> dict[str, int]:
        """Return how many resources of the deployment the account has, by Terraform type."""
        scan = Account(Settings().region, self.environ).scan_resources(self.name)
        assert not scan.inaccessible
        counts: dict[str, int] = {}
        for item in scan.found:
            counts[item.terraform_type] = counts.get(item.terraform_type, 0) + 1
        return counts


def has_resource_event(status: str, part: str, action: str = "create") -> EventPredicate:
    """Return a predicate: is there an event about a resource whose address has that part?"""
    return lambda events: any(
        e.kind == "resource" and e.status == status and e.action == action and part in e.subject
        for e in events
    )


@contextlib.contextmanager
def deployed_in_sandbox(name: str, **values: Any) -> Iterator[CliDeployment]:
    """Start a detached sandbox and deploy into it with the README's commands, with no permissions
    but those of the policy that jarkkit generates."""
    if shutil.which("kubectl") is None:
        pytest.skip("needs kubectl on PATH")
    needs_programs()
    with tempfile.TemporaryDirectory(prefix="jarkkit-test-") as folder:
        place = CliDeployment(Path(folder), name, CLEAN)
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
            assert daemon_client.find(place.home / ".sandbox") is None


def kubectl(place: CliDeployment, *words: str, given: str = "") -> str:
    """Return the output of a user's kubectl that has only the deployment's kubeconfig."""
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
    """Kill a process, the others and all their children with SIGKILL, as a power cut would."""
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


def alive(pid: int) -> bool:
    """Return whether that process runs."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
