"""What goes wrong in real life: each has a code, a fix, and loses nothing."""

from __future__ import annotations

import fcntl
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from jarkkit.sandbox import control
from tests.conftest import CLEAN, pointed_at
from tests.e2e.conftest import Place, jarkkit_command
from tests.e2e.test_killed import is_


@pytest.fixture(scope="module")
def troubled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[control.Running]:
    """A sandbox of our own: faults are for all who use one."""
    home = tmp_path_factory.mktemp("troubled")
    yield control.start(home, speed=80.0, account_only=True)
    control.stop(home)


@pytest.fixture
def fault(troubled: control.Running) -> Iterator[Callable[..., None]]:
    """Switches faults on for the length of a test."""

    def switch(*names: str) -> None:
        control.set_faults(troubled.home, names)

    yield switch
    control.set_faults(troubled.home, ())


@pytest.fixture
def there(tmp_path: Path, troubled: control.Running, terraform: str) -> Callable[[str], Place]:
    """Makes a place in that sandbox."""
    return lambda name: Place(tmp_path, name, pointed_at(troubled))


def error_of(done: subprocess.CompletedProcess[str]) -> dict[str, str]:
    """The error of a command that was run with --json; it must have one, and no traceback."""
    assert done.returncode in (1, 2, 130), done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    error: dict[str, str] = json.loads(done.stdout)["error"]
    assert error["fix"]
    return error


class TestTheAccountRefuses:
    @pytest.mark.parametrize(
        ("fault_name", "code"),
        [
            ("access-denied:ec2.DescribeAvailabilityZones", "JK-AWS-DENIED"),
            ("expired-credentials", "JK-AWS-EXPIRED"),
            ("throttled:ec2", "JK-AWS-THROTTLED"),
            ("api-unreachable", "JK-AWS-UNREACHABLE"),
        ],
    )
    def test_the_plan_says_why_and_status_is_as_before(
        self,
        fault_name: str,
        code: str,
        there: Callable[[str], Place],
        fault: Callable[..., None],
    ) -> None:
        place = there("refused")
        place.make()
        fault(fault_name)
        assert error_of(place.run("plan", "refused", "--json"))["code"] == code
        assert place.kit.status().next_command.split()[1] in ("plan", "preflight")

    def test_a_denied_question_is_unknown_and_not_a_no(
        self, there: Callable[[str], Place], fault: Callable[..., None]
    ) -> None:
        place = there("unknown")
        place.make()
        fault("access-denied:eks.DescribeClusterVersions")
        report = place.kit.preflight()
        assert report.ok
        assert [c.status for c in report.checks if "version" in c.name] == ["unknown"]

    def test_terraform_is_denied(
        self, there: Callable[[str], Place], fault: Callable[..., None]
    ) -> None:
        place = there("tf-denied")
        place.make()
        place.ok("plan", "tf-denied")
        fault("access-denied:kms.CreateKey")
        error = error_of(place.run("deploy", "tf-denied", "--json"))
        assert error["code"] == "JK-AWS-DENIED"
        assert "CreateKey" in error["evidence"]

    def test_an_apply_that_fails_half_way_goes_on_when_run_again(
        self, there: Callable[[str], Place], fault: Callable[..., None], terraform: str
    ) -> None:
        place = there("half-way")
        place.make()
        place.ok("plan", "half-way")
        fault("apply-fails:eks.CreateNodegroup")
        error = error_of(place.run("deploy", "half-way", "--json"))
        assert error["code"].startswith(("JK-TF-", "JK-AWS-"))
        assert place.kit.status().state == "failed"
        fault()
        place.ok("deploy", "half-way")
        assert place.kit.status().state == "deployed"
        assert place.terraform_plan(terraform) == 0


