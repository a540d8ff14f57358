"""The two ways through: all notebooks headless, and the commands of the README by hand."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import nbformat
import pytest

from jarkkit.kit import Kit
from tests.conftest import CLEAN
from tests.e2e.conftest import BARE, Place

NOTEBOOKS = [
    "00-start", "01-preflight", "02-configure", "03-plan", "04-deploy", "05-verify", "06-use",
    "07-troubleshoot", "08-cleanup",
]  # fmt: skip


@pytest.fixture(scope="module")
def rehearsed(tmp_path_factory: pytest.TempPathFactory, terraform: str) -> Place:
    """What `make demo` does: no terminal, no AWS variables."""
    place = Place(tmp_path_factory.mktemp("demo"), "demo", CLEAN)
    done = place.run("run", "demo", "--sandbox")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "nothing is left" in done.stdout
    return place


class TestRehearsed:
    def test_every_notebook_ran(self, rehearsed: Place) -> None:
        run = json.loads((rehearsed.folder / "run.json").read_text())
        assert [(n["name"], n["status"]) for n in run["notebooks"]] == [
            (name, "ok") for name in NOTEBOOKS
        ]

    def test_everything_was_made_and_nothing_is_left(self, rehearsed: Place) -> None:
        kit = Kit.open("demo", home=rehearsed.home, environ=rehearsed.environ)
        receipt, plan = kit.last_receipt(), kit.planned()
        assert receipt is not None
        assert plan is not None
        assert receipt.clean
        assert receipt.destroyed == len(plan.pending) > 70
        assert kit.status().state == "removed"

    def test_the_sandbox_has_ended(self, rehearsed: Place) -> None:
        assert not (rehearsed.home / ".sandbox" / "sandbox.json").exists()

    def test_what_can_be_shown_holds_nothing_of_account_machine_or_secrets(
        self, rehearsed: Place
    ) -> None:
        shown = [*(rehearsed.folder / "notebooks").glob("*.ipynb")]
        shown.append(rehearsed.folder / "report.html")
        for path in shown:
            text = path.read_text()
            assert "123456789012" not in text, path.name
            assert str(rehearsed.home) not in text, path.name
            assert str(Path(__file__).parents[2]) not in text, path.name
            assert not re.search(r"\bAKIA[A-Z0-9]{16}\b", text), path.name

    def test_the_report_tells_the_journey_with_pictures(self, rehearsed: Place) -> None:
        page = (rehearsed.folder / "report.html").read_text()
        for words in ("The journey", "Preflight", "Plan", "Deploy: where", "Verify", "Cleanup"):
            assert words in page
        # Regions, quotas, cost, plan, and when what was worked on.
        assert page.count("data:image/png;base64,") == page.count('alt="') == 7

    def test_a_picture_is_in_the_executed_notebook(self, rehearsed: Place) -> None:
        book = nbformat.read(str(rehearsed.folder / "notebooks" / "03-plan.ipynb"), as_version=4)
        kinds = {kind for cell in book.cells for out in cell.get("outputs", []) for kind in
                 out.get("data", {})}  # fmt: skip
        assert "image/png" in kinds

    def test_files_that_may_hold_secrets_are_the_owners_alone(self, rehearsed: Place) -> None:
        assert rehearsed.folder.stat().st_mode & 0o777 == 0o700
        for name in ("terraform.tfstate", "plan.tfplan", "settings.yaml", "run.json"):
            assert (rehearsed.folder / name).stat().st_mode & 0o077 == 0, name


class TestStops:
    def test_at_an_unknown_parameter(self, tmp_path: Path) -> None:
        place = Place(tmp_path, "demo", CLEAN)
        done = place.run("run", "demo", "--sandbox", "-p", "az_cout=3", "--json")
        assert done.returncode == 1
        error = json.loads(done.stdout)["error"]
        assert error["code"] == "JK-SETTINGS-UNKNOWN"
        assert "az_count" in error["fix"]

    def test_before_it_costs_money(self, tmp_path: Path) -> None:
        done = Place(tmp_path, "demo", CLEAN).run("run", "demo", "--json")
        assert done.returncode == 2
        assert json.loads(done.stdout)["error"]["code"] == "JK-USAGE"

    def test_at_a_notebook_that_is_not_there(self, tmp_path: Path) -> None:
        done = Place(tmp_path, "demo", CLEAN).run("run", "demo", "--sandbox", "--from", "42")
        assert done.returncode == 1
        assert "JK-NOTEBOOK-MISSING" in done.stderr

    def test_at_the_first_failed_notebook(self, tmp_path: Path, terraform: str) -> None:
        place = Place(tmp_path, "demo", CLEAN)
        done = place.run("run", "demo", "--sandbox", "-p", "region=xx-nowhere-1", "--json")
        assert done.returncode == 1
        run = json.loads(done.stdout)
        status: dict[str, Any] = {n["name"]: n for n in run["notebooks"]}
        assert status["01-preflight"]["status"] == "failed"
        assert status["01-preflight"]["code"] == "JK-PREFLIGHT-BLOCKED"
        assert status["01-preflight"]["fix"]
        assert status["04-deploy"]["status"] == "skipped"


def test_by_hand_two_deployments_side_by_side(tmp_path: Path, terraform: str) -> None:
    one, two = Place(tmp_path, "lab1", CLEAN), Place(tmp_path, "lab2", CLEAN)
    one.ok("sandbox", "up", "--detach")
    try:
        few = ("-p", f"addons={json.dumps(BARE['addons'])}")  # with Karpenter, which is a setting
        one.ok("init", "lab1", "--sandbox", *few)
        two.ok("init", "lab2", "--sandbox", *few, "-p", "az_count=3")
        assert "missing" not in one.run("status").stderr.lower()
        one.ok("preflight", "lab1")
        one.ok("plan", "lab1")
        two.ok("plan", "lab2")
        deploying = one.start("deploy", "lab1")
        two.ok("deploy", "lab2")
        assert deploying.wait(timeout=600) == 0
        for place in (one, two):
            assert "deployed" in place.ok("status", place.name)
            place.ok("verify", place.name)
            assert _plain_plan(place, terraform) == 0
        # The account outlives its process.
        one.ok("sandbox", "down")
        one.ok("sandbox", "up", "--detach")
        one.ok("cleanup", "lab1", "--confirm", "lab1")
        two.ok("verify", "lab2")
        assert _plain_plan(two, terraform) == 0
        assert one.run("cleanup", "lab2").returncode == 1  # nobody typed the name
        two.ok("cleanup", "lab2", "--confirm", "lab2")
    finally:
        one.ok("sandbox", "down")
    assert not (tmp_path / ".sandbox" / "sandbox.json").exists()


def _plain_plan(place: Place, terraform: str) -> int:
    """As in the README: eval "$(jarkkit sandbox env)", then terraform in the folder."""
    exports = place.ok("sandbox", "env")
    rc = place.folder / ".terraformrc"
    point = f'export TF_CLI_CONFIG_FILE="{rc}"\n' if rc.is_file() else ""
    return subprocess.run(
        ["sh", "-c", f"{exports}\n{point}exec {terraform} plan -detailed-exitcode"],
        cwd=place.folder,
        env=dict(CLEAN),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    ).returncode
