"""What the kit asks Regions, against the pretend account: a real SDK, real refusals."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from jarkkit.aws import Account
from jarkkit.cli import app as cli
from jarkkit.errors import JarkkitError
from jarkkit.kit import survey
from jarkkit.sandbox import control
from jarkkit.settings import Settings
from jarkkit.survey import Survey, Surveyed
from tests.conftest import pointed_at
from tests.sandbox.test_account import make_client, reserve

REGION = "us-west-2"
SOME = ("us-west-2", "eu-central-1", "us-east-1")


@pytest.fixture
def account(sandbox: control.Running) -> Account:
    """One that remembers nothing of other tests."""
    environ = {n: v for n, v in pointed_at(sandbox).items() if n != "JARKKIT_ACCOUNT_CACHE"}
    return Account(REGION, environ)


@contextmanager
def fault(sandbox: control.Running, *words: str) -> Iterator[None]:
    control.set_faults(sandbox.home, words)
    try:
        yield
    finally:
        control.set_faults(sandbox.home, ())


def calls(sandbox: control.Running) -> int:
    return int(control.status(sandbox.home)["calls"])


def row(made: Survey, region: str) -> Surveyed:
    return next(found for found in made.regions if found.region == region)


class TestOffers:
    def test_zones_of_every_kind_are_seen(self, account: Account) -> None:
        names = {zone.name for zone in account.offers.zones()}
        assert {"us-west-2a", "us-west-2b", "us-west-2c"} <= names

    def test_types_are_found_by_patterns_in_one_call(
        self, account: Account, sandbox: control.Running
    ) -> None:
        account.caller()
        account.offers.zones()  # the account is identified now
        before = calls(sandbox)
        types = account.offers.types(["g6.*", "m5.xlarge"])
        assert calls(sandbox) == before + 1
        assert "g6.xlarge" in types
        assert not any(name.startswith("g6e.") for name in types)
        assert types["m5.xlarge"] >= {"us-west-2a", "us-west-2b"}
        assert account.offerings(["m5.xlarge"]) == {"m5.xlarge": types["m5.xlarge"]}

    def test_spot_prices_are_those_of_now_by_zone(self, account: Account) -> None:
        prices = account.offers.spot_prices(["g6.xlarge", "m5.xlarge"])
        assert prices.keys() == {"g6.xlarge", "m5.xlarge"}
        assert all(0 < usd < 0.805 for usd in prices["g6.xlarge"].values())
        assert prices["g6.xlarge"].keys() == account.offers.types(["g6.xlarge"])["g6.xlarge"]

    def test_more_regions_are_scored_than_one_call_answers_for(self, account: Account) -> None:
        types = sorted(account.offers.types(["g5.*"]))
        regions = account.offers.enabled_regions()
        assert len(regions) > 10
        scores = account.offers.spot_scores(types, 64, regions)
        assert len(scores) > 10
        assert set(scores) <= set(regions)
        assert set(scores.values()) <= set(range(1, 11))

    def test_reservations_are_found_until_they_are_over(
        self, account: Account, sandbox: control.Running
    ) -> None:
        ec2 = make_client(sandbox, "ec2", REGION)
        made = reserve(ec2, "g6.xlarge", "us-west-2b", 3)
        found = {r.reservation_id: r for r in account.offers.reservations(["g6.*"])}
        assert (found[made].zone, found[made].total, found[made].free) == ("us-west-2b", 3, 3)
        assert not found[made].block
        assert made not in {r.reservation_id for r in account.offers.reservations(["g5.*"])}
        ec2.cancel_capacity_reservation(CapacityReservationId=made)
        assert made not in {r.reservation_id for r in account.offers.reservations(["g6.*"])}

    def test_capacity_blocks_on_sale_have_a_price(self, account: Account) -> None:
        block = account.offers.blocks("p5.48xlarge")[0]
        assert (block.hours, block.instances) == (24, 1)
        assert block.usd > 0
        assert block.starts.endswith("Z")

    def test_the_way_there_is_measured(self, account: Account) -> None:
        seconds = account.offers.connect_seconds()
        assert seconds is not None
        assert 0 < seconds < 3

    def test_an_endpoint_where_nobody_listens_is_unreachable(self, account: Account) -> None:
        nowhere = Account(REGION, {**account._environ, "AWS_ENDPOINT_URL": "http://127.0.0.1:9"})
        with pytest.raises(JarkkitError) as refused:
            nowhere.offers._connect()
        assert refused.value.code == "JK-AWS-UNREACHABLE"

    def test_behind_a_proxy_the_way_is_not_measured(
        self, account: Account, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
        account.offers.zones()
        monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
        assert account.offers._connect() is None


class TestSurvey:
    def made(self, account: Account, settings: Settings | None = None) -> Survey:
        return survey(settings or Settings(), SOME, environ=account._environ, refresh=True)

    def test_every_region_is_complete(self, account: Account) -> None:
        made = self.made(account)
        assert {r.region for r in made.regions} == set(SOME)
        for found in made.regions:
            assert found.will_do
            assert found.enough_quota
            assert not found.not_known
            for supply in found.supplies or ():
                assert supply.on_demand_usd is not None
                assert supply.spot_usd is not None

    @pytest.mark.parametrize(
        ("word", "code"),
        [
            ("access-denied:ec2,eu-central-1", "JK-AWS-DENIED"),
            ("throttled:eks,eu-central-1", "JK-AWS-THROTTLED"),
            ("access-denied:servicequotas,eu-central-1", "JK-AWS-DENIED"),
            ("api-unreachable:eu-central-1", "JK-AWS-UNREACHABLE"),
        ],
    )
    def test_a_region_that_refuses_is_unknown_and_the_others_complete(
        self, sandbox: control.Running, account: Account, word: str, code: str
    ) -> None:
        with fault(sandbox, word):
            made = self.made(account)
        assert code in " ".join(row(made, "eu-central-1").not_known)
        assert not row(made, "us-east-1").not_known
        assert made.recommended in ("us-east-1", "us-west-2")

    def test_expired_credentials_end_it_in_words(
        self, sandbox: control.Running, account: Account
    ) -> None:
        with fault(sandbox, "expired-credentials"), pytest.raises(JarkkitError) as refused:
            self.made(account)
        assert refused.value.code == "JK-AWS-EXPIRED"

    def test_signs_of_capacity_are_there_where_they_are_wanted(self, account: Account) -> None:
        pools: Any = ({"family": "g6", "capacity": ("spot",)},)
        made = self.made(account, Settings(accelerators=pools))
        assert all(r.signals[0].said.startswith("g6 Spot") for r in made.regions)

    def test_a_second_one_asks_nobody(self, sandbox: control.Running) -> None:
        environ = pointed_at(sandbox)
        first = survey(Settings(), SOME, environ=environ, refresh=True)
        before = calls(sandbox)
        second = survey(Settings(), SOME, environ=environ)
        assert calls(sandbox) - before <= 1  # who we are
        assert second.regions == first.regions


class TestCommand:
    @pytest.fixture
    def run(self, sandbox: control.Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
        monkeypatch.setenv("JARKKIT_HOME", str(tmp_path))
        for name, value in sandbox.env.items():
            monkeypatch.setenv(name, value) if value else monkeypatch.delenv(name, raising=False)
        return lambda *words: CliRunner().invoke(cli.app, ["regions", *words])

    def test_without_a_deployment_it_answers_for_the_settings_given(self, run: Any) -> None:
        words = ("--region", "us-west-2", "--family", "g5", "-p", "az_count=3", "--json")
        said = run(*words)
        made = Survey.model_validate_json(said.stdout)
        assert (made.families, made.az_count) == (("g5",), 3)
        assert made.recommended == "us-west-2"

    def test_the_picture_is_a_file(self, run: Any, tmp_path: Path) -> None:
        file = tmp_path / "map.png"
        said = run("--region", "us-west-2", "--picture", str(file))
        assert file.read_bytes().startswith(b"\x89PNG")
        assert "Heat map of 1 Region." in said.stderr
        assert said.stdout.startswith("Recommended: us-west-2.")

    @pytest.mark.usefixtures("run")
    def test_where_nothing_will_do_it_says_so_with_its_exit_code(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        words = ["--region", "us-west-2", "-p", "core_instance_type=z9.xlarge", "--json"]
        assert cli._run(["regions", *words]) == 1
        assert json.loads(capsys.readouterr().out)["recommended"] == ""
