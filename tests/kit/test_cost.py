"""Cost and time of a deployment, as the kit tells them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from typer.testing import CliRunner

from jarkkit.checks import Check
from jarkkit.cli.app import app
from jarkkit.costs.table import Price
from jarkkit.errors import JarkkitError
from jarkkit.inquiries.past import past_of, timed, took
from jarkkit.kit import Kit
from jarkkit.pictures import cost_split
from jarkkit.records import Entry, Event, Owned, Seconds
from jarkkit.settings import Settings
from jarkkit.steps.preflight.asking import Look
from jarkkit.steps.preflight.cost_and_time import QUESTIONS, duration
from jarkkit.workspace import Workspace
from tests.kit.conftest import World
from tests.kit.fake_pricing import FakeSpot

DENIED = JarkkitError("JK-AWS-DENIED", "not allowed.", "Allow it.")
SPOT = {"accelerators": [{"family": "g6", "capacity": ["spot"], "max_vcpus": 4}]}


def look_at(world: World, workspace: Workspace) -> Look:
    return Look(
        workspace.settings(),
        world.account,  # type: ignore[arg-type]
        world.terraform,  # type: ignore[arg-type]
        workspace,
    )


def checks(world: World) -> dict[str, Check]:
    look = look_at(world, world.kit.workspace)
    asked = {question.__name__: question(look) for question in QUESTIONS}
    return {name: check for name, check in asked.items() if isinstance(check, Check)}


# -- cost ------------------------------------------------------------------------------------------


def test_before_anything_is_deployed_there_is_a_bill_alone(world: World) -> None:
    found = world.kit.cost(hours=8)
    assert found.bill.session_hours == 8
    assert found.spent.periods == ()
    assert found.text().count("\n\n") == 0
    assert "spent" not in found._repr_html_()


def test_what_is_there_now_is_priced(world: World) -> None:
    world.deploy()
    world.account.left = (
        Owned(terraform_type="aws_instance", import_id="i-1", name="g6.xlarge", billable=True),
    )
    found = world.kit.cost()
    assert found.spent.hourly.likely == pytest.approx(0.8048)
    assert "1 x g6.xlarge" in found.text()
    assert found.after_cleanup == ""


def test_an_account_that_may_not_be_looked_at_becomes_a_note(world: World) -> None:
    world.deploy()
    world.account.owned = refused  # type: ignore[method-assign, assignment]
    found = world.kit.cost()
    assert found.spent.now is None
    assert any("not allowed" in note for note in found.notes)
    assert "What runs now was not looked at." in found.text()


def refused(_: str) -> Any:
    raise DENIED


def test_the_bill_alone_asks_nobody_what_is_there(world: World) -> None:
    world.deploy()
    bill = world.kit.cost().bill
    world.account.owned = None  # type: ignore[method-assign, assignment]
    assert world.kit.bill() == bill


def test_after_cleanup_it_costs_nothing(world: World) -> None:
    world.deploy()
    list(world.kit.cleanup(confirm="demo"))
    assert world.kit.cost().after_cleanup == "Costs after cleanup: 0 USD."


def test_what_is_left_after_cleanup_goes_on_costing(world: World) -> None:
    world.deploy()
    world.account.left = (
        Owned(terraform_type="aws_nat_gateway", import_id="nat-1", billable=True),
    )
    with pytest.raises(JarkkitError):
        list(world.kit.cleanup(confirm="demo"))
    assert world.kit.cost().spent.hourly.likely == pytest.approx(0.045)


def test_todays_prices_go_before_the_shipped_ones(world: World) -> None:
    dear = Price(usd=1.0, unit="hour", source="AWS Price List API", date="2026-11-27")
    world.account.pricing.today = {("us-west-2", "m5.xlarge"): dear}
    found = world.kit.cost(refresh=True)
    assert found.bill.by_area()["core nodes"].likely == 2.0
    assert any("1 of today's list prices" in note for note in found.notes)
    assert world.kit.cost().bill.by_area()["core nodes"].likely == 2.0


def test_prices_that_may_not_be_asked_for_leave_the_shipped_ones(world: World) -> None:
    world.account.pricing.failing = DENIED
    found = world.kit.cost(refresh=True)
    assert found.bill.by_area()["core nodes"].likely == pytest.approx(0.384)
    assert any(note.startswith("Prices: not allowed") for note in found.notes)


def test_extended_support_is_what_eks_says(world: World) -> None:
    assert world.kit.cost(refresh=True).bill.by_area()["control plane"].likely == 0.1


def test_spot_prices_are_asked_only_where_they_matter(world: World) -> None:
    world.account.offers = FakeSpot(failing=DENIED)  # type: ignore[attr-defined]
    assert world.kit.cost().notes == ()
    world.kit.configure(SPOT)
    assert any(note.startswith("Spot prices:") for note in world.kit.cost().notes)
    prices = {"g6.xlarge": {"us-west-2a": 0.3}}
    world.account.offers = FakeSpot(prices)  # type: ignore[attr-defined]
    limits = [line.usd for line in world.kit.cost().bill.lines if line.what.startswith("g6: up")]
    assert [usd and usd.high for usd in limits] == [0.3]


def test_a_picture_of_the_split_says_the_same_in_words(world: World) -> None:
    picture = cost_split(world.kit.cost().bill)
    assert picture.png.startswith(b"\x89PNG")
    assert "core nodes 0.38" in picture.alt
    world.kit.configure({"karpenter": False, "accelerators": []})
    assert cost_split(world.kit.cost().bill).png


def test_the_command_shows_text_and_json(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JARKKIT_HOME", str(world.kit.folder.parent.parent))
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    shown = CliRunner().invoke(app, ["cost", "demo", "--hours", "2"])
    assert shown.exit_code == 0
    assert "for 2 hours" in shown.stdout
    found = json.loads(CliRunner().invoke(app, ["cost", "--json"]).stdout)
    assert found["bill"]["hourly"]["likely"] == pytest.approx(0.732, abs=0.01)
    assert all(price["source"] for line in found["bill"]["lines"] for price in line["prices"])


# -- preflight -------------------------------------------------------------------------------------


def test_preflight_says_cost_and_time(world: World) -> None:
    found = checks(world)
    assert found["cost"].status == "pass"
    assert "USD per hour" in found["cost"].found
    assert found["duration"].status == "pass"
    assert "EKS control plane" in found["duration"].why


def test_a_bill_above_the_budget_is_to_know(world: World) -> None:
    world.kit.configure({"budget_usd_per_month": 100, "budget_emails": ["a@example.org"]})
    assert checks(world)["cost"].status == "warn"
    world.kit.configure({"budget_usd_per_month": 5000})
    assert checks(world)["cost"].status == "pass"


def test_what_has_no_price_is_unknown(world: World) -> None:
    world.kit.configure({"accelerators": [{"family": "trn2", "max_vcpus": 192}]})
    assert checks(world)["cost"].status == "unknown"


# -- time ------------------------------------------------------------------------------------------


def test_the_ledger_holds_what_was_expected_and_what_it_took(world: World) -> None:
    world.deploy()
    started = [e for e in world.kit.entries() if e.step == "deploy" and e.status == "started"]
    assert started[0].expected == world.kit.time().deploy.seconds
    (run,) = timed(world.kit.workspace, "2026")
    assert (run.step, run.status) == ("deploy", "finished")
    assert run.expected == started[0].expected
    assert run.seconds is not None
    assert run.expected_here is None


def test_before_a_deploy_status_says_how_long_it_takes(world: World) -> None:
    world.plan()
    assert world.kit.time().deploy.brief in world.kit.status().summary
    list(world.kit.deploy())
    assert "min" not in world.kit.status().summary


def test_settings_that_contradict_themselves_have_no_time_but_a_status(world: World) -> None:
    world.kit.configure({"addons": {"coredns": False}})
    assert world.kit.status().state == "configured"


def ended(kit: Kit, *ends: tuple[str, str, float]) -> None:
    for minute, (step, status, seconds) in enumerate(ends):
        time = f"2026-11-20T08:{minute:02}:00Z"
        values = {"time": time, "step": step, "status": status, "seconds": seconds}
        kit.workspace.record(Entry.model_validate(values))


def test_whole_runs_count_and_those_that_only_look_do_not(world: World) -> None:
    ended(
        world.kit,
        ("deploy", "failed", 100.0),
        ("deploy", "finished", 50.0),
        ("cleanup", "finished", 700.0),
        ("deploy", "finished", 900.0),
        ("deploy", "finished", 5.0),
        ("cleanup", "finished", 800.0),
        ("cleanup", "finished", 4.0),
    )
    assert took(world.kit.workspace, "deploy") == (900.0,)
    assert took(world.kit.workspace, "cleanup") == (700.0, 800.0)
    assert took(world.kit.workspace, "cleanup", before="2026-11-20T08:03:00Z") == (700.0,)


def done(workspace: Workspace, subject: str, seconds: float, kind: str = "resource") -> None:
    values = {
        "time": "2026-11-20T08:00:00Z", "step": "deploy", "kind": kind, "subject": subject,
        "action": "create", "status": "done", "seconds": seconds,
    }  # fmt: skip
    workspace.log(Event.model_validate(values))


def test_own_runs_replace_published_figures_of_their_parts(world: World) -> None:
    before = world.kit.time().deploy
    done(world.kit.workspace, "module.cluster.aws_eks_cluster.this", 700.0)
    done(world.kit.workspace, 'aws_eks_addon.after_compute["metrics-server"]', 20.0)
    done(world.kit.workspace, "karpenter", 33.0, kind="addon")
    found = past_of(world.kit.workspace)
    assert found.of("create", "aws_eks_cluster") == (700.0,)
    assert found.of("create", "aws_eks_addon") == (20.0,)
    assert found.of("addon", "karpenter") == (33.0,)
    after = world.kit.time().deploy
    assert after.seconds.likely > before.seconds.likely
    assert "Own runs are counted." in after.summary


def test_rehearsals_say_nothing_about_a_real_account(world: World) -> None:
    other = Workspace(world.kit.folder.parent / "pretend")
    other.create(Settings(name="pretend"), rehearsal=True)
    done(other, "module.cluster.aws_eks_cluster.this", 1.0)
    assert past_of(world.kit.workspace).seconds == {}
    assert past_of(other).of("create", "aws_eks_cluster") == (1.0,)
    assert Kit(other, {}).time() == world.kit.time()
    # In one of 1 s nobody would wait for it.
    assert duration(look_at(world, other)).why.count("EKS control plane") == 2


def test_a_run_tells_what_runs_before_it_took(world: World) -> None:
    ended(world.kit, ("deploy", "finished", 600.0), ("cleanup", "finished", 500.0))
    world.deploy()
    run = timed(world.kit.workspace, "2026-11-21")[0]
    assert run.expected_here == Seconds(low=540.0, likely=600.0, high=660.0)
