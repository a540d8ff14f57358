"""A whole rehearsal in two ways: all notebooks headless, and the commands of docs/rehearsal.md."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest

from jarkkit.deployment import Deployment
from jarkkit.sandbox.account.iam.policies import RequiredPermission, evaluate
from tests.support.account import CLEAN
from tests.support.deployments import ACCOUNT, CliDeployment
from tests.support.stacks import BARE
from tools import site

NOTEBOOKS = [
    "00-start", "01-preflight", "02-configure", "03-plan", "04-deploy", "05-verify", "06-use",
    "07-troubleshoot", "08-cleanup",
]  # fmt: skip


LIMITED = "The simulated account allowed only what the policies of `jarkkit permissions` allow."


@pytest.fixture(scope="module")
def rehearsed(tmp_path_factory: pytest.TempPathFactory, terraform: str) -> CliDeployment:
    """A run as `make demo` does it: without a terminal and without AWS variables."""
    cli = CliDeployment(tmp_path_factory.mktemp("demo"), "demo", CLEAN)
    result = cli.run("run", "demo", "--sandbox")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "nothing is left" in result.stdout
    assert LIMITED in result.stdout
    return cli


class TestRehearsed:
    def test_every_notebook_succeeds(self, rehearsed: CliDeployment) -> None:
        run = json.loads((rehearsed.folder / "run.json").read_text())
        assert [(n["name"], n["status"]) for n in run["notebooks"]] == [
            (name, "ok") for name in NOTEBOOKS
        ]

    def test_all_resources_are_created_and_deleted_again(self, rehearsed: CliDeployment) -> None:
        deployment = Deployment.open("demo", home=rehearsed.home, environ=rehearsed.environ)
        receipt, plan = deployment.last_receipt(), deployment.recorded_plan()
        assert receipt is not None
        assert plan is not None
        assert receipt.clean
        assert receipt.destroyed == len(plan.pending) > 70
        assert deployment.status().state == "removed"

    def test_every_call_was_limited_to_the_published_policies(
        self, rehearsed: CliDeployment, tmp_path: Path
    ) -> None:
        words = ("permissions", "demo", "--account", ACCOUNT, "--out", str(tmp_path))
        policies = [Path(line) for line in rehearsed.ok(*words).splitlines()]
        run = json.loads((rehearsed.folder / "run.json").read_text())
        assert run["policies"] == [path.stem for path in policies]
        log = (rehearsed.home / ".sandbox" / "calls.log").read_text().splitlines()
        calls = {(operation, who) for _, _, operation, _, who in map(json.loads, log)}
        limited = {operation for operation, who in calls if who == "demo"}
        assert {"DescribeRegions", "CreateCluster", "DeleteVpc"} <= limited
        # The user's first key, which can do everything, only asked who it is.
        assert {operation for operation, who in calls if who == "learner"} <= {"GetCallerIdentity"}
        # No check was skipped for want of a permission either.
        documents = [json.loads(path.read_text()) for path in policies]
        needed = (rehearsed.home / ".sandbox" / "permissions.log").read_text().splitlines()
        for action, resource, context in map(json.loads, needed):
            need = RequiredPermission(
                action, resource, {key: tuple(values) for key, values in context.items()}
            )
            assert evaluate(documents, need).decision == "allowed", need

    def test_the_sandbox_is_stopped(self, rehearsed: CliDeployment) -> None:
        assert not (rehearsed.home / ".sandbox" / "sandbox.json").exists()

    def test_shareable_files_contain_no_account_path_or_secret(
        self, rehearsed: CliDeployment
    ) -> None:
        shown = [*(rehearsed.folder / "notebooks").glob("*.ipynb")]
        shown.append(rehearsed.folder / "report.html")
        for path in shown:
            text = path.read_text()
            assert "123456789012" not in text, path.name
            assert str(rehearsed.home) not in text, path.name
            assert str(Path(__file__).parents[2]) not in text, path.name
            assert not re.search(r"\bAKIA[A-Z0-9]{16}\b", text), path.name

    def test_the_report_shows_every_step_with_charts(self, rehearsed: CliDeployment) -> None:
        page = (rehearsed.folder / "report.html").read_text()
        for heading in ("Notebooks", "Preflight", "Plan", "Deploy timeline", "Verify", "Cleanup"):
            assert heading in page
        assert re.sub("`([^`]*)`", r"<code>\1</code>", LIMITED) in page
        # Regions, quotas, cost, plan and the deploy timeline.
        assert page.count("<svg ") == page.count("<figcaption>") == page.count("In words") == 7

    def test_the_executed_notebook_contains_a_chart(self, rehearsed: CliDeployment) -> None:
        book = nbformat.read(str(rehearsed.folder / "notebooks" / "03-plan.ipynb"), as_version=4)
        pages = [out.get("data", {}).get("text/html", "") for cell in book.cells
                 for out in cell.get("outputs", [])]  # fmt: skip
        assert any("<svg " in page and "In words" in page for page in pages)

    def test_the_site_shows_the_executed_notebooks(
        self, rehearsed: CliDeployment, tmp_path: Path
    ) -> None:
        assert site.newest_rehearsal(rehearsed.home / "deployments") == rehearsed.folder
        build = subprocess.run(
            [sys.executable, "-m", "tools.site", "--out", str(tmp_path)],
            cwd=Path(__file__).parents[2],
            env={**CLEAN, "JARKKIT_HOME": str(rehearsed.home)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert build.returncode == 0, build.stderr
        assert {path.stem for path in (tmp_path / "notebooks").glob("*.html")} == set(NOTEBOOKS)
        assert "deploy: done" in re.sub(
            r"<[^>]*>", "", (tmp_path / "notebooks" / "04-deploy.html").read_text()
        )

    def test_files_with_possible_secrets_are_private(self, rehearsed: CliDeployment) -> None:
        assert rehearsed.folder.stat().st_mode & 0o777 == 0o700
        for name in ("terraform.tfstate", "plan.tfplan", "settings.yaml", "run.json"):
            assert (rehearsed.folder / name).stat().st_mode & 0o077 == 0, name


class TestRunErrors:
    def test_an_unknown_parameter_stops_the_run(self, tmp_path: Path) -> None:
        cli = CliDeployment(tmp_path, "demo", CLEAN)
        result = cli.run("run", "demo", "--sandbox", "-p", "az_cout=3", "--json")
        assert result.returncode == 1
        error = json.loads(result.stdout)["error"]
        assert error["code"] == "JK-SETTINGS-UNKNOWN"
        assert "az_count" in error["fix"]

    def test_a_run_on_aws_without_confirmation_is_rejected(self, tmp_path: Path) -> None:
        result = CliDeployment(tmp_path, "demo", CLEAN).run("run", "demo", "--json")
        assert result.returncode == 2
        assert json.loads(result.stdout)["error"]["code"] == "JK-USAGE"

    def test_a_missing_notebook_stops_the_run(self, tmp_path: Path) -> None:
        result = CliDeployment(tmp_path, "demo", CLEAN).run(
            "run", "demo", "--sandbox", "--from", "42"
        )
        assert result.returncode == 1
        assert "JK-NOTEBOOK-MISSING" in result.stderr

    def test_a_failed_notebook_stops_the_run(self, tmp_path: Path, terraform: str) -> None:
        cli = CliDeployment(tmp_path, "demo", CLEAN)
        result = cli.run("run", "demo", "--sandbox", "-p", "region=xx-nowhere-1", "--json")
        assert result.returncode == 1
        run = json.loads(result.stdout)
        status: dict[str, Any] = {n["name"]: n for n in run["notebooks"]}
        assert status["01-preflight"]["status"] == "failed"
        assert status["01-preflight"]["code"] == "JK-PREFLIGHT-BLOCKED"
        assert status["01-preflight"]["fix"]
        assert status["04-deploy"]["status"] == "skipped"


def test_two_deployments_side_by_side_through_the_commands(
    tmp_path: Path, terraform: str, tofu: str
) -> None:
    """The second one with OpenTofu, from the same provider mirror."""
    one = CliDeployment(tmp_path, "lab1", CLEAN)
    two = CliDeployment(tmp_path, "lab2", {**CLEAN, "JARKKIT_TERRAFORM": tofu})
    one.ok("sandbox", "up", "--detach")
    try:
        addons = (
            "-p",
            f"addons={json.dumps(BARE['addons'])}",
        )  # Karpenter stays: it has its own setting
        one.ok("init", "lab1", "--sandbox", *addons)
        two.ok("init", "lab2", "--sandbox", *addons, "-p", "az_count=3")
        assert "missing" not in one.run("status").stderr.lower()
        one.ok("preflight", "lab1")
        one.ok("plan", "lab1")
        two.ok("plan", "lab2")
        assert [_product(cli) for cli in (one, two)] == [Path(terraform).name, "tofu"]
        deploying = one.start("deploy", "lab1")
        two.ok("deploy", "lab2")
        assert deploying.wait(timeout=1500) == 0
        for cli, program in ((one, terraform), (two, tofu)):
            assert "deployed" in cli.ok("status", cli.name)
            cli.ok("verify", cli.name)
            assert _terraform_plan(cli, program) == 0
        # The account survives a stop of its process.
        one.ok("sandbox", "down")
        one.ok("sandbox", "up", "--detach")
        one.ok("cleanup", "lab1", "--confirm", "lab1")
        two.ok("verify", "lab2")
        assert _terraform_plan(two, tofu) == 0
        assert one.run("cleanup", "lab2").returncode == 1  # the name was not confirmed
        two.ok("cleanup", "lab2", "--confirm", "lab2")
    finally:
        one.ok("sandbox", "down")
    assert not (tmp_path / ".sandbox" / "sandbox.json").exists()


def _product(cli: CliDeployment) -> str:
    """Return which program made the deployment's plan."""
    plan = cli.deployment.recorded_plan()
    assert plan is not None
    return plan.terraform.split()[0]


def _terraform_plan(cli: CliDeployment, terraform: str) -> int:
    """Run Terraform as in docs/rehearsal.md, after eval "$(jarkkit sandbox env)"."""
    exports = cli.ok("sandbox", "env")
    rc = cli.folder / ".terraformrc"
    point = f'export TF_CLI_CONFIG_FILE="{rc}"\n' if rc.is_file() else ""
    return subprocess.run(
        ["sh", "-c", f"{exports}\n{point}exec {terraform} plan -detailed-exitcode"],
        cwd=cli.folder,
        env=dict(CLEAN),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    ).returncode
