"""Failures in real use: each is an error with a code and a fix, and nothing is lost."""

from __future__ import annotations

import fcntl
import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from jarkkit.sandbox import daemon_client
from tests.support.account import CLEAN, assumed_role, make_client, sandbox_environment
from tests.support.deployments import CliDeployment, alive, has_resource_event, jarkkit_command
from tests.support.poll import wait_for


@pytest.fixture(scope="module")
def faulty_sandbox(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[daemon_client.RunningSandbox]:
    """A separate sandbox, because its faults affect every deployment in it."""
    home = tmp_path_factory.mktemp("troubled")
    yield daemon_client.start(home, speed=80.0, account_only=True)
    daemon_client.stop(home)


@pytest.fixture
def set_faults(faulty_sandbox: daemon_client.RunningSandbox) -> Iterator[Callable[..., None]]:
    """Set the sandbox's faults until the end of the test."""

    def switch(*names: str) -> None:
        daemon_client.set_faults(faulty_sandbox.home, names)

    yield switch
    daemon_client.set_faults(faulty_sandbox.home, ())


@pytest.fixture
def new_cli_deployment(
    tmp_path: Path, faulty_sandbox: daemon_client.RunningSandbox, terraform: str
) -> Callable[[str], CliDeployment]:
    """Return a new deployment in that sandbox."""
    return lambda name: CliDeployment(tmp_path, name, sandbox_environment(faulty_sandbox))


def error_of(done: subprocess.CompletedProcess[str]) -> dict[str, str]:
    """Return the error of a failed command with --json; check that there is no traceback."""
    assert done.returncode in (1, 2, 130), done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    error: dict[str, str] = json.loads(done.stdout)["error"]
    assert error["fix"]
    return error


class TestAwsErrors:
    @pytest.mark.parametrize(
        ("fault_name", "code"),
        [
            ("access-denied:ec2.DescribeAvailabilityZones", "JK-AWS-DENIED"),
            ("expired-credentials", "JK-AWS-EXPIRED"),
            ("throttled:ec2", "JK-AWS-THROTTLED"),
            ("api-unreachable", "JK-AWS-UNREACHABLE"),
        ],
    )
    def test_plan_reports_an_aws_error_and_the_status_stays(
        self,
        fault_name: str,
        code: str,
        new_cli_deployment: Callable[[str], CliDeployment],
        set_faults: Callable[..., None],
    ) -> None:
        cli = new_cli_deployment("refused")
        cli.make()
        set_faults(fault_name)
        assert error_of(cli.run("plan", "refused", "--json"))["code"] == code
        assert cli.deployment.status().next_command.split()[1] in ("plan", "preflight")

    def test_a_denied_call_makes_its_check_unknown_not_failed(
        self, new_cli_deployment: Callable[[str], CliDeployment], set_faults: Callable[..., None]
    ) -> None:
        cli = new_cli_deployment("unknown")
        cli.make()
        set_faults("access-denied:eks.DescribeClusterVersions")
        report = cli.deployment.preflight()
        assert report.ok
        assert [c.status for c in report.checks if "version" in c.name] == ["unknown"]

    def test_a_denied_call_of_terraform_is_an_error_with_its_action(
        self, new_cli_deployment: Callable[[str], CliDeployment], set_faults: Callable[..., None]
    ) -> None:
        cli = new_cli_deployment("tf-denied")
        cli.make()
        cli.ok("plan", "tf-denied")
        set_faults("access-denied:kms.CreateKey")
        error = error_of(cli.run("deploy", "tf-denied", "--json"))
        assert error["code"] == "JK-AWS-DENIED"
        assert "CreateKey" in error["evidence"]


class TestFailedCluster:
    """EKS could not create the control plane: the cluster exists, without a certificate."""

    @pytest.fixture
    def failed(
        self,
        request: pytest.FixtureRequest,
        new_cli_deployment: Callable[[str], CliDeployment],
        set_faults: Callable[..., None],
    ) -> CliDeployment:
        """A deployment whose first deploy left a failed cluster."""
        cli = new_cli_deployment(request.function.__name__.removeprefix("test_").replace("_", "-"))
        cli.make()
        cli.ok("plan", cli.name)
        set_faults("cluster-fails")
        error_of(cli.run("deploy", cli.name, "--json"))
        set_faults()
        return cli

    @pytest.mark.timeout(900)  # the provider retries the second failure for two minutes
    def test_a_deploy_replaces_it(
        self, failed: CliDeployment, set_faults: Callable[..., None], terraform: str
    ) -> None:
        """Also if the next apply fails halfway, with another error."""
        failed.ok("plan", failed.name)
        plan = failed.deployment.last_plan()
        assert plan is not None
        assert not plan.needs_confirmation  # it never worked
        set_faults("apply-fails:eks.CreateNodegroup")
        error = error_of(failed.run("deploy", failed.name, "--yes", "--json"))
        assert error["code"].startswith(("JK-TF-", "JK-AWS-"))
        assert failed.deployment.status().state == "failed"
        set_faults()
        failed.ok("deploy", failed.name, "--yes")
        assert failed.deployment.status().state == "deployed"
        assert failed.terraform_plan(terraform) == 0
        assert_removed(failed)

    def test_a_cleanup_removes_it(self, failed: CliDeployment) -> None:
        assert_removed(failed)


def assert_removed(cli: CliDeployment) -> None:
    """Clean up; check the receipt."""
    cli.ok("cleanup", cli.name, "--confirm", cli.name)
    receipt = cli.deployment.last_receipt()
    assert receipt is not None
    assert receipt.clean


class TestInterrupted:
    def test_an_interrupted_deploy_or_cleanup_stops_cleanly_and_resumes(
        self, new_cli_deployment: Callable[[str], CliDeployment]
    ) -> None:
        name = "stopped"
        cli = new_cli_deployment(name)
        cli.make()
        cli.ok("plan", name)
        deploy, cleanup = ("deploy", name), ("cleanup", name, "--confirm", name)
        for command, signal_number, reached in (
            (deploy, signal.SIGINT, has_resource_event("started", "aws_eks_cluster")),
            (deploy, signal.SIGTERM, has_resource_event("started", "aws_eks_node_group")),
            (deploy, None, None),
            (cleanup, signal.SIGINT, has_resource_event("started", "aws_eks_addon", "delete")),
            (
                cleanup,
                signal.SIGTERM,
                has_resource_event("started", "aws_eks_node_group", "delete"),
            ),
            (cleanup, None, None),
        ):
            if signal_number is None or reached is None:
                cli.ok(*command)
                continue
            process = cli.start(*command)
            cli.wait_until(reached, process)
            process.send_signal(signal_number)
            assert process.wait(timeout=600) == 130
            assert not cli.deployment.status().running
            last = cli.deployment.ledger_entries()[-1]
            assert (last.status, last.code) == ("interrupted", "JK-INTERRUPTED")
            json.loads((cli.folder / "terraform.tfstate").read_text())
        receipt = cli.deployment.last_receipt()
        assert receipt is not None
        assert receipt.clean
        # A second destroy finds nothing to delete.
        cli.ok(*cleanup)
        assert cli.resource_counts() == {}


class TestLocalMachine:
    def run(self, cli: CliDeployment, *args: str, **environ: str) -> dict[str, str]:
        changed = CliDeployment(cli.home, cli.name, {**cli.environ, **environ})
        return error_of(changed.run(*args, "--json"))

    def test_missing_terraform_is_an_error(
        self, new_cli_deployment: Callable[[str], CliDeployment], tmp_path: Path
    ) -> None:
        cli = new_cli_deployment("no-tf")
        cli.make()
        nowhere = {"PATH": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)}
        assert self.run(cli, "plan", "no-tf", **nowhere)["code"] == "JK-TF-MISSING"

    def test_an_outdated_terraform_is_an_error(
        self, new_cli_deployment: Callable[[str], CliDeployment], tmp_path: Path
    ) -> None:
        old = tmp_path / "terraform"
        old.write_text('#!/bin/sh\necho \'{"terraform_version":"1.5.7"}\'\n')
        old.chmod(0o755)
        cli = new_cli_deployment("old-tf")
        cli.make()
        error = self.run(cli, "plan", "old-tf", JARKKIT_TERRAFORM=str(old))
        assert error["code"] == "JK-TF-VERSION"
        assert "1.5.7" in error["message"]

    def test_a_missing_provider_is_an_error(
        self, new_cli_deployment: Callable[[str], CliDeployment]
    ) -> None:
        cli = new_cli_deployment("no-provider")
        cli.make()
        empty = cli.home / "empty"
        empty.mkdir()
        error = self.run(cli, "plan", "no-provider", JARKKIT_TF_MIRROR=str(empty))
        assert error["code"] == "JK-TF-PROVIDER"

    def test_missing_credentials_are_an_error(self, tmp_path: Path, terraform: str) -> None:
        no_credentials = {"AWS_EC2_METADATA_DISABLED": "true", "HOME": str(tmp_path)}
        cli = CliDeployment(tmp_path, "no-keys", {**CLEAN, **no_credentials})
        cli.ok("init", "no-keys")
        assert error_of(cli.run("plan", "--json"))["code"] == "JK-AWS-NO-CREDENTIALS"
        report = json.loads(cli.run("preflight", "--json").stdout)
        codes = {check["code"] for check in report["checks"] if check["status"] == "fail"}
        assert "JK-AWS-NO-CREDENTIALS" in codes

    def test_a_rehearsal_without_its_sandbox_never_reaches_aws(
        self, tmp_path: Path, terraform: str
    ) -> None:
        real = {"AWS_ACCESS_KEY_ID": "AKIAREAL", "AWS_SECRET_ACCESS_KEY": "not-to-be-used"}
        cli = CliDeployment(tmp_path, "alone", {**CLEAN, **real})
        cli.ok("init", "alone", "--sandbox")
        assert error_of(cli.run("plan", "--json"))["code"] == "JK-TARGET-REHEARSAL"

    @pytest.mark.parametrize(
        "of_the_user",
        [
            {"AWS_ENDPOINT_URL_EC2": "http://127.0.0.1:9"},
            {"AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true", "HTTPS_PROXY": "http://127.0.0.1:9"},
        ],
        ids=lambda of_the_user: next(iter(of_the_user)),
    )
    def test_the_plan_of_a_rehearsal_calls_the_sandbox_alone(
        self, new_cli_deployment: Callable[[str], CliDeployment], of_the_user: dict[str, str]
    ) -> None:
        cli = new_cli_deployment("alone")
        cli.make()
        cli = replace(cli, environ={**cli.environ, **of_the_user})
        assert json.loads(cli.ok("plan", "alone", "--json"))["changes"]

    def test_a_locked_state_is_an_error(
        self, new_cli_deployment: Callable[[str], CliDeployment]
    ) -> None:
        cli = new_cli_deployment("locked")
        cli.make()
        cli.ok("plan", "locked")
        state = cli.folder / "terraform.tfstate"
        state.write_text(json.dumps({"version": 4, "serial": 1, "lineage": "x", "resources": []}))
        with state.open("a+") as handle:
            fcntl.lockf(handle, fcntl.LOCK_EX)
            assert error_of(cli.run("plan", "locked", "--json"))["code"] == "JK-TF-LOCKED"
        cli.ok("plan", "locked")

    def test_a_second_process_is_rejected_while_the_first_runs(
        self, new_cli_deployment: Callable[[str], CliDeployment]
    ) -> None:
        cli = new_cli_deployment("second")
        deployment = cli.make()
        with deployment.workspace.exclusive_lock():
            error = error_of(cli.run("plan", "second", "--json"))
            assert error["code"] == "JK-DEPLOYMENT-BUSY"
            assert str(os.getpid()) in error["message"]

    def test_a_full_disk_is_an_error_and_the_settings_stay(
        self, new_cli_deployment: Callable[[str], CliDeployment]
    ) -> None:
        cli = new_cli_deployment("full-disk")
        cli.make()
        before = (cli.folder / "settings.yaml").read_text()
        done = subprocess.run(
            jarkkit_command("configure", "full-disk", "-p", "az_count=3", "--json"),
            env={**cli.environ, "JARKKIT_HOME": str(cli.home)},
            # No file may grow beyond this limit: the write fails as on a full disk.
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (600, 600)),
            capture_output=True,
            text=True,
            check=False,
        )
        assert error_of(done)["code"] == "JK-WORKSPACE-WRITE"
        assert (cli.folder / "settings.yaml").read_text() == before
        assert cli.deployment.settings.az_count == 2

    def test_a_file_in_place_of_the_folder_is_an_error(self, tmp_path: Path) -> None:
        (tmp_path / "deployments").write_text("in the way")
        cli = CliDeployment(tmp_path, "blocked", CLEAN)
        assert error_of(cli.run("init", "blocked", "--json"))["code"] == "JK-WORKSPACE-WRITE"

    def test_credentials_for_another_account_are_an_error(
        self, new_cli_deployment: Callable[[str], CliDeployment]
    ) -> None:
        cli = new_cli_deployment("elsewhere")
        cli.make()
        cli.ok("plan", "elsewhere")
        plan_target = cli.deployment.last_plan().target  # type: ignore[union-attr]
        other_target = plan_target.model_copy(update={"account_id": "999988887777"})
        cli.deployment.workspace.save("target", other_target)
        for command in (["plan"], ["deploy"], ["cleanup", "--confirm", "elsewhere"]):
            error = error_of(cli.run(*command, "--json"))
            assert error["code"] == "JK-TARGET-MISMATCH"


