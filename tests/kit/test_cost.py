"""Cost and duration of a deployment."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

from jarkkit.cli.app import app
from jarkkit.decisions.costs.price_table import Price
from jarkkit.deployment import Deployment
from jarkkit.model.checks import Check
from jarkkit.model.errors import JarkkitError
from jarkkit.model.records import Caller, DurationRange, Event, LedgerEntry, NodeRun, OwnedResource
from jarkkit.ports.workspace import Workspace
from jarkkit.render.html import html as html_of
from jarkkit.render.pictures import cost_split
from jarkkit.render.text import text as text_of
from jarkkit.settings import Settings
from jarkkit.steps.check_engine import run_checks
from jarkkit.steps.preflight.context import CheckContext
from jarkkit.steps.preflight.cost_and_time import CHECKS, duration
from jarkkit.steps.queries import node_history
from jarkkit.steps.queries.past_durations import read_history, run_seconds, timed_runs
from tests.support.fakes.cluster import FakeKube
from tests.support.fakes.deployment import DeploymentHarness
from tests.support.fakes.pricing import FakeSpot
from tests.support.stacks import resolved

DENIED = JarkkitError("JK-AWS-DENIED", "not allowed.", "Allow it.")
SPOT = {"accelerators": [{"family": "g6", "capacity": ["spot"], "max_vcpus": 4}]}


def check_context(harness: DeploymentHarness, workspace: Workspace) -> CheckContext:
    return CheckContext(
        resolved(workspace.settings()),
        harness.account,  # type: ignore[arg-type]
        harness.terraform,  # type: ignore[arg-type]
        workspace,
    )


def checks(harness: DeploymentHarness) -> dict[str, Check]:
    context = check_context(harness, harness.deployment.workspace)
    return {check.name: check for check in run_checks(CHECKS, context)}


# -- cost ------------------------------------------------------------------------------------------


def test_before_a_deploy_there_is_only_a_bill(harness: DeploymentHarness) -> None:
    found = harness.deployment.cost(hours=8)
    assert found.bill.session_hours == 8
    assert found.spent.periods == ()
    assert text_of(found).count("\n\n") == 0
    assert "so far" not in html_of(found)


def test_running_resources_are_priced(harness: DeploymentHarness) -> None:
    harness.deploy()
    harness.account.leftovers = (
        OwnedResource(
            terraform_type="aws_instance", import_id="i-1", name="g6.xlarge", billable=True
        ),
    )
    found = harness.deployment.cost()
    assert found.spent.hourly.likely == pytest.approx(0.8048)
    assert "1 x g6.xlarge" in text_of(found)
    assert found.after_cleanup == ""


def test_the_account_is_scanned_for_the_recorded_cluster(harness: DeploymentHarness) -> None:
    harness.deploy()
    harness.deployment.cost()
    assert harness.account.scanned_with == "https://x"


class TestNodesThatEnded:
    @pytest.fixture
    def used(self, harness: DeploymentHarness) -> DeploymentHarness:
        """A deployment whose verification saw a GPU node for two hours."""
        harness.deploy()
        began = datetime.now(UTC) - timedelta(hours=2)
        node = NodeRun(
            name="g6-abcde", instance_id="i-0123456789abcdef0", pool="g6",
            instance_type="g6.xlarge", capacity="on-demand", began=began.isoformat(),
            seen=began.isoformat(),
        )  # fmt: skip
        harness.account.runs = (node,)
        harness.deployment.verify()
        return harness

    def test_they_stay_in_the_cost(self, used: DeploymentHarness) -> None:
        used.account.runs = ()
        (line,) = used.deployment.cost().spent.ran
        assert line.usd
        assert line.usd.likely == pytest.approx(2 * (0.8048 + 300 * 0.08 / 730), rel=0.01)
        list(used.deployment.cleanup(confirm="demo"))
        assert used.deployment.cost().spent.ran[0].what.startswith("1 x g6.xlarge")
        assert used.deployment.cost().spent.usd.low > 1.6

    def test_an_account_that_does_not_answer_ends_none(self, used: DeploymentHarness) -> None:
        used.account.runs = ()
        used.account.failing["karpenter_runs"] = DENIED
        used.deployment.cost()
        assert not node_history.load(used.deployment.workspace).runs[0].gone

    def test_another_account_ends_none(self, used: DeploymentHarness) -> None:
        used.account.runs = ()
        used.account.account_id = "999999999999"
        used.deployment.cost()
        assert not node_history.load(used.deployment.workspace).runs[0].gone

    def test_the_cost_does_not_wait_for_a_cluster_that_does_not_answer(
        self, used: DeploymentHarness, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        retried: list[float] = []

        class AwayKube(FakeKube):
            def __init__(self, *_: object, retry_seconds: float) -> None:
                super().__init__()
                retried.append(retry_seconds)

            def list(self, *_: object, **_more: object) -> Any:
                raise JarkkitError("JK-KUBE-UNREACHABLE", "It did not answer.", "Check it.")

        monkeypatch.setattr("jarkkit.deployment.Kube", AwayKube)
        used.deployment._environ = {}
        used.deployment.verify()
        assert retried == [4.0]

    def test_the_account_is_compared_once_per_record(
        self, used: DeploymentHarness, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked: list[Caller] = []
        caller = used.account.caller

        def counted() -> Caller:
            asked.append(caller())
            return asked[-1]

        monkeypatch.setattr(used.account, "caller", counted)
        kube = FakeKube()
        used.deployment._connecting = lambda _: SimpleNamespace(kube=kube)  # type: ignore[assignment, return-value]
        used.deployment._record_nodes()
        assert len(asked) == 1

    def test_nothing_is_asked_before_a_deploy(self, harness: DeploymentHarness) -> None:
        harness.account.failing["karpenter_runs"] = DENIED
        harness.account.failing["caller"] = DENIED
        assert harness.deployment.cost().spent.ran == ()


def test_a_denied_scan_of_the_account_becomes_a_note(harness: DeploymentHarness) -> None:
    harness.deploy()
    harness.account.scan_resources = denied  # type: ignore[method-assign, assignment]
    found = harness.deployment.cost()
    assert found.spent.now is None
    assert any("not allowed" in note for note in found.notes)
    assert "The account was not scanned." in text_of(found)


def denied(_: str, **_more: Any) -> Any:
    raise DENIED


def test_the_bill_does_not_scan_the_account(harness: DeploymentHarness) -> None:
    harness.deploy()
    bill = harness.deployment.cost().bill
    harness.account.scan_resources = None  # type: ignore[method-assign, assignment]
    assert harness.deployment.bill() == bill


def test_after_cleanup_it_costs_nothing(harness: DeploymentHarness) -> None:
    harness.deploy()
    list(harness.deployment.cleanup(confirm="demo"))
    assert harness.deployment.cost().after_cleanup == "Costs after cleanup: 0 USD."


def test_leftovers_after_cleanup_still_cost(harness: DeploymentHarness) -> None:
    harness.deploy()
    harness.account.leftovers = (
        OwnedResource(terraform_type="aws_nat_gateway", import_id="nat-1", billable=True),
    )
    harness.account.in_use = frozenset({"nat-1"})
    with pytest.raises(JarkkitError):
        list(harness.deployment.cleanup(confirm="demo"))
    assert harness.deployment.cost().spent.hourly.likely == pytest.approx(0.045)


def test_current_prices_replace_the_shipped_ones(harness: DeploymentHarness) -> None:
    expensive = Price(usd=1.0, unit="hour", source="AWS Price List API", date="2026-11-27")
    harness.account.pricing.today = {("us-west-2", "m5.xlarge"): expensive}
    found = harness.deployment.cost(refresh=True)
    assert found.bill.by_area()["core nodes"].likely == 2.0
    assert any("1 of today's list prices" in note for note in found.notes)
    assert harness.deployment.cost().bill.by_area()["core nodes"].likely == 2.0


def test_without_permission_for_prices_the_shipped_ones_are_used(
    harness: DeploymentHarness,
) -> None:
    harness.account.pricing.failing = DENIED
    found = harness.deployment.cost(refresh=True)
    assert found.bill.by_area()["core nodes"].likely == pytest.approx(0.384)
    assert any(note.startswith("Prices: not allowed") for note in found.notes)


def test_extended_support_follows_the_answer_of_eks(harness: DeploymentHarness) -> None:
    assert harness.deployment.cost(refresh=True).bill.by_area()["control plane"].likely == 0.1


def test_spot_prices_are_fetched_only_for_spot_pools(harness: DeploymentHarness) -> None:
    harness.account.availability = FakeSpot(failing=DENIED)  # type: ignore[assignment]
    assert harness.deployment.cost().notes == ()
    harness.deployment.configure(SPOT)
    assert any(note.startswith("Spot prices:") for note in harness.deployment.cost().notes)
    prices = {"g6.xlarge": {"us-west-2a": 0.3}}
    harness.account.availability = FakeSpot(prices)  # type: ignore[assignment]
    limits = [
        line.usd for line in harness.deployment.cost().bill.lines if line.what.startswith("g6: up")
    ]
    assert [usd and usd.high for usd in limits] == [0.3]


def test_the_picture_of_the_split_has_an_alternative_text(harness: DeploymentHarness) -> None:
    picture = cost_split(harness.deployment.cost().bill)
    assert picture.svg.startswith("<svg")
    assert "core nodes 0.38" in picture.caption
    harness.deployment.configure({"karpenter": False, "accelerators": []})
    assert cost_split(harness.deployment.cost().bill).svg


def test_the_command_shows_text_and_json(
    harness: DeploymentHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JARKKIT_HOME", str(harness.deployment.folder.parent.parent))
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    shown = CliRunner().invoke(app, ["cost", "demo", "--hours", "2"])
    assert shown.exit_code == 0
    assert "for 2 hours" in shown.stdout
    found = json.loads(CliRunner().invoke(app, ["cost", "--json"]).stdout)
    assert found["bill"]["hourly"]["likely"] == pytest.approx(0.732, abs=0.01)
    assert all(price["source"] for line in found["bill"]["lines"] for price in line["prices"])


# -- preflight -------------------------------------------------------------------------------------


def test_preflight_shows_cost_and_duration(harness: DeploymentHarness) -> None:
    found = checks(harness)
    assert found["Cost estimate"].status == "pass"
    assert "USD per hour" in found["Cost estimate"].found
    assert found["Time estimate"].status == "pass"
    assert "EKS control plane" in found["Time estimate"].why


def test_a_bill_above_the_budget_is_a_warning(harness: DeploymentHarness) -> None:
    harness.deployment.configure({"budget_usd_per_month": 100, "budget_emails": ["a@example.org"]})
    assert checks(harness)["Cost estimate"].status == "warn"
    harness.deployment.configure({"budget_usd_per_month": 5000})
    assert checks(harness)["Cost estimate"].status == "pass"


def test_a_family_without_a_price_is_unknown(harness: DeploymentHarness) -> None:
    harness.deployment.configure({"accelerators": [{"family": "trn2", "max_vcpus": 192}]})
    assert checks(harness)["Cost estimate"].status == "unknown"


# -- time ------------------------------------------------------------------------------------------


def test_the_ledger_has_the_expected_and_the_actual_duration(harness: DeploymentHarness) -> None:
    harness.deploy()
    started = [
        e
        for e in harness.deployment.ledger_entries()
        if e.step == "deploy" and e.status == "started"
    ]
    assert started[0].expected == harness.deployment.estimate_duration().deploy.seconds
    (run,) = timed_runs(harness.deployment.workspace, "2026")
    assert (run.step, run.status) == ("deploy", "finished")
    assert run.expected == started[0].expected
    assert run.seconds is not None
    assert run.expected_here is None


def test_before_a_deploy_the_status_has_its_duration(harness: DeploymentHarness) -> None:
    harness.plan()
    assert (
        harness.deployment.estimate_duration().deploy.brief in harness.deployment.status().summary
    )
    list(harness.deployment.deploy())
    assert "min" not in harness.deployment.status().summary


def test_inconsistent_settings_have_a_status_without_a_duration(
    harness: DeploymentHarness,
) -> None:
    harness.deployment.configure({"addons": {"aws-ebs-csi-driver": False}})
    assert harness.deployment.status().state == "configured"


def record_runs(deployment: Deployment, *ends: tuple[str, str, float]) -> None:
    for minute, (step, status, seconds) in enumerate(ends):
        time = f"2026-11-20T08:{minute:02}:00Z"
        values = {"time": time, "step": step, "status": status, "seconds": seconds}
        deployment.workspace.record(LedgerEntry.model_validate(values))


def test_only_runs_that_change_resources_count(harness: DeploymentHarness) -> None:
    record_runs(
        harness.deployment,
        ("deploy", "failed", 100.0),
        ("deploy", "finished", 50.0),
        ("cleanup", "finished", 700.0),
        ("deploy", "finished", 900.0),
        ("deploy", "finished", 5.0),
        ("cleanup", "finished", 800.0),
        ("cleanup", "finished", 4.0),
    )
    assert run_seconds(harness.deployment.workspace, "deploy") == (900.0,)
    assert run_seconds(harness.deployment.workspace, "cleanup") == (700.0, 800.0)
    assert run_seconds(harness.deployment.workspace, "cleanup", before="2026-11-20T08:03:00Z") == (
        700.0,
    )


def log_finished(
    workspace: Workspace, subject: str, seconds: float, kind: str = "resource"
) -> None:
    values = {
        "time": "2026-11-20T08:00:00Z", "step": "deploy", "kind": kind, "subject": subject,
        "action": "create", "status": "done", "seconds": seconds,
    }  # fmt: skip
    workspace.log(Event.model_validate(values))


def test_own_runs_replace_published_figures(harness: DeploymentHarness) -> None:
    before = harness.deployment.estimate_duration().deploy
    log_finished(harness.deployment.workspace, "module.cluster.aws_eks_cluster.this", 700.0)
    log_finished(
        harness.deployment.workspace, 'aws_eks_addon.after_compute["metrics-server"]', 20.0
    )
    log_finished(harness.deployment.workspace, "karpenter", 33.0, kind="addon")
    found = read_history(harness.deployment.workspace)
    assert found.of("create", "aws_eks_cluster") == (700.0,)
    assert found.of("create", "aws_eks_addon") == (20.0,)
    assert found.of("addon", "karpenter") == (33.0,)
    after = harness.deployment.estimate_duration().deploy
    assert after.seconds.likely > before.seconds.likely
    assert "Includes times of your own runs." in after.summary


def test_rehearsals_do_not_count_for_a_real_account(harness: DeploymentHarness) -> None:
    other = Workspace(harness.deployment.folder.parent / "rehearsed")
    other.create(Settings(name="rehearsed"), rehearsal=True)
    log_finished(other, "module.cluster.aws_eks_cluster.this", 1.0)
    assert read_history(harness.deployment.workspace).seconds == {}
    assert read_history(other).of("create", "aws_eks_cluster") == (1.0,)
    assert Deployment(other, {}).estimate_duration() == harness.deployment.estimate_duration()
    # With 1 s it would not be on the critical path.
    assert duration(check_context(harness, other)).why.count("EKS control plane") == 2


def test_a_run_has_the_expected_duration_from_earlier_runs(harness: DeploymentHarness) -> None:
    record_runs(harness.deployment, ("deploy", "finished", 600.0), ("cleanup", "finished", 500.0))
    harness.deploy()
    run = timed_runs(harness.deployment.workspace, "2026-11-21")[0]
    assert run.expected_here == DurationRange(low=540.0, likely=600.0, high=660.0)