class TestInterrupted:
    def test_a_deploy_and_a_cleanup_stop_in_order_and_go_on(
        self, there: Callable[[str], Place]
    ) -> None:
        name = "stopped"
        place = there(name)
        place.make()
        place.ok("plan", name)
        deploy, cleanup = ("deploy", name), ("cleanup", name, "--confirm", name)
        for command, number, point in (
            (deploy, signal.SIGINT, is_("started", "aws_eks_cluster")),
            (deploy, signal.SIGTERM, is_("started", "aws_eks_node_group")),
            (deploy, None, None),
            (cleanup, signal.SIGINT, is_("started", "aws_eks_addon", "delete")),
            (cleanup, signal.SIGTERM, is_("started", "aws_eks_node_group", "delete")),
            (cleanup, None, None),
        ):
            if number is None or point is None:
                place.ok(*command)
                continue
            process = place.start(*command)
            place.wait_until(point, process)
            process.send_signal(number)
            assert process.wait(timeout=120) == 130
            assert not place.kit.status().running
            last = place.kit.entries()[-1]
            assert (last.status, last.code) == ("interrupted", "JK-INTERRUPTED")
            json.loads((place.folder / "terraform.tfstate").read_text())
        receipt = place.kit.last_receipt()
        assert receipt is not None
        assert receipt.clean
        # A second destroy finds nothing to do and proves it anew.
        place.ok(*cleanup)
        assert place.in_account() == {}


class TestTheMachine:
    def run(self, place: Place, *words: str, **environ: str) -> dict[str, str]:
        changed = Place(place.home, place.name, {**place.environ, **environ})
        return error_of(changed.run(*words, "--json"))

    def test_no_terraform(self, there: Callable[[str], Place], tmp_path: Path) -> None:
        place = there("no-tf")
        place.make()
        assert self.run(place, "plan", "no-tf", PATH=str(tmp_path))["code"] == "JK-TF-MISSING"

    def test_terraform_too_old(self, there: Callable[[str], Place], tmp_path: Path) -> None:
        old = tmp_path / "terraform"
        old.write_text('#!/bin/sh\necho \'{"terraform_version":"1.5.7"}\'\n')
        old.chmod(0o755)
        place = there("old-tf")
        place.make()
        error = self.run(place, "plan", "old-tf", JARKKIT_TERRAFORM=str(old))
        assert error["code"] == "JK-TF-VERSION"
        assert "1.5.7" in error["message"]

    def test_the_provider_cannot_be_had(self, there: Callable[[str], Place]) -> None:
        place = there("no-provider")
        place.make()
        empty = place.home / "empty"
        empty.mkdir()
        error = self.run(place, "plan", "no-provider", JARKKIT_TF_MIRROR=str(empty))
        assert error["code"] == "JK-TF-PROVIDER"

    def test_no_credentials(self, tmp_path: Path, terraform: str) -> None:
        nothing = {"AWS_EC2_METADATA_DISABLED": "true", "HOME": str(tmp_path)}
        place = Place(tmp_path, "no-keys", {**CLEAN, **nothing})
        place.ok("init", "no-keys")
        assert error_of(place.run("plan", "--json"))["code"] == "JK-AWS-NO-CREDENTIALS"
        report = json.loads(place.run("preflight", "--json").stdout)
        codes = {check["code"] for check in report["checks"] if check["status"] == "fail"}
        assert "JK-AWS-NO-CREDENTIALS" in codes

    def test_a_rehearsal_without_its_sandbox_reaches_nobody(
        self, tmp_path: Path, terraform: str
    ) -> None:
        real = {"AWS_ACCESS_KEY_ID": "AKIAREAL", "AWS_SECRET_ACCESS_KEY": "not-to-be-used"}
        place = Place(tmp_path, "alone", {**CLEAN, **real})
        place.ok("init", "alone", "--sandbox")
        assert error_of(place.run("plan", "--json"))["code"] == "JK-TARGET-REHEARSAL"

    def test_the_state_is_locked(self, there: Callable[[str], Place]) -> None:
        place = there("locked")
        place.make()
        place.ok("plan", "locked")
        state = place.folder / "terraform.tfstate"
        state.write_text(json.dumps({"version": 4, "serial": 1, "lineage": "x", "resources": []}))
        with state.open("a+") as handle:
            fcntl.lockf(handle, fcntl.LOCK_EX)
            assert error_of(place.run("plan", "locked", "--json"))["code"] == "JK-TF-LOCKED"
        place.ok("plan", "locked")

    def test_a_second_process_is_refused(self, there: Callable[[str], Place]) -> None:
        place = there("second")
        kit = place.make()
        with kit.workspace.only_writer():
            error = error_of(place.run("plan", "second", "--json"))
            assert error["code"] == "JK-DEPLOYMENT-BUSY"
            assert str(os.getpid()) in error["message"]

    def test_the_disk_is_full(self, there: Callable[[str], Place]) -> None:
        place = there("full-disk")
        place.make()
        before = (place.folder / "settings.yaml").read_text()
        done = subprocess.run(
            jarkkit_command("configure", "full-disk", "-p", "az_count=3", "--json"),
            env={**place.environ, "JARKKIT_HOME": str(place.home)},
            # No file may grow beyond this: what the kernel says then is as good as a full disk.
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (600, 600)),
            capture_output=True,
            text=True,
            check=False,
        )
        assert error_of(done)["code"] == "JK-WORKSPACE-WRITE"
        assert (place.folder / "settings.yaml").read_text() == before
        assert place.kit.settings.az_count == 2

    def test_the_folder_is_no_folder(self, tmp_path: Path) -> None:
        (tmp_path / "deployments").write_text("in the way")
        place = Place(tmp_path, "blocked", CLEAN)
        assert error_of(place.run("init", "blocked", "--json"))["code"] == "JK-WORKSPACE-WRITE"

    def test_the_wrong_account(self, there: Callable[[str], Place]) -> None:
        place = there("elsewhere")
        place.make()
        place.ok("plan", "elsewhere")
        target = place.kit.last_plan().target  # type: ignore[union-attr]
        other = target.model_copy(update={"account_id": "999988887777"})
        place.kit.workspace.save("target", other)
        for command in (["plan"], ["deploy"], ["cleanup", "--confirm", "elsewhere"]):
            error = error_of(place.run(*command, "--json"))
            assert error["code"] == "JK-TARGET-MISMATCH"