def delete_state(cli: CliDeployment) -> None:
    for file in cli.folder.glob("terraform.tfstate*"):
        file.unlink()


class TestState:
    def test_deploy_and_cleanup_find_all_resources_after_the_state_was_lost(
        self, new_cli_deployment: Callable[[str], CliDeployment], terraform: str
    ) -> None:
        cli = new_cli_deployment("lost")
        cli.make()
        cli.ok("plan")
        cli.ok("deploy", "--yes")
        before = cli.resource_counts()
        delete_state(cli)
        cli.ok("plan")  # deploy requires a new plan, because so much differs
        cli.ok("deploy", "--yes")
        assert cli.resource_counts() == before
        assert cli.terraform_plan(terraform) == 0
        delete_state(cli)
        receipt = json.loads(cli.ok("cleanup", "--confirm", "lost", "--json"))
        assert receipt["left"] == []
        assert receipt["destroyed"] > 30

    def test_the_state_can_be_in_a_bucket(
        self,
        new_cli_deployment: Callable[[str], CliDeployment],
        faulty_sandbox: daemon_client.RunningSandbox,
        terraform: str,
    ) -> None:
        s3 = make_client(faulty_sandbox, "s3", "us-west-2")
        location = {"LocationConstraint": "us-west-2"}
        s3.create_bucket(Bucket="states", CreateBucketConfiguration=location)
        cli = new_cli_deployment("in-bucket")
        cli.make(state_bucket="states")
        cli.ok("plan", "in-bucket")
        cli.ok("deploy", "in-bucket")
        keys = [item["Key"] for item in s3.list_objects_v2(Bucket="states")["Contents"]]
        assert keys == ["jarkkit/us-west-2/in-bucket/terraform.tfstate"]
        assert not (cli.folder / "terraform.tfstate").exists()
        assert planned_by_a_colleague(faulty_sandbox, cli) == {}
        cli.ok("cleanup", "in-bucket", "--confirm", "in-bucket")
        assert cli.resource_counts() == {}


def planned_by_a_colleague(
    running: daemon_client.RunningSandbox, cli: CliDeployment
) -> dict[str, str]:
    """Return the changes that another role of the account plans with the same state."""
    _, credentials = assumed_role(running, "colleague")
    home = cli.home / "colleague"
    home.mkdir()
    theirs = CliDeployment(home, cli.name, {**cli.environ, **credentials})
    theirs.make(state_bucket="states")
    plan = json.loads(theirs.ok("plan", cli.name, "--json"))
    return {
        change["address"]: change["action"]
        for change in plan["changes"]
        if change["action"] != "no-op"
    }


class TestSandbox:
    def test_the_sandbox_ends_with_the_process_that_started_it(self, tmp_path: Path) -> None:
        script = (
            "import sys, time; from pathlib import Path\n"
            "from jarkkit.sandbox import daemon_client\n"
            "running = daemon_client.start(Path(sys.argv[1]), account_only=True)\n"
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
        wait_for(lambda: not alive(pid), 20)
        assert (tmp_path / "account.pickle").stat().st_mode & 0o777 == 0o600