class TestState:
    def test_cleanup_finds_everything_when_it_was_lost(self, there: Callable[[str], Place]) -> None:
        place = there("lost")
        place.make()
        for step in ("plan", "deploy"):
            place.ok(step, *(["--yes"] if step == "deploy" else []))
        for file in place.folder.glob("terraform.tfstate*"):
            file.unlink()
        receipt = json.loads(place.ok("cleanup", "--confirm", "lost", "--json"))
        assert receipt["left"] == []
        assert receipt["destroyed"] > 30

    def test_in_a_bucket_with_its_own_lock(
        self, there: Callable[[str], Place], troubled: control.Running, terraform: str
    ) -> None:
        import boto3

        env = troubled.env
        s3 = boto3.client(
            "s3",
            region_name="us-west-2",
            endpoint_url=env["AWS_ENDPOINT_URL"],
            aws_access_key_id=env["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=env["AWS_SECRET_ACCESS_KEY"],
        )
        where = {"LocationConstraint": "us-west-2"}
        s3.create_bucket(Bucket="states", CreateBucketConfiguration=where)
        place = there("in-bucket")
        place.make(state_bucket="states")
        place.ok("plan", "in-bucket")
        place.ok("deploy", "in-bucket")
        keys = [item["Key"] for item in s3.list_objects_v2(Bucket="states")["Contents"]]
        assert keys == ["jarkkit/us-west-2/in-bucket/terraform.tfstate"]
        assert not (place.folder / "terraform.tfstate").exists()
        place.ok("cleanup", "in-bucket", "--confirm", "in-bucket")
        assert place.in_account() == {}


class TestTheSandbox:
    def test_ends_with_the_process_that_started_it(self, tmp_path: Path) -> None:
        script = (
            "import sys, time; from pathlib import Path; from jarkkit.sandbox import control\n"
            "running = control.start(Path(sys.argv[1]), account_only=True)\n"
            "print(running.pid, flush=True); time.sleep(600)"
        )
        parent = subprocess.Popen(
            [sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, text=True
        )
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        parent.kill()
        parent.wait()
        parent.stdout.close()
        deadline = time.monotonic() + 20
        while _is_there(pid):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert (tmp_path / "account.pickle").stat().st_mode & 0o777 == 0o600


def _is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
